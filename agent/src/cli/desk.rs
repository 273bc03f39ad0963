//! Where a person works on the fleet's store: opens it with their certificate, reads it, and commits what they decide.
//!
//! It must never write on what the person has not seen: when that changed, it says so and writes nothing. It must never
//! call a write undone while it may have been done.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use hardstand_core::audit::AuditRecord;
use hardstand_core::operator::Person;
use hardstand_core::settings::StoreSettings;
use hardstand_core::status::Blocker;
use hardstand_core::store::access::Role;
use hardstand_core::store::{Answer, Entry, Key, Op, Record, Revision, Txn};
use hardstand_core::view::View;
use tokio::runtime::Runtime;

use super::watch::unix_seconds;
use crate::config;
use crate::host::clock::boottime;
use crate::report::terminal::{one_line, print};
use crate::store::StoreError;
use crate::store::open::{identity, open};
use crate::store::records::Records;
use crate::trust::Trust;

/// Every transition of the fleet moves the end of the audit chain, so a commit may lose a race; ten in a row means that
/// something writes without end, which a person must see.
const TRIES: u32 = 10;
/// Between two tries after an answer was lost: the store may need a moment to answer again.
const PAUSE: Duration = Duration::from_millis(500);

/// Which store, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct DeskArgs {
    /// Configuration file that names the store, instead of /etc/hardstand/agent.toml and its drop-ins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of ca.crt, crl.pem and your operator-NAME.crt and .key, instead of the configured one.
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl DeskArgs {
    /// The store's settings.
    pub(super) fn settings(&self) -> anyhow::Result<StoreSettings> {
        let mut settings = config::load(self.config.as_deref())?.settings.store;
        if let Some(dir) = &self.credentials {
            settings.credentials = dir.display().to_string();
        }
        Ok(settings)
    }
}

/// The store, open, and who works on it.
pub(super) struct Desk {
    runtime: Runtime,
    records: Records,
    name: String,
}

impl Desk {
    /// Opens the store that the arguments name.
    pub(super) fn open(args: &DeskArgs) -> anyhow::Result<Self> {
        let settings = args.settings()?;
        let name = operator_name(&settings)?;
        let runtime = runtime()?;
        let opened = {
            let _inside = runtime.enter();
            open(&settings, Role::Operator)?.0
        };
        Ok(Self { runtime, records: Records::new(opened), name })
    }

    /// A desk on a store that is open already.
    pub(super) fn on(runtime: Runtime, records: Records, name: String) -> Self {
        Self { runtime, records, name }
    }

    /// The store.
    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    /// Runs to its end.
    pub(super) fn wait<T>(&self, doing: impl Future<Output = T>) -> T {
        self.runtime.block_on(doing)
    }

    /// Whose desk this is, now.
    pub(super) fn person(&self) -> Person {
        Person { name: self.name.clone(), unix_seconds: unix_seconds() }
    }

    /// The fleet as it is now.
    pub(super) fn view(&self) -> anyhow::Result<View> {
        Ok(self.wait(self.records.view(now_ms()))?)
    }

    /// The fleet and its audit records, at one revision.
    pub(super) fn read(&self) -> anyhow::Result<(View, Vec<AuditRecord>)> {
        let (entries, revision) = self.wait(self.records.read())?;
        Ok(parted(&entries, revision))
    }

    /// Commits what `decide` makes of the fleet as it is, and tells at which revision. `seen` picks what the person
    /// decides on: when that changes between two tries, nothing is written.
    pub(super) fn commit(
        &self,
        seen: impl Fn(&View) -> Vec<Revision>,
        decide: impl FnMut(&View) -> anyhow::Result<Txn<Key, Record>>,
    ) -> anyhow::Result<Revision> {
        self.wait(commit(&self.records, seen, decide))
    }
}

/// Records as a view and the audit chain.
pub(super) fn parted(entries: &[(Key, Entry<Record>)], revision: Revision) -> (View, Vec<AuditRecord>) {
    let mut view = View::default();
    view.reload(entries.iter().map(|(key, entry)| (key, entry)), revision, now_ms());
    let audit = entries.iter().filter_map(|(_, entry)| match &entry.value {
        Record::Audit(record) => Some(record.as_ref().clone()),
        _ => None,
    });
    (view, audit.collect())
}

