//! The configuration: fragments, merged, checked, into [`hardstand_core::Settings`].
//!
//! It must never touch the host beyond the files it is told to read.
