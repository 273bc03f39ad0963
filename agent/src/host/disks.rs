//! Whole disks from `/sys/block`.
