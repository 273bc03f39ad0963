//! What is declared in tables of which there may be several: services and backups; and the certificates.
//!
//! It must never hold a secret: those come by file.

use serde::{Deserialize, Serialize};

/// `[[service]]`: one question over HTTP or HTTPS, as one who uses it would ask it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// Its name.
    pub name: String,
    /// `http://` or `https://`; its host is the name in the certificate and in the request.
    pub url: String,
    /// What is asked for.
    pub method: Method,
    /// Statuses that are good: `200`, `200-299`. None: 300-399 where `location` is set, else 200-299.
    pub status: Vec<String>,
    /// A text that must be in the body.
    pub body_contains: Option<String>,
    /// Where the answer must point to, as it is written there.
    pub location: Option<String>,
    /// How many redirects are followed.
    pub redirects: u64,
    /// Warn when an answer takes longer than this.
    pub latency_warn_seconds: Option<f64>,
    /// What the whole answer may take, in seconds.
    pub timeout_secs: u64,
    /// PEM file of the authorities that are trusted instead of the system's.
    pub ca_file: Option<String>,
    /// `ADDRESS` or `ADDRESS:PORT` that is connected to instead of the URL's host, as a reverse proxy.
    pub connect_to: Option<String>,
    /// Between two questions, in seconds.
    pub interval_secs: u64,
    /// The share of time for which it should answer, over the longest window.
    pub slo_percent: Option<f64>,
    /// Windows that are told, as `1h`, `24h`, `30d`.
    pub windows: Vec<String>,
    /// Whether nobody goes down while it does not answer.
    pub required: bool,
}

/// What a service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The page.
    #[default]
    Get,
    /// Its head.
    Head,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            method: Method::Get,
            status: Vec::new(),
            body_contains: None,
            location: None,
            redirects: 0,
            latency_warn_seconds: None,
            timeout_secs: 10,
            ca_file: None,
            connect_to: None,
            interval_secs: 30,
            slo_percent: None,
            windows: ["1h", "24h", "30d"].map(str::to_owned).to_vec(),
            required: false,
        }
    }
}

impl ServiceSettings {
    /// Whether a status is one of the good ones.
    pub fn expects(&self, status: u16) -> bool {
        if self.status.is_empty() {
            return if self.location.is_some() { 300..=399 } else { 200..=299 }.contains(&status);
        }
        self.status.iter().filter_map(|range| statuses(range)).any(|range| range.contains(&status))
    }

    /// The windows in seconds, each with its name.
    pub fn windows(&self) -> impl Iterator<Item = (&String, u64)> {
        self.windows.iter().filter_map(|window| Some((window, crate::window::span::parse(window).ok()?)))
    }
}

/// `200` or `200-299`.
pub fn statuses(range: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    ((100..=599).contains(&first) && (first..=599).contains(&last)).then_some(first..=last)
}

/// `[certificates]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateSettings {
    /// PEM files, the certificate itself first.
    pub files: Vec<String>,
    /// `HOST:PORT` that speaks TLS from the first byte.
    pub endpoints: Vec<String>,
}

/// `[[backup]]`: something that must be new enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSettings {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: BackupKind,
    /// `file` and `drill`: a file, or a directory whose files count.
    pub path: Option<String>,
    /// Only what ends so counts: a backup that failed leaves its log.
    pub suffix: String,
    /// `file` and `drill`: what says when it was made.
    pub dated_by: Option<DatedBy>,
    /// `s3`: `https://HOST` of the server.
    pub endpoint: Option<String>,
    /// `s3`: the bucket.
    pub bucket: Option<String>,
    /// `s3`: what the keys begin with.
    pub prefix: String,
    /// `s3`: the region that requests are signed for.
    pub region: String,
    /// `s3`: file with `aws_access_key_id` and `aws_secret_access_key`, which not everybody may read.
    pub credentials: Option<String>,
    /// `s3`: PEM file of the authorities that are trusted instead of the system's.
    pub ca_file: Option<String>,
    /// Warn when the newest is older than this, critical at twice; 26 hours, of a drill 90 days.
    pub max_age_hours: Option<f64>,
    /// Between two looks, in seconds.
    pub interval_secs: u64,
    /// What one look may take, in seconds.
    pub timeout_secs: u64,
    /// Whether the node may not go down while it is too old.
    pub required: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// Files of a backup.
    #[default]
    File,
    /// Objects in a bucket.
    S3,
    /// The record of a restore that was tried.
    Drill,
}

/// What says when a file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatedBy {
    /// When it was last written.
    Mtime,
    /// A date in its name.
    Name,
    /// The last date in its text.
    Text,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: BackupKind::File,
            path: None,
            suffix: String::new(),
            dated_by: None,
            endpoint: None,
            bucket: None,
            prefix: String::new(),
            region: "us-east-1".to_owned(),
            credentials: None,
            ca_file: None,
            max_age_hours: None,
            interval_secs: 300,
            timeout_secs: 20,
            required: false,
        }
    }
}

impl BackupSettings {
    /// How old it may be.
    pub fn max_age_seconds(&self) -> f64 {
        let by_kind = if self.kind == BackupKind::Drill { 90.0 * 24.0 } else { 26.0 };
        self.max_age_hours.unwrap_or(by_kind) * 3_600.0
    }

    /// What says when a file of it was made.
    pub fn dated_by(&self) -> DatedBy {
        let by_kind = if self.kind == BackupKind::Drill { DatedBy::Text } else { DatedBy::Mtime };
        self.dated_by.unwrap_or(by_kind)
    }
}
