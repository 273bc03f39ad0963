//! How a corosync cluster stands by its own count of votes.
//!
//! It must never be content with a list of members that does not add up to the votes it is said to have.

use super::{Fault, Report, Standing, Subject};
use crate::observed::{Quorum, QuorumMember};

/// Flags that say how a cluster is set up. One that is not among them may say anything.
const FLAGS: [&str; 7] =
    ["2Node", "Quorate", "WaitForAll", "LastManStanding", "AutoTieBreaker", "AllowDownscale", "Qdevice"];

impl Report for Quorum {
    fn subjects(&self) -> Vec<Subject> {
        let name = self.cluster.as_deref().unwrap_or("cluster");
        let mut subjects = vec![Subject::judged("quorum", name, &self.faults())];
        subjects.extend(self.members.iter().enumerate().map(|(index, member)| {
            // Two rows of one number are one too many, and still two.
            let is_second = self.members.iter().take(index).any(|before| before.node_id == member.node_id);
            let again = if is_second { " again" } else { "" };
            let name = format!("{} {}{again}", member.node_id, member.name);
            Subject::judged("vote", name, &of_member(member))
        }));
        subjects
    }
}

impl Quorum {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |state, why: String| faults.push((state, why));
        if self.blocked {
            fault(Standing::Failed, "activity is blocked".to_owned());
        }
        match self.quorate {
            Some(true) => {}
            Some(false) => fault(Standing::Failed, "it has no quorum".to_owned()),
            None => fault(Standing::Unknown, "the report does not say whether it has quorum".to_owned()),
        }
        let is_flagged = self.flags.as_ref().map(|flags| flags.iter().any(|flag| flag == "Quorate"));
        match (self.quorate, is_flagged) {
            (_, None) => fault(Standing::Unknown, "its flags are not told".to_owned()),
            (Some(true), Some(false)) => fault(Standing::Unknown, "it says quorate, and lacks the flag".to_owned()),
            _ => {}
        }
        for flag in self.flags.iter().flatten().filter(|flag| !FLAGS.contains(&flag.as_str())) {
            fault(Standing::Unknown, format!("flag {flag} is not known"));
        }
        match (self.expected_votes, self.highest_expected, self.total_votes, self.quorum_votes) {
            (Some(expected), Some(highest), Some(total), Some(needed)) => {
                faults.extend(of_votes(expected.max(highest), total, needed));
                faults.extend(self.of_members(total));
            }
            _ => fault(Standing::Unknown, "votes expected, there or needed are not told".to_owned()),
        }
        faults
    }

    /// The list must add up, or it is not the whole list.
    fn of_members(&self, total: u64) -> Option<Fault> {
        let unknown = |why: String| Some((Standing::Unknown, why));
        if self.members.is_empty() {
            return unknown("its members are not listed; is the report cut short?".to_owned());
        }
        if self.has_qdevice != self.members.iter().any(QuorumMember::is_qdevice) {
            return unknown("the quorum device is flagged and not listed, or listed and not flagged".to_owned());
        }
        let listed = self.members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.votes));
        if listed != total {
            return unknown(format!("the members listed have {listed} votes, the cluster {total}"));
        }
        let nodes = self.members.iter().filter(|member| !member.is_qdevice()).count() as u64;
        let said = self.nodes.unwrap_or(nodes);
        (said != nodes).then(|| (Standing::Unknown, format!("{nodes} nodes are listed of {said}")))
    }
}

fn of_votes(expected: u64, total: u64, needed: u64) -> Option<Fault> {
    if needed == 0 {
        return Some((Standing::Unknown, "no vote is needed, which cannot be".to_owned()));
    }
    if total < needed {
        return Some((Standing::Failed, format!("{total} votes are there, {needed} are needed")));
    }
    (total < expected).then(|| (Standing::Degraded, format!("{total} of {expected} votes are there")))
}

