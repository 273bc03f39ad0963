//! systemd over D-Bus: system state, failed and declared units (`org.freedesktop.systemd1.Manager`).
//!
//! It must never start, stop or subscribe to anything, and never wait longer than
//! [`CONNECT_DEADLINE`] and [`ASK_DEADLINE`].

use std::time::Duration;

use hardstand_core::observed::{Unit, Units};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use zbus::connection::Builder;
use zbus::zvariant::Type;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::HostError;

pub(crate) mod jobs;

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// What all questions of one pass may take together. PID 1 answers in milliseconds unless it is in trouble.
const ASK_DEADLINE: Duration = Duration::from_secs(2);
/// What reaching the bus may take. During a boot the bus may only be starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// One row of ListUnits*: name, description, load, active, sub, following, path, job id, job type, job path.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// The way to PID 1: one connection, kept between passes and made anew after it failed.
#[derive(Default)]
pub(crate) struct ServiceManager {
    /// The bus; the system bus when `None`.
    address: Option<&'static str>,
    connection: Mutex<Option<Connection>>,
}

impl ServiceManager {
    /// Asks for the state, the failed units and the declared ones.
    ///
    /// # Errors
    /// When there is no system bus, systemd is not on it, or one of them does not answer in time.
    pub(crate) async fn probe_units(&self, declared: &[String]) -> Result<Units, HostError> {
        let mut kept = self.connection.lock().await;
        // Taken out, so that a connection that failed or was given up in the middle is not used again.
        let taken = kept.take();
        if let Some(connection) = taken {
            let asked = within(ASK_DEADLINE, ask(&connection, declared)).await?;
            // Otherwise the bus was restarted since the last pass, as its upgrade does: that is no news of systemd.
            if let Ok(units) = asked {
                *kept = Some(connection);
                return Ok(units);
            }
        }
        let connection = within(CONNECT_DEADLINE, connect(self.address)).await??;
        let units = within(ASK_DEADLINE, ask(&connection, declared)).await??;
        *kept = Some(connection);
        Ok(units)
    }
}

async fn within<T>(deadline: Duration, asked: impl Future<Output = T>) -> Result<T, HostError> {
    let silent = |_| bus(format!("no answer within {} s; see: systemctl status dbus", deadline.as_secs()));
    tokio::time::timeout(deadline, asked).await.map_err(silent)
}

async fn connect(address: Option<&str>) -> Result<Connection, HostError> {
    let builder = address.map_or_else(Builder::system, Builder::address);
    builder.build().await.map_err(|error| {
        bus(format!("no connection to the system bus: {error}; is dbus.service running, and is systemd PID 1?"))
    })
}

async fn ask(connection: &Connection, declared: &[String]) -> Result<Units, HostError> {
    let failed_ones: (&[&str], &[&str]) = (&["failed"], &[]);
    Ok(Units {
        system_state: property(connection, "SystemState").await?,
        // Asked each time: an upgrade of systemd keeps the connection.
        version: property(connection, "Version").await?,
        failed: rows(call(connection, MANAGER, "ListUnitsByPatterns", &failed_ones).await?),
        declared: match declared {
            [] => Vec::new(),
            names => rows(call(connection, MANAGER, "ListUnitsByNames", &(names,)).await?),
        },
    })
}

fn rows(rows: Vec<Row>) -> Vec<Unit> {
    let units = rows.into_iter().map(|(name, description, load, active, sub, ..)| Unit {
        name,
        description,
        load,
        active,
        sub,
    });
    let mut units: Vec<Unit> = units.collect();
    units.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    units
}

async fn property(connection: &Connection, name: &str) -> Result<String, HostError> {
    let value: OwnedVariant = call(connection, PROPERTIES, "Get", &(MANAGER, name)).await?;
    String::try_from(value).map_err(|error| bus(format!("property {name} is not a text: {error}")))
}

async fn call<B, T>(connection: &Connection, interface: &str, method: &str, body: &B) -> Result<T, HostError>
where
    B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
    T: DeserializeOwned + Type,
{
    let answer = connection.call_method(Some(SERVICE), PATH, Some(interface), method, body).await;
    let answer = answer.map_err(|error| bus(format!("{method}: {error}")))?;
    answer.body().deserialize().map_err(|error| bus(format!("{method}: the answer is of another form: {error}")))
}

