//! Tests of what is asked, and how often: a made-up server without TLS answers what a table says, and counts.

use std::sync::{Arc, Mutex};

use hardstand_core::observed::PveNode;
use hardstand_core::settings::ProxmoxSettings;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::super::{Access, Memory, probe_node};
use super::*;
use crate::host::Scratch;
use crate::host::https::Authorities;

/// What is answered by the path; what is not in it is not known.
type Table = Arc<Mutex<BTreeMap<String, Value>>>;

struct Made {
    table: Table,
    asked: Arc<Mutex<Vec<String>>>,
    settings: ProxmoxSettings,
    access: Access,
    memory: Memory,
    server: AbortHandle,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Made {
    /// A cluster of two nodes, with one guest here that was backed up alone there.
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = ProxmoxSettings {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            ..ProxmoxSettings::default()
        };
        let (table, asked) = (Table::default(), Arc::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&table), Arc::clone(&asked))).abort_handle();
        let host = Scratch::new();
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        host.write("ca.pem", authority.pem());
        let access = Access {
            token: HeaderValue::from_static("PVEAPIToken=a@pve!b=c"),
            token_id: "a@pve!b".to_owned(),
            authorities: Authorities::read(&host, Some("/ca.pem")).unwrap(),
            node: "one".to_owned(),
        };
        let made = Self { table, asked, settings, access, memory: Memory::default(), server };
        made.guests(&[100]);
        made.set("/cluster/ha/status/current", json!([{ "type": "quorum", "status": "OK", "quorate": 1 }]));
        made.set("/cluster/backup-info/not-backed-up", json!([]));
        made.set("/nodes/one/storage", json!([]));
        made.set("/nodes/one/replication", json!([]));
        made.set("/nodes/one/tasks", json!([]));
        made.set("/nodes/two/tasks", json!([task("two", "100", 7, "OK")]));
        made
    }

    fn set(&self, path: &str, data: Value) {
        self.table.lock().unwrap().insert(path.to_owned(), data);
    }

    /// The guests of this node, each with its configuration.
    fn guests(&self, vmids: &[u64]) {
        let mut rows = vec![
            json!({ "type": "node", "id": "node/one", "node": "one", "status": "online" }),
            json!({ "type": "node", "id": "node/two", "node": "two", "status": "online" }),
        ];
        for vmid in vmids {
            let id = format!("qemu/{vmid}");
            rows.push(json!({ "type": "qemu", "id": id, "node": "one", "status": "running" }));
            self.set(&format!("/nodes/one/{id}/config"), json!({ "scsi0": "nas:disk", "digest": "d" }));
        }
        self.set("/cluster/resources", rows.into());
    }

    async fn ask(&self) -> PveNode {
        probe_node(&self.access, &self.settings, &self.memory).await.unwrap()
    }

    /// What was asked since the last time, without what is behind the question mark.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

