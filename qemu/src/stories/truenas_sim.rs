//! `truenas-sim`: a simulated TrueNAS is well, ill, busy, rude and gone, and the agent says so each time.
//!
//! Real: the shipped program, its sockets, TLS, the WebSocket. Simulated: TrueNAS, after what its vendor publishes; that a
//! real one is told of as well is not proven here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::Run;
use serde_json::json;

use super::services_live::{holds, look, openssl, page, seen, start_agent, stop, tool};
use crate::health::Health;
use crate::scene::Scene;
use crate::simulator::truenas::Simulator;
use crate::simulator::truenas::world::{self, Trouble, Version, World};

/// `ip` only talks to the kernel.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// A page comes from the last pass, whatever hangs.
const PAGE_LIMIT: Duration = Duration::from_secs(1);
/// The agent gives TrueNAS 10 s; what else a pass reads comes on top.
const LOOK_LIMIT: Duration = Duration::from_secs(25);
const TLS: &str = "127.0.0.1:8444";
const COLLECTOR: &str = "collector";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    Run::new(tool("ip")?, TOOL_LIMIT).args(["link", "set", "lo", "up"]).success().await?;
    let dir = scene.dir.canonicalize().context("finding the story's directory")?;
    let simulator = Simulator::new(World::well(Version::V25_10));
    // The name of a socket has room for some hundred characters.
    let socket = socket_of(&dir)?;
    simulator.listen_socket(&socket)?;
    certificates(&dir).await?;
    simulator.listen_tls(TLS, &dir.join("nas.pem"), &dir.join("nas.key")).await?;
    let site = Site { scene, dir: &dir, simulator, config: format!("[truenas]\nendpoint = {socket:?}\n") };
    site.well().await?;
    site.states().await?;
    site.versions().await?;
    site.keys(&socket).await?;
    site.rude(&socket).await?;
    site.over_time(&socket).await
}

fn socket_of(dir: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join("mw.sock");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("removing an old socket"),
        _ => Ok(path),
    }
}

async fn certificates(dir: &Path) -> Result<()> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=ca -days 30")).await?;
    openssl(dir, &format!("req {KEY} -keyout nas.key -out nas.csr -subj /CN=nas")).await?;
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").context("writing a name")?;
    openssl(dir, "x509 -req -in nas.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out nas.pem")
        .await
}

struct Site<'a> {
    scene: &'a Scene,
    dir: &'a Path,
    simulator: Simulator,
    config: String,
}

/// Check, subject, severity, gate; and a part of what is told.
type Expected<'a> = ([&'a str; 4], &'a str);

