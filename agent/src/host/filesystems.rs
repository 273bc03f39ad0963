//! Mounted filesystems: mountinfo, and statvfs in a worker thread with a deadline.