fn bus(why: String) -> HostError {
    HostError::Bus { service: SERVICE, why }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    /// A manager that answers what systemd 257 answers for these units.
    #[derive(Clone, Default)]
    struct FakeManager {
        /// Makes ListUnitsByPatterns wait.
        hold: Option<Arc<Notify>>,
    }

    fn unit(name: &str, description: &str, load: &str, active: &str, sub: &str) -> Row {
        let path = OwnedObjectPath::try_from("/org/freedesktop/systemd1/unit/x").unwrap();
        let none = OwnedObjectPath::try_from("/").unwrap();
        let texts = [name, description, load, active, sub].map(str::to_owned);
        let [name, description, load, active, sub] = texts;
        (name, description, load, active, sub, String::new(), path, 0, String::new(), none)
    }

    #[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
    impl FakeManager {
        #[zbus(property)]
        fn version(&self) -> String {
            "257.9-1~deb13u1".to_owned()
        }

        #[zbus(property)]
        fn system_state(&self) -> String {
            "degraded".to_owned()
        }

        async fn list_units_by_patterns(&self, states: Vec<String>, patterns: Vec<String>) -> Vec<Row> {
            if let Some(hold) = &self.hold {
                hold.notified().await;
            }
            assert_eq!((states, patterns), (vec!["failed".to_owned()], Vec::new()));
            vec![
                unit("zz.service", "Late", "loaded", "failed", "failed"),
                unit("fails.service", "Fails on purpose", "loaded", "failed", "failed"),
            ]
        }

        fn list_units_by_names(&self, names: Vec<String>) -> Vec<Row> {
            let found = names.iter().map(|name| match name.as_str() {
                "dbus.service" => unit(name, "D-Bus System Message Bus", "loaded", "active", "running"),
                name => unit(name, name, "not-found", "inactive", "dead"),
            });
            found.collect()
        }
    }

    /// A manager at the other end of a socket, and the way to it.
    async fn serve(fake: FakeManager) -> (ServiceManager, Connection) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let guid = zbus::Guid::generate();
        let server = Builder::unix_stream(theirs).server(guid).p2p().serve_at(PATH, fake);
        let (ours, server) = tokio::join!(Builder::unix_stream(ours).p2p().build(), server.build());
        let kept = ours.unwrap();
        let manager =
            ServiceManager { address: Some("unix:path=/nonexistent/bus"), connection: Mutex::new(Some(kept)) };
        (manager, server.unwrap())
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            tokio::time::timeout(Duration::from_secs(30), future).await.expect("the test should have ended by now")
        })
    }

    #[test]
    fn state_failed_and_declared_units_come_over_the_bus() {
        run(async {
            let (manager, _server) = serve(FakeManager::default()).await;
            let declared = ["ghost.service".to_owned(), "dbus.service".to_owned()];
            for _ in 0..2 {
                let units = manager.probe_units(&declared).await.unwrap();
                assert_eq!((units.system_state.as_str(), units.version.as_str()), ("degraded", "257.9-1~deb13u1"));
                let failed: Vec<&str> = units.failed.iter().map(|unit| unit.name.as_str()).collect();
                assert_eq!(failed, ["fails.service", "zz.service"]);
                let states: Vec<(&str, &str)> =
                    units.declared.iter().map(|unit| (unit.load.as_str(), unit.active.as_str())).collect();
                assert_eq!(states, [("loaded", "active"), ("not-found", "inactive")]);
                assert!(manager.connection.lock().await.is_some(), "the connection is kept");
            }
            assert!(manager.probe_units(&[]).await.unwrap().declared.is_empty());
        });
    }

    #[test]
    fn a_manager_that_does_not_answer_is_given_up_and_asked_anew() {
        run(async {
            let (manager, _server) = serve(FakeManager { hold: Some(Arc::new(Notify::new())) }).await;
            let error = manager.probe_units(&[]).await.unwrap_err().to_string();
            assert_eq!(error, "asking org.freedesktop.systemd1: no answer within 2 s; see: systemctl status dbus");
            let error = manager.probe_units(&[]).await.unwrap_err().to_string();
            assert!(error.starts_with("asking org.freedesktop.systemd1: no connection to the system bus: "), "{error}");
            assert!(error.ends_with("; is dbus.service running, and is systemd PID 1?"), "{error}");
        });
    }

    #[test]
    fn a_connection_that_broke_is_replaced_in_the_same_pass() {
        run(async {
            let (manager, server) = serve(FakeManager::default()).await;
            server.close().await.unwrap();
            let error = manager.probe_units(&[]).await.unwrap_err().to_string();
            assert!(error.starts_with("asking org.freedesktop.systemd1: no connection to the system bus: "), "{error}");
            assert!(manager.connection.lock().await.is_none());
        });
    }
}
