//! What the loop hands to the server: one pass, and the pages made of it when they are first asked for.
//!
//! It must never be changed once published: a new pass is a new value.

use std::sync::OnceLock;

use bytes::Bytes;
use hardstand_core::{Health, Observed};
use serde::Serialize;

use super::document::{HealthDocument, InventoryDocument};
use super::metrics::{self, Asked, Format};
use crate::member::Standing;

/// One judged pass.
#[derive(Debug)]
pub(crate) struct Published {
    observed: Observed,
    health: Health,
    standing: Option<Standing>,
    openmetrics: OnceLock<Bytes>,
    text: OnceLock<Bytes>,
}

impl Published {
    /// A pass that was just judged, and where the node stands in its fleet if it is in one.
    pub(crate) fn new(observed: Observed, health: Health, standing: Option<Standing>) -> Self {
        Self { observed, health, standing, openmetrics: OnceLock::new(), text: OnceLock::new() }
    }

    /// What was seen, and what it means.
    pub(crate) fn parts(&self) -> (&Observed, &Health) {
        (&self.observed, &self.health)
    }

    /// The metrics page in its two parts: the ages, made anew, and the rest, made once per pass.
    pub(crate) fn page(&self, format: Format, boottime_seconds: f64, unix_seconds: f64) -> (Bytes, Bytes) {
        let pass_age_seconds = self.age_seconds(boottime_seconds);
        let ages = metrics::render_ages(&self.observed, Asked { pass_age_seconds, unix_seconds }, format);
        let rest = match format {
            Format::OpenMetrics => &self.openmetrics,
            Format::Text => &self.text,
        };
        (
            ages,
            rest.get_or_init(|| metrics::render(&self.observed, &self.health, self.standing.as_ref(), format)).clone(),
        )
    }

    fn age_seconds(&self, boottime_seconds: f64) -> f64 {
        (boottime_seconds - self.observed.at.boottime_seconds).max(0.0)
    }

    /// `hardstand.health/1`, true at the time it is asked for.
    pub(crate) fn health_json(&self, boottime_seconds: f64) -> Bytes {
        let document = HealthDocument::from(&self.health);
        json(&document.aged(self.age_seconds(boottime_seconds), self.observed.at.unix_seconds))
    }

    /// `hardstand.inventory/1`; `whole` with what the kernel shows to root alone.
    pub(crate) fn inventory_json(&self, whole: bool) -> Bytes {
        json(&InventoryDocument::from(&self.view(whole)))
    }

    /// The whole pass, in the agent's own form; `whole` as above.
    pub(crate) fn observed_json(&self, whole: bool) -> Bytes {
        json(&self.view(whole))
    }

    /// The pass without the serial numbers and the UUID that the kernel shows to root alone, unless `whole`.
    fn view(&self, whole: bool) -> Observed {
        let mut view = self.observed.clone();
        if whole {
            return view;
        }
        let reading = match &mut view.inventory.reading {
            hardstand_core::Reading::Known(inventory) => Some(inventory),
            hardstand_core::Reading::Unknown { .. } => None,
        };
        for inventory in reading.into_iter().chain(&mut view.inventory.kept) {
            inventory.dmi.product_serial = None;
            inventory.dmi.product_uuid = None;
            if let hardstand_core::Reading::Known(dimms) = &mut inventory.dimms {
                dimms.iter_mut().for_each(|dimm| dimm.serial = None);
            }
        }
        view
    }
}

fn json(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).expect("documents are plain data with string keys, which JSON can hold");
    text.push(b'\n');
    text.into()
}
