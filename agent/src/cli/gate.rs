//! `hardstand gate`: may a node go down now? Its own part by its agent, the fleet's part by the rules of the leader.
//!
//! It must never say that a node may go down while one of the two could not be asked.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use hardstand_core::settings::Engine;
use hardstand_core::status::Blocker;
use hardstand_core::{Gate, safety};
use serde::Serialize;

use super::client::Agent;
use super::desk::{Desk, DeskArgs, as_read_now, now_ms, with_schema};
use super::rollout::line;
use super::{EXIT_UNKNOWN, SocketArgs, complain};
use crate::report::document::HealthDocument;
use crate::report::terminal::{one_line, print};

const SCHEMA: &str = "hardstand.gate/1";
/// What must stay up.
const EXIT_CLOSED: u8 = 2;

/// `hardstand gate`
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// A node of the fleet, by what it reports; without it this one, by its agent and by the fleet it belongs to.
    node: Option<String>,
    /// Ask this node's agent alone.
    #[arg(long, conflicts_with = "node")]
    here: bool,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    desk: DeskArgs,
}

/// The answer. The order is that of the worst part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It may go down.
    Open,
    /// That is not known.
    Unknown,
    /// It must stay up.
    Closed,
}

/// What one side says.
#[derive(Debug, Serialize)]
struct Part {
    /// `node` or `fleet`.
    by: &'static str,
    state: State,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    blockers: Vec<Blocker>,
}

#[derive(Debug, Serialize)]
struct GateDocument {
    node: String,
    state: State,
    parts: Vec<Part>,
}

impl Part {
    fn of(by: &'static str, asked: anyhow::Result<Vec<Blocker>>) -> Self {
        match asked {
            Ok(blockers) if blockers.is_empty() => Self { by, state: State::Open, why: None, blockers },
            Ok(blockers) => Self { by, state: State::Closed, why: None, blockers },
            Err(error) => Self { by, state: State::Unknown, why: Some(format!("{error:#}")), blockers: Vec::new() },
        }
    }
}

impl GateDocument {
    fn of(node: String, parts: Vec<Part>) -> Self {
        Self { node, state: parts.iter().map(|part| part.state).max().unwrap_or(State::Unknown), parts }
    }
}

