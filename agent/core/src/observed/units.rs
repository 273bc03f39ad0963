//! systemd's own state.

use serde::{Deserialize, Serialize};

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `nginx.service`.
    pub name: String,
    /// Its description.
    pub description: String,
    /// `loaded`, `not-found`, `masked`...
    pub load: String,
    /// `active`, `inactive`, `failed`...
    pub active: String,
    /// `running`, `dead`, `failed`...
    pub sub: String,
}

/// The service manager (`org.freedesktop.systemd1`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Units {
    /// `running`, `degraded`, `starting`, `maintenance`, `stopping`, or a newer word.
    pub system_state: String,
    /// systemd's version string.
    pub version: String,
    /// Units in state failed.
    pub failed: Vec<Unit>,
    /// The declared units (`[units] required`), whatever their state; one that is not there has load `not-found`.
    pub declared: Vec<Unit>,
}
