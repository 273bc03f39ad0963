//! A system bus for a node that is no machine: a systemd on it that is up and has no units, and a logind that tells the
//! bench when a reboot is ordered.
//!
//! It must never touch the machine the bench runs on: it starts and stops nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, Started, find};
use tokio::sync::mpsc::UnboundedSender;
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath};

use crate::wait::until;

/// The bus daemon listens within milliseconds.
const UP_LIMIT: Duration = Duration::from_secs(20);
/// One row of ListUnits*: name, description, load, active, sub, following, path, job id, job type, job path.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);
type Inhibitor = (String, String, String, String, u32, u32);

/// The bus; it ends with the value.
pub(super) struct Bus {
    _services: Connection,
    _daemon: Started,
}

struct Manager;

struct Logind {
    node: usize,
    reboots: UnboundedSender<usize>,
}

impl Bus {
    /// Starts it in a node's directory; a reboot is told as this number.
    pub(super) async fn start(dir: &Path, node: usize, reboots: UnboundedSender<usize>) -> Result<Self> {
        let address = address(dir);
        let config = format!(
            "<busconfig><type>custom</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\
             </busconfig>"
        );
        let file = dir.join("bus.conf");
        std::fs::write(&file, config).with_context(|| format!("writing {}", file.display()))?;
        let program = find("dbus-daemon").context("finding dbus-daemon; install dbus-daemon")?;
        let log = std::fs::File::create(dir.join("bus.log")).context("making the log of the bus")?;
        let run = Run::new(program, UP_LIMIT).args(["--nofork", "--nopidfile", "--config-file"]).arg(file);
        let daemon = run.start(log)?;
        until("the bus daemon to listen", UP_LIMIT, async || Ok(dir.join("bus").exists().then_some(()))).await?;
        let services = Builder::address(address.as_str())
            .name("org.freedesktop.systemd1")
            .name("org.freedesktop.login1")
            .serve_at("/org/freedesktop/systemd1", Manager)
            .serve_at("/org/freedesktop/login1", Logind { node, reboots })
            .build();
        Ok(Self { _services: services.await.context("serving systemd and logind")?, _daemon: daemon })
    }
}

/// How programs of the node find it.
pub(super) fn address(dir: &Path) -> String {
    format!("unix:path={}", dir.join("bus").display())
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    #[zbus(property)]
    fn version(&self) -> String {
        "257.9-1~deb13u1".to_owned()
    }

    #[zbus(property)]
    fn system_state(&self) -> String {
        "running".to_owned()
    }

    fn list_units_by_patterns(&self, _states: Vec<String>, _patterns: Vec<String>) -> Vec<Row> {
        Vec::new()
    }

    fn list_units_by_names(&self, names: Vec<String>) -> zbus::fdo::Result<Vec<Row>> {
        let path = |path| OwnedObjectPath::try_from(path).map_err(|error| zbus::fdo::Error::Failed(format!("{error}")));
        let row = |name: String| {
            let (unit, none) = (path("/org/freedesktop/systemd1/unit/x")?, path("/")?);
            let [load, active, sub] = ["not-found", "inactive", "dead"].map(str::to_owned);
            Ok((name.clone(), name, load, active, sub, String::new(), unit, 0, String::new(), none))
        };
        names.into_iter().map(row).collect()
    }
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_inhibitors(&self) -> Vec<Inhibitor> {
        Vec::new()
    }

    fn reboot_with_flags(&self, _flags: u64) {
        // The bench that listens may be at its end.
        let _ = self.reboots.send(self.node);
    }
}
