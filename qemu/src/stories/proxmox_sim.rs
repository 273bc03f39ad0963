//! `proxmox-sim`: the agent beside a simulator of Proxmox VE's API, whose cluster goes through everything that keeps a
//! node up, and which then fails to answer in every way. No machine is booted, and no Proxmox VE is: what the simulator
//! answers is held to the published schema by its tests.
//!
//! Real: the shipped program, TLS, openssl's certificates. Made up: all that stands behind the API.

mod changes;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, find};

use crate::agent_here::{AgentHere, Ours};
use crate::scene::Scene;
use crate::simulator::proxmox::{AUDITOR, Proxmox, World};
use crate::simulator::{Answered, Fault, Serving};
#[cfg(test)]
pub(crate) use changes::CHANGES;
pub(crate) use changes::well;

/// openssl makes a key in milliseconds; `ip` only talks to the kernel.
const TOOL_LIMIT: Duration = Duration::from_secs(30);
/// Two seconds between two questions, one between two passes; a question that hangs takes six. The rest is a busy machine.
const SEEN_LIMIT: Duration = Duration::from_secs(40);
/// The same, and nothing else may make it late.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(25);
const OURS: Ours = Ours { group: "pve", collector: "proxmox", seen_limit: SEEN_LIMIT };
const PORT: u16 = 8006;
const TOKEN: &str = "hardstand@pve!one=7a3c1f9e-52d4-4e0b-9c11-0d2b6f1c8a44";

pub(crate) async fn run(scene: &Scene) -> Result<()> {
    let dir = scene.dir.canonicalize().context("finding the story's directory")?;
    Run::new(tool("ip")?, TOOL_LIMIT).args(["link", "set", "lo", "up"]).success().await?;
    let api = serve(&dir).await?;
    scene.say("the simulator serves the API");
    let own = "[node]\nname = \"one\"\nexpect = [\"proxmox\"]\n";
    let agent = AgentHere::start(scene, &format!("{own}{}interval_secs = 2\n", section(&dir)), OURS).await?;
    let told = Told { scene, agent: &agent, api: &api };
    no_token(&told, &dir).await.context("without a token")?;
    told.well().await.context("when all is well")?;
    high_availability(&told).await.context("with high availability")?;
    in_flight(&told).await.context("with tasks in flight")?;
    storages(&told).await.context("with storages")?;
    backups(&told).await.context("with backups")?;
    replication(&told).await.context("with replication")?;
    words_to_come(&told).await.context("with words to come")?;
    told.asks_what_is_answered()?;
    parts(&told).await.context("with a part that is not answered")?;
    silence(&told, &dir).await.context("with an API that does not answer")?;
    told.well().await
}

fn tool(name: &str) -> Result<std::path::PathBuf> {
    find(name).with_context(|| format!("finding {name}; start through qemu/lab, which installs it"))
}

/// An authority, and a certificate of it for this host, as every node of Proxmox VE has one.
async fn certificates(dir: &Path) -> Result<()> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").context("writing names")?;
    for words in [
        format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=pve-ca -days 30"),
        format!("req -x509 {KEY} -keyout stray.key -out stray.pem -subj /CN=stray-ca -days 30"),
        format!("req {KEY} -keyout api.key -out api.csr -subj /CN=one.lan"),
        "x509 -req -in api.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out api.pem"
            .to_owned(),
    ] {
        let run = Run::new(tool("openssl")?, TOOL_LIMIT).args(words.split(' ')).dir(dir);
        run.success().await.with_context(|| format!("running openssl {words}"))?;
    }
    Ok(())
}

/// Another endpoint than a node's own is named: this machine is none.
fn section(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "[proxmox]\nendpoint = \"https://localhost:{PORT}\"\nconnect_to = \"127.0.0.1:{PORT}\"\nnode = \"one\"\n\
         token_file = \"{dir}/token\"\nca_file = \"{dir}/ca.pem\"\nno_backup_tags = [\"scratch\"]\n"
    )
}

