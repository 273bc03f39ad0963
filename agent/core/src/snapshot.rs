//! ZFS snapshots: what is kept of them, and what may go.
//!
//! It must never let one go that is not of the kind it was asked about: by name, and for our own also by the mark they bear.

use std::collections::BTreeSet;

use serde::Serialize;

/// How the names of our own begin, behind the `@`.
pub const PREFIX: &str = "hardstand-";
/// The mark of our own: a user property, set on the snapshot itself, with its own short name as value. A copy of it that was
/// received, or one inherited from the dataset, is no mark.
pub const MARK: &str = "hardstand:made";

/// One snapshot, as ZFS tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `dataset@name`.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Whether it bears our mark.
    pub marked: bool,
    /// How many want it kept (`zfs hold`).
    pub holds: u64,
    /// Whether something was cloned from it.
    pub cloned: bool,
}

impl Snapshot {
    /// What stands behind the `@`.
    pub fn short_name(&self) -> &str {
        self.name.split_once('@').map_or("", |(_, name)| name)
    }
}

/// Which snapshots are spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Those made before packages were installed.
    Ours,
    /// Those of somebody else whose name begins so; never ours.
    Named(&'a str),
}

impl Whose<'_> {
    fn are(self, snapshot: &Snapshot) -> bool {
        let name = snapshot.short_name();
        let is_ours = snapshot.marked && name.starts_with(PREFIX);
        match self {
            Self::Ours => is_ours,
            Self::Named(prefix) => !prefix.is_empty() && name.starts_with(prefix) && !is_ours,
        }
    }
}

/// What is kept: one that any of these keeps stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// The newest ones.
    pub last: usize,
    /// The newest of each of the latest hours that have any.
    pub hours: usize,
    /// The newest of each of the latest days (UTC) that have any.
    pub days: usize,
    /// The newest of each of the latest weeks (from Monday, UTC) that have any.
    pub weeks: usize,
}

/// What becomes of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// No rule keeps it.
    Goes,
    /// The newest of its kind stays always, and those that `last` keeps.
    Last,
    /// The newest of its hour.
    Hour,
    /// The newest of its day.
    Day,
    /// The newest of its week.
    Week,
    /// Somebody holds it.
    Held,
    /// Something was cloned from it.
    Cloned,
}

/// What becomes of each snapshot of that kind, the newest first; of the others nothing is said.
pub fn fates<'a>(snapshots: &'a [Snapshot], whose: Whose<'_>, keep: Keep) -> Vec<(&'a Snapshot, Fate)> {
    let mut chosen: Vec<&Snapshot> = snapshots.iter().filter(|snapshot| whose.are(snapshot)).collect();
    chosen.sort_by(|one, other| (other.created, &other.name).cmp(&(one.created, &one.name)));
    let (mut hours, mut days, mut weeks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let fate = |(place, snapshot): (usize, &'a Snapshot)| {
        let hour = snapshot.created / 3_600;
        let day = hour / 24;
        // The first day of 1970 was a Thursday.
        let week = (day + 3) / 7;
        // Each set learns of it, whatever else keeps it.
        let of_hour = hours.len() < keep.hours && hours.insert(hour);
        let of_day = days.len() < keep.days && days.insert(day);
        let of_week = weeks.len() < keep.weeks && weeks.insert(week);
        let fate = match () {
            () if place < keep.last.max(1) => Fate::Last,
            () if snapshot.holds > 0 => Fate::Held,
            () if snapshot.cloned => Fate::Cloned,
            () if of_hour => Fate::Hour,
            () if of_day => Fate::Day,
            () if of_week => Fate::Week,
            () => Fate::Goes,
        };
        (snapshot, fate)
    };
    chosen.into_iter().enumerate().map(fate).collect()
}

/// The names of those that go.
pub fn superfluous<'a>(snapshots: &'a [Snapshot], whose: Whose<'_>, keep: Keep) -> Vec<&'a str> {
    let fates = fates(snapshots, whose, keep).into_iter();
    fates.filter(|(_, fate)| *fate == Fate::Goes).map(|(snapshot, _)| snapshot.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    /// A Monday, 00:00 UTC.
    const MONDAY: u64 = 4 * DAY;

    fn made(name: &str, created: u64, marked: bool) -> Snapshot {
        Snapshot { name: format!("rpool/ROOT/pve-1@{name}"), created, marked, holds: 0, cloned: false }
    }

    fn ours(number: u64) -> Snapshot {
        made(&format!("hardstand-{number}"), number * DAY, true)
    }

    fn gone<'a>(snapshots: &'a [Snapshot], whose: Whose<'_>, keep: Keep) -> Vec<&'a str> {
        superfluous(snapshots, whose, keep).into_iter().filter_map(|name| name.split('@').nth(1)).collect()
    }

    #[test]
    fn only_what_bears_our_name_and_our_mark_is_ours() {
        let keep = Keep { last: 1, ..Keep::default() };
        let snapshots = [
            ours(1),
            made("hardstand-2", 2, false),
            made("other-3", 3, true),
            made("before-upgrade", 4, false),
            ours(5),
        ];
        assert_eq!(gone(&snapshots, Whose::Ours, keep), ["hardstand-1"]);
        assert_eq!(gone(&snapshots, Whose::Named("hardstand-"), keep), Vec::<&str>::new(), "one, and the newest stays");
        assert_eq!(gone(&snapshots, Whose::Named(""), keep), Vec::<&str>::new(), "no name is no kind");
        assert_eq!(gone(&snapshots, Whose::Named("before"), Keep::default()), Vec::<&str>::new());
    }

    #[test]
    fn what_is_held_or_cloned_stays_and_so_does_the_newest() {
        let mut snapshots: Vec<Snapshot> = (1..=5).map(ours).collect();
        snapshots[0].holds = 1;
        snapshots[1].cloned = true;
        assert_eq!(gone(&snapshots, Whose::Ours, Keep::default()), ["hardstand-4", "hardstand-3"]);
        let keep = Keep { last: 9, ..Keep::default() };
        assert_eq!(gone(&snapshots, Whose::Ours, keep), Vec::<&str>::new());
        assert_eq!(fates(&snapshots, Whose::Ours, Keep::default())[4].1, Fate::Held);
    }

    #[test]
    fn hours_days_and_weeks_keep_the_newest_of_each() {
        let at = |hours: u64| made(&format!("auto-{hours:03}"), MONDAY + hours * 3_600, false);
        // Monday, twice; Tuesday, twice within an hour; the Monday after.
        let mut snapshots = vec![at(0), at(12), at(30), at(7 * 24)];
        snapshots.push(made("auto-030b", MONDAY + 30 * 3_600 + 60, false));
        let kept = |keep: Keep| {
            let fates = fates(&snapshots, Whose::Named("auto-"), keep).into_iter();
            let kept = fates.filter(|(_, fate)| *fate != Fate::Goes).map(|(snapshot, _)| snapshot.short_name());
            kept.collect::<Vec<&str>>()
        };
        assert_eq!(kept(Keep { days: 2, ..Keep::default() }), ["auto-168", "auto-030b"]);
        assert_eq!(kept(Keep { days: 9, ..Keep::default() }), ["auto-168", "auto-030b", "auto-012"]);
        assert_eq!(kept(Keep { weeks: 2, ..Keep::default() }), ["auto-168", "auto-030b"]);
        assert_eq!(kept(Keep { hours: 3, ..Keep::default() }), ["auto-168", "auto-030b", "auto-012"]);
        assert_eq!(kept(Keep { last: 3, ..Keep::default() }), ["auto-168", "auto-030b", "auto-030"]);
    }
}
