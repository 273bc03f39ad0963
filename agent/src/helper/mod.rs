//! The root side: a closed list of verbs on a unix socket, and the client the agent uses.
//!
//! It must never take a path, a program or a free-form argument from its caller.
