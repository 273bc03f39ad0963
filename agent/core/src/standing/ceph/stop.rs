//! What Ceph's answer amounts to when it is asked whether daemons may be stopped.
//!
//! It must never be ok but for a plain yes in a document that nowhere says otherwise.

use super::super::{Fault, Report, Standing, Subject, worst};
use crate::observed::CephOkToStop;

/// A no is `failed` and not `degraded`, whatever state the cluster is in: the question is whether the stop would work, and
/// nothing that goes on in spite of a warning may go on in spite of this.
impl Report for CephOkToStop {
    fn subjects(&self) -> Vec<Subject> {
        let faults = self.faults();
        // A refusal in words alone does not say whom it refuses.
        if self.daemons.is_empty() && self.ok == Some(false) {
            return vec![Subject::judged("stop", "those asked about", &faults)];
        }
        self.daemons.iter().map(|daemon| Subject::judged("stop", daemon, &faults)).collect()
    }
}

impl CephOkToStop {
    /// Whether it is a yes for all these daemons together (`osd.3`, `mon.a`): an answer about others is none about them.
    pub fn allows(&self, daemons: &[&str]) -> bool {
        let is_about = |daemon: &str| self.daemons.iter().any(|one| one == daemon);
        let is_yes = worst(&self.subjects()) == Standing::Ok;
        is_yes && !daemons.is_empty() && daemons.iter().all(|daemon| is_about(daemon))
    }

    fn faults(&self) -> Vec<Fault> {
        match self.ok {
            None => vec![(Standing::Unknown, "the report does not say whether they may be stopped".to_owned())],
            Some(false) => vec![self.refusal()],
            Some(true) => self.contradiction().map(|why| (Standing::Unknown, why)).into_iter().collect(),
        }
    }

    fn refusal(&self) -> Fault {
        let why = self.against().or_else(|| self.words.clone());
        // Ceph says no as well when it cannot tell, and is to be asked again then.
        let cannot_tell = self.unknown_pgs > 0 && self.not_ok_pgs == Some(0) && self.against_for_sure().is_none();
        let state = if cannot_tell { Standing::Unknown } else { Standing::Failed };
        (state, why.unwrap_or_else(|| "it says no, and not why".to_owned()))
    }

    fn contradiction(&self) -> Option<String> {
        if let Some(against) = self.against() {
            return Some(format!("it says yes, and {against}"));
        }
        match &self.mons_left {
            None => {
                let untold = self.ok_pgs.is_none() || self.not_ok_pgs.is_none();
                untold.then(|| "it says yes, and not how many placement groups it looked at".to_owned())
            }
            Some(left) if left.is_empty() => Some("it says yes, and no monitor would be left".to_owned()),
            Some(left) => {
                let stays = |daemon: &&String| left.iter().any(|mon| daemon.strip_prefix("mon.") == Some(mon));
                self.daemons.iter().find(stays).map(|daemon| format!("it says yes, and {daemon} would be left"))
            }
        }
    }

    /// What the numbers say against a stop, the worst first.
    fn against(&self) -> Option<String> {
        self.against_for_sure()
            .or_else(|| words(self.unknown_pgs, "placement groups are in a state that it does not know"))
    }

    fn against_for_sure(&self) -> Option<String> {
        words(self.already_inactive_pgs, "placement groups are inactive as it is")
            .or_else(|| words(self.no_pool_pgs, "placement groups are of no pool"))
            .or_else(|| words(self.not_ok_pgs.unwrap_or(0), "placement groups are or would become inactive"))
            .or_else(|| words(self.become_inactive_pgs, "placement groups would become inactive"))
    }
}

