//! A value that is known, or not known with the reason; and a collector's value with its age.
//!
//! It must never turn an unknown into a default: there is no `Default` for [`Reading`] and no way to unwrap it.

use serde::{Deserialize, Serialize};

/// One value as it was read, or why it could not be. Unknown is never healthy (S6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading<T> {
    /// The value, as seen.
    Known(T),
    /// Not read; `why` is a sentence for a person.
    Unknown {
        /// What stood in the way, and where there is one, what to do about it.
        why: String,
    },
}

impl<T> Reading<T> {
    /// An unknown with its reason.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// The reason, if it is unknown.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown { why } => Some(why),
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Reading<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::unknown(error.to_string()),
        }
    }
}

/// What a collector has: the reading of its last finished or overdue turn, and the last good value where that is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample<T> {
    /// The last turn's result. Unknown when it failed, passed its deadline, or has not run yet.
    pub reading: Reading<T>,
    /// The last good value, kept only while `reading` is unknown. For showing, never for judging.
    pub kept: Option<T>,
    /// Age in seconds of the value that is shown; 0 when there is none.
    pub age_seconds: f64,
    /// How long the last finished turn took, in seconds.
    pub duration_seconds: f64,
}

/// Whether a collector's value can be trusted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CollectorState {
    /// The value is current.
    Ok,
    /// The last turn failed or hangs; an older value is shown with its age.
    Stale,
    /// The last turn failed or hangs, and there never was a value.
    Failed,
}

impl<T> Sample<T> {
    /// A collector that has not run yet.
    pub fn never(why: impl Into<String>) -> Self {
        Self { reading: Reading::unknown(why), kept: None, age_seconds: 0.0, duration_seconds: 0.0 }
    }

    /// A value just read.
    pub fn fresh(value: T, duration_seconds: f64) -> Self {
        Self { reading: Reading::Known(value), kept: None, age_seconds: 0.0, duration_seconds }
    }

    /// The value to show: current, or else the last good one. Judge by `reading`, not by this.
    pub fn shown(&self) -> Option<&T> {
        self.reading.known().or(self.kept.as_ref())
    }

    /// Whether the value is current.
    pub fn state(&self) -> CollectorState {
        match (&self.reading, &self.kept) {
            (Reading::Known(_), _) => CollectorState::Ok,
            (Reading::Unknown { .. }, Some(_)) => CollectorState::Stale,
            (Reading::Unknown { .. }, None) => CollectorState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sample_shows_its_last_good_value_and_says_it_is_stale() {
        let mut sample = Sample::fresh(7, 0.1);
        assert_eq!((sample.state(), sample.shown()), (CollectorState::Ok, Some(&7)));
        sample.reading = Reading::unknown("statvfs hangs");
        assert_eq!((sample.state(), sample.shown()), (CollectorState::Failed, None));
        sample.kept = Some(7);
        assert_eq!((sample.state(), sample.shown()), (CollectorState::Stale, Some(&7)));
    }
}
