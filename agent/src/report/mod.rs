//! What was judged, as people and machines read it: tables, JSON, the metrics page, the status line, journal fields.
//!
//! It must never change a value on the way.
