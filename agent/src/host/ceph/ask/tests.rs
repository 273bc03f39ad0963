//! Tests of asking Ceph, by a tool that says what a real one has said.

use hardstand_core::observed::{CephOkToStop, Moment, Role};
use hardstand_core::{Gate, History, Observed, Sample, Settings, judge};

use super::*;
use crate::host::Scratch;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// A node with Ceph's tool and its configuration, on which osd.0, mon.a and mgr.x run.
struct Node {
    scratch: Scratch,
    settings: CephSettings,
    last: LastAsked,
}

impl Node {
    fn new(state: &str) -> Self {
        let scratch = Scratch::new();
        scratch.write("etc/ceph/ceph.conf", "[global]\n");
        scratch.write("etc/ceph/ceph.client.hardstand.keyring", "");
        scratch.write("proc/sys/kernel/hostname", "this\n");
        scratch.write("proc/7/comm", "ceph-osd\n");
        scratch.write("usr/bin/called", "");
        std::os::unix::fs::symlink(format!("{FIXTURES}/ceph-tool"), scratch.path(TOOL)).unwrap();
        let node = Self { scratch, settings: CephSettings::default(), last: LastAsked::default() };
        node.says(state);
        node
    }

    /// Has the tool say what Ceph's own said in a state of the lab's cluster.
    fn says(&self, state: &str) {
        for (question, file) in [
            ("status", "status.json"),
            ("health-detail", "health.json"),
            ("node-ls", "nodes.json"),
            ("osd-tree", "tree.json"),
            ("osd-ok-to-stop-0", "osd-stop.txt"),
            ("mon-ok-to-stop-a", "mon-stop.txt"),
        ] {
            let text = std::fs::read_to_string(format!("{FIXTURES}/lab/ceph/{state}-{file}")).unwrap();
            let (errors, answer): (Vec<&str>, Vec<&str>) =
                text.lines().partition(|line| line.starts_with(ERROR) || line.starts_with("quorum should"));
            let is_no = errors.iter().any(|line| line.starts_with(ERROR));
            self.answer(question, &answer.join("\n"), &errors.join("\n"), if is_no { 16 } else { 0 });
        }
    }

    fn answer(&self, question: &str, stdout: &str, stderr: &str, code: u8) {
        self.scratch.write(&format!("usr/bin/{question}"), stdout);
        self.scratch.write(&format!("usr/bin/{question}.err"), stderr);
        self.scratch.write(&format!("usr/bin/{question}.rc"), code.to_string());
    }

    fn asks(&self) -> Result<Option<CephCluster>, HostError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(probe_cluster(&self.scratch, &self.settings, &self.last))
    }

    fn cluster(&self) -> CephCluster {
        self.asks().unwrap().unwrap()
    }

    fn why(&self) -> String {
        self.asks().unwrap_err().to_string()
    }

    /// What it was asked since the last look.
    fn questions(&self) -> Vec<String> {
        let called = std::fs::read_to_string(self.scratch.path("usr/bin/called")).unwrap();
        self.scratch.write("usr/bin/called", "");
        let question = |line: &str| line.split_once("--format json ").map(|(_, question)| question.to_owned()).unwrap();
        called.lines().map(question).collect()
    }
}

fn answer(stop: &CephStop) -> &CephOkToStop {
    stop.answer.known().unwrap_or_else(|| panic!("{stop:?}"))
}

const ALL: [&str; 6] = ["status", "health detail", "node ls", "osd tree", "osd ok-to-stop 0", "mon ok-to-stop a"];

#[test]
fn a_cluster_is_asked_for_all_once_and_for_its_status_while_nothing_changes() {
    let node = Node::new("well");
    let cluster = node.cluster();
    assert_eq!(cluster.local, ["mgr.x", "mon.a", "osd.0"]);
    assert_eq!(cluster.strangers, [] as [&str; 0]);
    assert_eq!(cluster.tree.osds.len(), 3);
    assert!(answer(&cluster.stops[0]).allows(&["osd.0"]) && answer(&cluster.stops[1]).allows(&["mon.a"]));
    assert_eq!(node.questions(), ALL);
    let again = node.cluster();
    assert_eq!(node.questions(), ["status"]);
    assert_eq!((&again.stops, &again.local), (&cluster.stops, &cluster.local));
    node.says("osd-down");
    let sick = node.cluster();
    assert_eq!(node.questions(), ALL, "something has changed");
    assert_eq!(sick.status.osds.up, Some(2));
    assert!(sick.status.health.check("OSD_DOWN").unwrap().detail[0].contains("osd.1"));
    assert_eq!(answer(&sick.stops[0]).ok, Some(false));
    let still = node.cluster();
    assert_eq!(node.questions(), ["status"], "that it is not well keeps the node up, whatever else is told");
    assert_eq!((&still.status, &still.stops), (&sick.status, &sick.stops));
    node.last.0.lock().unwrap().as_mut().unwrap().at -= ILL_AGAIN;
    node.cluster();
    assert_eq!(node.questions(), ALL, "that was too long ago");
    node.says("mon-down");
    assert_eq!(answer(&node.cluster().stops[1]).ok, Some(false));
}

