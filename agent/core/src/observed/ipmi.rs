//! What the board's own controller (BMC) tells over IPMI: sensors, power supplies, its event log.
//!
//! It must never hold an opinion: states are the tool's.

use serde::{Deserialize, Serialize};

use crate::Reading;

/// One controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ipmi {
    /// What it tells; unknown where the means to ask it are missing.
    pub told: Reading<IpmiTold>,
}

/// What it tells.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IpmiTold {
    /// Sensors, in its own order.
    pub sensors: Vec<IpmiSensor>,
    /// The event log.
    pub log: IpmiLog,
}

/// One sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IpmiSensor {
    /// Its name with its place; one of its kind only.
    pub name: String,
    /// `Temperature`, `Fan`, `Power Supply`, ...
    pub kind: String,
    /// As the tool takes its value or its events.
    pub state: IpmiState,
    /// What it measures, where it does.
    pub reading: Option<f64>,
    /// In what.
    pub unit: Option<String>,
    /// What holds: `Presence detected`, `Redundancy Lost`, ...
    pub events: Vec<String>,
}

/// How a sensor or an event is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpmiState {
    /// As it should be.
    Nominal,
    /// Wants attention.
    Warning,
    /// Wants attention now.
    Critical,
    /// It is not told: nothing is plugged in, or the sensor rests.
    Unread,
    /// Another word of the tool's.
    Other,
}

impl IpmiState {
    /// All words used in metrics.
    pub const WORDS: [&str; 5] = ["nominal", "warning", "critical", "unread", "other"];

    /// The word used in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nominal => "nominal",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unread => "unread",
            Self::Other => "other",
        }
    }
}

/// The event log (SEL).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IpmiLog {
    /// How many entries it has.
    pub entries: u64,
    /// Room for more, in bytes; some controllers do not tell.
    pub free_bytes: Option<u64>,
    /// Events were dropped because it was full.
    pub dropped: bool,
    /// The newest, oldest first; not all of them.
    pub events: Vec<IpmiEvent>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpmiEvent {
    /// Its number in the log. A log that was cleared begins anew.
    pub id: u64,
    /// When, by the controller's clock, as the tool writes it.
    pub at: String,
    /// The sensor.
    pub name: String,
    /// What kind of sensor that is.
    pub kind: String,
    /// How the tool takes it.
    pub state: IpmiState,
    /// What happened.
    pub event: String,
}

impl IpmiTold {
    /// Whether the power supplies can spare one; `None` where no sensor tells.
    pub fn psu_redundant(&self) -> Option<bool> {
        let about = self.sensors.iter().filter(|sensor| sensor.kind == "Power Supply" || sensor.name.contains("Power"));
        let told = about.flat_map(|sensor| &sensor.events).filter(|event| event.to_lowercase().contains("redundan"));
        told.map(|event| event.starts_with("Fully Redundant") || event.starts_with("Redundancy Regained"))
            .reduce(|all, one| all && one)
    }
}
