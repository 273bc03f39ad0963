//! dpkg and apt state from their own files.
