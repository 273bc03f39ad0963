//! The two text formats, line by line.
//!
//! It must never write a sample twice, a family in two pieces, or a label that is not escaped: one such line makes a
//! scraper refuse the whole page.

use std::collections::HashSet;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

/// Which text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Text,
}

impl Format {
    /// What the `Accept` header asks for. OpenMetrics wins where both are named: scrapers name it when they can read it.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let wants = |media: &str| {
            let mut parts = media.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text")
                && parts
                    .all(|part| part != "q=0" && part.strip_prefix("version=").is_none_or(|version| version == "1.0.0"))
        };
        if accept.is_some_and(|accept| accept.split(',').any(wants)) { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of a page.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family is. A set of states is a gauge per state, for the label that names the state is not the metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only rises; the name ends in `_total`.
    Counter,
    /// Facts in labels, value 1; the name ends in `_info`.
    Info,
    /// A number of the kernel's that keeps the name others gave it.
    Unknown,
}

/// A page being written.
pub(super) struct Page {
    format: Format,
    out: String,
    hasher: RandomState,
}

/// A family being written. Its samples follow one another, as both formats demand.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    seen: HashSet<u64>,
}

impl Page {
    /// An empty page with room for `bytes`.
    pub(super) fn new(format: Format, bytes: usize) -> Self {
        Self { format, out: String::with_capacity(bytes), hasher: RandomState::new() }
    }

    /// Opens a family under its full name (with `_total`, with `_info`).
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        let (family, kind) = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            (Format::OpenMetrics, Kind::Info) => (name.strip_suffix("_info").unwrap_or(name), "info"),
            (Format::OpenMetrics, Kind::Unknown) => (name, "unknown"),
            (Format::Text, Kind::Counter) => (name, "counter"),
            (Format::Text, Kind::Unknown) => (name, "untyped"),
            (_, Kind::Gauge) | (Format::Text, Kind::Info) => (name, "gauge"),
        };
        self.push(&["# HELP ", family, " ", help, "\n# TYPE ", family, " ", kind, "\n"]);
        Family { page: self, name, seen: HashSet::new() }
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }

    /// The page so far, to be followed by another.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.out)
    }

    /// The end of the page.
    pub(super) fn finish(mut self) -> Bytes {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out.shrink_to_fit();
        self.into_bytes()
    }
}

impl Family<'_> {
    /// Writes one sample. A second one with the same labels is left out: two mounts of one thing on one place happen.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        if !self.seen.insert(self.page.hasher.hash_one(labels)) {
            return;
        }
        let out = &mut self.page.out;
        out.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(name);
            out.push_str("=\"");
            escape(out, value);
            out.push('"');
        }
        out.push_str(if labels.is_empty() { " " } else { "} " });
        if value.is_finite() {
            write!(out, "{value}").expect("writing to a string cannot fail");
        } else {
            out.push_str(if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            });
        }
        out.push('\n');
    }

    /// Writes one sample where there is a value.
    pub(super) fn optional(&mut self, labels: &[(&str, &str)], value: Option<f64>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// Writes a yes or no as 1 or 0.
    pub(super) fn flag(&mut self, labels: &[(&str, &str)], value: bool) {
        self.sample(labels, f64::from(u8::from(value)));
    }

    /// Writes one sample per state: 1 for the present one, 0 for the others.
    pub(super) fn states(&mut self, labels: &[(&str, &str)], name: &str, states: &[&str], present: &str) {
        let mut all = labels.to_vec();
        all.push((name, ""));
        for state in states {
            if let Some(last) = all.last_mut() {
                last.1 = state;
            }
            self.flag(&all, *state == present);
        }
    }
}

/// The three characters that both formats escape in a label's value.
fn escape(out: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        out.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}
