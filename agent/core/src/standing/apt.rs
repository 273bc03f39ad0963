//! How an upgrade stands by its simulation: whether apt has a plan, and what the plan leaves out or takes away.
//!
//! It must never call a plan good that breaks off before its last line.

use super::{Report, Standing, Subject};
use crate::observed::{AptCount, AptSimulation};

impl Report for AptSimulation {
    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![plan(self)];
        let kept = |name| Subject::not_ok("package", name, Standing::Degraded, "it is kept back");
        subjects.extend(self.kept_back.iter().map(kept));
        let removed = self.changes.changes().iter().filter(|change| change.to.is_none());
        subjects.extend(removed.map(|change| {
            let name = match change.architecture.as_str() {
                "" => change.name.clone(),
                architecture => format!("{}:{architecture}", change.name),
            };
            Subject::not_ok("package", name, Standing::Degraded, "it would be removed")
        }));
        subjects
    }
}

fn plan(told: &AptSimulation) -> Subject {
    let not = |state, why: String| Subject::not_ok("plan", "apt", state, why);
    if !told.errors.is_empty() {
        return not(Standing::Failed, told.errors.join(", "));
    }
    if !told.unmet.is_empty() {
        return not(Standing::Failed, format!("dependencies that cannot be met: {}", told.unmet.join(", ")));
    }
    let Some(count) = told.count else {
        return not(Standing::Unknown, "apt's count is missing; is the text cut short?".to_owned());
    };
    if let Some(why) = gap(told, count) {
        return not(Standing::Unknown, why);
    }
    let mut faults = told.warnings.clone();
    if told.unfinished > 0 {
        faults.push(format!("{} packages are left in the middle", told.unfinished));
    }
    if count.not_upgraded > told.kept_back.len() as u64 {
        faults.push(format!("{} packages are not upgraded", count.not_upgraded));
    }
    match faults.is_empty() {
        true => Subject::ok("plan", "apt"),
        false => not(Standing::Degraded, faults.join(", ")),
    }
}

/// What is missing of the plan by apt's own count. Every package that is installed is configured after.
fn gap(told: &AptSimulation, count: AptCount) -> Option<String> {
    let counts = [count.upgraded, count.newly_installed, count.reinstalled, count.downgraded];
    let installs = counts.into_iter().fold(0_u64, u64::saturating_add);
    if told.installs != installs {
        return Some(format!("{} packages are listed to be installed, apt counts {installs}", told.installs));
    }
    if told.removals != count.removed {
        return Some(format!("{} packages are listed to be removed, apt counts {}", told.removals, count.removed));
    }
    let first = told.unconfigured.first()?;
    Some(format!("{first} would be installed and not configured; is the text cut short?"))
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;
    use crate::plan::{PackageChange, PackageSet};

    fn standing(change: impl FnOnce(&mut AptSimulation)) -> Standing {
        let mut told = AptSimulation {
            installs: 1,
            count: Some(AptCount { upgraded: 1, ..AptCount::default() }),
            ..AptSimulation::default()
        };
        change(&mut told);
        worst(&told.subjects())
    }

    #[test]
    fn a_plan_stands_by_what_it_leaves_out_and_takes_away() {
        let words = || vec!["words".to_owned()];
        let count = |change: fn(&mut AptCount)| standing(|told| change(told.count.as_mut().unwrap()));
        assert_eq!(standing(|_| ()), Standing::Ok);
        assert_eq!(standing(|told| told.errors = words()), Standing::Failed);
        assert_eq!(standing(|told| told.unmet = words()), Standing::Failed);
        assert_eq!(standing(|told| told.warnings = words()), Standing::Degraded);
        assert_eq!(standing(|told| told.kept_back = words()), Standing::Degraded);
        assert_eq!(standing(|told| told.unfinished = 1), Standing::Degraded);
        assert_eq!(count(|count| count.not_upgraded = 1), Standing::Degraded);
        let removed = PackageChange {
            name: "old".to_owned(),
            architecture: "i386".to_owned(),
            from: Some("1".to_owned()),
            to: None,
            security: false,
        };
        let told = AptSimulation {
            changes: PackageSet::new(vec![removed]),
            removals: 1,
            count: Some(AptCount { removed: 1, ..AptCount::default() }),
            ..AptSimulation::default()
        };
        let expected = Subject::not_ok("package", "old:i386", Standing::Degraded, "it would be removed");
        assert_eq!(told.subjects(), [Subject::ok("plan", "apt"), expected]);
    }

    #[test]
    fn a_plan_that_does_not_add_up_is_unknown() {
        let count = |change: fn(&mut AptCount)| standing(|told| change(told.count.as_mut().unwrap()));
        assert_eq!(worst(&AptSimulation::default().subjects()), Standing::Unknown);
        assert_eq!(count(|count| count.upgraded = 2), Standing::Unknown);
        assert_eq!(count(|count| count.newly_installed = u64::MAX), Standing::Unknown);
        assert_eq!(count(|count| count.removed = 1), Standing::Unknown);
        assert_eq!(standing(|told| told.removals = 1), Standing::Unknown);
        assert_eq!(standing(|told| told.unconfigured = vec!["one".to_owned()]), Standing::Unknown);
    }
}