#[test]
fn after_a_failure_all_is_asked_again() {
    let node = Node::new("well");
    node.cluster();
    node.answer("status", "", "[errno 110] RADOS timed out (error connecting to the cluster)\n", 1);
    let why = node.why();
    assert!(why.contains("ceph status ended with exit status 1: [errno 110] RADOS timed out"), "{why}");
    node.questions();
    node.says("well");
    node.cluster();
    assert_eq!(node.questions(), ALL);
}

#[test]
fn no_ceph_is_none_and_half_of_one_is_an_error() {
    let node = Node::new("well");
    std::fs::remove_file(node.scratch.path("etc/ceph/ceph.conf")).unwrap();
    assert!(node.why().contains("ceph-osd runs on this host, and there is no "), "{}", node.why());
    std::fs::remove_file(node.scratch.path("proc/7/comm")).unwrap();
    assert_eq!(node.asks().unwrap(), None);
    // As on Proxmox VE while its cluster file system is away.
    std::os::unix::fs::symlink("/etc/pve/nothing-of-it.conf", node.scratch.path("etc/ceph/ceph.conf")).unwrap();
    node.answer("status", "", "Error initializing cluster client: ObjectNotFound('error calling conf_read_file')\n", 1);
    let why = node.why();
    assert!(why.contains("cannot be read") && why.contains("ceph config generate-minimal-conf > "), "{why}");
    std::fs::remove_file(node.scratch.path(TOOL)).unwrap();
    assert_eq!(node.asks().unwrap(), None);
    assert_eq!(node.questions(), ["status"]);

    let mut node = Node::new("well");
    std::fs::remove_file(node.scratch.path("proc/7/comm")).unwrap();
    node.settings.conf = "/etc/ceph/other.conf".to_owned();
    assert!(node.why().contains("[ceph] conf names "), "{}", node.why());
}

#[test]
fn a_refusal_says_what_an_administrator_can_do() {
    let log = "2026-11-26T11:29:19.970+0000 7f5d4a59c6c0 -1 monclient(hunting): handle_auth_bad_method\n";
    let refused = format!("{log}[errno 13] RADOS permission denied (error connecting to the cluster)\n{log}");
    let node = Node::new("well");
    let path = node.scratch.path("etc/ceph/ceph.client.hardstand.keyring");
    node.answer("status", "", &refused, 1);
    let why = node.why();
    assert!(why.contains("[errno 13]") && why.contains("the cluster does not know the key in "), "{why}");
    std::fs::remove_file(&path).unwrap();
    let (why, path) = (node.why(), path.display());
    let expected = format!(
        "its key {path} cannot be read (No such file or directory (os error 2)); as Ceph's administrator: ceph auth \
         get-or-create client.hardstand mon 'allow r' mgr 'allow command \"osd ok-to-stop\"' -o {path} && chown \
         root:hardstand {path} && chmod 640 {path}"
    );
    assert!(why.ends_with(&expected), "{why}");
    let node = Node::new("well");
    node.answer("node-ls", "", "Error EACCES: access denied\n", 13);
    assert!(
        node.why().ends_with("ceph auth caps client.hardstand mon 'allow r' mgr 'allow command \"osd ok-to-stop\"'")
    );
}

