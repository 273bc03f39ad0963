//! `hardstand store`: make the fleet's store, look at it, and take it in use again after a restore.
//!
//! It must never make a store where there is one, nor give a store another incarnation without a person's reason.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use hardstand_core::operator;
use hardstand_core::settings::{Engine, StoreSettings};
use hardstand_core::store::access::Role;
use hardstand_core::view::View;
use serde::Serialize;

use super::desk::{Desk, DeskArgs, operator_name, runtime, show};
use crate::report::terminal::one_line;
use crate::store::Embedded;
use crate::store::etcd::auth;
use crate::store::open::{etcd, identity};
use crate::store::records::Records;
use crate::trust::Identity;

/// `hardstand store`
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Make the store, and give it its first incarnation.
    ///
    /// With the embedded engine this makes its file, on its host, before the agent is started. With etcd it only gives
    /// the incarnation.
    Init {
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Give each node and operator its user in etcd, confined to what it may write, and turn authentication on.
    ///
    /// Asked for by an operator whose certificate becomes etcd's root: make one for this alone, and keep it off line.
    /// It may be done again, for nodes and operators that came later.
    Users(UsersArgs),
    /// Show whether the store answers, and what it holds.
    Show {
        #[command(flatten)]
        desk: DeskArgs,
    },
    /// Give a restored store a new incarnation. Every lease and order of its former life is void from then on.
    ///
    /// Look at every node first: none may be in the middle of a patch.
    Adopt(AdoptArgs),
}

/// `hardstand store users`
#[derive(Debug, Args)]
pub(super) struct UsersArgs {
    /// A node, by the name in its certificate; may be given again.
    #[arg(long = "node", value_name = "NAME", required = true)]
    nodes: Vec<String>,
    /// An operator, by the name in their certificate; may be given again.
    #[arg(long = "operator", value_name = "NAME")]
    operators: Vec<String>,
    #[command(flatten)]
    desk: DeskArgs,
}

/// `hardstand store adopt`
#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// Why, for the audit chain.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    desk: DeskArgs,
}

/// `hardstand.store/1`
#[derive(Debug, Serialize)]
struct StoreDocument {
    incarnation: Option<String>,
    revision: u64,
    fleet: Option<String>,
    leader: Option<String>,
    nodes_alive: usize,
    nodes_reporting: usize,
    audit_records: u64,
}

const SCHEMA: &str = "hardstand.store/1";

/// Does what is asked.
pub(super) fn run(command: &StoreCommand) -> anyhow::Result<()> {
    match command {
        StoreCommand::Init { desk } => init(desk),
        StoreCommand::Users(args) => users(args),
        StoreCommand::Show { desk } => tell(&Desk::open(desk)?, desk.json),
        StoreCommand::Adopt(args) => adopt(args),
    }
}

fn init(args: &DeskArgs) -> anyhow::Result<()> {
    let settings = args.settings()?;
    let (desk, made) = match settings.engine {
        Engine::Embedded => (found(&settings)?, Some(settings.file.clone())),
        Engine::None | Engine::Remote | Engine::Etcd => (Desk::open(args)?, None),
    };
    let life = fresh_id()?;
    desk.commit(
        |_| Vec::new(),
        |view| {
            if let Some(old) = &view.incarnation {
                bail!("the store is in use already (incarnation {}); see: hardstand store show", old.value);
            }
            Ok(operator::adopt(view, &desk.person(), life.clone(), "made"))
        },
    )?;
    if let (false, Some(file)) = (args.json, made) {
        let next = "next: systemctl start hardstand-agent, then: hardstand fleet apply fleet.toml";
        crate::report::terminal::print(&format!("made {file}\n{next}\n"))?;
    }
    tell(&desk, args.json)
}

