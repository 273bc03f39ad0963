//! The commands around a rollout, on a store in memory: what they write, what they refuse, and what they show.

use std::sync::Arc;

use hardstand_core::health::Severity;
use hardstand_core::phase::Phase;
use hardstand_core::plan::{PackageChange, PackageSet, Reboot, Updates};
use hardstand_core::status::Report;
use hardstand_core::store::{Answer, Key, Record, Txn};

use super::*;
use crate::cli::desk::runtime;
use crate::cli::runbook;
use crate::config::fleet::parse;
use crate::report::golden::assert_golden;
use crate::store::memory::Memory;
use crate::store::records::Records;

const POLICY: &str = r#"
[fleet]
name = "home"

[[group]]
name = "cluster"
nodes = ["pve1", "pve2", "nas"]
store_hosts = ["nas"]
"#;

fn put(desk: &Desk, key: Key, record: Record) {
    let done = desk.wait(desk.records().commit(&Txn::new().put(key, record))).unwrap();
    assert!(matches!(done, Answer::Committed { .. }), "{done:?}");
}

fn report(node: &str) -> Report {
    Report {
        node: node.to_owned(),
        role: "debian".to_owned(),
        boot_id: "b".to_owned(),
        kernel: "6.12.107".to_owned(),
        version: "0.1.0".to_owned(),
        phase: Phase::Idle,
        waits_for: None,
        hold: None,
        verdict: Severity::Ok,
        findings: Vec::new(),
        votes: Vec::new(),
        plan_floor: 0,
        ran: None,
        sequence: 1,
    }
}

fn updates(security: bool) -> Updates {
    let change = |name: &str, from: Option<&str>, to: &str| PackageChange {
        name: name.to_owned(),
        architecture: "amd64".to_owned(),
        from: from.map(str::to_owned),
        to: Some(to.to_owned()),
        security,
    };
    let packages = vec![change("curl", Some("8.1"), "8.2"), change("linux-image-6.12.110", None, "6.12.110-1")];
    Updates {
        packages: PackageSet::new(packages),
        reboot: Reboot { kind: RebootKind::Full, why: "kernel 6.12.107 is followed by 6.12.110".to_owned() },
        kernel: Some("6.12.110".to_owned()),
        on_offer_seconds: 0,
        answers: 0,
        download_bytes: 1 << 20,
        failed: None,
    }
}

/// A fleet whose three nodes have said what they would install.
fn desk(policy: &str, security: bool) -> Desk {
    let desk = Desk::on(runtime().unwrap(), Records::new(Arc::new(Memory::new())), "anna".to_owned());
    let person = desk.person();
    desk.commit(|_| Vec::new(), |view| Ok(operator::adopt(view, &person, "life".to_owned(), "made"))).unwrap();
    let policy = parse("fleet.toml".as_ref(), policy).unwrap();
    put(&desk, Key::Fleet, Record::Fleet(Box::new(policy)));
    for node in ["pve1", "pve2", "nas"] {
        put(&desk, Key::Report(node.to_owned()), Record::Report(Box::new(report(node))));
        put(&desk, Key::Updates(node.to_owned()), Record::Updates(updates(security)));
    }
    desk
}

fn wish() -> Wish {
    Wish { packages: true, ..Wish::default() }
}

fn approve_as_anna(desk: &Desk, word: &str) {
    let person = desk.person();
    let decide = |view: &View| {
        let (id, plan) = find(view, word)?;
        Ok(operator::approve(view, &person, plan, id, "read it"))
    };
    desk.commit(|_| Vec::new(), decide).unwrap();
}

fn start_as_anna(desk: &Desk, id: &str) -> anyhow::Result<()> {
    let person = desk.person();
    let decide = |view: &View| {
        operator::start(view, &person, id, "").map_err(|blockers| refused("it was not started", &blockers))
    };
    desk.commit(|_| Vec::new(), decide).map(|_| ())
}

#[test]
fn a_plan_reads_well() {
    let desk = desk(POLICY, false);
    let (id, view) = keep(&desk, &wish(), Some("2026-12-06")).unwrap();
    let document = PlanDocument {
        id: "7f3a09c2",
        plan: &view.plans[&id].value,
        approved_by: None,
        blockers: blockers_now(&view, &id),
    };
    assert_golden("rollout-plan.txt", &screen(&document, &view));
}

