//! The clock: adjtimex(2) and the active time service.