/// A new file, opened here: no agent serves it yet.
fn found(settings: &StoreSettings) -> anyhow::Result<Desk> {
    let file = Path::new(&settings.file);
    Embedded::create(file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    hand_over(file, directory).with_context(|| format!("giving {} to the owner of its directory", file.display()))?;
    let store = Embedded::open(file)?;
    Ok(Desk::on(runtime()?, Records::new(Arc::new(store)), founder(settings)))
}

/// The agent runs as the owner of the directory, and root makes the file.
fn hand_over(file: &Path, directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (of, is) = (std::fs::metadata(directory)?, std::fs::metadata(file)?);
    if (of.uid(), of.gid()) == (is.uid(), is.gid()) || !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    std::os::unix::fs::chown(file, Some(of.uid()), Some(of.gid()))
}

/// Who makes it: their certificate where there is one, else their name on this machine.
fn founder(settings: &StoreSettings) -> String {
    operator_name(settings).unwrap_or_else(|_| {
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        user.map_or_else(|| format!("uid-{uid}"), |user| user.name)
    })
}

fn users(args: &UsersArgs) -> anyhow::Result<()> {
    let settings = args.desk.settings()?;
    if settings.engine != Engine::Etcd {
        bail!("the store is no etcd; the embedded one knows its nodes and operators by their certificates");
    }
    let of = |role: Role, names: &[String]| -> Vec<Identity> {
        names.iter().map(|name| Identity { role, name: name.clone() }).collect()
    };
    let root = Identity { role: Role::Operator, name: operator_name(&settings)? };
    let members = [of(Role::Node, &args.nodes), of(Role::Operator, &args.operators)].concat();
    let files = identity(settings.credentials.as_ref(), Role::Operator)?;
    let runtime = runtime()?;
    let doing = async { auth::set_up(&etcd(&settings, files), &root, &members).await };
    let changed = runtime.block_on(doing)?;
    let mut text: String = changed.iter().map(|one| one_line(one) + "\n").collect();
    if text.is_empty() {
        text.push_str("nothing changes: every user is as it should be\n");
    }
    show(args.desk.json, "hardstand.store-users/1", &serde_json::json!({ "changed": changed }), &text)
}

fn adopt(args: &AdoptArgs) -> anyhow::Result<()> {
    let desk = Desk::open(&args.desk)?;
    let life = fresh_id()?;
    desk.commit(
        |view| vec![view.incarnation.as_ref().map_or(0, |old| old.modified)],
        |view| Ok(operator::adopt(view, &desk.person(), life.clone(), &args.reason)),
    )?;
    tell(&desk, args.desk.json)
}

/// 64 random bits: no two lives of a store share an id.
fn fresh_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).ok().context("asking the system for random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn tell(desk: &Desk, json: bool) -> anyhow::Result<()> {
    let document = document(&desk.view()?);
    show(json, SCHEMA, &document, &screen(&document))
}

fn document(view: &View) -> StoreDocument {
    StoreDocument {
        incarnation: view.incarnation.as_ref().map(|seen| seen.value.clone()),
        revision: view.revision,
        fleet: view.policy.as_ref().map(|seen| seen.value.fleet.name.clone()),
        leader: view.leader.as_ref().map(|seen| seen.value.node.clone()),
        nodes_alive: view.sessions.len(),
        nodes_reporting: view.reports.len(),
        audit_records: view.audit_head().0.seq,
    }
}

fn screen(document: &StoreDocument) -> String {
    let or = |value: &Option<String>, none: &str| value.as_ref().map_or_else(|| none.to_owned(), |text| one_line(text));
    format!(
        "incarnation  {}\nrevision     {}\nfleet        {}\nleader       {}\nnodes        {} alive, {} have reported\naudit        {} records\n",
        or(&document.incarnation, "none yet: hardstand store init"),
        document.revision,
        or(&document.fleet, "no policy yet: hardstand fleet apply fleet.toml"),
        or(&document.leader, "none now"),
        document.nodes_alive,
        document.nodes_reporting,
        document.audit_records,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_made_once_with_an_incarnation() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("agent.toml");
        let file = dir.path().join("store.redb");
        let text = format!(
            "[store]\nengine = \"embedded\"\nendpoints = [\"https://127.0.0.1:1\"]\nfile = \"{}\"\ncredentials = \"{}\"\n",
            file.display(),
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let settings = crate::config::load(Some(&config)).unwrap().settings.store;
        let desk = found(&settings).unwrap();
        let life = fresh_id().unwrap();
        desk.commit(|_| Vec::new(), |view| Ok(operator::adopt(view, &desk.person(), life.clone(), "made"))).unwrap();
        let shown = document(&desk.view().unwrap());
        assert_eq!((shown.incarnation, shown.audit_records), (Some(life), 1));
        drop(desk);
        assert!(found(&settings).is_err(), "a second one would be another fleet");
    }

    #[test]
    fn ids_differ() {
        assert_ne!(fresh_id().unwrap(), fresh_id().unwrap());
    }
}
