//! The served store and its client against the contract, over a line that can be cut, silenced and muted.
//!
//! It must never be part of the program.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hardstand_core::store::{Answer, Revision};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::contract::{Faults, Subject, contract, contract_of_faults, run};
use super::{Doing, Embedded, Remote, Store, StoreError, Txn, serve};
use crate::trust::samples::{House, days, node, operator};
use crate::trust::{Identity, Trust};

/// A store, served on loopback.
pub(super) struct Served {
    pub(super) house: House,
    pub(super) store: Embedded,
    pub(super) address: SocketAddr,
    pub(super) files: crate::trust::TrustFiles,
    server: JoinHandle<std::convert::Infallible>,
    room: tempfile::TempDir,
}

impl Served {
    pub(super) async fn new() -> Self {
        let house = House::new();
        let files = house.files(&house.leaf(&node("pve1")));
        Self::with(house, files).await
    }

    pub(super) async fn with(house: House, files: crate::trust::TrustFiles) -> Self {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("store.redb");
        Embedded::create(&path).unwrap();
        let store = Embedded::open(&path).unwrap();
        let trust = Arc::new(Trust::load(files.clone()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve::serve(listener, trust, store.clone()));
        Self { house, store, address, files, server, room }
    }

    /// A client with a good certificate.
    pub(super) fn client(&self, who: &Identity) -> Remote {
        let files = self.house.files(&self.house.leaf(who));
        let trust = Arc::new(Trust::load(files).unwrap());
        Remote::at(&format!("https://{}", self.address), trust).unwrap()
    }
}

/// What the line does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Line {
    /// Connections made before this are cut.
    cuts: u64,
    silent: bool,
    mute: bool,
}

struct Proxied {
    served: Served,
    line: watch::Sender<Line>,
}

impl Faults for Proxied {
    fn compact(&self, revision: Revision) -> Doing<'_, ()> {
        Box::pin(self.served.store.compact(revision))
    }
    fn cut(&self) {
        self.line.send_modify(|line| line.cuts += 1);
    }
    fn silence(&self, on: bool) {
        self.line.send_modify(|line| line.silent = on);
    }
    fn mute(&self, on: bool) {
        self.line.send_modify(|line| line.mute = on);
    }
}

async fn open() -> Subject {
    let served = Served::new().await;
    let (line, _) = watch::channel(Line::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (to, lines) = (served.address, line.clone());
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::spawn(pass(near_read, far_write, lines.subscribe(), |_| false));
            tokio::spawn(pass(far_read, near_write, lines.subscribe(), |line| line.mute));
        }
    });
    let files = served.house.files(&served.house.leaf(&operator("anna")));
    let client = Remote::at(&format!("https://{address}"), Arc::new(Trust::load(files).unwrap())).unwrap();
    Subject { store: Arc::new(client), faults: Box::new(Proxied { served, line }) }
}

/// Passes bytes on, as the line allows, until it is cut.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    swallows: impl Fn(&Line) -> bool,
) {
    let made = line.borrow().cuts;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let now = *line.borrow_and_update();
        if now.cuts != made {
            return;
        }
        tokio::select! {
            changed = line.changed() => if changed.is_err() { return },
            read = from.read(&mut bytes), if !now.silent => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let now = *line.borrow();
                    if now.cuts != made || !swallows(&now) && to.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            },
        }
    }
}

contract!(open);
contract_of_faults!(open);

