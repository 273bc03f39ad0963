//! The decisions of a node, as tables.
