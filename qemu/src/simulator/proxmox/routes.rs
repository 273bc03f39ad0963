//! What the simulator knows of the API: paths, parameters, what they may be, which right is needed, what is answered.
//!
//! It must never hold what the published schema has not.

use serde_json::{Value, json};

use super::{Found, Refusal, decoded};

/// One question that is answered.
pub(super) struct Route {
    /// With parameters in braces.
    pub(super) path: &'static str,
    /// Parameters behind the question mark, all of which may be left out.
    pub(super) query: &'static [Parameter],
    /// The privilege on `/` without which it is refused; lists without one leave out what may not be seen.
    pub(super) needs: Option<&'static str>,
    pub(super) answer: fn(&Found<'_>) -> Result<Value, Refusal>,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Node,
    Flag,
    Number { least: Option<u64>, most: Option<u64> },
    OneOf(&'static [&'static str]),
}

const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind }
}

const COUNT: Kind = Kind::Number { least: Some(0), most: None };
const EPOCH: Kind = Kind::Number { least: None, most: None };
const VMID: Kind = Kind::Number { least: Some(100), most: Some(999_999_999) };
/// Parameters that stand in paths.
const IN_PATHS: [Parameter; 3] =
    [parameter("node", Kind::Node), parameter("vmid", VMID), parameter("upid", Kind::Text)];

pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/cluster/resources",
        query: &[parameter("type", Kind::OneOf(&["vm", "storage", "node", "sdn"]))],
        needs: None,
        answer: |found| Ok(found.api.world.resources(found.value("type"), &found.api.privileges)),
    },
    Route {
        path: "/cluster/ha/status/current",
        query: &[],
        needs: Some("Sys.Audit"),
        answer: |found| Ok(found.api.world.ha()),
    },
    Route {
        path: "/cluster/backup-info/not-backed-up",
        query: &[],
        needs: Some("Sys.Audit"),
        answer: |found| Ok(found.api.world.uncovered()),
    },
    Route {
        path: "/nodes/{node}/storage",
        query: &[parameter("enabled", Kind::Flag), parameter("storage", Kind::Text)],
        needs: None,
        answer: |found| {
            let only_enabled = found.value("enabled") == Some("1");
            Ok(found.api.world.storages(only_enabled, found.value("storage"), found.api.may("Datastore.Audit")))
        },
    },
    Route {
        path: "/nodes/{node}/replication",
        query: &[parameter("guest", VMID)],
        needs: None,
        answer: |found| {
            let node = found.value("node").unwrap_or_default();
            Ok(found.api.world.replication(node, found.number("guest"), found.api.may("VM.Audit")))
        },
    },
    Route {
        path: "/nodes/{node}/tasks",
        query: &[
            parameter("source", Kind::OneOf(&["archive", "active", "all"])),
            parameter("typefilter", Kind::Text),
            parameter("since", EPOCH),
            parameter("limit", COUNT),
            parameter("start", COUNT),
            parameter("vmid", VMID),
        ],
        needs: None,
        answer: |found| Ok(tasks(found)),
    },
    Route {
        path: "/nodes/{node}/tasks/{upid}/log",
        query: &[parameter("limit", COUNT), parameter("start", COUNT)],
        needs: None,
        answer: log,
    },
    Route {
        path: "/nodes/{node}/qemu/{vmid}/config",
        query: &[parameter("current", Kind::Flag)],
        needs: Some("VM.Audit"),
        answer: |found| config(found, "qemu"),
    },
    Route {
        path: "/nodes/{node}/lxc/{vmid}/config",
        query: &[parameter("current", Kind::Flag)],
        needs: Some("VM.Audit"),
        answer: |found| config(found, "lxc"),
    },
];

impl Route {
    /// The parameters that stand in its path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let names: Vec<&str> = self.path.split('/').filter_map(in_braces).collect();
        IN_PATHS.iter().filter(move |parameter| names.contains(&parameter.name))
    }

    /// What stands for them in a path that fits.
    pub(super) fn values(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let (wanted, given) = (self.path.split('/'), path.split('/'));
        if wanted.clone().count() != given.clone().count() {
            return None;
        }
        let mut values = Vec::new();
        for (wanted, given) in wanted.zip(given) {
            match in_braces(wanted) {
                Some(name) => values.push((name, decoded(given))),
                None if wanted == given => {}
                None => return None,
            }
        }
        Some(values)
    }
}

fn in_braces(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn tasks(found: &Found<'_>) -> Value {
    // Of others than its own a token sees tasks with this alone.
    if !found.api.may("Sys.Audit") {
        return json!([]);
    }
    let node = found.value("node").unwrap_or_default();
    let source = found.value("source").unwrap_or("archive");
    let all = found.api.world.tasks.iter().filter(|task| task.node == node);
    let all = all.filter(|task| match source {
        "active" => task.end.is_none(),
        "archive" => task.end.is_some(),
        _ => true,
    });
    let kind = found.value("typefilter");
    let all = all.filter(|task| kind.is_none_or(|kind| task.kind == kind));
    let all = all.filter(|task| found.number("since").is_none_or(|since| task.start >= since));
    let all = all.filter(|task| found.value("vmid").is_none_or(|vmid| task.id == vmid));
    let start = usize::try_from(found.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(found.number("limit").unwrap_or(50)).unwrap_or(usize::MAX);
    all.skip(start).take(limit).map(super::Task::row).collect()
}

fn log(found: &Found<'_>) -> Result<Value, Refusal> {
    let (node, upid) = (found.value("node").unwrap_or_default(), found.value("upid").unwrap_or_default());
    let task = found.api.world.tasks.iter().find(|task| task.upid() == upid && task.node == node);
    let task = task.ok_or_else(|| Refusal::new(500, format!("unable to parse worker upid '{upid}'")))?;
    if !found.api.may("Sys.Audit") {
        return Err(Refusal::new(403, format!("Permission check failed (/nodes/{node}, Sys.Audit)")));
    }
    let start = usize::try_from(found.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = match found.number("limit") {
        // All of it.
        Some(0) => usize::MAX,
        limit => usize::try_from(limit.unwrap_or(50)).unwrap_or(usize::MAX),
    };
    let lines = task.log.iter().enumerate().skip(start).take(limit);
    Ok(lines.map(|(number, line)| json!({ "n": number + 1, "t": line })).collect())
}

fn config(found: &Found<'_>, kind: &str) -> Result<Value, Refusal> {
    let (node, vmid) = (found.value("node").unwrap_or_default(), found.number("vmid"));
    let guests = &found.api.world.guests;
    let guest = guests.iter().find(|guest| guest.kind == kind && Some(guest.vmid) == vmid && guest.node == node);
    let file = if kind == "qemu" { "qemu-server" } else { "lxc" };
    let vmid = vmid.unwrap_or_default();
    let missing = format!("Configuration file 'nodes/{node}/{file}/{vmid}.conf' does not exist");
    Ok(guest.ok_or_else(|| Refusal::new(500, missing))?.config())
}