fn of_member(member: &QuorumMember) -> Vec<Fault> {
    let mut faults = Vec::new();
    if member.is_qdevice() && member.votes == 0 {
        faults.push((Standing::Degraded, "the quorum device casts no vote".to_owned()));
    }
    for word in &member.qdevice {
        match word.as_str() {
            // Whether the device's choice wins is how the cluster is set up.
            "A" | "V" | "MW" | "NMW" => {}
            "NA" => faults.push((Standing::Degraded, "the quorum device is not alive to it (NA)".to_owned())),
            "NV" => faults.push((Standing::Degraded, "the quorum device does not vote for it (NV)".to_owned())),
            "NR" => faults.push((Standing::Degraded, "no quorum device is registered with it (NR)".to_owned())),
            other => faults.push((Standing::Unknown, format!("{other} is not known"))),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;

    fn member(node_id: u64, votes: u64, qdevice: &[&str]) -> QuorumMember {
        let qdevice = qdevice.iter().map(|word| (*word).to_owned()).collect();
        QuorumMember { node_id, votes, qdevice, name: format!("n{node_id}"), local: node_id == 1 }
    }

    fn good() -> Quorum {
        Quorum {
            quorate: Some(true),
            nodes: Some(2),
            expected_votes: Some(3),
            highest_expected: Some(3),
            total_votes: Some(3),
            quorum_votes: Some(2),
            has_qdevice: true,
            flags: Some(vec!["Quorate".to_owned(), "Qdevice".to_owned()]),
            members: vec![member(1, 1, &["A", "V", "NMW"]), member(2, 1, &["A", "V", "NMW"]), member(0, 1, &[])],
            ..Quorum::default()
        }
    }

    fn standing(change: impl FnOnce(&mut Quorum)) -> Standing {
        let mut quorum = good();
        change(&mut quorum);
        worst(&quorum.subjects())
    }

    #[test]
    fn a_cluster_stands_by_its_votes() {
        assert_eq!(standing(|_| ()), Standing::Ok);
        assert_eq!(standing(|quorum| quorum.quorate = Some(false)), Standing::Failed);
        assert_eq!(standing(|quorum| quorum.blocked = true), Standing::Failed);
        assert_eq!(standing(|quorum| quorum.expected_votes = Some(4)), Standing::Degraded);
        assert_eq!(
            standing(|quorum| quorum.highest_expected = Some(4)),
            Standing::Degraded,
            "expectations were lowered"
        );
        assert_eq!(standing(|quorum| quorum.quorum_votes = Some(4)), Standing::Failed);
        let lost = |quorum: &mut Quorum| {
            quorum.members.remove(1);
            (quorum.nodes, quorum.total_votes) = (Some(1), Some(2));
        };
        assert_eq!(standing(lost), Standing::Degraded);
    }

    #[test]
    fn what_does_not_add_up_is_unknown() {
        assert_eq!(worst(&Quorum::default().subjects()), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.quorate = None), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.flags = None), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.flags.as_mut().unwrap().truncate(0)), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.flags.as_mut().unwrap().push("New".to_owned())), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.expected_votes = None), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.total_votes = None), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.quorum_votes = None), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.quorum_votes = Some(0)), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.members.clear()), Standing::Unknown);
        assert_eq!(standing(|quorum| drop(quorum.members.remove(1))), Standing::Unknown);
        assert_eq!(standing(|quorum| drop(quorum.members.pop())), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.nodes = Some(3)), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.has_qdevice = false), Standing::Unknown);
        assert_eq!(standing(|quorum| quorum.members[0].votes = u64::MAX), Standing::Unknown);
    }

    #[test]
    fn a_quorum_device_that_does_not_vote_takes_redundancy() {
        for (word, expected) in [
            ("A", Standing::Ok),
            ("V", Standing::Ok),
            ("MW", Standing::Ok),
            ("NMW", Standing::Ok),
            ("NA", Standing::Degraded),
            ("NV", Standing::Degraded),
            ("NR", Standing::Degraded),
            ("XY", Standing::Unknown),
        ] {
            assert_eq!(standing(|quorum| quorum.members[0].qdevice = vec![word.to_owned()]), expected, "{word}");
        }
        let silent = |quorum: &mut Quorum| {
            quorum.members[2].votes = 0;
            (quorum.total_votes, quorum.expected_votes, quorum.highest_expected) = (Some(2), Some(2), Some(2));
        };
        assert_eq!(standing(silent), Standing::Degraded);
    }
}
