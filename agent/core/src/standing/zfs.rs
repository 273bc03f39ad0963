//! How pools stand by what `zpool status` and `zpool list` say of them.
//!
//! It must never take a pool for ok that is ONLINE and has lost data, is being resilvered, or is not told to its end; and
//! never let a device stand worse than its pool, which may do without it.

use super::{Fault, Report, Standing, Subject};
use crate::observed::{PoolScan, PoolSpace, PoolStatus, ScanKind, ScanState, Vdev};

impl Report for Vec<PoolStatus> {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for pool in self {
            let mut faults = pool.faults();
            faults.extend(of_state("pool", pool.state.as_deref()));
            faults.extend(pool.devices.first().and_then(Vdev::counted));
            let of_pool = Subject::judged("pool", pool.name.clone(), &faults);
            subjects.push(of_pool.clone());
            for device in pool.below_root() {
                let mut faults = device.faults();
                faults.extend(device.counted());
                subjects.push(device.subject(pool, of_pool.state, &faults));
            }
        }
        subjects
    }
}

impl Report for Vec<PoolSpace> {
    fn subjects(&self) -> Vec<Subject> {
        let of_pool = |pool: &PoolSpace| {
            let mut faults: Vec<Fault> = of_state("pool", pool.health.as_deref()).into_iter().collect();
            if pool.size_bytes.is_none() || pool.allocated_bytes.is_none() {
                faults.push((Standing::Unknown, "its space is not told".to_owned()));
            }
            Subject::judged("pool", pool.name.clone(), &faults)
        };
        self.iter().map(of_pool).collect()
    }
}

impl PoolStatus {
    /// The devices but the first, which stands for the pool itself.
    pub(crate) fn below_root(&self) -> impl Iterator<Item = &Vdev> {
        self.devices.iter().skip(1)
    }

    /// What is wrong with the pool as a whole, now, beside its state. Counters are left out: they tell of the past, too.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        match self.data_errors {
            Some(0) => {}
            Some(count) => faults.push((Standing::Failed, format!("{count} data errors"))),
            None => faults.push((Standing::Unknown, "its data errors are not told".to_owned())),
        }
        faults.extend(self.scan.as_ref().and_then(of_scan));
        if !self.whole || self.devices.is_empty() {
            faults.push((Standing::Unknown, "the report breaks off before its end".to_owned()));
        }
        faults
    }
}

impl PoolScan {
    /// Whether what a device lacks is being copied to it.
    pub fn resilvers(&self) -> bool {
        self.kind == ScanKind::Resilver && matches!(self.state, ScanState::Running | ScanState::Paused)
    }
}

impl Vdev {
    /// How it stands with these faults. Lost among others it takes redundancy; only its pool can say that data is lost.
    pub(crate) fn subject(&self, pool: &PoolStatus, of_pool: Standing, faults: &[Fault]) -> Subject {
        let mut subject = Subject::judged("device", self.path_in(pool), faults);
        if subject.state == Standing::Failed {
            subject.state = of_pool.max(Standing::Degraded);
        }
        subject
    }

    /// Its name with its pool's and, where it holds no data, its class.
    fn path_in(&self, pool: &PoolStatus) -> String {
        match &self.class {
            Some(class) => format!("{}/{class}/{}", pool.name, self.name),
            None => format!("{}/{}", pool.name, self.name),
        }
    }

    /// What is wrong with it now, counters left out.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let words = match (&self.state, &self.note) {
            (Some(state), Some(note)) => format!("{state}, {note}"),
            (Some(state), None) => state.clone(),
            (None, _) => "its state is not told".to_owned(),
        };
        let state = match self.state.as_deref() {
            Some("ONLINE" | "HEALTHY") => Standing::Ok,
            Some("AVAIL") if self.class.as_deref() == Some("spares") => Standing::Ok,
            Some("INUSE" | "DEGRADED" | "OFFLINE") => Standing::Degraded,
            Some("FAULTED" | "UNAVAIL" | "CANT_OPEN" | "REMOVED" | "SPLIT") => Standing::Failed,
            _ => Standing::Unknown,
        };
        let resilvers = self.note.as_deref().is_some_and(|note| note.contains("resilver"));
        match state {
            Standing::Ok if resilvers => vec![(Standing::Degraded, words)],
            Standing::Ok => Vec::new(),
            other => vec![(other, words)],
        }
    }

    /// The fault that its counters are, by themselves; whether they rise, one report cannot tell.
    fn counted(&self) -> Option<Fault> {
        // Spares have no counters before they are used.
        let counters = [("read", self.read_errors), ("write", self.write_errors), ("checksum", self.checksum_errors)];
        let needs_counters = self.class.as_deref() != Some("spares");
        if needs_counters && counters.iter().any(|(_, count)| count.is_none()) {
            return Some((Standing::Unknown, "its error counters are not told".to_owned()));
        }
        let risen: Vec<String> = counters
            .iter()
            .filter_map(|(what, count)| count.filter(|count| *count > 0).map(|count| format!("{count} {what} errors")))
            .collect();
        (!risen.is_empty()).then(|| (Standing::Degraded, risen.join(", ")))
    }
}

