//! What the agent shows: the sentence, the screens, the JSON, the metrics page, the log.
//!
//! It must never judge: it shows findings and readings as they are.

pub(crate) mod alerts;
pub(crate) mod dashboard;
pub(crate) mod document;
pub(crate) mod doors;
pub(crate) mod finding_log;
pub(crate) mod health_screen;
pub(crate) mod inventory_screen;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod notify;
pub(crate) mod published;
pub(crate) mod sentence;
pub(crate) mod serve;
pub(crate) mod status_screen;
pub(crate) mod table;
pub(crate) mod terminal;

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
