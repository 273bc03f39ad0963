//! SMART and NVMe health: the parser of `smartctl --json`, and asking the helper for it.
