//! A system bus of its own with a systemd and a logind on it that answer as the real ones do, for tests.
//!
//! It must never touch the machine: it runs nothing. What a transient unit would print is handed in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hardstand_exec::{Run, Started};
use tempfile::TempDir;
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::jobs::Jobs;
use super::{PATH, Row};

/// What the bus daemon may take to listen.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// What happened, in its order, and how units are.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// `start x`, `stop x`, `run NAME: WORDS`, `reboot FLAGS`.
    pub(crate) log: Vec<String>,
    /// Active state by name; one that is not here is not found.
    pub(crate) units: BTreeMap<String, String>,
    /// Exit status of a unit's next runs, the first first; then 0.
    pub(crate) statuses: BTreeMap<String, Vec<i32>>,
    /// The last exit status.
    pub(crate) ended: BTreeMap<String, i32>,
    /// Output of a transient unit, by a word of its commands.
    pub(crate) prints: Vec<(&'static str, String)>,
    /// Transient units go on until this is taken away.
    pub(crate) hold: bool,
    /// Who holds a shutdown off.
    pub(crate) inhibitors: Vec<(String, String, String, String, u32, u32)>,
}

/// The bus; it ends with the value.
pub(crate) struct FakeBus {
    pub(crate) world: Arc<Mutex<World>>,
    address: String,
    _services: Connection,
    _daemon: Started,
    _dir: TempDir,
}

impl FakeBus {
    /// Starts a bus daemon and the services on it.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("bus");
        let address = format!("unix:path={}", socket.display());
        let config = format!(
            "<busconfig><type>custom</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\
             </busconfig>"
        );
        std::fs::write(dir.path().join("bus.conf"), config).unwrap();
        let program = hardstand_exec::find("dbus-daemon").expect("dbus-daemon is installed (qemu/lab installs it)");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let run = Run::new(program, UP_WITHIN).args(["--nofork", "--nopidfile", "--config-file"]);
        let daemon = run.arg(dir.path().join("bus.conf")).start(log).unwrap();
        let up = async {
            // The socket has its name a moment before anybody listens on it.
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(UP_WITHIN, up).await.expect("the bus daemon listens");
        let world: Arc<Mutex<World>> = Arc::default();
        let services = Builder::address(address.as_str())
            .name("org.freedesktop.systemd1")
            .name("org.freedesktop.login1")
            .serve_at(PATH, Manager { world: Arc::clone(&world) })
            .serve_at("/org/freedesktop/login1", Logind { world: Arc::clone(&world) })
            .build()
            .await
            .unwrap();
        Self { world, address, _services: services, _daemon: daemon, _dir: dir }
    }

    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::at(&self.address)
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.world.lock().unwrap())
    }

    /// What happened so far; it is forgotten.
    pub(crate) fn log(&self) -> Vec<String> {
        self.with(|world| std::mem::take(&mut world.log))
    }
}

struct Manager {
    world: Arc<Mutex<World>>,
}

struct Logind {
    world: Arc<Mutex<World>>,
}

/// The properties of one service.
struct Service {
    world: Arc<Mutex<World>>,
    name: String,
}

impl World {
    fn row(&self, name: &str) -> Row {
        let (load, active) = match self.units.get(name) {
            Some(active) => ("loaded", active.as_str()),
            None => ("not-found", "inactive"),
        };
        let running = self.hold && self.ended.get(name).is_none_or(|_| active == "activating");
        let sub = match active {
            "active" if name.starts_with("hardstand-") && !running => "exited",
            "active" => "running",
            "activating" => "start",
            "failed" => "failed",
            _ => "dead",
        };
        let none = OwnedObjectPath::try_from("/").unwrap();
        let path = OwnedObjectPath::try_from(path_of(name)).unwrap();
        let text = str::to_owned;
        (text(name), text(name), text(load), text(active), text(sub), String::new(), path, 0, String::new(), none)
    }

    /// Runs a oneshot unit to its end.
    fn end(&mut self, name: &str, after: &str) {
        let left = self.statuses.entry(name.to_owned()).or_default();
        let status = if left.is_empty() { 0 } else { left.remove(0) };
        self.ended.insert(name.to_owned(), status);
        let active = if status == 0 { after } else { "failed" };
        self.units.insert(name.to_owned(), active.to_owned());
    }
}

