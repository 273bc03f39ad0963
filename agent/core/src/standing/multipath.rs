//! How multipath maps stand by the states of their paths.
//!
//! It must never let a path stand worse than its map, or the report would be as bad as its worst path; and never let a map
//! stand as ok of which the report does not tell all.

use super::{Report, Standing, Subject};
use crate::observed::{MultipathMap, MultipathPath};

impl Report for Vec<MultipathMap> {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for map in self {
            let of_map = map.subject();
            let state = of_map.state;
            subjects.push(of_map);
            for (index, path) in paths(map).enumerate() {
                let name = match &path.device {
                    Some(device) => format!("{}/{device}", map.name),
                    None => format!("{}/#{}", map.name, index + 1),
                };
                let (own, why) = of_path(path);
                // What a path is to its map: lost among others it takes redundancy, and only the last takes the data.
                subjects.push(subject("path", name, own.min(state), why));
            }
        }
        subjects
    }
}

impl MultipathMap {
    /// How it stands as a whole.
    pub(crate) fn subject(&self) -> Subject {
        let (state, why) = of_map(self);
        subject("map", self.name.clone(), state, why)
    }
}

fn subject(kind: &'static str, name: String, state: Standing, why: Vec<String>) -> Subject {
    match state {
        Standing::Ok => Subject::ok(kind, name),
        _ => Subject::not_ok(kind, name, state, why.join(", ")),
    }
}

fn paths(map: &MultipathMap) -> impl Iterator<Item = &MultipathPath> {
    map.groups.iter().flat_map(|group| &group.paths)
}

fn of_map(map: &MultipathMap) -> (Standing, Vec<String>) {
    let mut faults = Vec::new();
    let mut fault = |state, why: String| faults.push((state, why));
    match map.dm_state.as_deref() {
        None | Some("active") => {}
        Some(said @ ("suspend" | "suspended")) => fault(Standing::Failed, format!("it is {said}")),
        Some(said) => fault(Standing::Unknown, format!("map {said}")),
    }
    if !map.whole {
        fault(Standing::Unknown, "the report does not tell all of it; is it cut short?".to_owned());
    }
    if map.write_protection.as_deref() == Some("ro") {
        fault(Standing::Degraded, "it is read-only".to_owned());
    }
    for group in &map.groups {
        match group.state.as_deref() {
            // NVMe's own multipath names the state of the controller's access instead.
            Some("active" | "enabled" | "optimized" | "non-optimized" | "inaccessible") => {}
            Some(said @ "disabled") => fault(Standing::Degraded, format!("a group {said}")),
            Some(said) => fault(Standing::Unknown, format!("a group {said}")),
            None => fault(Standing::Unknown, "a group whose state is not told".to_owned()),
        }
    }
    // Of a map that breaks off nobody knows how many paths it has.
    if map.whole || paths(map).next().is_some() {
        faults.extend(of_paths(map));
    }
    let worst = faults.iter().map(|(state, _)| *state).max().unwrap_or(Standing::Ok);
    (worst, faults.into_iter().filter(|(state, _)| *state == worst).map(|(_, why)| why).collect())
}

fn of_paths(map: &MultipathMap) -> Option<(Standing, String)> {
    let states: Vec<Standing> = paths(map).map(|path| of_path(path).0).collect();
    let count = |state| states.iter().filter(|one| **one == state).count();
    let (good, all) = (count(Standing::Ok), states.len());
    if all == 0 {
        return Some((Standing::Failed, "it has no path".to_owned()));
    }
    if good > 0 && map.counted_paths == Some(0) {
        return Some((Standing::Unknown, "multipathd counts no path that works, and lists some".to_owned()));
    }
    if count(Standing::Unknown) > 0 {
        return Some((Standing::Unknown, format!("{} of {all} paths cannot be told", count(Standing::Unknown))));
    }
    if good + count(Standing::Degraded) == 0 {
        return Some((Standing::Failed, format!("none of its {all} paths works")));
    }
    if good < all {
        return Some((Standing::Degraded, format!("{} of {all} paths are not as they should be", all - good)));
    }
    let only_standby = paths(map).all(|path| is_standby(path.checker_state.as_deref()));
    only_standby.then(|| (Standing::Degraded, "all its paths are standby ones".to_owned()))
}