fn words(count: u64, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::worst;
    use super::*;

    fn osds(change: impl FnOnce(&mut CephOkToStop)) -> CephOkToStop {
        let mut answer = CephOkToStop {
            daemons: vec!["osd.1".to_owned(), "osd.2".to_owned()],
            ok: Some(true),
            ok_pgs: Some(64),
            not_ok_pgs: Some(0),
            become_degraded_pgs: 60,
            become_more_degraded_pgs: 4,
            ..CephOkToStop::default()
        };
        change(&mut answer);
        answer
    }

    fn mons(change: impl FnOnce(&mut CephOkToStop)) -> CephOkToStop {
        let mut answer = CephOkToStop {
            daemons: vec!["mon.c".to_owned()],
            ok: Some(true),
            mons_left: Some(vec!["a".to_owned(), "b".to_owned()]),
            ..CephOkToStop::default()
        };
        change(&mut answer);
        answer
    }

    #[test]
    fn a_yes_is_ok_for_everyone_asked_about() {
        let subjects = osds(|_| ()).subjects();
        assert_eq!(subjects, [Subject::ok("stop", "osd.1"), Subject::ok("stop", "osd.2")]);
        assert_eq!(worst(&mons(|_| ()).subjects()), Standing::Ok);
    }

    #[test]
    fn a_yes_for_others_allows_nothing() {
        let answer = osds(|_| ());
        assert!(answer.allows(&["osd.2", "osd.1"]) && answer.allows(&["osd.1"]));
        assert!(!answer.allows(&["osd.1", "osd.3"]) && !answer.allows(&["1"]) && !answer.allows(&[]));
        assert!(!osds(|answer| answer.ok = Some(false)).allows(&["osd.1"]));
        assert!(!osds(|answer| answer.unknown_pgs = 1).allows(&["osd.1"]));
    }

    #[test]
    fn a_no_is_failed_and_says_why() {
        let no = |change: fn(&mut CephOkToStop)| {
            let answer = osds(|answer| {
                answer.ok = Some(false);
                change(answer);
            });
            let subject = answer.subjects().remove(0);
            (subject.state, subject.why.unwrap())
        };
        let failed = |why: &str| (Standing::Failed, why.to_owned());
        assert_eq!(no(|_| ()), failed("it says no, and not why"));
        assert_eq!(no(|answer| answer.words = Some("unsafe".to_owned())), failed("unsafe"));
        assert_eq!(no(|answer| answer.not_ok_pgs = Some(5)), failed("5 placement groups are or would become inactive"));
        assert_eq!(
            no(|answer| (answer.not_ok_pgs, answer.become_inactive_pgs) = (Some(5), 5)),
            failed("5 placement groups are or would become inactive")
        );
        assert_eq!(
            no(|answer| (answer.already_inactive_pgs, answer.become_inactive_pgs) = (1, 4)),
            failed("1 placement groups are inactive as it is")
        );
        assert_eq!(no(|answer| answer.become_inactive_pgs = 4), failed("4 placement groups would become inactive"));
        assert_eq!(no(|answer| answer.no_pool_pgs = 1), failed("1 placement groups are of no pool"));
        let unknown = "2 placement groups are in a state that it does not know".to_owned();
        assert_eq!(no(|answer| answer.unknown_pgs = 2), (Standing::Unknown, unknown));
        assert_eq!(
            no(|answer| (answer.unknown_pgs, answer.not_ok_pgs) = (2, Some(1))),
            failed("1 placement groups are or would become inactive")
        );
        assert_eq!(worst(&mons(|answer| answer.ok = Some(false)).subjects()), Standing::Failed);
        let nameless = CephOkToStop { ok: Some(false), words: Some("unsafe".to_owned()), ..CephOkToStop::default() };
        let expected = Subject::not_ok("stop", "those asked about", Standing::Failed, "unsafe");
        assert_eq!(nameless.subjects(), [expected]);
    }

    #[test]
    fn whatever_else_is_unknown() {
        let unknown = |answer: CephOkToStop| assert_eq!(worst(&answer.subjects()), Standing::Unknown, "{answer:?}");
        unknown(CephOkToStop::default());
        unknown(CephOkToStop { ok: Some(true), ok_pgs: Some(1), not_ok_pgs: Some(0), ..CephOkToStop::default() });
        unknown(osds(|answer| answer.ok = None));
        unknown(osds(|answer| answer.ok_pgs = None));
        unknown(osds(|answer| answer.not_ok_pgs = None));
        unknown(osds(|answer| answer.not_ok_pgs = Some(1)));
        unknown(osds(|answer| answer.unknown_pgs = 1));
        unknown(osds(|answer| answer.no_pool_pgs = 1));
        unknown(osds(|answer| answer.already_inactive_pgs = 1));
        unknown(osds(|answer| answer.become_inactive_pgs = 1));
        unknown(mons(|answer| answer.mons_left = Some(Vec::new())));
        unknown(mons(|answer| answer.mons_left = Some(vec!["a".to_owned(), "c".to_owned()])));
    }
}
