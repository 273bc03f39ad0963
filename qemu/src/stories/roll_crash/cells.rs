//! The matrix: every record of a node's journal with the two moments around its write, and cuts inside the acts.
//!
//! A record is written before its act, and the act of a phase ends before the next record's write begins. So "before the
//! act" is the moment after the write, and "after the act" is the moment before the write of the phase that follows.
//! It must never name a moment that the story cannot hold a node at, or see it in.

use std::fmt;
use std::str::FromStr;

/// The node that is cut at every boundary.
pub(super) const NODE: &str = "node1";
/// The node that is cut while it restarts as ordered. A power cut is a restart too: once `reboot_armed` has been cut after
/// its write, the new kernel comes up without an order, and there is no second restart on that node to be cut in.
pub(super) const OTHER: &str = "node2";

/// Where a step machine that has not begun stands, and where it ends.
const IDLE: &str = "idle";
/// Records of a journey with a new kernel, in their order. There is one for every phase.
const RECORDS: [&str; 13] = [
    "gated",
    "leased",
    "staged",
    "draining",
    "drained",
    "patching",
    "patched",
    "reboot_armed",
    "returned",
    "verifying",
    "restoring",
    "released",
    IDLE,
];

/// Where in an act the power goes, and how a shell inside sees that the node is there.
const INSIDE: [(&str, &str, Sign); 3] = [
    (
        "draining",
        "its web service is stopping",
        Sign::Inside("[ \"$(systemctl show -P ActiveState lab-web)\" = deactivating ]"),
    ),
    (
        "patching",
        "the kernel's package is being unpacked",
        Sign::Inside("grep -q 'status half-installed linux-image-[0-9]' /var/log/dpkg.log"),
    ),
    (
        "patching",
        "the kernel's package is being configured",
        Sign::Inside("grep -q 'status half-configured linux-image-[0-9]' /var/log/dpkg.log"),
    ),
];
/// The same for the restart, of which only the console tells.
const RESTART: [(&str, &str, Sign); 2] =
    [("reboot_armed", "the machine goes down", Sign::GoesDown), ("reboot_armed", "the new kernel boots", Sign::Boots)];

/// How it is seen that a node is in the middle of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// This shell condition holds on the node.
    Inside(&'static str),
    /// The console shows that services are being stopped.
    GoesDown,
    /// The console shows a kernel that has found its root and not yet started the agent.
    Boots,
}

/// When the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The record's file is written and flushed, and has not its name yet.
    Before,
    /// The record is there to stay; its act has not begun.
    After,
    /// The act is under way.
    Inside {
        /// How far.
        what: &'static str,
        /// How that is seen.
        sign: Sign,
    },
}

/// One power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    /// Whose power.
    pub(super) node: &'static str,
    /// Around the record, or in the act, of this phase.
    pub(super) phase: &'static str,
    /// When.
    pub(super) moment: Moment,
}

impl Cell {
    /// What the tracer inside is told: where to hold the agent, if it is to be held.
    pub(super) fn armed(&self) -> String {
        match self.moment {
            Moment::Before => format!("{} before", self.phase),
            Moment::After => format!("{} after", self.phase),
            Moment::Inside { .. } => "nowhere".to_owned(),
        }
    }

    /// The phase that must be on the disk when the node is switched on again.
    pub(super) fn found(&self) -> &'static str {
        match self.moment {
            Moment::Before => {
                let place = RECORDS.iter().position(|phase| *phase == self.phase);
                place.and_then(|place| place.checked_sub(1)).map_or(IDLE, |place| RECORDS[place])
            }
            Moment::After | Moment::Inside { .. } => self.phase,
        }
    }

    /// Whether this cut takes the place of the restart that the node would have ordered.
    pub(super) fn is_the_restart(&self) -> bool {
        self.phase == "reboot_armed"
            && !matches!(self.moment, Moment::Before | Moment::Inside { sign: Sign::Boots, .. })
    }

    /// Its moment, in words.
    pub(super) fn when(&self) -> String {
        match self.moment {
            Moment::Before => "before the write".to_owned(),
            Moment::After => "after the write, before the act".to_owned(),
            Moment::Inside { what, .. } => format!("inside the act: {what}"),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.node, self.phase, self.when())
    }
}