impl Site<'_> {
    /// One look at a box that is well but for one change, and what is said of it.
    async fn finds(&self, change: impl FnOnce(&mut World), expected: &[Expected<'_>]) -> Result<Health> {
        self.be(change);
        let health = look(self.scene, self.dir, &self.config).await?;
        for ([check, subject, severity, gate], told) in expected {
            holds(&health, (check, subject, severity), told)?;
            let found = health.findings.iter().find(|row| row.check == *check && row.subject == *subject);
            let found = found.context("it was just there")?;
            ensure!(found.gate == *gate, "{check} of {subject} {}, not {gate}", found.gate);
            self.scene.say(&format!("{check} {subject}: {severity}, {gate}, {told}"));
        }
        let refused = self.simulator.world().refused.clone();
        let is_login = |code: i64| code == -32001;
        ensure!(refused.iter().all(|(code, _)| is_login(*code)), "the simulator refused what was asked: {refused:?}");
        Ok(health)
    }

    /// Begins anew with a box that is well, in the version it has.
    fn be(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.simulator.world();
        let key = world.key.clone();
        *world = World { key, ..World::well(world.version) };
        change(&mut world);
    }

    async fn well(&self) -> Result<()> {
        let all = [
            (["truenas.state", "system", "ok", "none"], "READY, 25.10.1, API v25.10.5"),
            (["truenas.pool", "tank", "ok", "none"], "ONLINE, healthy"),
            (["truenas.boot", "boot-pool", "ok", "none"], "ONLINE, healthy"),
            (["truenas.alert", "alerts", "ok", "none"], "none"),
            (["truenas.job", "jobs", "ok", "none"], "none that a reboot would cut off"),
            (["truenas.replication", "to-backup", "ok", "none"], "ended well 60 min ago"),
            (["truenas.snapshot_task", "tank/vm", "ok", "none"], "FINISHED"),
            (["truenas.environment", "boot", "ok", "none"], "25.10.1 runs"),
            (["truenas.reboot", "system", "ok", "none"], "nothing waits"),
            (["truenas.update", "system", "ok", "none"], "nothing newer"),
        ];
        self.finds(|_| {}, &all).await?;
        let most = self.simulator.world().most_under_way;
        ensure!(most > 1 && most < 10, "{most} calls were under way at once; TrueNAS slows down from 10 on");
        self.scene.say(&format!("{most} calls side by side, and none that the simulator refuses"));
        Ok(())
    }

    async fn states(&self) -> Result<()> {
        let degraded = |world: &mut World| {
            world.of("pool.query")[0]["status"] = json!("DEGRADED");
            world.of("pool.query")[0]["healthy"] = json!(false);
            world.of("pool.query")[0]["status_detail"] = json!("One or more devices could not be used");
        };
        self.finds(degraded, &[(["truenas.pool", "tank", "crit", "blocks"], "DEGRADED: One or more devices")]).await?;
        let resilver = |world: &mut World| world.of("pool.query")[0]["scan"] = world::scan("RESILVER", "SCANNING");
        self.finds(resilver, &[(["truenas.pool", "tank", "warn", "blocks"], "RESILVER, 40 % done")]).await?;
        let scrub = |world: &mut World| {
            world.of("pool.query")[0]["scan"] = world::scan("SCRUB", "SCANNING");
            *world.of("core.get_jobs") = json!([world::job(3, "pool.scrub.scrub")]);
        };
        self.finds(
            scrub,
            &[
                (["truenas.pool", "tank", "ok", "none"], "being scrubbed, 40 % done"),
                (["truenas.job", "pool.scrub.scrub", "info", "warns"], "taken up again"),
            ],
        )
        .await?;
        let alert = |level: &'static str, dismissed: bool| {
            move |world: &mut World| {
                let mut alert = world::alert("SMART", level);
                alert["dismissed"] = json!(dismissed);
                *world.of("alert.list") = json!([alert]);
            }
        };
        let critical = (["truenas.alert", "SMART", "crit", "blocks"], "tank is ill");
        self.finds(alert("CRITICAL", false), &[critical]).await?;
        let dismissed = (["truenas.alert", "dismissed", "info", "none"], "SMART");
        self.finds(alert("CRITICAL", true), &[dismissed]).await?;
        let unknown = (["truenas.alert", "SMART", "unknown", "blocks"], "DOOM by TrueNAS");
        self.finds(alert("DOOM", false), &[unknown]).await?;
        let dreaming = (["truenas.state", "system", "unknown", "blocks"], "DREAMING, which is not known here");
        self.finds(|world| *world.of("system.state") = json!("DREAMING"), &[dreaming]).await?;
        let failed = |world: &mut World| {
            world.of("replication.query")[0]["state"] = json!({"state": "ERROR", "error": "no space"})
        };
        self.finds(failed, &[(["truenas.replication", "to-backup", "warn", "warns"], "no space")]).await?;
        let sessions = |world: &mut World| {
            *world.of("iscsi.global.sessions") = json!([world::session("iqn.a"), world::session("iqn.b")]);
        };
        let target = "iqn.2005-10.org.freenas.ctl:vm";
        let held = (["iscsi_target.sessions", target, "info", "warns"], "2 logged in at");
        self.finds(sessions, &[held]).await?;
        self.updates().await
    }

    async fn updates(&self) -> Result<()> {
        let offer = json!({"version": "25.10.2", "manifest": {}, "release_notes": null, "release_notes_url": "none"});
        let on_offer =
            |world: &mut World| *world.of("update.status") = world::update("NORMAL", Some(offer), json!(null));
        let kept = "keep 25.10.1 before it: boot.environment.keep";
        self.finds(on_offer, &[(["truenas.update", "system", "info", "none"], kept)]).await?;
        let applied = |world: &mut World| {
            let error = json!({"errname": "EREBOOTREQUIRED", "reason": "System update was already applied"});
            *world.of("update.status") = world::update("ERROR", None, error);
            let environments = [world::environment("25.10.1", true, false), world::environment("25.10.2", false, true)];
            *world.of("boot.environment.query") = json!(environments);
        };
        let told = [
            (["truenas.update", "system", "info", "none"], "already applied"),
            (["truenas.reboot", "system", "warn", "none"], "25.10.2 would boot"),
            (["truenas.environment", "boot", "warn", "warns"], "25.10.1 is what there is to go back to"),
        ];
        self.finds(applied, &told).await?;
        let offline = |world: &mut World| {
            *world.of("update.status") =
                world::update("ERROR", None, json!({"errname": "ENONET", "reason": "no network"}));
        };
        self.finds(offline, &[(["truenas.update", "system", "warn", "none"], "ENONET: no network")]).await?;
        Ok(())
    }

    /// Older and newer ones are asked in their own words.
    async fn versions(&self) -> Result<()> {
        for (version, api, word) in [
            (Version::V25_04, "API v25.04.2", "pool.snapshot.query"),
            (Version::V26, "API v26.0.0", "zfs.resource.snapshot.count"),
        ] {
            let change = |world: &mut World| *world = World { key: world.key.clone(), ..World::well(version) };
            self.finds(change, &[(["truenas.state", "system", "ok", "none"], api)]).await?;
            let heard = self.simulator.world().heard.clone();
            ensure!(heard.iter().any(|method| method == word), "{word} was not asked: {heard:?}");
            let asks_vendor = heard.iter().any(|method| method.starts_with("update."));
            ensure!(asks_vendor == (version > Version::V25_04), "updates were asked for by {heard:?}");
        }
        self.simulator.world().version = Version::V25_10;
        Ok(())
    }

    /// Who is not root needs a key; which goes over TLS and over the socket, and nowhere else.
    async fn keys(&self, socket: &Path) -> Result<()> {
        let file = self.dir.join("truenas-key");
        let write = |text: &str, mode| {
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))
        };
        let key = self.simulator.world().key.clone();
        // Nobody is root for it: the agent of a node is not.
        let stranger = |world: &mut World| world.root = u32::MAX;
        let refused = |told| [([COLLECTOR, "truenas", "unknown", "blocks"], told)];
        self.finds(stranger, &refused("name the file with the key as api_key_file")).await?;
        let with_key = format!("api_key_file = {file:?}\n");
        let local = Self { config: format!("[truenas]\nendpoint = {socket:?}\n{with_key}"), ..self.same() };
        let ca = self.dir.join("ca.pem");
        let secured = format!("[truenas]\nendpoint = \"wss://{TLS}\"\n{with_key}");
        let remote = Self { config: format!("{secured}ca_file = {ca:?}\n"), ..self.same() };
        write(&key, 0o640)?;
        let ready = [(["truenas.state", "system", "ok", "none"], "READY")];
        local.finds(stranger, &ready).await?;
        remote.finds(stranger, &ready).await?;
        let logged_in = |world: &mut World| *world.of("iscsi.global.sessions") = json!([world::session("iqn.a")]);
        let health = remote.finds(logged_in, &ready).await?;
        let holds_us = health.findings.iter().any(|found| found.check == "iscsi_target.sessions");
        ensure!(!holds_us, "who is logged in at another box must not hold this node");
        remote.finds(|world| world.key_expired = true, &refused("has expired or was revoked")).await?;
        let untrusted = Self { config: secured, ..self.same() };
        untrusted.finds(stranger, &refused("name the right one in ca_file")).await?;
        ensure!(
            self.simulator.world().heard.is_empty(),
            "nothing may be said to a server whose certificate does not hold"
        );
        write("5-wrong", 0o640)?;
        local.finds(stranger, &refused("make another key")).await?;
        write(&key, 0o644)?;
        local.finds(stranger, &refused("everybody may use this key")).await?;
        ensure!(self.simulator.world().key == key, "the key was sent without TLS");
        let plain = self.dir.join("plain.toml");
        std::fs::write(&plain, remote.config.replace("wss://", "ws://"))?;
        let checked = Run::new(&self.scene.program, TOOL_LIMIT).args(["config", "check"]).arg(&plain).output().await?;
        let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), checked.stderr);
        ensure!(checked.code != Some(0) && said.contains("revokes a key"), "ws:// must be refused: {said}");
        self.scene.say("a key never goes without TLS");
        Ok(())
    }

    fn same(&self) -> Self {
        Self { scene: self.scene, dir: self.dir, simulator: self.simulator.clone(), config: self.config.clone() }
    }

    async fn rude(&self, socket: &Path) -> Result<()> {
        for (trouble, told) in [
            (Trouble::Hangs, "no answer within"),
            (Trouble::Garbage, "what is no JSON-RPC"),
            (Trouble::Huge, "one answer is larger than 8 MiB"),
            (Trouble::Drops, "the connection broke"),
        ] {
            let before = Instant::now();
            let told = [([COLLECTOR, "truenas", "unknown", "blocks"], told)];
            self.finds(|world| world.trouble = trouble, &told).await?;
            let took = before.elapsed();
            ensure!(took < LOOK_LIMIT, "a look at a box with {trouble:?} took {} s", took.as_secs());
        }
        let gone = Self { config: format!("[truenas]\nendpoint = \"{}.gone\"\n", socket.display()), ..self.same() };
        gone.finds(|_| {}, &[([COLLECTOR, "truenas", "unknown", "blocks"], "No such file")]).await?;
        let nobody = self.dir.join("nobody.sock");
        drop(std::os::unix::net::UnixListener::bind(&nobody).context("making a socket that nobody serves")?);
        let refused = Self { config: format!("[truenas]\nendpoint = {nobody:?}\n"), ..self.same() };
        refused.finds(|_| {}, &[([COLLECTOR, "truenas", "unknown", "blocks"], "Connection refused")]).await?;
        Ok(())
    }

    /// An agent sees a replication begin and end, over one connection; a box that hangs does not hold its page.
    async fn over_time(&self, socket: &Path) -> Result<()> {
        let config = format!(
            "[truenas]\nendpoint = {socket:?}\ninterval_secs = 1\n[probe]\ninterval_secs = 1\ndeadline_secs = 1\n\
             [metrics]\nlisten = \"127.0.0.1:9787\"\n"
        );
        std::fs::write(self.dir.join("agent.toml"), config).context("writing the agent's configuration")?;
        std::fs::create_dir_all(self.dir.join("state")).context("making the agent's directory")?;
        self.be(|_| {});
        let agent = start_agent(self.scene, self.dir).await?;
        let (scene, dir) = (self.scene, self.dir);
        let replication = |severity| ("truenas.replication", "to-backup", severity);
        seen(scene, dir, replication("ok"), "ended well").await?;
        let state = |world: &mut World, state| world.of("replication.query")[0]["state"]["state"] = json!(state);
        {
            let mut world = self.simulator.world();
            state(&mut world, "RUNNING");
            *world.of("core.get_jobs") = json!([world::job(9, "replication.run")]);
        }
        seen(scene, dir, replication("info"), "RUNNING").await?;
        {
            let mut world = self.simulator.world();
            state(&mut world, "FINISHED");
            *world.of("core.get_jobs") = json!([]);
        }
        seen(scene, dir, replication("ok"), "ended well").await?;
        let heard = self.simulator.world().heard.clone();
        let updates = heard.iter().filter(|method| *method == "update.status").count();
        ensure!(updates == 1, "updates were asked for {updates} times, which asks the vendor each time");
        *self.simulator.world().of("alert.list") = json!([world::alert("SMART", "WARNING")]);
        seen(scene, dir, ("truenas.alert", "SMART", "warn"), "tank is ill").await?;
        let alerts = page(scene, "hardstand_truenas_alerts{klass=\"SMART\",level=\"WARNING\"}").await?;
        ensure!((alerts - 1.0).abs() < f64::EPSILON, "the page says {alerts}");
        self.simulator.world().trouble = Trouble::Hangs;
        seen(scene, dir, (COLLECTOR, "truenas", "unknown"), "no answer within").await?;
        let before = Instant::now();
        page(scene, "hardstand_truenas_alerts{klass=\"SMART\",level=\"WARNING\"}").await?;
        let took = before.elapsed();
        ensure!(took < PAGE_LIMIT, "with a box that hangs the page took {} ms", took.as_millis());
        self.scene.say(&format!("with a box that hangs the page comes in {} ms", took.as_millis()));
        self.simulator.world().trouble = Trouble::None;
        seen(scene, dir, ("truenas.state", "system", "ok"), "READY").await?;
        stop(agent).await
    }
}
