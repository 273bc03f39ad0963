//! Network interfaces from `/sys/class/net`.
