//! A system bus for a node that is no machine: a bus daemon, and the agent's own example that answers on it as a systemd
//! that is up and a logind that tells the bench when a reboot is ordered.
//!
//! It must never touch the machine the bench runs on: it starts and stops nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, Started, find};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::wait::until;

/// The bus daemon listens within milliseconds.
const UP_LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked whether a reboot was ordered: short against the time a node is down.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The bus; it ends with the value.
pub(super) struct Bus {
    listener: JoinHandle<()>,
    _services: Started,
    _daemon: Started,
}

impl Bus {
    /// Starts it in a node's directory, answered by `program`; a reboot is told as this number.
    pub(super) async fn start(
        dir: &Path,
        program: &Path,
        node: usize,
        reboots: UnboundedSender<usize>,
    ) -> Result<Self> {
        let address = address(dir);
        let config = format!(
            "<busconfig><type>custom</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\
             </busconfig>"
        );
        let file = dir.join("bus.conf");
        std::fs::write(&file, config).with_context(|| format!("writing {}", file.display()))?;
        let daemon = find("dbus-daemon").context("finding dbus-daemon; install dbus-daemon")?;
        let log = std::fs::File::create(dir.join("bus.log")).context("making the log of the bus")?;
        let run = Run::new(daemon, UP_LIMIT).args(["--nofork", "--nopidfile", "--config-file"]).arg(file);
        let daemon = run.start(log)?;
        until("the bus daemon to listen", UP_LIMIT, async || Ok(dir.join("bus").exists().then_some(()))).await?;
        let told = dir.join("orders.log");
        let log = std::fs::File::create(&told).context("making the log of orders")?;
        let services = Run::new(program, UP_LIMIT).arg(&address).start(log)?;
        until("systemd and logind to answer on the bus", UP_LIMIT, async || Ok(is_up(&told).then_some(()))).await?;
        let listener = tokio::spawn(listen(told, node, reboots));
        Ok(Self { listener, _services: services, _daemon: daemon })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// How programs of the node find it.
pub(super) fn address(dir: &Path) -> String {
    format!("unix:path={}", dir.join("bus").display())
}

fn is_up(told: &Path) -> bool {
    std::fs::read_to_string(told).is_ok_and(|text| text.lines().any(|line| line == "up"))
}

/// Tells each order to reboot once, until nobody wants to know.
async fn listen(told: PathBuf, node: usize, reboots: UnboundedSender<usize>) {
    let mut known = 0;
    loop {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        let orders = text.lines().filter(|line| *line == "reboot").count();
        for _ in known..orders {
            if reboots.send(node).is_err() {
                return;
            }
        }
        known = orders;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