/// The simulator, in which all is well, with its certificates below `dir`.
async fn serve(dir: &Path) -> Result<Serving<Proxmox>> {
    certificates(dir).await?;
    let api = Proxmox { world: well(), token: format!("PVEAPIToken={TOKEN}"), privileges: AUDITOR.to_vec() };
    Serving::start(api, PORT, (dir, "api")).await
}

fn keep_token(dir: &Path, mode: u32) -> Result<()> {
    let token = dir.join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).context("writing the token")?;
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).context("opening the token")
}

/// The same for somebody else, and the section of a configuration that has it asked.
pub(crate) async fn beside(dir: &Path) -> Result<(Serving<Proxmox>, String)> {
    keep_token(dir, 0o640)?;
    Ok((serve(dir).await?, section(dir)))
}

/// What the story is told with.
struct Told<'a> {
    scene: &'a Scene,
    agent: &'a AgentHere<'a>,
    api: &'a Serving<Proxmox>,
}

impl Told<'_> {
    /// The cluster as it was, changed in this way.
    fn change(&self, change: fn(&mut World)) {
        self.api.change(|api| {
            api.world = well();
            change(&mut api.world);
        });
    }

    /// The change is seen, and it blocks or does not.
    async fn seen(&self, change: fn(&mut World), finding: (&str, &str, &str), words: &str, gate: Blocks) -> Result<()> {
        self.change(change);
        self.agent.finds(finding, words).await?;
        match gate {
            Blocks::Yes => self.agent.is_blocked_by(&format!("{} {}", finding.0, finding.1)).await,
            Blocks::No => self.agent.is_free().await,
        }
    }

    /// All is as it was, and that is seen.
    async fn over(&self) -> Result<()> {
        self.api.heal();
        self.change(|_| {});
        self.agent.is_content().await?;
        self.agent.is_free().await?;
        self.scene.say("it is over, and nothing of Proxmox VE is in the way");
        Ok(())
    }

    /// Everything that is told of a node that is well.
    async fn well(&self) -> Result<()> {
        self.over().await?;
        for (finding, words) in [
            (("pve.expected", "proxmox", "ok"), "1 host of Proxmox VE"),
            (("pve.guest", "guests", "ok"), "2 on this node, 2 of them running"),
            (("pve.ha", "vm:100", "ok"), "started on one"),
            (("pve.task", "tasks", "ok"), "none runs"),
            (("pve.storage", "nas", "ok"), "active"),
            (("pve.replication", "101-0", "ok"), "to two"),
            (("pve.backup_age", "qemu/100 web", "ok"), "old"),
            (("pve.backup_age", "lxc/101 db", "ok"), "old"),
            (("pve.pinned", "guests", "info"), "lxc/101 db (local)"),
        ] {
            self.agent.finds(finding, words).await?;
        }
        Ok(())
    }

    /// Whatever the agent has asked so far was in the simulator's table.
    fn asks_what_is_answered(&self) -> Result<()> {
        let asked = self.api.asked();
        let refused: Vec<&String> =
            asked.iter().filter(|line| !line.ends_with(" 200") && !line.ends_with(" 595")).collect();
        ensure!(!asked.is_empty() && refused.is_empty(), "the simulator refused {refused:#?}");
        self.scene.say(&format!("{} questions were asked, and all of them are in the simulator's table", asked.len()));
        Ok(())
    }
}

/// Whether a finding keeps the node up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocks {
    Yes,
    No,
}

/// It says how to make a token; one that everybody may read is not used.
async fn no_token(told: &Told<'_>, dir: &Path) -> Result<()> {
    told.agent.knows_nothing(SEEN_LIMIT, "pveum user token add hardstand@pve one --privsep 0").await?;
    keep_token(dir, 0o644)?;
    told.agent.knows_nothing(SEEN_LIMIT, "everybody may use this token").await?;
    ensure!(told.api.asked().is_empty(), "something was asked without a token");
    keep_token(dir, 0o640)?;
    told.scene.say("the token is kept");
    Ok(())
}