/// A path to the standby side of an array: it answers, and takes I/O once the array has switched.
fn is_standby(checker: Option<&str>) -> bool {
    matches!(checker, Some("ghost" | "inaccessible"))
}

/// How a path stands alone. A standby path (`ghost`) is as it should be: an array with an active and a passive side shows
/// half of its paths so for all its life.
fn of_path(path: &MultipathPath) -> (Standing, Vec<String>) {
    let checker = path.checker_state.as_deref();
    // NVMe's own multipath has no device mapper.
    let is_native = path.dm_state.as_deref() == Some("n/a") && path.device_state.as_deref() == Some("live");
    let said = [
        ("dm", path.dm_state.as_deref(), if is_native { Standing::Ok } else { of_dm(path.dm_state.as_deref()) }),
        ("checker", checker, of_checker(checker)),
        ("device", path.device_state.as_deref(), of_device(path.device_state.as_deref())),
        ("path", path.marginal_state.as_deref(), of_marginal(path.marginal_state.as_deref())),
    ];
    let worst = said.iter().map(|(_, _, state)| *state).max().unwrap_or(Standing::Unknown);
    let why = said.iter().filter(|(_, _, state)| *state != Standing::Ok);
    (worst, why.map(|(what, said, _)| format!("{what} {}", said.unwrap_or("not told"))).collect())
}

