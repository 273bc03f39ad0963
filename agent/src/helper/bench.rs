//! A helper that really listens, on a made-up machine and a bus of its own, for tests.

use std::path::PathBuf;

use hardstand_core::plan::PackageSet;
use tempfile::TempDir;
use tokio::net::UnixListener;

use super::Client;
use super::ground::{Ground, Rooms};
use super::serve::Server;
use super::verbs::Verbs;
use crate::host::Host;
use crate::host::systemd::fake::FakeBus;

/// The helper; it ends with the value.
pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) bus: FakeBus,
    dir: TempDir,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Bench {
    /// A machine with this configuration, on which nothing is installed.
    pub(crate) async fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path().join("root"));
        for made in ["state", "logs", "usr", "boot", "var/cache/apt/archives", "var/lib/dpkg", "proc/sys/kernel/random"]
        {
            std::fs::create_dir_all(host.path(made)).unwrap();
        }
        std::fs::write(host.path("var/lib/dpkg/status"), "").unwrap();
        std::fs::write(host.path("proc/sys/kernel/random/boot_id"), "boot-1\n").unwrap();
        std::fs::create_dir_all(host.path("proc/self")).unwrap();
        std::fs::write(host.path("proc/self/mountinfo"), "1 0 0:1 / / rw - ext4 /dev/vda2 rw\n").unwrap();
        std::fs::write(host.path("agent.toml"), config).unwrap();
        let bus = FakeBus::start().await;
        let rooms = Rooms { state: host.path("state"), logs: host.path("logs") };
        let ground = Ground::new(host.clone(), rooms, bus.jobs(), Some(host.path("agent.toml")));
        let listener = UnixListener::bind(dir.path().join("helper.sock")).unwrap();
        let allowed = vec![nix::unistd::geteuid().as_raw()];
        let served = tokio::spawn(Server { verbs: Verbs::on(ground), allowed, idle: None }.serve(listener));
        Self { host, bus, dir, served }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// Nobody listens, as while a package run replaces the helper; until [`Bench::come_back`].
    pub(crate) fn go_away(&self) {
        std::fs::rename(self.socket(), self.dir.path().join("away")).unwrap();
    }

    pub(crate) fn come_back(&self) {
        std::fs::rename(self.dir.path().join("away"), self.socket()).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("helper.sock")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.host.path("agent.toml")
    }

    /// Makes dpkg's record say that a set is installed.
    pub(crate) fn install(&self, set: &PackageSet) {
        let there = set.changes().iter().filter_map(|change| Some((change, change.to.as_ref()?)));
        let paragraphs = there.map(|(change, version)| {
            let (name, arch) = (&change.name, &change.architecture);
            format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: {arch}\n\n")
        });
        std::fs::write(self.host.path("var/lib/dpkg/status"), paragraphs.collect::<String>()).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.served.abort();
    }
}
