//! A cluster of real etcd members for tests: each in a network and a mount namespace of its own, on a bridge in the
//! test thread's own namespace, with its data on a small tmpfs.
//!
//! It must never touch the host's namespaces nor outlive its thread: nothing has a name, and every program dies with
//! the thread that started it. Needs root, `ip`, `nft` and `strace`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hardstand_exec::{Run, Started, find};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::super::wire::{Empty, StatusResponse};
use super::super::{Endpoints, Etcd, Kind};

/// Small programs of the system.
const TOOL_LIMIT: Duration = Duration::from_secs(20);
/// A member comes up in 1 to 5 s; a loaded machine doubles that twice.
const UP_LIMIT: Duration = Duration::from_secs(40);
/// Two WAL segments of 64 MB that etcd makes ahead, the database, and some room.
const DATA_MB: u32 = 512;

/// Runs a story in a thread with a network namespace of its own.
pub(super) fn in_lab<F: Future<Output = ()>>(limit: Duration, story: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("making a network namespace needs root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(limit, story()).await.expect("the story took too long") });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Keys and certificates of one authority.
pub(super) struct Trust {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Trust {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "lab");
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a common name, good for these addresses.
    pub(super) fn issue(&self, name: &str, addresses: &[String]) {
        let mut params = CertificateParams::new(addresses.to_vec()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let path = self.path(&format!("{name}.pem"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, cert.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The way to these members as the holder of a certificate.
    pub(super) fn endpoints(&self, name: &str, urls: Vec<String>) -> Endpoints {
        let file = |ending: &str| self.path(&format!("{name}.{ending}"));
        Endpoints { urls, ca: self.path("ca.pem"), cert: file("pem"), key: file("key") }
    }
}

/// One member: its namespaces stay when etcd is killed.
struct Member {
    holder: Started,
    etcd: Option<Started>,
    /// What makes its fsync slow, while it is.
    slow: Option<Started>,
    data: PathBuf,
    state: &'static str,
}

/// The members and what they trust.
pub(super) struct Cluster {
    pub(super) trust: Trust,
    dir: TempDir,
    members: Vec<Member>,
    /// More words for etcd's command line.
    extra: Vec<String>,
}

impl Cluster {
    /// So many members, up and with a leader.
    pub(super) async fn up(count: usize, extra: &[&str]) -> Self {
        let (trust, dir) = (Trust::new(), tempfile::tempdir().unwrap());
        for i in 0..count {
            trust.issue(&format!("m{i}"), &[address(i), bridge(), LOOPBACK.to_owned()]);
        }
        trust.issue("client", &[]);
        ip(&format!(
            "link set lo up\nlink add br0 type bridge forward_delay 0\naddr add {}/24 dev br0\nlink set br0 up\n",
            bridge()
        ))
        .await;
        let extra = extra.iter().map(|word| (*word).to_owned()).collect();
        let mut cluster = Self { trust, dir, members: Vec::new(), extra };
        for i in 0..count {
            let member = cluster.rooms(i).await;
            cluster.members.push(member);
        }
        for i in 0..count {
            cluster.start(i);
        }
        cluster.wait_healthy().await;
        cluster
    }

    async fn rooms(&self, i: usize) -> Member {
        let log = File::create(self.dir.path().join(format!("holder{i}.log"))).unwrap();
        let holder = Run::new(find("unshare").expect("util-linux"), Duration::ZERO)
            .args(["--net", "--mount", "--propagation", "private", "/bin/sleep", "infinity"])
            .start(log)
            .unwrap();
        let pid = holder.pid().unwrap();
        let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        until("the member's namespace", async || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs != ours)
                && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
        })
        .await;
        ip(&format!("link add v{i} type veth peer name eth0 netns {pid}\nlink set v{i} master br0 up\n")).await;
        let data = self.dir.path().join(format!("data{i}"));
        std::fs::create_dir(&data).unwrap();
        let member = Member { holder, etcd: None, slow: None, data, state: "new" };
        let script = format!(
            "ip link set lo up && ip addr add {}/24 dev eth0 && ip link set eth0 up && mount -t tmpfs -o size={DATA_MB}m tmpfs {}",
            address(i),
            member.data.display()
        );
        inside(&member, &["/bin/sh", "-c", &script]).success().await.unwrap();
        member
    }

    /// Starts etcd in its rooms, on the data that it left.
    pub(super) fn start(&mut self, i: usize) {
        self.start_with(i, &[]);
    }

    /// The same with more words.
    pub(super) fn start_with(&mut self, i: usize, words: &[&str]) {
        let peers: Vec<String> =
            (0..self.members.len()).map(|peer| format!("m{peer}=http://{}:2380", address(peer))).collect();
        let log = File::options().create(true).append(true).open(self.dir.path().join(format!("etcd{i}.log"))).unwrap();
        let file = |name: &str| self.trust.path(name).display().to_string();
        let member = &self.members[i];
        let etcd = std::env::var("HARDSTAND_ETCD")
            .unwrap_or_else(|_| etcd_bin_vendored::etcd_bin_path().unwrap().display().to_string());
        let mut run = inside(member, &[&etcd]).args([
            format!("--name=m{i}"),
            format!("--data-dir={}/etcd", member.data.display()),
            format!("--listen-client-urls=https://{}:2379", address(i)),
            format!("--advertise-client-urls=https://{}:2379", address(i)),
            format!("--listen-peer-urls=http://{}:2380", address(i)),
            format!("--initial-advertise-peer-urls=http://{}:2380", address(i)),
            format!("--initial-cluster={}", peers.join(",")),
            format!("--initial-cluster-state={}", member.state),
            "--client-cert-auth".to_owned(),
            format!("--trusted-ca-file={}", file("ca.pem")),
            format!("--cert-file={}", file(&format!("m{i}.pem"))),
            format!("--key-file={}", file(&format!("m{i}.key"))),
            "--enable-grpc-gateway=false".to_owned(),
            "--log-level=warn".to_owned(),
        ]);
        run = run.args(&self.extra).args(words);
        self.members[i].etcd = Some(run.start(log).unwrap());
    }

    pub(super) fn url(&self, i: usize) -> String {
        format!("https://{}:2379", address(i))
    }

    /// A client that likes member `first` best.
    pub(super) fn client(&self, name: &str, first: usize) -> Etcd {
        let count = self.members.len();
        let urls = (0..count).map(|step| self.url((first + step) % count)).collect();
        Etcd::new(self.trust.endpoints(name, urls))
    }

    /// What one member says of itself.
    pub(super) async fn status(&self, i: usize) -> Option<StatusResponse> {
        let etcd = Etcd::new(self.trust.endpoints("client", vec![self.url(i)]));
        let limit = Duration::from_secs(1);
        etcd.ask("/etcdserverpb.Maintenance/Status", &Empty {}, Kind::Read, limit).await.ok()
    }

    /// The member that leads, as it says itself.
    pub(super) async fn leader(&self) -> Option<usize> {
        for i in 0..self.members.len() {
            let status = self.status(i).await;
            if status.is_some_and(|status| status.leader == status.header.unwrap_or_default().member) {
                return Some(i);
            }
        }
        None
    }

    /// Every member answers and knows the same leader.
    pub(super) async fn wait_healthy(&self) {
        until("every member to know one leader", async || {
            let mut leaders = Vec::new();
            for i in 0..self.members.len() {
                leaders.push(self.status(i).await.map_or(0, |status| status.leader));
            }
            leaders.iter().all(|leader| *leader != 0 && *leader == leaders[0])
        })
        .await;
        // Followers miss a broken connection between them only when they must elect: the next fault would meet the last.
        until("connections to get over the last fault", async || {
            self.members.iter().all(|member| !has_stalled_connection(member))
        })
        .await;
    }

    /// Ends etcd at once; its namespaces and data stay.
    pub(super) async fn kill(&mut self, i: usize) {
        if let Some(mut etcd) = self.members[i].etcd.take() {
            etcd.kill().await.unwrap();
        }
    }

    pub(super) fn signal(&self, i: usize, signal: Signal) {
        let pid = self.members[i].etcd.as_ref().and_then(Started::pid).expect("a running member");
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }

    /// Pulls or plugs a member's cable.
    pub(super) async fn cable(&self, i: usize, is_in: bool) {
        ip(&format!("link set v{i} {}\n", if is_in { "up" } else { "down" })).await;
    }

    /// Sets the packet filter of a member; empty: none.
    pub(super) async fn filter(&self, i: usize, rules: &str) {
        let text = format!("add table inet lab\ndelete table inet lab\n{rules}");
        inside(&self.members[i], &[&find("nft").expect("nftables is installed").display().to_string(), "-f", "-"])
            .stdin(text)
            .success()
            .await
            .unwrap();
    }

    /// Makes every fsync of a running member take so much longer: the kernel holds each call back, by ptrace.
    pub(super) fn slow_down(&mut self, i: usize, delay: Duration) {
        let pid = self.members[i].etcd.as_ref().and_then(Started::pid).expect("a running member").to_string();
        let inject = format!("inject=fsync,fdatasync:delay_enter={}", delay.as_micros());
        let log = File::create(self.dir.path().join(format!("strace{i}.log"))).unwrap();
        let strace = Run::new(find("strace").expect("strace is installed"), Duration::ZERO).args([
            "-f",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            &inject,
            "-p",
            &pid,
        ]);
        self.members[i].slow = Some(strace.start(log).unwrap());
    }

    /// Ends that; how many calls were held back.
    pub(super) async fn speed_up(&mut self, i: usize) -> usize {
        self.members[i].slow.take().expect("slowed down before").kill().await.unwrap();
        let log = std::fs::read_to_string(self.dir.path().join(format!("strace{i}.log"))).unwrap();
        log.matches("DELAYED").count()
    }

    /// Fills a member's disk to the last byte.
    pub(super) fn fill(&self, i: usize) {
        use std::io::Write as _;
        let mut file = File::create(self.filler(i)).unwrap();
        let block = vec![7u8; 1 << 20];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..512]).is_ok() {}
    }

    /// Gives the room back.
    pub(super) fn unfill(&self, i: usize) {
        std::fs::remove_file(self.filler(i)).unwrap();
    }

    fn filler(&self, i: usize) -> PathBuf {
        self.inner(i).join("filler")
    }

    /// A member's data directory, seen from outside its mount namespace.
    pub(super) fn inner(&self, i: usize) -> PathBuf {
        let pid = self.members[i].holder.pid().unwrap();
        Path::new(&format!("/proc/{pid}/root")).join(self.members[i].data.strip_prefix("/").unwrap())
    }

    /// Runs a program inside a member's namespaces.
    pub(super) fn run_inside(&self, i: usize, words: &[&str]) -> Run {
        inside(&self.members[i], words)
    }

    /// The next start of this member joins a cluster that exists.
    pub(super) fn joins(&mut self, i: usize) {
        self.members[i].state = "existing";
    }

    /// Whether etcd still runs.
    pub(super) fn runs(&mut self, i: usize) -> bool {
        self.members[i].etcd.as_mut().is_some_and(|etcd| etcd.ended().unwrap().is_none())
    }
}

/// Where the contract's client meets the proxy.
pub(super) const LOOPBACK: &str = "127.0.0.1";

pub(super) fn address(i: usize) -> String {
    format!("10.88.0.{}", i + 1)
}

pub(super) fn bridge() -> String {
    "10.88.0.254".to_owned()
}

/// Waits for a condition, at most [`UP_LIMIT`].
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + UP_LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether TCP is still dialling from this member, or sending again what was not acknowledged (`/proc/net/tcp`).
fn has_stalled_connection(member: &Member) -> bool {
    const SYN_SENT: &str = "02";
    let pid = member.holder.pid().expect("the holder runs as long as the cluster");
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let sent_again = u64::from_str_radix(fields[6], 16).expect("a count in hexadecimal");
        fields[3] == SYN_SENT || sent_again > 0
    })
}

fn inside(member: &Member, words: &[&str]) -> Run {
    let pid = member.holder.pid().expect("the holder runs as long as the cluster").to_string();
    Run::new(find("nsenter").expect("util-linux"), TOOL_LIMIT).args(["-t", &pid, "-n", "-m", "--"]).args(words)
}

async fn ip(batch: &str) {
    let ip = find("ip").expect("iproute2 is installed");
    Run::new(ip, TOOL_LIMIT).args(["-batch", "-"]).stdin(batch).success().await.unwrap();
}