#[test]
fn plans_are_found_by_name_and_by_the_beginning_of_their_id() {
    let desk = desk(POLICY, false);
    let (id, _) = keep(&desk, &wish(), Some("december")).unwrap();
    let (later, view) = keep(&desk, &Wish { nodes: vec!["pve1".to_owned()], ..wish() }, Some("december")).unwrap();
    assert_eq!(find(&view, "december").unwrap().0, &later, "the newest of a name");
    assert_eq!(find(&view, &id[..12]).unwrap().0, &id);
    assert!(find(&view, "").unwrap_err().to_string().starts_with("no plan is called"));
    assert!(find(&view, "january").unwrap_err().to_string().contains("hardstand rollout history"));
    assert!(find_or_current(&view, None).unwrap_err().to_string().contains("nothing was ever started"));
}

#[test]
fn nothing_starts_without_an_approval_and_nothing_older_than_what_ran() {
    let desk = desk(POLICY, false);
    let (first, _) = keep(&desk, &wish(), Some("first")).unwrap();
    let told = start_as_anna(&desk, &first).unwrap_err().to_string();
    assert!(told.contains("the plan is not approved") && told.contains("hardstand rollout approve"), "{told}");
    let (second, _) = keep(&desk, &wish(), Some("second")).unwrap();
    approve_as_anna(&desk, "first");
    approve_as_anna(&desk, "second");
    start_as_anna(&desk, &second).unwrap();
    let told = start_as_anna(&desk, &first).unwrap_err().to_string();
    assert!(told.contains("rollout second is running") && told.contains("is not newer than the last"), "{told}");
}

#[test]
fn an_open_window_approves_what_its_rule_allows_and_no_more() {
    let windowed = |approves: &str| {
        // Opens every minute for two, so it is always open.
        let window = format!(
            "{POLICY}\n[window.always]\ncalendar = \"*-*-* *:*:00\"\nduration = \"2m\"\napproves = \"{approves}\"\n"
        );
        move |security| {
            let desk = desk(&window, security);
            let (id, _) = keep(&desk, &wish(), Some("plan")).unwrap();
            approve_by_window(&desk, "plan").unwrap();
            desk.view().unwrap().approvals.get(&id).map(|approval| approval.value.by.clone())
        }
    };
    assert_eq!(windowed("all")(false).as_deref(), Some("window:always"));
    assert_eq!(windowed("security")(true).as_deref(), Some("window:always"));
    assert_eq!(windowed("security")(false), None);
    assert_eq!(windowed("nothing")(true), None);
}

#[test]
fn what_is_in_the_way_is_named_with_a_way_out() {
    let desk = desk(POLICY, false);
    let (id, view) = keep(&desk, &wish(), Some("plan")).unwrap();
    let checks = |view: &View| blockers_now(view, &id).into_iter().map(|one| one.check).collect::<Vec<_>>();
    assert!(checks(&view).contains(&"node".to_owned()), "no agent has a session: {:?}", checks(&view));
    let mut sick = report("pve2");
    sick.hold = Some(hardstand_core::status::Hold {
        reason: "pool".to_owned(),
        next_action: "zpool status".to_owned(),
        told: true,
    });
    put(&desk, Key::Report("pve2".to_owned()), Record::Report(Box::new(sick)));
    let blockers = blockers_now(&desk.view().unwrap(), &id);
    assert!(blockers.iter().all(|one| !one.way_out.is_empty()), "{blockers:?}");
}

#[test]
fn a_runbook_tells_the_plan_and_the_record() {
    let desk = desk(POLICY, false);
    let (id, _) = keep(&desk, &wish(), Some("2026-12-06")).unwrap();
    approve_as_anna(&desk, "2026-12-06");
    start_as_anna(&desk, &id).unwrap();
    let (view, audit) = desk.read().unwrap();
    let text = runbook::markdown_of(&view, &audit, &id, &view.plans[&id].value);
    for wanted in [
        "# Rollout 2026-12-06",
        "- approved by operator:anna",
        "under way; 0 of 3 nodes done",
        "audit chain whole up to record 4",
        "| curl:amd64 | 8.1 | 8.2 |  |",
        "| linux-image-6.12.110:amd64 | (new) | 6.12.110-1 |  |",
        "| operator:anna | started |",
    ] {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
}