/// All cells, in the order in which one rollout comes by them.
pub(super) fn matrix() -> Vec<Cell> {
    let mut cells = Vec::new();
    let inside = |node, (phase, what, sign)| Cell { node, phase, moment: Moment::Inside { what, sign } };
    for phase in RECORDS {
        cells.extend([Moment::Before, Moment::After].map(|moment| Cell { node: NODE, phase, moment }));
        cells.extend(INSIDE.into_iter().filter(|(of, ..)| *of == phase).map(|act| inside(NODE, act)));
    }
    cells.extend(RESTART.map(|act| inside(OTHER, act)));
    cells
}

/// One of so many parts of the matrix, written `3/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    number: usize,
    of: usize,
}

impl Part {
    /// How many parts a test run takes one of: two cuts, or a whole rollout with the least that can be cut in it.
    const OF_A_TEST: usize = 16;

    /// The part whose turn it is.
    pub(crate) fn in_turn(turn: usize) -> Self {
        Self { number: turn % Self::OF_A_TEST + 1, of: Self::OF_A_TEST }
    }

    /// Its cells, which follow each other: what one cut leaves behind is what the next one finds.
    pub(super) fn of(self, cells: &[Cell]) -> &[Cell] {
        let place = |parts: usize| parts * cells.len() / self.of;
        &cells[place(self.number - 1)..place(self.number)]
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let most = matrix().len();
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) && of <= most => Ok(Self { number, of }),
            _ => Err(format!("{text:?} is no part; 3/16 is the third of sixteen, and there are at most {most}")),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_every_boundary_of_every_record_and_the_acts() {
        let cells = matrix();
        assert_eq!(cells.len(), 31);
        for phase in RECORDS {
            for moment in [Moment::Before, Moment::After] {
                assert_eq!(
                    cells.iter().filter(|cell| (cell.phase, cell.moment) == (phase, moment)).count(),
                    1,
                    "{phase}"
                );
            }
        }
        assert_eq!(cells.iter().filter(|cell| matches!(cell.moment, Moment::Inside { .. })).count(), 5);
        let shown: Vec<String> = cells.iter().map(Cell::to_string).collect();
        assert_eq!(shown[0], "node1 gated, before the write");
        assert_eq!(shown[8], "node1 draining, inside the act: its web service is stopping");
        assert_eq!(shown[30], "node2 reboot_armed, inside the act: the new kernel boots");
    }

    #[test]
    fn what_must_be_on_the_disk_is_the_record_before_or_the_record() {
        let found = |phase, moment| Cell { node: NODE, phase, moment }.found();
        assert_eq!(found("gated", Moment::Before), "idle");
        assert_eq!(found("patched", Moment::Before), "patching");
        assert_eq!(found("patched", Moment::After), "patched");
        assert_eq!(found("idle", Moment::Before), "released");
        let cells = matrix();
        // A cell never waits for a record that the one before it has left behind.
        for pair in cells.windows(2).filter(|pair| pair[0].node == pair[1].node) {
            let place = |phase| RECORDS.iter().position(|record| *record == phase).map_or(0, |place| place + 1);
            let from = if pair[0].found() == IDLE && pair[0].phase != IDLE { 0 } else { place(pair[0].found()) };
            assert!(from <= place(pair[1].phase), "{} then {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn parts_are_the_whole_and_nothing_twice() {
        let cells = matrix();
        for of in [1, 2, 16, 31] {
            let parts = (1..=of).map(|number| format!("{number}/{of}").parse::<Part>().unwrap());
            assert_eq!(parts.flat_map(|part| part.of(&cells).to_vec()).collect::<Vec<_>>(), cells, "{of}");
        }
        assert_eq!(
            (Part::in_turn(0).to_string(), Part::in_turn(33).to_string()),
            ("1/16".to_owned(), "2/16".to_owned())
        );
        for wrong in ["", "3", "0/4", "5/4", "1/0", "1/99", "a/b", "-1/4"] {
            wrong.parse::<Part>().unwrap_err();
        }
    }

    #[test]
    fn one_cut_stands_for_the_restart_of_each_node() {
        let cells = matrix();
        let of = |node| cells.iter().filter(|cell| cell.node == node && cell.is_the_restart()).count();
        assert_eq!((of(NODE), of(OTHER)), (1, 1));
    }
}