/// A file is let go of by its thread, a moment after its last user.
const FREE_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn the_file_is_free_when_the_server_has_ended_though_a_peer_holds_on() {
    run(async {
        let served = Served::new().await;
        let client = served.client(&node("pve2"));
        let (_, revision) = client.range("/").await.unwrap();
        let mut watch = client.watch("/hardstand/", revision);
        watch.next().await.unwrap();
        let Served { store, server, room, .. } = served;
        server.abort();
        drop(store);
        let path = room.path().join("store.redb");
        let free = async {
            while Embedded::open(&path).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(FREE_LIMIT, free).await.expect("somebody still holds the file");
    });
}

fn put(rest: &str) -> Txn {
    Txn::new().put(format!("/hardstand/v1/{rest}"), "x".to_owned())
}

async fn denied(store: &dyn Store, txn: &Txn) -> String {
    match store.txn(txn).await {
        Err(StoreError::Denied { why }) => why,
        other => panic!("{other:?}: {txn:?}"),
    }
}

#[test]
fn each_writes_what_is_its_own() {
    run(async {
        let served = Served::new().await;
        let (pve1, pve2, anna) =
            (served.client(&node("pve1")), served.client(&node("pve2")), served.client(&operator("anna")));
        let own = put("node/pve1/report");
        assert!(matches!(pve1.txn(&own).await, Ok(Answer::Committed { .. })));
        let before = served.store.range("/").await.unwrap();
        assert_eq!(denied(&pve2, &own).await, "node pve2 may not write /hardstand/v1/node/pve1/report");
        assert_eq!(denied(&anna, &own).await, "operator anna may not write /hardstand/v1/node/pve1/report");
        denied(&pve1, &put("fleet")).await;
        denied(&pve1, &Txn::new().delete("/hardstand/v1/node/pve2/report".to_owned())).await;
        denied(&pve1, &own.clone().put("/hardstand/v1/fleet".to_owned(), "with it".to_owned())).await;
        let why = denied(&pve1, &put("audit/00000000000000000001")).await;
        assert!(why.contains("only once, if it does not exist"), "{why}");
        denied(&pve1, &Txn::new().delete("/hardstand/v1/halt".to_owned())).await;
        denied(&anna, &put("anything")).await;
        assert_eq!(served.store.range("/").await.unwrap(), before);
        assert!(matches!(pve2.txn(&put("halt")).await, Ok(Answer::Committed { .. })));
        assert!(matches!(anna.txn(&put("fleet")).await, Ok(Answer::Committed { .. })));
        assert_eq!(pve2.range("/").await.unwrap().0.len(), 3, "all may read");
    });
}

#[test]
fn a_session_is_its_owner_s_over_the_wire() {
    run(async {
        let served = Served::new().await;
        let (pve1, pve2) = (served.client(&node("pve1")), served.client(&node("pve2")));
        let session = pve1.session(Duration::from_secs(30)).await.unwrap();
        let txn = Txn::new().put_in_session("/hardstand/v1/leader".to_owned(), "x".to_owned(), session.id());
        assert!(matches!(pve2.txn(&txn).await, Err(StoreError::SessionLost { .. })));
        assert!(matches!(pve1.txn(&txn).await, Ok(Answer::Committed { .. })));
    });
}

#[test]
fn a_new_list_reaches_open_connections() {
    run(async {
        let served = Served::new().await;
        let leaf = served.house.odd(&node("pve2"), |params| params.serial_number = Some(77_u64.into()));
        let trust = Arc::new(Trust::load(served.house.files(&leaf)).unwrap());
        let client = Remote::at(&format!("https://{}", served.address), trust).unwrap();
        let (_, revision) = client.range("/").await.unwrap();
        let mut watch = client.watch("/hardstand/", revision);
        watch.next().await.unwrap();
        std::fs::write(&served.files.list, served.house.list(&[77], days(30))).unwrap();
        let why = denied(&client, &put("halt")).await;
        assert!(why.contains("Revoked"), "{why}");
        loop {
            match watch.next().await {
                Ok(_) => {}
                Err(error) => break assert!(matches!(error, StoreError::Denied { .. }), "{error}"),
            }
        }
        assert_eq!(served.store.range("/").await.unwrap().0, []);
        assert!(served.client(&node("pve3")).get("/k").await.is_ok(), "the others go on");
    });
}

#[test]
fn a_list_that_goes_bad_lets_nobody_in_until_it_is_good_again() {
    run(async {
        let served = Served::new().await;
        let client = served.client(&node("pve2"));
        client.get("/k").await.unwrap();
        let good = std::fs::read_to_string(&served.files.list).unwrap();
        std::fs::write(&served.files.list, &good[..good.len() / 2]).unwrap();
        assert!(matches!(client.txn(&put("halt")).await, Err(StoreError::Denied { .. })));
        assert!(served.client(&node("pve3")).txn(&put("halt")).await.is_err());
        assert_eq!(served.store.range("/").await.unwrap().0, []);
        std::fs::write(&served.files.list, good).unwrap();
        assert!(matches!(client.txn(&put("halt")).await, Ok(Answer::Committed { .. })));
    });
}