#[test]
fn one_answer_that_is_missing_takes_no_other_away() {
    let node = Node::new("well");
    node.answer("osd-ok-to-stop-0", "", "Error EACCES: access denied\n", 13);
    let stops = node.cluster().stops;
    assert!(stops[0].answer.why().unwrap().contains("ceph auth caps client.hardstand"), "{stops:?}");
    assert_eq!(answer(&stops[1]).ok, Some(true));
    let text = std::fs::read_to_string(node.scratch.path("usr/bin/status")).unwrap();
    node.answer("status", &text.replace(r#""available":true"#, r#""available":false"#), "", 0);
    node.questions();
    let why = node.cluster().stops[0].answer.why().unwrap().to_owned();
    assert!(why.contains("no manager is available"), "{why}");
    assert!(!node.questions().contains(&"osd ok-to-stop 0".to_owned()), "it would hang");
}

#[test]
fn a_log_line_is_no_answer_and_an_unknown_daemon_no_blank() {
    let node = Node::new("well");
    let said = "2026-11-26T11:29:19.970+0000 7f5d -1 asok(0x7) AdminSocketConfigObs::init: failed\n\
                quorum should be preserved (b,c) after stopping [a]\n";
    node.answer("mon-ok-to-stop-a", "\n", said, 0);
    node.scratch.write("proc/8/comm", "ceph-mds\n");
    node.scratch.write("proc/9/comm", "ceph-exporter\n");
    let cluster = node.cluster();
    assert_eq!(answer(&cluster.stops[1]).ok, Some(true));
    assert_eq!(cluster.strangers, ["ceph-mds"]);
}

#[test]
fn the_tool_is_called_with_a_limit_and_without_a_secret() {
    let node = Node::new("well");
    node.cluster();
    let called = std::fs::read_to_string(node.scratch.path("usr/bin/called")).unwrap();
    let (conf, keyring) =
        (node.scratch.path("etc/ceph/ceph.conf"), node.scratch.path("etc/ceph/ceph.client.hardstand.keyring"));
    let expected = format!(
        "--conf {} --name client.hardstand --keyring {} --connect-timeout 5 --format json status",
        conf.display(),
        keyring.display()
    );
    assert_eq!(called.lines().next(), Some(expected.as_str()));
}

/// What a cluster is found to be, as `CHECK SUBJECT SEVERITY`, where it keeps the node up.
fn in_the_way(cluster: CephCluster) -> Vec<String> {
    let mut seen = Observed::nothing(Moment::default(), "this", Role::Debian, "not read");
    seen.ceph = Sample::fresh(Some(cluster), 0.0);
    let health = judge(&seen, &Settings::default(), &mut History::default());
    let of_ceph = health.findings.iter().filter(|found| found.check.starts_with("ceph.") && found.gate != Gate::None);
    of_ceph.map(|found| format!("{} {} {}", found.check, found.subject, found.severity.word())).collect()
}

#[test]
fn what_the_lab_has_seen_is_judged() {
    let judged = |state: &str| in_the_way(Node::new(state).cluster());
    assert_eq!(judged("well"), [] as [&str; 0]);
    let osd_down = [
        "ceph.osds all crit",
        "ceph.stop osd crit",
        "ceph.check OSD_DOWN warn",
        "ceph.check OSD_HOST_DOWN warn",
        "ceph.check PG_DEGRADED warn",
        "ceph.health cluster warn",
        "ceph.pgs all warn",
    ];
    assert_eq!(judged("osd-down"), osd_down);
    let mon_down =
        ["ceph.mons quorum crit", "ceph.stop mon crit", "ceph.check MON_DOWN warn", "ceph.health cluster warn"];
    assert_eq!(judged("mon-down"), mon_down);
}

#[test]
fn flags_of_others_are_judged_by_name() {
    for (state, check) in [("noout", "OSDMAP_FLAGS"), ("noout-osd", "OSD_FLAGS")] {
        let node = Node::new("well");
        let text = std::fs::read_to_string(format!("{FIXTURES}/lab/ceph/{state}-health.json")).unwrap();
        let mut cluster = node.cluster();
        cluster.status.health = health::parse(&text).unwrap();
        assert_eq!(in_the_way(cluster), [format!("ceph.flags {check} warn"), "ceph.health cluster warn".to_owned()]);
    }
}

#[test]
fn samples_of_others_are_judged() {
    const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/ceph");
    for name in ["squid-status-degraded.json", "pve-cluster-ceph-status-reef.real.json"] {
        let Ok(text) = std::fs::read_to_string(format!("{SAMPLES}/{name}")) else {
            eprintln!("no sample {name} in {SAMPLES}; only our own texts were judged");
            continue;
        };
        let cluster = CephCluster { status: status::parse(&text).unwrap(), ..Node::new("well").cluster() };
        let found = in_the_way(cluster);
        assert!(found.iter().any(|one| one == "ceph.health cluster warn"), "{name}: {found:?}");
    }
}
