//! Tests of how resources stand: every word of every type.

use super::super::super::worst;
use super::*;
use Standing::{Degraded, Failed, Ok, Unknown};

fn row(kind: &str, id: &str, node: &str, status: &str) -> PveResource {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PveResource { kind: text(kind), id: text(id), node: text(node), status: text(status), ..PveResource::default() }
}

fn state(rows: &[PveResource]) -> Standing {
    worst(&PveResources { resources: rows.to_vec() }.subjects())
}

fn guest(change: impl FnOnce(&mut PveResource)) -> Standing {
    let mut guest = row("qemu", "qemu/100", "one", "running");
    change(&mut guest);
    state(&[guest])
}

#[test]
fn words_of_each_type_decide() {
    for (kind, word, expected) in [
        ("node", "online", Ok),
        ("node", "offline", Failed),
        ("node", "unknown", Unknown),
        ("node", "fenced", Unknown),
        ("node", "", Unknown),
        ("storage", "available", Ok),
        ("storage", "inactive", Degraded),
        ("storage", "unknown", Unknown),
        ("storage", "online", Unknown),
        ("storage", "", Unknown),
        ("sdn", "available", Ok),
        ("sdn", "ok", Ok),
        ("sdn", "pending", Degraded),
        ("network", "error", Failed),
        ("network", "not ok", Failed),
        ("network", "unknown", Unknown),
        ("network", "", Unknown),
        ("qemu", "running", Ok),
        ("lxc", "stopped", Ok),
        ("openvz", "running", Ok),
        ("qemu", "paused", Degraded),
        ("qemu", "suspended", Degraded),
        ("qemu", "prelaunch", Degraded),
        ("qemu", "preconfig", Degraded),
        ("qemu", "inmigrate", Degraded),
        ("qemu", "finish-migrate", Degraded),
        ("qemu", "postmigrate", Degraded),
        ("qemu", "save-vm", Degraded),
        ("qemu", "restore-vm", Degraded),
        ("qemu", "shutdown", Degraded),
        ("qemu", "debug", Degraded),
        ("qemu", "io-error", Failed),
        ("qemu", "internal-error", Failed),
        ("qemu", "guest-panicked", Failed),
        ("qemu", "watchdog", Failed),
        ("qemu", "unknown", Unknown),
        ("lxc", "frozen", Unknown),
        ("lxc", "", Unknown),
        ("pool", "broken", Unknown),
        ("mapping", "broken", Unknown),
        ("mapping", "stopped", Unknown),
        ("", "online", Unknown),
    ] {
        assert_eq!(state(&[row(kind, "some/id", "one", word)]), expected, "{kind} {word:?}");
    }
}

#[test]
fn a_row_that_is_not_judged_neither_helps_nor_harms() {
    let good = row("node", "node/one", "one", "online");
    for other in
        [row("pool", "/pool/lab", "", ""), row("mapping", "mapping/a", "", ""), row("mapping", "m/a", "", "ok")]
    {
        assert_eq!(state(std::slice::from_ref(&other)), Unknown, "{other:?}");
        assert_eq!(state(&[good.clone(), other.clone()]), Ok, "{other:?}");
    }
    assert_eq!(state(&[]), Unknown);
}

#[test]
fn a_lock_and_the_ha_state_of_a_guest_count() {
    for lock in [
        "backup",
        "clone",
        "create",
        "disk",
        "fstrim",
        "migrate",
        "mounted",
        "rollback",
        "snapshot",
        "snapshot-delete",
        "suspending",
        "suspended",
        "destroyed",
    ] {
        assert_eq!(guest(|guest| guest.lock = Some(lock.to_owned())), Degraded, "{lock}");
    }
    assert_eq!(guest(|guest| guest.lock = Some("new".to_owned())), Unknown);
    for (word, expected) in [
        ("started", Ok),
        ("stopped", Ok),
        ("disabled", Ok),
        ("ignored", Ok),
        ("queued", Degraded),
        ("enabled", Degraded),
        ("request_start", Degraded),
        ("request_start_balance", Degraded),
        ("request_stop", Degraded),
        ("starting", Degraded),
        ("stopping", Degraded),
        ("migrate", Degraded),
        ("relocate", Degraded),
        ("freeze", Degraded),
        ("deleting", Degraded),
        ("ignore", Degraded),
        ("not found", Failed),
        ("fence", Failed),
        ("recovery", Failed),
        ("error", Failed),
        ("clearing error flag", Failed),
        ("new", Unknown),
    ] {
        assert_eq!(guest(|guest| guest.ha_state = Some(word.to_owned())), expected, "{word}");
    }
    let fallen = |guest: &mut PveResource| {
        guest.ha_state = Some("started".to_owned());
        guest.status = Some("stopped".to_owned());
    };
    assert_eq!(guest(fallen), Degraded);
}

#[test]
fn the_ha_state_of_a_node_counts() {
    for (word, expected) in [
        ("online", Ok),
        ("maintenance", Degraded),
        ("unknown", Unknown),
        ("fence", Failed),
        ("gone", Failed),
        ("new", Unknown),
    ] {
        let mut node = row("node", "node/one", "one", "online");
        node.ha_state = Some(word.to_owned());
        assert_eq!(state(&[node]), expected, "{word}");
    }
}

#[test]
fn what_is_on_a_node_that_is_gone_is_not_known() {
    let rows = [
        row("node", "node/one", "one", "online"),
        row("node", "node/two", "two", "offline"),
        row("qemu", "qemu/100", "one", "running"),
        row("qemu", "qemu/200", "two", "running"),
        row("storage", "storage/two/local", "two", "available"),
    ];
    let subjects = PveResources { resources: rows.to_vec() }.subjects();
    let states: Vec<_> = subjects.iter().map(|subject| (subject.name.as_str(), subject.state)).collect();
    let expected = [("one", Ok), ("two", Failed), ("qemu/100", Ok), ("qemu/200", Unknown), ("two/local", Unknown)];
    assert_eq!(states, expected);
    assert_eq!(subjects[1].why.as_deref(), Some("status offline"));
    assert_eq!(subjects[3].why.as_deref(), Some("its node two is offline, so this is not known"));
}

#[test]
fn names_are_unique_and_a_row_without_one_is_unknown() {
    let mut named = row("lxc", "lxc/7", "one", "stopped");
    named.name = Some("web".to_owned());
    let rows = [named.clone(), named, row("node", "", "one", "online"), row("storage", "", "", "available")];
    let subjects = PveResources { resources: rows.to_vec() }.subjects();
    let names: Vec<_> = subjects.iter().map(|subject| (subject.kind, subject.name.as_str())).collect();
    let expected = [("guest", "lxc/7 web"), ("guest", "lxc/7 web #2"), ("node", "one"), ("storage", "row 4")];
    assert_eq!(names, expected);
    assert_eq!(subjects[3].why.as_deref(), Some("it has no name"));
    assert_eq!(subjects.iter().filter(|subject| subject.state == Ok).count(), 3);
}
