//! The tracer that holds an agent at a boundary of its journal: handed to a machine as credentials at each power-on.
//!
//! It must never put anything on the machine's disk: what it tells, it tells in memory, and a cut takes it away.

use super::cells::Cell;
use crate::args::Credential;

/// Holds while the agent stands still at the armed boundary, or has just gone past it.
pub(super) const HELD: &str = "[ -e /run/hardstand-lab-tracer/frozen ] || [ -e /run/hardstand-lab-tracer/late ]";
/// Succeeds, and says where, when the tracer came too late.
pub(super) const LATE: &str = "cat /run/hardstand-lab-tracer/late";
/// Holds once the agent of this boot is about to run.
pub(super) const STARTED: &str = "[ -s /run/hardstand-lab-tracer/found ]";
/// The phase that was on the disk then.
pub(super) const FOUND: &str = "head -n 1 /run/hardstand-lab-tracer/found";

/// What follows the agent.
const SCRIPT: &str = include_str!("tracer.sh");
/// The unit that runs it.
const UNIT: &str = include_str!("tracer.service");
/// Makes the agent wait for it.
const TRACED: &str = include_str!("traced.conf");
/// A service whose end takes some time: a drain that can be cut in its middle.
const SLOW: &str = "[Service]\nExecStop=/bin/sleep 5\n";

/// The tracer, armed for this cell.
pub(super) fn credentials(cell: Option<&Cell>) -> Vec<Credential> {
    let credential = |name: &str, text: &str| Credential { name: name.to_owned(), text: text.to_owned() };
    vec![
        credential("hardstand-lab.tracer", SCRIPT),
        credential("hardstand-lab.cell", &cell.map_or("nowhere".to_owned(), Cell::armed)),
        credential("systemd.extra-unit.hardstand-lab-tracer.service", UNIT),
        credential("systemd.unit-dropin.hardstand-agent.service~hardstand-lab", TRACED),
        credential("systemd.unit-dropin.lab-web.service~hardstand-lab", SLOW),
    ]
}
