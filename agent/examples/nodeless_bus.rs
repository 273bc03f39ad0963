//! What answers on the system bus of a node that is no machine, for measurements of agents that run as processes: a systemd
//! that is up and has no units, and a logind that takes orders to reboot. `nodeless_bus ADDRESS` prints `up` once it
//! answers, and `reboot` for each order.
//!
//! It must never touch the machine it runs on: it starts and stops nothing.

use std::io::Write as _;

use zbus::OwnedObjectPath;
use zbus::connection::Builder;

/// One row of ListUnits*: name, description, load, active, sub, following, path, job id, job type, job path.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);
type Inhibitor = (String, String, String, String, u32, u32);

struct Manager;

struct Logind;

fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("nodeless_bus ADDRESS"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _services = Builder::address(address.as_str())
            .name("org.freedesktop.systemd1")
            .name("org.freedesktop.login1")
            .serve_at("/org/freedesktop/systemd1", Manager)
            .serve_at("/org/freedesktop/login1", Logind)
            .build()
            .await?;
        tell("up");
        std::future::pending().await
    })
}

/// Whoever listens may be at its end.
fn tell(word: &str) {
    let _ = writeln!(std::io::stdout(), "{word}");
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
        tell("reboot");
    }
}
