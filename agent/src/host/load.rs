//! Processors, load, memory, pressure from procfs.