/// Asks both sides and prints what they say.
pub(super) fn run(args: &GateArgs) -> ExitCode {
    let shown = answer(args).and_then(|document| {
        let text = if args.desk.json { with_schema(SCHEMA, &document)? } else { screen(&document) };
        print(&text)?;
        Ok(document.state)
    });
    match shown {
        Ok(State::Open) => ExitCode::SUCCESS,
        Ok(State::Closed) => ExitCode::from(EXIT_CLOSED),
        Ok(State::Unknown) => ExitCode::from(EXIT_UNKNOWN),
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

fn answer(args: &GateArgs) -> anyhow::Result<GateDocument> {
    if let Some(node) = &args.node {
        return Ok(GateDocument::of(node.clone(), vec![Part::of("fleet", of_fleet(node, &args.desk))]));
    }
    let health: HealthDocument = Agent::at(&args.socket.socket)?.get("/v1/health")?;
    let node = health.node.clone();
    let mut parts = vec![Part::of("node", of_node(&health))];
    // A node without a fleet has only itself to ask.
    let engine = args.desk.settings().map(|settings| settings.engine);
    if !args.here && !matches!(engine, Ok(Engine::None)) {
        let mut fleet = engine.and_then(|_| of_fleet(&node, &args.desk));
        if let (Ok(blockers), Some(own)) = (&mut fleet, parts.first()) {
            // What the node reports of itself stands above already.
            blockers.retain(|one| one.subject != node || own.blockers.iter().all(|said| said.check != one.check));
        }
        parts.push(Part::of("fleet", fleet));
    }
    Ok(GateDocument::of(node, parts))
}

fn of_node(health: &HealthDocument) -> anyhow::Result<Vec<Blocker>> {
    if health.findings.is_empty() {
        bail!("the agent has judged nothing yet; ask again, or see: systemctl status hardstand-agent");
    }
    let blocking = health.findings.iter().filter(|finding| finding.gate == Gate::Blocks);
    Ok(blocking.map(|found| Blocker::new(&found.check, &found.subject, &found.summary, &found.evidence)).collect())
}

fn of_fleet(node: &str, args: &DeskArgs) -> anyhow::Result<Vec<Blocker>> {
    let view = Desk::open(args).context("asking the fleet")?.view().context("asking the fleet")?;
    let now_ms = now_ms();
    Ok(safety::gates(&as_read_now(&view, now_ms), node, now_ms))
}

fn screen(document: &GateDocument) -> String {
    let node = one_line(&document.node);
    let mut out = String::new();
    let answer = match document.state {
        State::Open => format!("{node} may go down now"),
        State::Unknown => format!("whether {node} may go down is NOT known"),
        State::Closed => format!("{node} must STAY UP"),
    };
    line(&mut out, &answer);
    for part in &document.parts {
        let said = match (part.state, &part.why) {
            (State::Open, _) => "nothing in the way".to_owned(),
            (State::Closed, _) => format!("{} in the way", part.blockers.len()),
            (State::Unknown, why) => format!("not known: {}", why.as_deref().unwrap_or("no reason given")),
        };
        line(&mut out, &format!("{:<6} {said}", part.by));
        for blocker in &part.blockers {
            line(&mut out, &format!("  {} {}: {}", blocker.check, blocker.subject, blocker.why));
            line(&mut out, &format!("      {}", blocker.way_out));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn blocker() -> Blocker {
        Blocker::new("zfs.pool", "tank", "pool tank DEGRADED", "see: zpool status tank")
    }

    fn document(fleet: anyhow::Result<Vec<Blocker>>, node: anyhow::Result<Vec<Blocker>>) -> GateDocument {
        GateDocument::of("pve1".to_owned(), vec![Part::of("node", node), Part::of("fleet", fleet)])
    }

    #[test]
    fn only_two_answers_of_nothing_open_it() {
        let failed = || Err(anyhow::anyhow!("nobody answers"));
        for (fleet, node, state) in [
            (Ok(Vec::new()), Ok(Vec::new()), State::Open),
            (failed(), Ok(Vec::new()), State::Unknown),
            (Ok(Vec::new()), failed(), State::Unknown),
            (failed(), Ok(vec![blocker()]), State::Closed),
            (Ok(vec![blocker()]), Ok(Vec::new()), State::Closed),
        ] {
            assert_eq!(document(fleet, node).state, state);
        }
        assert_eq!(GateDocument::of("pve1".to_owned(), Vec::new()).state, State::Unknown);
    }

    #[test]
    fn the_screen_says_what_is_in_the_way_and_what_to_do() {
        let shown = screen(&document(Err(anyhow::anyhow!("asking the fleet: no certificate")), Ok(vec![blocker()])));
        let expected = "\
pve1 must STAY UP
node   1 in the way
  zfs.pool tank: pool tank DEGRADED
      see: zpool status tank
fleet  not known: asking the fleet: no certificate
";
        assert_eq!(shown, expected);
        assert_eq!(
            screen(&document(Ok(Vec::new()), Ok(Vec::new()))),
            "pve1 may go down now\nnode   nothing in the way\nfleet  nothing in the way\n"
        );
    }

    #[test]
    fn what_blocks_is_what_the_agent_says_blocks() {
        let mut health = HealthDocument::from(&samples::sick());
        let blocking = health.findings.iter().filter(|finding| finding.gate == Gate::Blocks).count();
        assert!(blocking > 0 && blocking < health.findings.len());
        assert_eq!(of_node(&health).unwrap().len(), blocking);
        health.findings.clear();
        assert!(of_node(&health).is_err(), "an agent that has judged nothing vouches for nothing");
    }
}
