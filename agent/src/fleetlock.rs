//! FleetLock v1 over HTTP: the door at which guests ask for slots, and a client of somebody else's.
//!
//! It must never answer by itself: what a guest may is decided by `core::fleetlock`, and committed first.

pub(crate) mod client;
mod door;

#[cfg(test)]
mod tests;

pub(crate) use door::{Asked, Door, Reply};
