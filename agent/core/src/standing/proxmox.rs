//! How a Proxmox VE cluster stands by what its API says: of its resources, and of its high availability.
//!
//! It must never take a row for good whose type or whose word it does not know.

use super::Standing;

mod ha;
mod node;
mod resources;

/// State of a service, as the HA manager, its API and `ha-manager` have it, and as the list of resources repeats it.
/// A service that is asked to be stopped, disabled or left alone stands as it should when it is.
fn of_service(said: &str) -> Standing {
    match said {
        "started" | "stopped" | "disabled" | "ignored" => Standing::Ok,
        // On its way, or held: nobody recovers one that is frozen, or left alone while HA is disarmed (`ignore`).
        "queued"
        | "request_start"
        | "request_start_balance"
        | "request_stop"
        | "starting"
        | "stopping"
        | "migrate"
        | "relocate"
        | "freeze"
        | "deleting"
        | "enabled"
        | "ignore" => Standing::Degraded,
        "fence" | "recovery" | "error" | "clearing error flag" | "not found" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

/// State of a node, as the HA manager has it.
fn of_ha_node(said: &str) -> Standing {
    match said {
        "online" => Standing::Ok,
        "maintenance" => Standing::Degraded,
        "fence" | "gone" => Standing::Failed,
        // `unknown`: not in the partition with quorum, and perhaps still running.
        _ => Standing::Unknown,
    }
}