async fn high_availability(told: &Told<'_>) -> Result<()> {
    told.seen(changes::ha_error, ("pve.ha", "vm:100", "crit"), "--state disabled", Blocks::Yes).await?;
    told.agent.shows(r#"pve_ha_state{id="qemu/100",state="error"} 1"#).await?;
    told.seen(changes::ha_fence, ("pve.ha", "vm:100", "crit"), "one is being fenced", Blocks::Yes).await?;
    told.seen(changes::in_maintenance, ("pve.ha", "lrm one", "info"), "node-maintenance disable one", Blocks::No)
        .await?;
    told.change(changes::other_node_offline);
    told.agent.finds(("pve.node", "two", "warn"), "guests cannot move there").await?;
    told.agent.finds(("pve.ha", "lrm two", "warn"), "its node is not online").await?;
    told.over().await
}

async fn in_flight(told: &Told<'_>) -> Result<()> {
    let migration = ("pve.task", "qmigrate 100", "info");
    told.seen(changes::migrating, migration, "root@pam started it", Blocks::Yes).await?;
    told.agent.shows(r#"hardstand_pve_tasks{type="qmigrate"} 1"#).await?;
    told.change(|_| {});
    told.agent.finds(("pve.task", "tasks", "ok"), "none runs").await?;
    told.agent.is_free().await?;
    told.seen(changes::backing_up, ("pve.task", "vzdump", "info"), "a reboot would kill it", Blocks::Yes).await?;
    let copy = ("pve.replication", "101-0", "info");
    told.seen(changes::replicating, copy, "a reboot would kill it", Blocks::Yes).await?;
    told.seen(changes::looking, ("pve.task", "vncproxy 100", "info"), "only ends it", Blocks::No).await?;
    told.seen(changes::locked, ("pve.guest", "qemu/100 web lock", "warn"), "qm unlock 100", Blocks::Yes).await?;
    told.over().await
}

async fn storages(told: &Told<'_>) -> Result<()> {
    let needed = ("pve.storage", "nas", "warn");
    told.seen(changes::storage_inactive, needed, "disks of qemu/100 are on it", Blocks::Yes).await?;
    told.agent.shows(r#"hardstand_pve_storage_active{storage="nas"} 0"#).await?;
    let idle = ("pve.storage", "archive", "warn");
    told.seen(changes::idle_storage_inactive, idle, "no guest that runs here", Blocks::No).await?;
    told.over().await
}

async fn backups(told: &Told<'_>) -> Result<()> {
    let job = ("pve.backup_job", "qemu/102 new", "warn");
    told.seen(changes::no_job, job, "its tags: red, blue", Blocks::No).await?;
    told.agent.shows("pve_not_backed_up_total 1").await?;
    told.agent.shows(r#"pve_not_backed_up_info{id="qemu/102"} 1"#).await?;
    let none = ("pve.backup_age", "qemu/103 newer", "warn");
    told.seen(changes::no_backup, none, "no log of the last 31 days", Blocks::No).await?;
    told.change(changes::first_backup_runs);
    told.agent.finds(("pve.task", "vzdump 103", "info"), "a reboot would kill it").await?;
    told.change(changes::first_backup_done);
    told.agent.finds(("pve.backup_age", "qemu/103 newer", "ok"), "old").await?;
    told.seen(changes::old_backup, ("pve.backup_age", "qemu/104 older", "warn"), "at most 26 h old", Blocks::No)
        .await?;
    told.over().await
}

async fn replication(told: &Told<'_>) -> Result<()> {
    let failed = ("pve.replication", "101-0", "warn");
    told.seen(changes::replication_fails, failed, "3 times to copy to two: no tunnel IP received", Blocks::No).await?;
    told.agent.shows(r#"pve_replication_failed_syncs{id="101-0"} 3"#).await?;
    told.over().await
}

/// Words that no release has yet.
async fn words_to_come(told: &Told<'_>) -> Result<()> {
    let row = ("pve.resource", "appliance/one", "info");
    told.seen(changes::stranger, row, "type appliance is not known", Blocks::No).await?;
    told.seen(changes::ha_word_to_come, ("pve.ha", "vm:100", "unknown"), "teleporting", Blocks::Yes).await?;
    told.agent.shows(r#"pve_ha_state{id="qemu/100",state="teleporting"} 1"#).await?;
    told.over().await
}

/// One question fails, and the others are answered.
async fn parts(told: &Told<'_>) -> Result<()> {
    told.api.break_at("/api2/json/nodes/one/storage", Fault::Hangs);
    told.agent.finds(("pve.api", "storages", "unknown"), "no answer within 6 s").await?;
    told.agent.finds(("pve.ha", "vm:100", "ok"), "started").await?;
    told.agent.is_blocked_by("pve.api storages").await?;
    told.over().await?;
    let refused = |status, reason: &str| {
        Fault::Answers(Answered { status, reason: reason.to_owned(), body: r#"{"data":null}"#.to_owned() })
    };
    told.api.break_at("/api2/json/nodes/one/replication", refused(500, "can't lock file"));
    told.agent.finds(("pve.api", "replication", "unknown"), "answered 500 (can't lock file): see: journalctl").await?;
    told.api.heal();
    told.api.break_at("/api2/json/nodes/one/tasks", Fault::Answers(Answered::ok("<html>")));
    told.agent.finds(("pve.api", "tasks", "unknown"), "parsing GET /nodes/{node}/tasks").await?;
    told.api.heal();
    told.api.change(|api| api.privileges.retain(|privilege| *privilege != "Sys.Audit"));
    let next = "(Permission check failed (/, Sys.Audit)): the token hardstand@pve!one may not ask this";
    told.agent.finds(("pve.api", "ha", "unknown"), next).await?;
    told.api.change(|api| api.privileges = AUDITOR.to_vec());
    told.over().await
}

/// The whole API fails: nothing is known any more within a limit, and the page does not wait.
async fn silence(told: &Told<'_>, dir: &Path) -> Result<()> {
    let everywhere = "/api2/json";
    told.api.change(|api| api.token = "PVEAPIToken=hardstand@pve!one=another".to_owned());
    told.agent.knows_nothing(UNKNOWN_LIMIT, "answered 401 (invalid token value!): it does not take the token").await?;
    told.agent.shows(r#"hardstand_collector_success{collector="proxmox"} 0"#).await?;
    told.api.change(|api| api.token = format!("PVEAPIToken={TOKEN}"));
    told.over().await?;
    let broken = Answered { status: 500, reason: "unable to open file".to_owned(), body: String::new() };
    told.api.break_at(everywhere, Fault::Answers(broken));
    told.agent.knows_nothing(UNKNOWN_LIMIT, "answered 500 (unable to open file)").await?;
    told.api.heal();
    told.api.break_at(everywhere, Fault::Answers(Answered::ok("\u{0}{\"data\":[[[")));
    told.agent.knows_nothing(UNKNOWN_LIMIT, "parsing GET /cluster/resources").await?;
    told.api.heal();
    told.api.break_at(everywhere, Fault::Hangs);
    told.agent.knows_nothing(UNKNOWN_LIMIT, "no answer within 6 s").await?;
    told.api.heal();
    // A certificate of somebody else: the token is not sent.
    let (ours, kept) = (dir.join("ca.pem"), dir.join("kept.pem"));
    std::fs::rename(&ours, &kept).context("taking the authority away")?;
    std::fs::copy(dir.join("stray.pem"), &ours).context("trusting another authority")?;
    told.agent.knows_nothing(UNKNOWN_LIMIT, "not signed by an authority in").await?;
    std::fs::rename(&kept, &ours).context("giving the authority back")?;
    Ok(())
}
