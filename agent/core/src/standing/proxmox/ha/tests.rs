//! Tests of how high availability stands: every word of every row, and rows that are missed.

use super::super::super::worst;
use super::*;
use Standing::{Degraded, Failed, Ok, Unknown};

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn row(kind: &str, name: &str, state: &str) -> PveHaEntry {
    PveHaEntry { kind: text(kind), name: text(name), state: text(state), ..PveHaEntry::default() }
}

fn good() -> PveHa {
    let entries = vec![
        row("quorum", "one", "OK"),
        row("master", "one", "active"),
        row("lrm", "one", "active"),
        row("service", "vm:100", "started"),
        row("fencing", "", "armed"),
        row("node", "one", "online"),
    ];
    PveHa { tells_end: true, entries }
}

fn with(change: impl FnOnce(&mut Vec<PveHaEntry>)) -> Standing {
    let mut report = good();
    change(&mut report.entries);
    worst(&report.subjects())
}

#[test]
fn words_of_each_row_decide() {
    assert_eq!(with(|_| ()), Ok);
    for (index, word, expected) in [
        (0, "OK", Ok),
        (0, "No quorum on node 'one'!", Failed),
        (0, "O", Unknown),
        (0, "", Unknown),
        (1, "active", Ok),
        (1, "idle", Ok),
        (1, "old timestamp - dead?", Failed),
        (1, "detected time drift!", Unknown),
        (1, "", Unknown),
        (2, "active", Ok),
        (2, "idle", Ok),
        (2, "wait_for_agent_lock", Degraded),
        (2, "maintenance", Degraded),
        (2, "maintenance mode", Degraded),
        (2, "restart mode", Degraded),
        (2, "shutdown mode", Degraded),
        (2, "disarm mode", Degraded),
        (2, "new mode", Unknown),
        (2, "lost_agent_lock", Failed),
        (2, "old timestamp - dead?", Failed),
        (2, "detected time drift!", Unknown),
        (2, "unable to read lrm status", Unknown),
        (2, "unknown", Unknown),
        (2, "", Unknown),
        (3, "stopped", Ok),
        (3, "migrate", Degraded),
        (3, "error", Failed),
        (3, "new", Unknown),
        (3, "", Unknown),
        (4, "standby", Ok),
        (4, "disarming", Degraded),
        (4, "disarmed", Degraded),
        (4, "new", Unknown),
        (4, "", Unknown),
        (5, "maintenance", Degraded),
        (5, "unknown", Unknown),
        (5, "fence", Failed),
        (5, "gone", Failed),
        (5, "new", Unknown),
        (5, "", Unknown),
    ] {
        let kind = good().entries[index].kind.clone().unwrap();
        assert_eq!(with(|entries| entries[index].state = text(word)), expected, "{kind} {word:?}");
    }
    assert_eq!(with(|entries| entries.push(row("crs", "one", "active"))), Unknown);
    assert_eq!(with(|entries| entries.push(row("", "one", "active"))), Unknown);
}

