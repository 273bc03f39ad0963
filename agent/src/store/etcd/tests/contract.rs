//! The contract of all engines, against one real member and against three. The cluster has its own thread and
//! namespaces; the client reaches it from here through a proxy on loopback, which makes the contract's faults.

use std::sync::Arc;
use std::time::Duration;

use hardstand_core::store::Revision;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::super::super::Doing;
use super::super::super::contract::{Faults, Subject, contract, contract_of_faults};
use super::super::wire::{CompactRequest, Empty};
use super::super::{Etcd, Kind, refusal};
use super::lab::{Cluster, LOOPBACK, address, in_lab};
use super::proxy::{Way, serve};

/// Longer than the longest clause; the cluster ends with its subject.
const STORY_LIMIT: Duration = Duration::from_secs(180);
const ASK_LIMIT: Duration = Duration::from_secs(5);

struct Fixture {
    etcd: Etcd,
    way: Arc<Way>,
    /// Its drop ends the cluster.
    _stop: oneshot::Sender<()>,
    _trust: tempfile::TempDir,
}

impl Faults for Fixture {
    fn compact(&self, revision: Revision) -> Doing<'_, ()> {
        Box::pin(async move {
            let request = CompactRequest { revision: i64::try_from(revision).unwrap(), physical: true };
            let done = self.etcd.ask("/etcdserverpb.KV/Compact", &request, Kind::Write, ASK_LIMIT).await;
            done.map(|Empty {}| ()).map_err(refusal::of_write)
        })
    }
    fn cut(&self) {
        self.way.cut();
    }
    fn silence(&self, on: bool) {
        self.way.hold(on, on);
    }
    fn mute(&self, on: bool) {
        self.way.hold(false, on);
    }
}

async fn open(count: usize) -> Subject {
    let way = Way::new();
    let trust = tempfile::tempdir().unwrap();
    let (mut urls, mut listeners) = (Vec::new(), Vec::new());
    for i in 0..count {
        let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        urls.push(format!("https://{}", listener.local_addr().unwrap()));
        listeners.push((i, listener));
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, is_ready) = oneshot::channel();
    let (lab_way, copies) = (Arc::clone(&way), trust.path().to_owned());
    std::thread::spawn(move || {
        in_lab(STORY_LIMIT, async move || {
            let cluster = Cluster::up(count, &[]).await;
            for (i, listener) in listeners {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::spawn(serve(listener, (address(i), 2379), Arc::clone(&lab_way)));
            }
            for file in ["ca.pem", "client.pem", "client.key"] {
                std::fs::copy(cluster.trust.path(file), copies.join(file)).unwrap();
            }
            ready.send(()).unwrap();
            let _ = stopped.await;
        });
    });
    is_ready.await.expect("the cluster comes up");
    let file = |name: &str| trust.path().join(name);
    let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let etcd = Etcd::new(super::super::Endpoints { urls, ca, cert, key });
    let faults = Box::new(Fixture { etcd: etcd.clone(), way, _stop: stop, _trust: trust });
    Subject { store: Arc::new(etcd), faults }
}

mod one_member {
    use super::{Subject, contract, contract_of_faults};

    async fn open() -> Subject {
        super::open(1).await
    }

    contract!(open);
    contract_of_faults!(open);
}

mod three_members {
    use super::{Subject, contract, contract_of_faults};

    async fn open() -> Subject {
        super::open(3).await
    }

    contract!(open);
    contract_of_faults!(open);
}
