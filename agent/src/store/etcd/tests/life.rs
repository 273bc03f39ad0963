//! The everyday life of the engine at one member: what it reads and writes, what it is refused, and who it is.

use std::time::Duration;

use hardstand_core::store::access::Role;
use hardstand_core::store::{Answer, PREFIX};

use crate::trust::Identity;

use super::super::super::{News, Store, StoreError, Txn};
use super::super::wire::{CompactRequest, Empty};
use super::super::{Kind, auth, version};
use super::lab::{Cluster, Trust, in_lab};

const STORY_LIMIT: Duration = Duration::from_secs(120);

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn put(name: &str, value: &str) -> Txn {
    Txn::new().put(key(name), value.to_owned())
}

#[test]
fn one_member_reads_writes_and_pages() {
    in_lab(STORY_LIMIT, async || {
        let cluster = Cluster::up(1, &[]).await;
        let etcd = cluster.client("client", 0);
        assert_eq!(etcd.get(&key("a")).await, Ok(None));
        let made = etcd.txn(&put("a", "1").if_absent(key("a"))).await.unwrap();
        let Answer::Committed { revision } = made else { panic!("{made:?}") };
        let entry = etcd.get(&key("a")).await.unwrap().unwrap();
        assert_eq!((entry.value.as_str(), entry.created, entry.modified), ("1", revision, revision));
        let again = etcd.txn(&put("a", "2").if_absent(key("a"))).await.unwrap();
        assert_eq!(again, Answer::Conflict { revision });
        // More than two pages of one range.
        for batch in 0..11 {
            let txn =
                (0..100).fold(Txn::new(), |txn, i| txn.put(key(&format!("many/{batch:02}{i:02}")), i.to_string()));
            etcd.txn(&txn).await.unwrap();
        }
        let (found, _) = etcd.range(&key("many/")).await.unwrap();
        assert_eq!(found.len(), 1100);
        assert!(found.is_sorted_by(|one, two| one.0 < two.0));
        let status = cluster.status(0).await.unwrap();
        assert_eq!(version::warning(&status.version), None, "the etcd of the tests is a good one");
    });
}

#[test]
fn a_compacted_history_is_told_and_a_small_quota_is_full() {
    in_lab(STORY_LIMIT, async || {
        let cluster = Cluster::up(1, &["--quota-backend-bytes=16777216"]).await;
        let etcd = cluster.client("client", 0);
        for value in ["1", "2", "3"] {
            etcd.txn(&put("a", value)).await.unwrap();
        }
        let modified = etcd.get(&key("a")).await.unwrap().unwrap().modified;
        let request = CompactRequest { revision: i64::try_from(modified).unwrap(), physical: true };
        let limit = Duration::from_secs(5);
        let Empty {} = etcd.ask("/etcdserverpb.KV/Compact", &request, Kind::Write, limit).await.unwrap();
        let mut watch = etcd.watch(PREFIX, 1);
        let error = loop {
            match watch.next().await {
                Ok(News::Progress(1)) => {}
                Ok(news) => panic!("told after a compaction: {news:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
        let big = "x".repeat(1 << 20);
        let mut written = 0;
        let full = loop {
            match etcd.txn(&Txn::new().put(key(&format!("big/{written}")), big.clone())).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 64, "the quota is 16 MiB");
        };
        assert!(matches!(&full, StoreError::Unknown { why } if why.contains("space exceeded")), "{full}");
        // The one that filled it may have been written, and no other after it is.
        let last = etcd.get(&key(&format!("big/{written}"))).await.unwrap();
        assert!(last.is_none_or(|entry| entry.value == big), "a part of it was written");
        let next = key(&format!("big/{}", written + 1));
        let refused = etcd.txn(&Txn::new().put(next.clone(), big.clone())).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Unknown { why } if why.contains("space exceeded")), "{refused}");
        assert_eq!(etcd.get(&next).await, Ok(None), "a full etcd writes nothing more");
        assert!(etcd.get(&key(&format!("big/{}", written - 1))).await.unwrap().is_some());
    });
}

