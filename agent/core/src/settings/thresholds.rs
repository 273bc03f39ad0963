//! `[thresholds]`: where judgement changes.
//!
//! It must never hold a value that nobody can change.

use serde::{Deserialize, Serialize};

/// `[thresholds]`: where a finding becomes a warning or critical. Defaults are the field's (node-mixin and the like).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Warn when the 15 minute load per processor is above this.
    pub load_per_cpu_warn: f64,
    /// Inform when processors are busier than this (percent) for `sustained_secs`.
    pub cpu_busy_info_percent: f64,
    /// How long a saturation must last before it counts, in seconds.
    pub sustained_secs: u64,
    /// Warn below this share of available memory (percent) for `sustained_secs`.
    pub memory_available_warn_percent: f64,
    /// How long a counted event (an OOM kill, a rising error counter) is remembered, in seconds.
    pub event_memory_secs: u64,
    /// Warn when less than this share of a filesystem is free (percent).
    pub filesystem_free_warn_percent: f64,
    /// Critical when less than this share of a filesystem is free (percent).
    pub filesystem_free_crit_percent: f64,
    /// Warn when less than this share of inodes is free (percent).
    pub inodes_free_warn_percent: f64,
    /// Critical when less than this share of inodes is free (percent).
    pub inodes_free_crit_percent: f64,
    /// Warn when a filesystem will be full within this many hours at its present rate.
    pub filesystem_full_warn_hours: f64,
    /// Critical when a filesystem will be full within this many hours at its present rate.
    pub filesystem_full_crit_hours: f64,
    /// Warn when more than this share of a ZFS pool is used (percent).
    pub pool_used_warn_percent: f64,
    /// Critical when more than this share of a ZFS pool is used (percent).
    pub pool_used_crit_percent: f64,
    /// Warn when the last scrub of a ZFS pool that ended is older than this (days).
    pub scrub_age_warn_days: f64,
    /// Warn when more than this share of packets had errors (percent).
    pub nic_error_warn_percent: f64,
    /// Warn above this disk temperature (Celsius).
    pub disk_temperature_warn_celsius: f64,
    /// Critical above this disk temperature (Celsius).
    pub disk_temperature_crit_celsius: f64,
    /// Warn when this share of a disk's life is used (percent).
    pub disk_used_warn_percent: f64,
    /// Warn when the clock is off by more than this (seconds) for `clock_offset_warn_after_secs`.
    pub clock_offset_warn_seconds: f64,
    /// How long the clock must be off before it counts, in seconds.
    pub clock_offset_warn_after_secs: u64,
    /// Critical when unsynchronised and the largest error is at least this (seconds).
    pub clock_max_error_crit_seconds: f64,
    /// Warn when a security update has been pending for longer than this (days).
    pub security_pending_warn_days: f64,
    /// Critical when the package lists are older than this (days).
    pub lists_age_crit_days: f64,
    /// Warn when a certificate expires within this (days).
    pub certificate_warn_days: f64,
    /// Critical when a certificate expires within this (days).
    pub certificate_crit_days: f64,
    /// Warn when the last backup of a guest of Proxmox VE is older than this (hours).
    pub guest_backup_warn_hours: f64,
    /// Warn when one DIMM has this many corrected errors a day.
    pub dimm_corrected_warn_per_day: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            load_per_cpu_warn: 2.0,
            cpu_busy_info_percent: 90.0,
            sustained_secs: 15 * 60,
            memory_available_warn_percent: 10.0,
            event_memory_secs: 24 * 3600,
            filesystem_free_warn_percent: 5.0,
            filesystem_free_crit_percent: 3.0,
            inodes_free_warn_percent: 5.0,
            inodes_free_crit_percent: 3.0,
            filesystem_full_warn_hours: 24.0,
            filesystem_full_crit_hours: 4.0,
            pool_used_warn_percent: 80.0,
            pool_used_crit_percent: 90.0,
            scrub_age_warn_days: 35.0,
            nic_error_warn_percent: 1.0,
            disk_temperature_warn_celsius: 60.0,
            disk_temperature_crit_celsius: 70.0,
            disk_used_warn_percent: 90.0,
            clock_offset_warn_seconds: 0.05,
            clock_offset_warn_after_secs: 600,
            clock_max_error_crit_seconds: 16.0,
            security_pending_warn_days: 7.0,
            lists_age_crit_days: 7.0,
            certificate_warn_days: 21.0,
            guest_backup_warn_hours: 26.0,
            certificate_crit_days: 3.0,
            dimm_corrected_warn_per_day: 10.0,
        }
    }
}
