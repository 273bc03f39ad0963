//! The parser of `ceph health detail -f json`, which `ceph -s` has a part of.
//!
//! It must never let flags of the cluster go missing: what cannot be made out of their check is `None`.

use std::collections::BTreeMap;

use hardstand_core::observed::{CephCheck, CephHealth, CephScopedFlags};
use serde::Deserialize;

use super::{HostError, bad, document};

const WHAT: &str = "ceph health detail -f json";

#[derive(Deserialize)]
pub(super) struct WireHealth {
    status: Option<String>,
    checks: Option<BTreeMap<String, WireCheck>>,
}

#[derive(Deserialize)]
struct WireCheck {
    severity: Option<String>,
    summary: Option<WireLine>,
    detail: Option<Vec<WireLine>>,
    muted: Option<bool>,
}

#[derive(Deserialize)]
struct WireLine {
    message: Option<String>,
}

/// Parses the output of `ceph health detail -f json`, and of `ceph health -f json`, which has no details.
///
/// # Errors
/// The text is not that JSON.
pub(crate) fn parse(text: &str) -> Result<CephHealth, HostError> {
    let health: WireHealth = document(WHAT, text)?;
    if health.status.is_none() {
        return Err(bad(WHAT, "no `status` in it; is this the output of that command?".to_owned()));
    }
    Ok(health.into_core())
}

impl WireHealth {
    pub(super) fn into_core(self) -> CephHealth {
        let checks: Option<Vec<CephCheck>> =
            self.checks.map(|checks| checks.into_iter().map(|(name, check)| check.into_core(name)).collect());
        let mut health = CephHealth { status: self.status, checks, flags: None, scoped_flags: None };
        if health.checks.is_some() {
            health.flags = health.check("OSDMAP_FLAGS").map_or(Some(Vec::new()), flags);
            health.scoped_flags = health.check("OSD_FLAGS").map_or(Some(Vec::new()), scoped_flags);
        }
        health
    }
}

impl WireCheck {
    fn into_core(self, name: String) -> CephCheck {
        CephCheck {
            name,
            severity: self.severity,
            message: self.summary.and_then(|summary| summary.message),
            muted: self.muted.unwrap_or(false),
            detail: self.detail.into_iter().flatten().filter_map(|line| line.message).collect(),
        }
    }
}

/// `noout,noscrub flag(s) set`
fn flags(check: &CephCheck) -> Option<Vec<String>> {
    let (list, _) = check.message.as_deref()?.split_once(" flag(s) set")?;
    words(list)
}

/// `osd.3 has flags noout`, `host NAME has flags noout`, `device class 'ssd' has flags noout`
fn scoped_flags(check: &CephCheck) -> Option<Vec<CephScopedFlags>> {
    let one = |line: &String| {
        let (part, list) = line.split_once(" has flags ")?;
        Some(CephScopedFlags { part: part.to_owned(), flags: words(list)? })
    };
    // Without the details it does not say of what.
    if check.detail.is_empty() { None } else { check.detail.iter().map(one).collect() }
}

fn words(list: &str) -> Option<Vec<String>> {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    list.split(',').map(|word| Some(word.trim()).filter(|word| is_word(word)).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