#[test]
fn strangers_are_refused_and_nothing_is_done() {
    in_lab(STORY_LIMIT, async || {
        let cluster = Cluster::up(1, &[]).await;
        let other = Trust::new();
        other.issue("client", &[]);
        // Their certificate, our authority: we believe the member, it does not believe us.
        let mut stranger = other.endpoints("client", vec![cluster.url(0)]);
        stranger.ca = cluster.trust.path("ca.pem");
        let told = super::super::Etcd::new(stranger).txn(&put("a", "1")).await.unwrap_err();
        assert!(!matches!(told, StoreError::Refused { .. } | StoreError::Full { .. }), "{told}");
        // Our certificate, their authority: we do not believe the member, and send nothing.
        let mut doubting = cluster.trust.endpoints("client", vec![cluster.url(0)]);
        doubting.ca = other.path("ca.pem");
        let told = super::super::Etcd::new(doubting).txn(&put("a", "1")).await.unwrap_err();
        assert!(matches!(&told, StoreError::OutOfReach { why } if why.contains("invalid peer certificate")), "{told}");
        let mut plain = cluster.trust.endpoints("client", vec![cluster.url(0).replace("https", "http")]);
        plain.urls.push("https://10.88.0.1".to_owned());
        let told = super::super::Etcd::new(plain).get(&key("a")).await.unwrap_err();
        assert!(told.to_string().contains("mutual TLS is the only way in"), "{told}");
        assert_eq!(cluster.client("client", 0).get(&key("a")).await, Ok(None));
    });
}

#[test]
fn a_node_is_confined_to_its_own() {
    in_lab(STORY_LIMIT, async || {
        let cluster = Cluster::up(1, &[]).await;
        let of = |role: Role, name: &str| Identity { role, name: name.to_owned() };
        let (pve1, pve2) = (of(Role::Node, "pve1"), of(Role::Node, "pve2"));
        let (anna, founder) = (of(Role::Operator, "anna"), of(Role::Operator, "founder"));
        // As hardstand ca names them.
        for one in [&pve1, &pve2, &anna, &founder] {
            cluster.trust.issue(&one.to_string(), &[]);
        }
        let client = |who: &Identity| cluster.client(&who.to_string(), 0);
        let root = client(&founder);
        let members = [pve1.clone(), pve2, anna.clone()];
        let changed = auth::set_up(&root, &founder, &members).await.unwrap();
        assert_eq!(changed.first().map(String::as_str), Some("role root made"));
        assert_eq!(changed.last().map(String::as_str), Some("authentication is on"));
        let again = auth::set_up(&root, &founder, &members).await.unwrap();
        assert_eq!(again, [""; 0], "a second time changes nothing");
        let anna = client(&anna);
        assert_eq!(anna.range(PREFIX).await.unwrap().0.len(), 0, "a person reads all of ours");
        let made = Txn::new().if_absent(key("incarnation")).put(key("incarnation"), "1".to_owned());
        assert!(matches!(anna.txn(&made).await, Ok(Answer::Committed { .. })), "a person makes the store");
        let pve1 = client(&pve1);
        for allowed in [
            "node/pve1/report",
            "leader",
            "lease/cluster/0",
            "audit/head",
            "order/pve2",
            "rollout/current",
            "rollout/7f/done/pve1",
            "node/pve1/outcast",
        ] {
            pve1.txn(&put(allowed, "1")).await.unwrap_or_else(|error| panic!("{allowed}: {error}"));
        }
        for refused in ["node/pve2/report", "fleet", "ask", "node/pve10/report", "leaders"] {
            let told = pve1.txn(&put(refused, "1")).await.unwrap_err();
            assert!(matches!(told, StoreError::Denied { .. }), "{refused}: {told}");
        }
        assert!(pve1.get("/elsewhere").await.is_err_and(|error| matches!(error, StoreError::Denied { .. })));
        assert_eq!(pve1.range(PREFIX).await.unwrap().0.len(), 9, "reads all of ours");
        let session = pve1.session(Duration::from_secs(5)).await.unwrap();
        let bound = Txn::new().put_in_session(key("node/pve1/session"), "1".to_owned(), session.id());
        pve1.txn(&bound).await.unwrap();
        session.end().await.unwrap();
        assert_eq!(pve1.get(&key("node/pve1/session")).await, Ok(None));
        let stranger = cluster.client("client", 0).get(&key("leader")).await.unwrap_err();
        assert!(matches!(stranger, StoreError::Denied { .. }), "{stranger}");
        let mut watch = cluster.client("client", 0).watch(PREFIX, 0);
        let told = watch.next().await.unwrap_err();
        assert!(matches!(told, StoreError::Denied { .. }), "{told}");
    });
}