#[test]
fn other_words_of_a_row_count() {
    assert_eq!(with(|entries| entries[0].quorate = Some(false)), Failed);
    let bare = |quorate| with(|entries| (entries[0].state, entries[0].quorate) = (None, quorate));
    assert_eq!((bare(Some(true)), bare(Some(false)), bare(None)), (Ok, Failed, Unknown));
    for (mode, expected) in
        [("active", Ok), ("maintenance", Degraded), ("restart", Degraded), ("shutdown", Degraded), ("new", Unknown)]
    {
        assert_eq!(with(|entries| entries[2].mode = text(mode)), expected, "{mode}");
    }
    for (word, expected) in [("active", Ok), ("standby", Ok), ("released", Ok), ("expired", Unknown)] {
        for index in [2, 4] {
            assert_eq!(with(|entries| entries[index].watchdog = text(word)), expected, "{word}");
        }
    }
    for (mode, expected) in [("disarming", Degraded), ("disarmed", Degraded), ("new", Unknown)] {
        assert_eq!(with(|entries| entries[1].mode = text(mode)), expected, "{mode}");
    }
    for (word, expected) in [("started", Ok), ("freeze", Degraded), ("fence", Failed), ("new", Unknown)] {
        assert_eq!(with(|entries| entries[3].crm_state = text(word)), expected, "{word}");
    }
    for word in ["started", "stopped", "enabled", "disabled", "ignored"] {
        assert_eq!(with(|entries| entries[3].request_state = text(word)), Ok, "{word}");
    }
    assert_eq!(with(|entries| entries[3].request_state = text("new")), Unknown);
    assert_eq!(with(|entries| entries[5].request_state = text("maintenance")), Degraded);
    assert_eq!(with(|entries| entries[5].request_state = text("new")), Unknown);
    assert_eq!(with(|entries| entries[3].running = Some(false)), Degraded);
    assert_eq!(with(|entries| entries[3].running = Some(true)), Ok);
    for index in 0..6 {
        assert_eq!(with(|entries| entries[index].unread.push("odd".to_owned())), Unknown, "{index}");
    }
    for index in [1, 2, 3, 5] {
        assert_eq!(with(|entries| entries[index].name = None), Unknown, "{index}");
    }
}

#[test]
fn who_is_silent_is_dead_unless_on_purpose() {
    let silent = |index: usize, seconds| with(|entries| entries[index].behind_seconds = Some(seconds));
    assert_eq!((silent(1, 30), silent(1, 31)), (Ok, Failed));
    assert_eq!((silent(2, 30), silent(2, 31)), (Ok, Failed));
    let idle =
        |entries: &mut Vec<PveHaEntry>| (entries[1].behind_seconds, entries[1].state) = (Some(900), text("idle"));
    assert_eq!(with(idle), Ok);
    for mode in ["maintenance", "disarm"] {
        assert_eq!(with(|entries| (entries[2].behind_seconds, entries[2].mode) = (Some(900), text(mode))), Degraded);
    }
    let untold = |entries: &mut Vec<PveHaEntry>| (entries[1].behind_seconds, entries[1].state) = (Some(3), None);
    assert_eq!(with(untold), Ok, "the manager's own JSON has a time stamp in place of a word");
}

#[test]
fn rows_that_should_be_there_are_missed() {
    let only = |tells_end, kinds: &[&str]| {
        let mut report = good();
        report.tells_end = tells_end;
        report.entries.retain(|entry| entry.kind.as_deref().is_some_and(|kind| kinds.contains(&kind)));
        worst(&report.subjects())
    };
    assert_eq!(only(true, &["quorum"]), Ok, "high availability is not in use");
    assert_eq!(only(false, &["quorum"]), Unknown, "or the lines break off");
    assert_eq!(only(false, &["quorum", "fencing"]), Ok, "but not behind the place of the master");
    assert_eq!(only(false, &["quorum", "fencing", "service"]), Unknown);
    assert_eq!(only(true, &["quorum", "master", "lrm"]), Ok);
    assert_eq!(only(false, &["quorum", "master", "lrm"]), Unknown, "who is active has services");
    assert_eq!(only(false, &["quorum", "master", "lrm", "service"]), Ok);
    for kinds in [["master", "lrm", "service"], ["quorum", "lrm", "service"], ["quorum", "master", "service"]] {
        assert_eq!(only(true, &kinds), Unknown, "{kinds:?}");
    }
    assert_eq!(worst(&PveHa { tells_end: true, entries: Vec::new() }.subjects()), Unknown);
    let idle = |entries: &mut Vec<PveHaEntry>| {
        entries.remove(3);
        entries[2].state = text("idle");
    };
    assert_eq!(with(idle), Ok);
}

#[test]
fn a_row_says_what_is_wrong() {
    let mut report = good();
    report.entries[2] = row("lrm", "two", "old timestamp - dead?");
    report.entries[3].state = text("recovery");
    report.entries[3].crm_state = text("fence");
    let why = |index: usize| report.subjects()[index].why.clone();
    assert_eq!(why(2).as_deref(), Some("old timestamp - dead?"));
    assert_eq!(why(3).as_deref(), Some("recovery, to the master fence"));
}