fn of_dm(said: Option<&str>) -> Standing {
    match said {
        Some("active") => Standing::Ok,
        Some("failed") => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_checker(said: Option<&str>) -> Standing {
    match said {
        Some("ready" | "ghost" | "optimized" | "non-optimized" | "inaccessible") => Standing::Ok,
        Some("shaky" | "i/o pending" | "delayed" | "change") => Standing::Degraded,
        Some("faulty" | "i/o timeout" | "disconnected" | "persistent-loss") => Standing::Failed,
        _ => Standing::Unknown,
    }
}

fn of_device(said: Option<&str>) -> Standing {
    match said {
        Some("running" | "live") => Standing::Ok,
        Some("blocked" | "quiesce" | "created" | "created-blocked" | "connecting" | "resetting") => Standing::Degraded,
        Some("offline" | "transport-offline" | "cancel" | "del" | "deleting" | "dead") => Standing::Failed,
        _ => Standing::Unknown,
    }
}

/// Older versions do not tell it.
fn of_marginal(said: Option<&str>) -> Standing {
    match said {
        None | Some("normal") => Standing::Ok,
        Some("marginal") => Standing::Degraded,
        Some(_) => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;
    use crate::observed::PathGroup;

    fn path(dm: &str, checker: &str, device: &str) -> MultipathPath {
        let text = |text: &str| Some(text.to_owned());
        MultipathPath {
            device: text("sda"),
            dm_state: text(dm),
            checker_state: text(checker),
            device_state: text(device),
            ..MultipathPath::default()
        }
    }

    fn map(paths: Vec<MultipathPath>) -> MultipathMap {
        let group = PathGroup { state: Some("active".to_owned()), paths, ..PathGroup::default() };
        MultipathMap { name: "one".to_owned(), whole: true, groups: vec![group], ..MultipathMap::default() }.counted()
    }

    fn standing(map: MultipathMap) -> Standing {
        worst(&vec![map].subjects())
    }

    fn good() -> MultipathPath {
        path("active", "ready", "running")
    }

    #[test]
    fn every_word_of_a_path_counts() {
        use Standing::{Degraded, Failed, Ok, Unknown};
        for (dm, checker, device, expected) in [
            ("active", "ready", "running", Ok),
            ("active", "ghost", "running", Ok),
            ("n/a", "optimized", "live", Ok),
            ("n/a", "ready", "running", Unknown),
            ("active", "shaky", "running", Degraded),
            ("active", "i/o pending", "running", Degraded),
            ("active", "delayed", "running", Degraded),
            ("active", "faulty", "running", Failed),
            ("active", "i/o timeout", "running", Failed),
            ("active", "disconnected", "running", Failed),
            ("active", "undef", "running", Unknown),
            ("active", "unchecked", "running", Unknown),
            ("active", "new word", "running", Unknown),
            ("failed", "ready", "running", Failed),
            ("failed", "undef", "unknown", Failed),
            ("undef", "ready", "running", Unknown),
            ("active", "ready", "offline", Failed),
            ("active", "ready", "transport-offline", Failed),
            ("active", "ready", "blocked", Degraded),
            ("active", "ready", "unknown", Unknown),
        ] {
            assert_eq!(of_path(&path(dm, checker, device)).0, expected, "{dm} {checker} {device}");
        }
        assert_eq!(of_path(&MultipathPath::default()).0, Unknown);
        let marginal = |word: &str| MultipathPath { marginal_state: Some(word.to_owned()), ..good() };
        assert_eq!(of_path(&marginal("normal")).0, Ok);
        assert_eq!(of_path(&marginal("marginal")).0, Degraded);
        assert_eq!(of_path(&marginal("odd")).0, Unknown);
    }

    #[test]
    fn a_map_stands_by_what_is_left_of_it() {
        let bad = || path("failed", "faulty", "running");
        let odd = || path("active", "odd", "running");
        let shaky = || path("active", "shaky", "running");
        let ghost = || path("active", "ghost", "running");
        assert_eq!(standing(map(vec![good(), good()])), Standing::Ok);
        assert_eq!(standing(map(vec![good()])), Standing::Ok, "how many there should be is not the report's to say");
        assert_eq!(standing(map(vec![good(), ghost()])), Standing::Ok);
        assert_eq!(standing(map(vec![ghost(), ghost()])), Standing::Degraded);
        assert_eq!(standing(map(vec![good(), bad()])), Standing::Degraded);
        assert_eq!(standing(map(vec![shaky(), bad()])), Standing::Degraded);
        assert_eq!(standing(map(vec![bad(), bad()])), Standing::Failed);
        assert_eq!(standing(map(vec![good(), odd()])), Standing::Unknown);
        assert_eq!(standing(map(vec![bad(), odd()])), Standing::Unknown);
        assert_eq!(standing(map(Vec::new())), Standing::Failed);
        assert_eq!(worst(&Vec::<MultipathMap>::new().subjects()), Standing::Unknown);
    }

    #[test]
    fn a_map_has_states_of_its_own() {
        let with = |change: fn(&mut MultipathMap)| {
            let mut map = map(vec![good(), good()]);
            change(&mut map);
            standing(map)
        };
        assert_eq!(with(|map| map.dm_state = Some("active".to_owned())), Standing::Ok);
        assert_eq!(with(|map| map.dm_state = Some("suspend".to_owned())), Standing::Failed);
        assert_eq!(with(|map| map.dm_state = Some("undef".to_owned())), Standing::Unknown);
        assert_eq!(with(|map| map.whole = false), Standing::Unknown);
        assert_eq!(with(|map| map.write_protection = Some("ro".to_owned())), Standing::Degraded);
        assert_eq!(with(|map| map.write_protection = Some("rw".to_owned())), Standing::Ok);
        assert_eq!(with(|map| map.counted_paths = Some(0)), Standing::Unknown);
        for (word, expected) in [
            ("active", Standing::Ok),
            ("enabled", Standing::Ok),
            ("disabled", Standing::Degraded),
            ("undef", Standing::Unknown),
        ] {
            let mut map = map(vec![good()]);
            map.groups[0].state = Some(word.to_owned());
            assert_eq!(standing(map), expected, "{word}");
        }
        assert_eq!(with(|map| map.groups[0].state = None), Standing::Unknown);
    }

    #[test]
    fn a_lost_path_is_no_worse_than_its_map() {
        let maps = vec![map(vec![good(), path("failed", "faulty", "offline")])];
        let subjects = maps.subjects();
        assert_eq!(subjects[0].why.as_deref(), Some("1 of 2 paths are not as they should be"));
        assert_eq!(subjects[2].state, Standing::Degraded);
        assert_eq!(subjects[2].why.as_deref(), Some("dm failed, checker faulty, device offline"));
        assert_eq!((maps[0].paths, maps[0].active_paths), (2, 1));
    }
}