async fn commit(
    records: &Records,
    seen: impl Fn(&View) -> Vec<Revision>,
    mut decide: impl FnMut(&View) -> anyhow::Result<Txn<Key, Record>>,
) -> anyhow::Result<Revision> {
    let mut first: Option<Vec<Revision>> = None;
    let mut unanswered: Vec<(u64, String)> = Vec::new();
    let mut last = String::new();
    for _ in 0..TRIES {
        let view = records.view(now_ms()).await?;
        for (seq, hash) in &unanswered {
            if records.audit_hash(*seq).await?.as_ref() == Some(hash) {
                return Ok(view.revision);
            }
        }
        let now = seen(&view);
        if first.get_or_insert_with(|| now.clone()) != &now {
            bail!("somebody else changed this meanwhile; nothing was written: look again, then repeat the command");
        }
        let txn = decide(&view)?;
        match records.commit(&txn).await {
            Ok(Answer::Committed { revision }) => return Ok(revision),
            Ok(Answer::Conflict { .. }) => "others wrote at the same time".clone_into(&mut last),
            Err(StoreError::Unknown { why }) => {
                unanswered.extend(audit_of(&txn));
                last = why;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if unanswered.is_empty() {
        bail!("nothing was written in {TRIES} tries: {last}; see who writes: hardstand audit show");
    }
    bail!("the store did not say whether it was written: {last}; see: hardstand audit show")
}

/// The audit record that a transaction writes: what to look for when its answer is lost.
fn audit_of(txn: &Txn<Key, Record>) -> Option<(u64, String)> {
    txn.ops.iter().find_map(|op| match op {
        Op::Put { value: Record::Audit(record), .. } => Some((record.seq, record.hash.clone())),
        _ => None,
    })
}

/// Milliseconds of this boot.
pub(super) fn now_ms() -> u64 {
    u64::try_from(boottime().as_millis()).unwrap_or(u64::MAX)
}

/// The fleet as a leader would see it that has looked for a while: what was read once cannot tell how old a report is, and
/// a node that fell silent has no session. While a leader looks, nodes look at their voting sets often enough.
pub(super) fn as_read_now(view: &View, now_ms: u64) -> View {
    let mut then = view.clone();
    for report in then.reports.values_mut() {
        (report.watched, report.changed_ms) = (true, now_ms);
        report.value.votes.iter_mut().for_each(|votes| votes.age_ms = 0);
    }
    then
}

/// The name in the operator's certificate.
pub(super) fn operator_name(settings: &StoreSettings) -> anyhow::Result<String> {
    let files = identity(settings.credentials.as_ref(), Role::Operator)?;
    let trust = Trust::load(files).context("reading your certificate")?;
    Ok(trust.now().context("reading your certificate")?.identity.name.clone())
}

/// One thread is plenty for one person.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Blockers as an error: each with its way out, a line each.
pub(super) fn refused(what: &str, blockers: &[Blocker]) -> anyhow::Error {
    let lines = blockers.iter().map(|blocker| {
        let Blocker { check, why, way_out, .. } = blocker;
        format!("\n  {}: {}\n    {}", one_line(check), one_line(why), one_line(way_out))
    });
    anyhow!("{what}:{}", lines.collect::<String>())
}

/// Prints a document with its schema, or the text.
pub(super) fn show(json: bool, schema: &str, document: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json {
        print(&with_schema(schema, document)?)?;
    } else {
        print(text)?;
    }
    Ok(())
}

/// A document with its schema first.
pub(super) fn with_schema(schema: &str, document: &impl serde::Serialize) -> anyhow::Result<String> {
    #[derive(serde::Serialize)]
    struct Named<'a, T> {
        schema: &'a str,
        #[serde(flatten)]
        document: &'a T,
    }
    Ok(serde_json::to_string_pretty(&Named { schema, document })? + "\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hardstand_core::operator;

    use super::*;
    use crate::store::memory::Memory;

    fn desk() -> Desk {
        Desk::on(runtime().unwrap(), Records::new(Arc::new(Memory::new())), "anna".to_owned())
    }

    fn adopt(desk: &Desk) -> anyhow::Result<Revision> {
        desk.commit(|_| Vec::new(), |view| Ok(operator::adopt(view, &desk.person(), "life-1".to_owned(), "test")))
    }

    #[test]
    fn a_lost_race_is_tried_again_and_written_once() {
        let desk = desk();
        adopt(&desk).unwrap();
        let other = Desk::on(runtime().unwrap(), desk.records().clone(), "bert".to_owned());
        let mut raced = false;
        let person = desk.person();
        desk.wait(commit(
            desk.records(),
            |_| Vec::new(),
            |view| {
                let txn = operator::halt(view, &person, "pool is degraded").ok_or_else(|| anyhow!("halted"))?;
                if !raced {
                    raced = true;
                    std::thread::scope(|scope| scope.spawn(|| adopt(&other).unwrap()).join().unwrap());
                }
                Ok(txn)
            },
        ))
        .unwrap();
        let (view, audit) = desk.read().unwrap();
        assert_eq!(view.halt.unwrap().value.by, "operator:anna");
        assert_eq!(audit.len(), 3);
    }

    #[test]
    fn what_changed_under_the_person_is_not_written() {
        let desk = desk();
        adopt(&desk).unwrap();
        let other = Desk::on(runtime().unwrap(), desk.records().clone(), "bert".to_owned());
        let person = desk.person();
        let told = desk
            .wait(commit(
                desk.records(),
                |view| vec![view.incarnation.as_ref().map_or(0, |seen| seen.modified)],
                |view| {
                    std::thread::scope(|scope| scope.spawn(|| adopt(&other).unwrap()).join().unwrap());
                    Ok(operator::adopt(view, &person, "mine".to_owned(), "test"))
                },
            ))
            .unwrap_err();
        assert!(told.to_string().starts_with("somebody else changed this meanwhile"), "{told}");
    }

    #[test]
    fn a_lost_answer_is_found_again_in_the_chain() {
        let memory = Arc::new(Memory::new());
        let desk = Desk::on(runtime().unwrap(), Records::new(memory.clone()), "anna".to_owned());
        memory.set_mute(true);
        let mut tries = 0;
        let person = desk.person();
        desk.wait(commit(
            desk.records(),
            |_| Vec::new(),
            |view| {
                tries += 1;
                memory.set_mute(tries == 1);
                Ok(operator::adopt(view, &person, "life".to_owned(), "test"))
            },
        ))
        .unwrap();
        let (_, audit) = desk.read().unwrap();
        assert_eq!((audit.len(), tries), (1, 1), "written once, and not tried again");
    }
}