fn path_of(name: &str) -> String {
    let escaped: String = name
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("_{byte:02x}") })
        .collect();
    format!("{PATH}/unit/{escaped}")
}

fn job() -> OwnedObjectPath {
    OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap()
}

type Properties = Vec<(String, OwnedVariant)>;
type Commands = Vec<(String, Vec<String>, bool)>;

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    #[zbus(property)]
    fn userspace_timestamp_monotonic(&self) -> u64 {
        7_000_000
    }

    async fn list_units_by_names(
        &self,
        names: Vec<String>,
        #[zbus(object_server)] server: &zbus::ObjectServer,
    ) -> Vec<Row> {
        for name in names.iter().filter(|name| name.ends_with(".service")) {
            let service = Service { world: Arc::clone(&self.world), name: name.clone() };
            // Served already: as it is.
            let _served = server.at(path_of(name), service).await;
        }
        let world = self.world.lock().unwrap();
        names.iter().map(|name| world.row(name)).collect()
    }

    fn start_unit(&self, name: String, mode: String) -> zbus::fdo::Result<OwnedObjectPath> {
        assert_eq!(mode, "fail");
        let mut world = self.world.lock().unwrap();
        world.log.push(format!("start {name}"));
        if !world.units.contains_key(&name) {
            return Err(zbus::fdo::Error::Failed(format!("Unit {name} not found.")));
        }
        if name.starts_with("hook") {
            world.end(&name, "inactive");
        } else {
            world.end(&name, "active");
        }
        Ok(job())
    }

    fn stop_unit(&self, name: String, mode: String) -> OwnedObjectPath {
        assert_eq!(mode, "fail");
        let mut world = self.world.lock().unwrap();
        world.log.push(format!("stop {name}"));
        world.units.insert(name, "inactive".to_owned());
        job()
    }

    fn reset_failed_unit(&self, name: String) {
        let mut world = self.world.lock().unwrap();
        if world.units.get(&name).is_some_and(|active| active == "failed") {
            world.units.insert(name, "inactive".to_owned());
        }
    }

    fn start_transient_unit(
        &self,
        name: String,
        mode: String,
        properties: Properties,
        _auxiliary: Vec<(String, Properties)>,
    ) -> OwnedObjectPath {
        assert_eq!(mode, "fail");
        let mut commands = Commands::new();
        let mut output = String::new();
        for (key, value) in properties {
            match key.as_str() {
                "ExecStart" => {
                    assert_eq!(value.value_signature().to_string(), "a(sasb)");
                    commands = commands_of(&value);
                }
                "Environment" => assert_eq!(value.value_signature().to_string(), "as"),
                "StandardOutputFileToTruncate" => output = String::try_from(value).unwrap(),
                _ => {}
            }
        }
        let mut world = self.world.lock().unwrap();
        let words: Vec<String> = commands
            .iter()
            .map(|(_, words, may_fail)| format!("{}{}", if *may_fail { "-" } else { "" }, words.join(" ")))
            .collect();
        world.log.push(format!("run {name}: {}", words.join(" && ")));
        let printed = world.prints.iter().find(|(word, _)| words.iter().any(|line| line.contains(word)));
        std::fs::write(output, printed.map(|(_, text)| text.clone()).unwrap_or_default()).unwrap();
        if world.hold {
            world.units.insert(name, "activating".to_owned());
        } else {
            world.end(&name, "active");
        }
        job()
    }
}

/// The commands out of `a(sasb)`.
fn commands_of(value: &OwnedVariant) -> Commands {
    Commands::try_from(value.try_clone().unwrap()).unwrap()
}

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        let status = self.exec_main_status();
        if status == 0 { "success".to_owned() } else { "exit-code".to_owned() }
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        self.world.lock().unwrap().ended.get(&self.name).copied().unwrap_or(0)
    }

    #[zbus(property)]
    fn status_text(&self) -> String {
        String::new()
    }
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_inhibitors(&self) -> Vec<(String, String, String, String, u32, u32)> {
        self.world.lock().unwrap().inhibitors.clone()
    }

    fn reboot_with_flags(&self, flags: u64) {
        self.world.lock().unwrap().log.push(format!("reboot {flags}"));
    }
}