async fn serve(listener: TcpListener, table: Table, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default().trim_start_matches("/api2/json").to_owned();
        asked.lock().unwrap().push(path.clone());
        let (status, body) = match table.lock().unwrap().get(&path) {
            Some(data) => ("200 OK", json!({ "data": data }).to_string()),
            None => ("501 not implemented", String::new()),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn task(node: &str, id: &str, end: u64, status: &str) -> Value {
    let upid = format!("UPID:{node}:0003A1B2:0123ABCD:{end:08X}:vzdump:{id}:root@pam:");
    json!({ "upid": upid, "node": node, "type": "vzdump", "id": id, "starttime": end - 1, "endtime": end, "status": status })
}

/// What each turn asks.
const EACH_TURN: [&str; 5] = [
    "/cluster/ha/status/current",
    "/cluster/resources",
    "/nodes/one/replication",
    "/nodes/one/storage",
    "/nodes/one/tasks",
];

fn last(node: &PveNode) -> Vec<(u64, u64)> {
    node.backups.known().unwrap().last_unix_seconds.iter().map(|(vmid, at)| (*vmid, *at)).collect()
}

#[tokio::test]
async fn what_changes_seldom_is_asked_once_and_when_guests_come() {
    let made = Made::new().await;
    let node = made.ask().await;
    assert_eq!(last(&node), [(100, 7)]);
    assert_eq!(node.configs["qemu/100"].known().unwrap().storages, ["nas"]);
    assert_eq!(node.uncovered, Reading::Known(Vec::new()));
    let mut all = EACH_TURN.to_vec();
    all.extend([
        "/cluster/backup-info/not-backed-up",
        "/nodes/one/qemu/100/config",
        "/nodes/one/tasks",
        "/nodes/two/tasks",
    ]);
    all.sort_unstable();
    assert_eq!(made.asked(), all);
    assert_eq!(last(&made.ask().await), [(100, 7)]);
    assert_eq!(made.asked(), EACH_TURN);
    made.guests(&[100, 101]);
    assert_eq!(made.ask().await.configs.len(), 2);
    let asked = made.asked();
    assert!(asked.contains(&"/nodes/one/qemu/101/config".to_owned()), "{asked:?}");
    assert!(asked.contains(&"/nodes/two/tasks".to_owned()), "{asked:?}");
    assert!(!asked.contains(&"/nodes/one/qemu/100/config".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn a_backup_that_has_ended_is_seen_in_the_next_turn() {
    let made = Made::new().await;
    let mut running = task("one", "100", 9, "RUNNING");
    running.as_object_mut().unwrap().remove("endtime");
    made.set("/nodes/one/tasks", json!([running]));
    assert_eq!(last(&made.ask().await), [(100, 7)], "one that runs is none yet");
    made.set("/nodes/one/tasks", json!([task("one", "100", 9, "OK")]));
    assert_eq!(last(&made.ask().await), [(100, 9)]);
    made.asked();
    made.ask().await;
    assert_eq!(made.asked(), EACH_TURN);
}

#[tokio::test]
async fn only_what_went_well_is_a_backup() {
    let made = Made::new().await;
    made.guests(&[100, 101]);
    let tasks = [
        task("one", "100", 13, "unable to find VM '100'"),
        task("one", "", 12, "job errors"),
        task("one", "100", 11, "WARNINGS: 2"),
    ];
    let upid = encoded(tasks[1]["upid"].as_str().unwrap());
    made.set("/nodes/one/tasks", json!(tasks));
    let line = |text: &str| json!({ "n": 1, "t": text });
    let log = [line("ERROR: Backup of VM 100 failed - no space"), line("INFO: Finished Backup of VM 101 (00:00:01)")];
    made.set(&format!("/nodes/one/tasks/{upid}/log"), json!(log));
    let node = made.ask().await;
    assert_eq!(last(&node), [(100, 11), (101, 12)]);
    assert!(node.backups.known().unwrap().unseen.is_empty());
}

#[tokio::test]
async fn what_cannot_be_looked_into_is_told_and_asked_again() {
    let made = Made::new().await;
    made.table.lock().unwrap().remove("/nodes/two/tasks");
    let unseen = |node: &PveNode| node.backups.known().unwrap().unseen.join("; ");
    let node = made.ask().await;
    let told = unseen(&node);
    assert!(told.starts_with("two: GET /nodes/two/tasks?typefilter=vzdump&source=all&since="), "{told}");
    assert!(told.contains("it answered 501 (not implemented)"), "{told}");
    made.set("/nodes/two/tasks", json!([task("two", "", 7, "OK")]));
    let told = unseen(&made.ask().await);
    assert!(told.contains("/log?limit=20000") && told.contains("501"), "{told}");
    made.set("/nodes/two/tasks", json!([task("two", "100", 7, "OK")]));
    assert_eq!(last(&made.ask().await), [(100, 7)]);
    made.guests(&[100, 101]);
    made.table.lock().unwrap().remove("/nodes/one/tasks");
    let node = made.ask().await;
    assert!(node.backups.why().unwrap().contains("/nodes/one/tasks"), "{:?}", node.backups);
    assert!(node.tasks.why().is_some() && node.storages.known().is_some());
    made.table.lock().unwrap().remove("/cluster/resources");
    let error = probe_node(&made.access, &made.settings, &made.memory).await.unwrap_err().to_string();
    assert!(error.starts_with("asking Proxmox VE: GET /cluster/resources at http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn many_logs_and_guests_are_looked_into_in_several_turns() {
    let made = Made::new().await;
    let many: Vec<u64> = (100..100 + CONFIGS as u64 + 5).collect();
    made.guests(&many);
    let tasks: Vec<Value> = (0..LOGS as u64 + 5).map(|number| task("one", "", 100 + number, "OK")).collect();
    for task in &tasks {
        let upid = encoded(task["upid"].as_str().unwrap());
        made.set(&format!("/nodes/one/tasks/{upid}/log"), json!([{ "n": 1, "t": "TASK OK" }]));
    }
    made.set("/nodes/one/tasks", json!(tasks));
    let node = made.ask().await;
    let unknown = |node: &PveNode| node.configs.values().filter(|config| config.known().is_none()).count();
    assert_eq!((node.configs.len(), unknown(&node)), (CONFIGS + 5, 5));
    assert_eq!(node.backups.known().unwrap().unseen, ["5 logs are looked into in the next minutes"]);
    made.asked();
    let node = made.ask().await;
    assert_eq!(unknown(&node), 0);
    assert!(node.backups.known().unwrap().unseen.is_empty());
    let logs = made.asked().iter().filter(|path| path.ends_with("/log")).count();
    assert_eq!(logs, 5, "a log that was read is not read again");
}
