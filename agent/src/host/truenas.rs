//! TrueNAS: asking it over its own API, JSON-RPC 2.0 in a WebSocket, in the shapes of 25.04, 25.10 and 26.
//!
//! It must never call a method that changes anything, nor keep what may be a secret: arguments and credentials of jobs.

pub(crate) mod answers;
pub(crate) mod ask;
mod key;
mod link;
mod rpc;

/// Why TrueNAS could not be asked, or not one thing.
type Why = String;