/// The word for a pool. `HEALTHY` is what OpenZFS's own manual shows where the tool says `ONLINE`.
fn of_state(what: &str, said: Option<&str>) -> Option<Fault> {
    match said {
        Some("ONLINE" | "HEALTHY") => None,
        Some(said @ "DEGRADED") => Some((Standing::Degraded, format!("{what} {said}"))),
        Some(said @ ("FAULTED" | "UNAVAIL" | "SUSPENDED" | "OFFLINE" | "REMOVED" | "SPLIT")) => {
            Some((Standing::Failed, format!("{what} {said}")))
        }
        Some(said) => Some((Standing::Unknown, format!("{what} {said}"))),
        None => Some((Standing::Unknown, format!("the state of the {what} is not told"))),
    }
}

fn of_scan(scan: &PoolScan) -> Option<Fault> {
    let degraded = |why: String| Some((Standing::Degraded, why));
    if scan.kind == ScanKind::Unknown || scan.state == ScanState::Unknown {
        return Some((Standing::Unknown, "it is not told in known words what goes through it".to_owned()));
    }
    if scan.resilvers() {
        return degraded(match scan.progress {
            Some(share) => format!("it is resilvered, {:.1} % done", share * 100.0),
            None => "it is resilvered".to_owned(),
        });
    }
    match (scan.kind, scan.state, scan.errors) {
        // What was not copied is still missing.
        (ScanKind::Resilver, ScanState::Canceled, _) => degraded("a resilver was canceled".to_owned()),
        (_, _, Some(errors)) if errors > 0 => degraded(format!("the last scan left {errors} errors")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;

    fn vdev(name: &str, state: &str) -> Vdev {
        Vdev {
            name: name.to_owned(),
            state: Some(state.to_owned()),
            read_errors: Some(0),
            write_errors: Some(0),
            checksum_errors: Some(0),
            ..Vdev::default()
        }
    }

    fn pool(change: impl FnOnce(&mut PoolStatus)) -> Vec<PoolStatus> {
        let mut pool = PoolStatus {
            name: "tank".to_owned(),
            state: Some("ONLINE".to_owned()),
            data_errors: Some(0),
            whole: true,
            devices: vec![vdev("tank", "ONLINE"), vdev("a", "ONLINE"), vdev("b", "ONLINE")],
            ..PoolStatus::default()
        };
        change(&mut pool);
        vec![pool]
    }

    fn scan(kind: ScanKind, state: ScanState, errors: Option<u64>) -> Option<PoolScan> {
        Some(PoolScan { kind, state, progress: None, ended_unix_seconds: None, errors })
    }

    #[test]
    fn every_word_of_a_pool_counts() {
        use Standing::{Degraded, Failed, Ok, Unknown};
        for (word, expected) in [
            ("ONLINE", Ok),
            ("DEGRADED", Degraded),
            ("FAULTED", Failed),
            ("UNAVAIL", Failed),
            ("SUSPENDED", Failed),
            ("OFFLINE", Failed),
            ("REMOVED", Failed),
            ("SPLIT", Failed),
            ("UNKNOWN", Unknown),
            ("online", Unknown),
            ("", Unknown),
        ] {
            let pools = pool(|pool| pool.state = Some(word.to_owned()));
            assert_eq!(worst(&pools.subjects()), expected, "{word}");
            let space = PoolSpace {
                health: Some(word.to_owned()),
                size_bytes: Some(2),
                allocated_bytes: Some(1),
                ..PoolSpace::default()
            };
            assert_eq!(worst(&vec![space].subjects()), expected, "{word}");
        }
        assert_eq!(worst(&pool(|pool| pool.state = None).subjects()), Unknown);
        assert_eq!(worst(&vec![PoolSpace::default()].subjects()), Unknown);
        assert_eq!(worst(&Vec::<PoolStatus>::new().subjects()), Unknown);
    }

    #[test]
    fn an_online_pool_is_not_always_well() {
        let state = |change: fn(&mut PoolStatus)| worst(&pool(change).subjects());
        assert_eq!(state(|pool| pool.data_errors = Some(1)), Standing::Failed);
        assert_eq!(state(|pool| pool.data_errors = None), Standing::Unknown);
        assert_eq!(state(|pool| pool.whole = false), Standing::Unknown);
        assert_eq!(state(|pool| pool.devices.clear()), Standing::Unknown);
        assert_eq!(state(|pool| pool.devices[0].checksum_errors = Some(2)), Standing::Degraded);
        assert_eq!(state(|pool| pool.devices[1].write_errors = Some(2)), Standing::Degraded);
        assert_eq!(state(|pool| pool.devices[1].write_errors = None), Standing::Unknown);
        assert_eq!(state(|pool| pool.remark = Some("features are not enabled".to_owned())), Standing::Ok);
    }

    #[test]
    fn every_scan_counts() {
        use ScanKind::{Resilver, Scrub};
        use ScanState::{Canceled, Finished, Paused, Running};
        for (kind, state, errors, expected) in [
            (Scrub, Running, None, Standing::Ok),
            (Scrub, Paused, None, Standing::Ok),
            (Scrub, Canceled, None, Standing::Ok),
            (Scrub, Finished, Some(0), Standing::Ok),
            (Scrub, Finished, None, Standing::Ok),
            (Scrub, Finished, Some(3), Standing::Degraded),
            (Resilver, Running, None, Standing::Degraded),
            (Resilver, Paused, None, Standing::Degraded),
            (Resilver, Canceled, None, Standing::Degraded),
            (Resilver, Finished, Some(0), Standing::Ok),
            (Resilver, Finished, Some(1), Standing::Degraded),
            (ScanKind::Unknown, Finished, Some(0), Standing::Unknown),
            (Scrub, ScanState::Unknown, Some(0), Standing::Unknown),
        ] {
            let pools = pool(|pool| pool.scan = scan(kind, state, errors));
            assert_eq!(worst(&pools.subjects()), expected, "{kind:?} {state:?} {errors:?}");
        }
    }

    #[test]
    fn every_word_of_a_device_counts_and_none_more_than_its_pool() {
        use Standing::{Degraded, Ok, Unknown};
        for (word, expected) in [
            ("ONLINE", Ok),
            ("DEGRADED", Degraded),
            ("OFFLINE", Degraded),
            ("FAULTED", Degraded),
            ("UNAVAIL", Degraded),
            ("CANT_OPEN", Degraded),
            ("REMOVED", Degraded),
            ("INUSE", Degraded),
            ("AVAIL", Unknown),
            ("odd", Unknown),
        ] {
            let pools = pool(|pool| pool.devices[1].state = Some(word.to_owned()));
            assert_eq!(worst(&pools.subjects()), expected, "{word}");
        }
        let failed = |pool: &mut PoolStatus| {
            pool.state = Some("FAULTED".to_owned());
            pool.devices[1].state = Some("FAULTED".to_owned());
            pool.devices[2].state = Some("odd".to_owned());
        };
        let states: Vec<Standing> = pool(failed).subjects().iter().map(|subject| subject.state).collect();
        assert_eq!(states, [Standing::Failed, Standing::Failed, Unknown]);
        let spare = Vdev { class: Some("spares".to_owned()), ..vdev("c", "AVAIL") };
        let spare = Vdev { read_errors: None, write_errors: None, checksum_errors: None, ..spare };
        let with_spare = pool(|pool| pool.devices.push(spare));
        assert_eq!(worst(&with_spare.subjects()), Ok);
        assert_eq!(with_spare.subjects()[3].name, "tank/spares/c");
        let resilvering = pool(|pool| pool.devices[1].note = Some("(resilvering)".to_owned()));
        assert_eq!(worst(&resilvering.subjects()), Degraded);
    }
}
