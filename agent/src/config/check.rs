//! Values that have the right type and make no sense: shares above 100 percent, a warning beyond its alarm.
//!
//! It must never change a value: what does not fit is refused with the range that would.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use hardstand_core::Settings;
use hardstand_core::history::LONGEST_SECONDS;
use hardstand_core::settings::{
    BackupKind, BackupSettings, KubernetesSettings, NasEndpoint, PruneSettings, ServiceSettings, statuses,
};
use hardstand_core::snapshot::Keep;
use hardstand_core::window::span;
use hyper::Uri;
use serde_json::Value;

use super::merge::{Merged, shown};
use super::{MAIN_FILE, Place, Problem};
use crate::host::kubernetes::is_endpoint as is_api_server;

/// The range of a number, by the unit its key ends in: unit, least, most. A key may overrule it in [`RANGES`].
const UNITS: [(&str, f64, f64); 7] = [
    ("_percent", 0.0, 100.0),
    ("_celsius", 1.0, 200.0),
    ("_hours", 0.0, 8760.0),
    ("_days", 0.0, 3650.0),
    ("_seconds", 0.0, 86400.0),
    ("_secs", 1.0, 31_536_000.0),
    ("", 0.0, 1e6),
];

/// Ranges that are narrower than their unit's, with the reason.
const RANGES: [(&str, f64, f64); 15] = [
    // More often than once a second costs more than it shows; rarer than a minute is no watch, and WatchdogSec ends it.
    ("probe.interval_secs", 1.0, 60.0),
    ("probe.deadline_secs", 1.0, 59.0),
    // A disk that is asked more often than this never rests.
    ("probe.smart_interval_secs", 10.0, 86400.0),
    // Its tool costs a fifth of a second of a processor each time; what is older than a minute is no watch.
    ("ceph.interval_secs", 2.0, 60.0),
    // Six questions each time, which other nodes' daemons help to answer.
    ("proxmox.interval_secs", 2.0, 60.0),
    // It is six questions or more; what is older than a few minutes is no watch.
    ("kubernetes.interval_secs", 2.0, 300.0),
    ("truenas.interval_secs", 1.0, 60.0),
    // A hook that takes longer outlasts the phase it belongs to.
    ("hooks.deadline_secs", 1.0, 3600.0),
    ("hooks.tries", 1.0, 100.0),
    ("hooks.pause_secs", 1.0, 600.0),
    // The first pass waits for each, and systemd for the first pass.
    ("service.timeout_secs", 1.0, 30.0),
    ("backup.timeout_secs", 1.0, 60.0),
    ("service.interval_secs", 1.0, 3600.0),
    ("backup.interval_secs", 10.0, 86400.0),
    // More than this is a circle.
    ("service.redirects", 0.0, 10.0),
];

/// Each of them is asked at its times, with what that costs; and its name is a label.
const DECLARED_LIMIT: usize = 100;
/// API servers of one cluster, and nodes of it on one host: each is asked, or asked about.
const CLUSTER_LIMIT: usize = 16;
/// Windows of one service: each is a row on the page.
const WINDOWS_LIMIT: usize = 6;

/// The longest node name: a Linux host name.
const NAME_LIMIT: usize = 64;

/// Everything that is wrong with the values, in the order of the places.
pub(super) fn check(merged: &Merged) -> Vec<Problem> {
    let mut faults = Vec::new();
    numbers(&merged.tree, "", &mut faults);
    names(&merged.settings, &mut faults);
    orders(&merged.settings, &mut faults);
    declared(&merged.settings, &mut faults);
    let mut placed: Vec<(Place, String)> = faults.into_iter().map(|fault| fault.placed(merged)).collect();
    placed.sort();
    placed.into_iter().map(|(place, message)| Problem::At { place, message }).collect()
}

/// What is wrong, and the keys it hangs on (any of which may have been set).
struct Fault {
    keys: Vec<String>,
    message: String,
}

impl Fault {
    fn at(key: &str, message: String) -> Self {
        Self { keys: vec![key.to_owned()], message }
    }

    /// The last place that set one of the keys. Defaults are right, so there is one.
    fn placed(self, merged: &Merged) -> (Place, String) {
        let place = self.keys.iter().filter_map(|key| merged.origins.get(key)).max().cloned();
        // Of one table among several, what is missing is missing in that table.
        let table = || self.keys.iter().find_map(|key| merged.origins.get(key.rsplit_once('.')?.0)).cloned();
        let place = place.or_else(table);
        (place.unwrap_or(Place { path: PathBuf::from(MAIN_FILE), line: 1, column: 1 }), self.message)
    }
}

fn numbers(tree: &Value, path: &str, faults: &mut Vec<Fault>) {
    for (place, row) in tree.as_array().into_iter().flatten().enumerate() {
        numbers(row, &format!("{path}.{place}"), faults);
    }
    if let Some(object) = tree.as_object() {
        for (key, value) in object {
            numbers(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, faults);
        }
        return;
    }
    let Some(number) = tree.as_f64() else { return };
    let shown = shown(&path.split('.').map(str::to_owned).collect::<Vec<_>>());
    let named = RANGES.iter().find(|(key, ..)| *key == shown);
    let (_, least, most) = named
        .or_else(|| UNITS.iter().find(|(unit, ..)| path.ends_with(unit)))
        .expect("the last unit is the empty one, in which every key ends");
    if !(*least..=*most).contains(&number) {
        faults.push(Fault::at(path, format!("`{shown}` must be {least} to {most}, not {number}")));
    }
}

fn names(settings: &Settings, faults: &mut Vec<Fault>) {
    if let Some(name) = &settings.node.name {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(allowed) {
            let message =
                format!("`node.name` must be 1 to {NAME_LIMIT} letters, digits, `.`, `-` or `_`, not {name:?}");
            faults.push(Fault::at("node.name", message));
        }
    }
    let listen = &settings.metrics.listen;
    if listen != "off" && listen.parse::<SocketAddr>().is_err() {
        let message =
            format!("`metrics.listen` must be ADDRESS:PORT (127.0.0.1:9787, [::1]:9787) or \"off\", not {listen:?}");
        faults.push(Fault::at("metrics.listen", message));
    }
    let is_unit = |name: &str| name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && !kind.is_empty());
    let unit = "a unit with its kind, as in nginx.service";
    list("units.required", &settings.units.required, unit, is_unit, faults);
    list("units.ignore", &settings.units.ignore, unit, is_unit, faults);
    list("drain.units", &settings.drain.units, unit, is_unit, faults);
    list("patch.keep_running", &settings.patch.keep_running, unit, is_unit, faults);
    hooks(settings, faults);
    list("snapshots.datasets", &settings.snapshots.datasets, "a dataset, as in tank/data", is_dataset, faults);
    let is_interface = |name: &str| !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_whitespace());
    list("nics.required", &settings.nics.required, "an interface, as in eno1", is_interface, faults);
    list("nics.ignore", &settings.nics.ignore, "an interface, as in eno1", is_interface, faults);
    let absolute = |path: &str| path.starts_with('/');
    ceph(settings, faults);
    proxmox(settings, faults);
    kubernetes(&settings.kubernetes, faults);
    truenas(settings, faults);
    list("filesystems.ignore", &settings.filesystems.ignore, "a mount point, as in /mnt/scratch", absolute, faults);
}

/// Where TrueNAS is, and the files it is asked with.
fn truenas(settings: &Settings, faults: &mut Vec<Fault>) {
    let nas = &settings.truenas;
    let endpoint = NasEndpoint::parse(&nas.endpoint);
    if let Err(why) = &endpoint {
        faults.push(Fault::at("truenas.endpoint", format!("`truenas.endpoint` {why}")));
    }
    for (key, path) in [("truenas.api_key_file", &nas.api_key_file), ("truenas.ca_file", &nas.ca_file)] {
        if let Some(path) = path.as_deref().filter(|path| !is_absolute(path)) {
            faults.push(Fault::at(key, format!("`{key}` must be an absolute path, not {path:?}")));
        }
    }
    if endpoint.is_ok_and(|endpoint| !endpoint.is_local()) && nas.api_key_file.is_none() {
        let message = "`truenas.api_key_file` is needed for an endpoint elsewhere".to_owned();
        faults.push(Fault { keys: vec!["truenas.api_key_file".to_owned(), "truenas.endpoint".to_owned()], message });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '$');
    if nas.user.is_empty() || !nas.user.chars().all(allowed) {
        faults.push(Fault::at("truenas.user", format!("`truenas.user` must be a user of TrueNAS, not {:?}", nas.user)));
    }
}

/// What Ceph's tool is called with.
fn ceph(settings: &Settings, faults: &mut Vec<Fault>) {
    let ceph = &settings.ceph;
    for (key, path) in [("ceph.conf", &ceph.conf), ("ceph.keyring", &ceph.keyring)] {
        if !path.starts_with('/') {
            faults.push(Fault::at(key, format!("`{key}` must be an absolute path, not {path:?}")));
        }
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if ceph.client.is_empty() || ceph.client.starts_with("client.") || !ceph.client.chars().all(allowed) {
        let message = format!("`ceph.client` must be a name without `client.` before it, not {:?}", ceph.client);
        faults.push(Fault::at("ceph.client", message));
    }
}

/// Where Proxmox VE is asked, and with what.
fn proxmox(settings: &Settings, faults: &mut Vec<Fault>) {
    let proxmox = &settings.proxmox;
    let mut row = Row { at: "proxmox".to_owned(), faults };
    row.url("endpoint", &proxmox.endpoint);
    let is_tls = proxmox.endpoint.starts_with("https:");
    row.hold("endpoint", is_tls, "must be https://: a token goes there");
    row.place("connect_to", proxmox.connect_to.as_deref());
    row.hold("token_file", is_absolute(&proxmox.token_file), "must begin with /");
    row.hold("ca_file", is_absolute(&proxmox.ca_file), "must begin with /");
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let node = proxmox.node.as_deref().unwrap_or("pve1");
    let is_name = !node.is_empty() && node.len() <= NAME_LIMIT && node.chars().all(allowed);
    row.hold("node", is_name, &format!("must be a node's name in its cluster, as in pve1, not {node:?}"));
    let is_tag = |tag: &str| !tag.is_empty() && !tag.contains(|c: char| c.is_whitespace() || ";,".contains(c));
    list("proxmox.no_backup_tags", &proxmox.no_backup_tags, "one tag, as in no-backup", is_tag, faults);
}

/// Whom to ask, as whom, and about which nodes.
fn kubernetes(kubernetes: &KubernetesSettings, faults: &mut Vec<Fault>) {
    list("kubernetes.endpoints", &kubernetes.endpoints, "https://HOST:PORT", is_api_server, faults);
    let is_node = |name: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        !name.is_empty() && name.len() <= 253 && name.chars().all(allowed)
    };
    list("kubernetes.nodes", &kubernetes.nodes, "a node of the cluster, as kubectl names it", is_node, faults);
    let mut hold = |key: &str, holds: bool, must: &str| {
        if !holds {
            faults.push(Fault::at(&format!("kubernetes.{key}"), format!("`kubernetes.{key}` {must}")));
        }
    };
    for (key, names) in [("endpoints", &kubernetes.endpoints), ("nodes", &kubernetes.nodes)] {
        hold(key, names.len() <= CLUSTER_LIMIT, &format!("must be at most {CLUSTER_LIMIT}"));
    }
    let KubernetesSettings { token_file, ca_file, kubeconfig, .. } = kubernetes;
    for (key, file) in [("token_file", token_file), ("ca_file", ca_file), ("kubeconfig", kubeconfig)] {
        hold(key, file.as_deref().is_none_or(is_absolute), "must begin with /");
    }
    let is_both = kubeconfig.is_some() && (token_file.is_some() || ca_file.is_some());
    hold("kubeconfig", !is_both, "stands instead of `kubernetes.token_file` and `kubernetes.ca_file`");
    let shows_itself = kubernetes.endpoints.is_empty() || kubeconfig.is_some() || token_file.is_some();
    hold("endpoints", shows_itself, "needs `kubernetes.token_file` or `kubernetes.kubeconfig`");
    let is_about_a_cluster = kubernetes.is_declared() || (kubernetes.nodes.is_empty() && token_file.is_none());
    hold("nodes", is_about_a_cluster, "needs `kubernetes.endpoints` or `kubernetes.kubeconfig`");
}

/// Hooks are services, and none of them is stopped by the drain.
fn hooks(settings: &Settings, faults: &mut Vec<Fault>) {
    let hooks = &settings.hooks;
    let points = [
        ("hooks.pre_drain", &hooks.pre_drain),
        ("hooks.post_drain", &hooks.post_drain),
        ("hooks.pre_reboot", &hooks.pre_reboot),
        ("hooks.post_boot", &hooks.post_boot),
        ("hooks.pre_release", &hooks.pre_release),
    ];
    for (key, units) in points {
        let is_service = |name: &str| name.strip_suffix(".service").is_some_and(|stem| !stem.is_empty());
        list(key, units, "a service, as in move-address.service", is_service, faults);
        for unit in units.iter().filter(|unit| settings.drain.units.contains(unit)) {
            let message = format!("`{key}` names {unit:?}, which `drain.units` stops; a hook is a unit of its own");
            faults.push(Fault { keys: vec![key.to_owned(), "drain.units".to_owned()], message });
        }
    }
}

fn list(key: &str, values: &[String], wanted: &str, good: impl Fn(&str) -> bool, faults: &mut Vec<Fault>) {
    for value in values.iter().filter(|value| !good(value)) {
        faults.push(Fault::at(key, format!("each of `{key}` must be {wanted}, not {value:?}")));
    }
}

/// Services, certificates, backups and what stays of snapshots.
fn declared(settings: &Settings, faults: &mut Vec<Fault>) {
    for (place, service) in settings.service.iter().enumerate() {
        Row { at: format!("service.{place}"), faults }.service(service);
    }
    for (place, backup) in settings.backup.iter().enumerate() {
        Row { at: format!("backup.{place}"), faults }.backup(backup);
    }
    unique("service", settings.service.iter().map(|service| service.name.as_str()), faults);
    unique("backup", settings.backup.iter().map(|backup| backup.name.as_str()), faults);
    prunes(&settings.prune, faults);
    let certificates = &settings.certificates;
    list("certificates.files", &certificates.files, "a file, as in /etc/ssl/one.pem", is_absolute, faults);
    list("certificates.endpoints", &certificates.endpoints, "HOST:PORT, as in pve1:8006", is_endpoint, faults);
}

fn unique<'a>(table: &str, names: impl Iterator<Item = &'a str>, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (place, name) in names.enumerate() {
        let key = format!("{table}.{place}.name");
        if !seen.insert(name) {
            faults
                .push(Fault::at(&key, format!("`{table}.name` {name:?} is there already; each has a name of its own")));
        } else if place == DECLARED_LIMIT {
            faults.push(Fault::at(&key, format!("more than {DECLARED_LIMIT} [[{table}]] are not looked after")));
        }
    }
}

/// What ZFS allows in a dataset's name; and, without a slash, in a snapshot's.
fn is_of_zfs(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | ':' | ' ')
}

fn is_dataset(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_of_zfs)
}

/// Rules for datasets' snapshots. Each snapshot falls under one of them, or one would take away what another keeps.
fn prunes(prunes: &[PruneSettings], faults: &mut Vec<Fault>) {
    for (place, prune) in prunes.iter().enumerate() {
        let mut row = Row { at: format!("prune.{place}"), faults };
        let PruneSettings { dataset, prefix, .. } = prune;
        row.hold("dataset", is_dataset(dataset), &format!("must be a dataset, as in tank/data, not {dataset:?}"));
        let is_prefix = !prefix.is_empty() && prefix.chars().all(|c| is_of_zfs(c) && c != '/');
        row.hold("prefix", is_prefix, &format!("must be how its snapshots' names begin, as in auto-, not {prefix:?}"));
        row.hold(
            "dataset",
            prune.keep() != Keep::default(),
            "needs one of keep_last, keep_hourly, keep_daily, keep_weekly",
        );
        let overlaps = |other: &&PruneSettings| {
            other.dataset == *dataset && (other.prefix.starts_with(prefix) || prefix.starts_with(&other.prefix))
        };
        if let Some(other) = prunes[..place].iter().find(overlaps).filter(|_| is_prefix) {
            let must =
                format!("{prefix:?} and {:?} of {dataset} mean the same snapshots; one rule for each", other.prefix);
            row.tell("prefix", &must);
        }
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn is_endpoint(text: &str) -> bool {
    let told = text.parse::<hyper::http::uri::Authority>().ok();
    told.is_some_and(|told| !told.host().is_empty() && told.port_u16().is_some() && !text.contains('@'))
}

/// One table among several.
struct Row<'a> {
    /// `service.0`
    at: String,
    faults: &'a mut Vec<Fault>,
}

impl Row<'_> {
    fn tell(&mut self, key: &str, must: &str) {
        let table = self.at.split('.').next().unwrap_or_default();
        let message = format!("`{table}.{key}` {must}");
        self.faults.push(Fault::at(&format!("{}.{key}", self.at), message));
    }

    fn hold(&mut self, key: &str, holds: bool, must: &str) {
        if !holds {
            self.tell(key, must);
        }
    }

    fn named(&mut self, name: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let good = !name.is_empty() && name.len() <= NAME_LIMIT && name.chars().all(allowed);
        self.hold("name", good, &format!("must be 1 to {NAME_LIMIT} letters, digits, `.`, `-` or `_`, not {name:?}"));
    }

    fn url(&mut self, key: &str, url: &str) {
        // What stands before an `@` is a secret, and addresses are shown.
        let good = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        let must = format!("must be http:// or https:// with a host and no password, not {url:?}");
        let is_bare = !url.split('/').nth(2).unwrap_or_default().contains('@');
        self.hold(key, good && is_bare, if is_bare { &must } else { "must hold no password: it is shown" });
    }

    /// Where to connect to instead.
    fn place(&mut self, key: &str, to: Option<&str>) {
        let to = to.unwrap_or("::1");
        let is_place = to.parse::<std::net::IpAddr>().is_ok() || is_endpoint(to);
        self.hold(key, is_place, &format!("must be ADDRESS or ADDRESS:PORT, as in 192.0.2.7:443, not {to:?}"));
    }

    fn service(&mut self, service: &ServiceSettings) {
        self.named(&service.name);
        self.url("url", &service.url);
        for status in service.status.iter().filter(|status| statuses(status).is_none()) {
            self.tell("status", &format!("must be statuses and ranges, as in \"200\" or \"200-299\", not {status:?}"));
        }
        self.place("connect_to", service.connect_to.as_deref());
        self.hold("ca_file", service.ca_file.as_deref().is_none_or(is_absolute), "must begin with /");
        let is_head = service.method == hardstand_core::settings::Method::Head;
        self.hold("body_contains", !is_head || service.body_contains.is_none(), "cannot be in the answer to HEAD");
        let follows = service.redirects > 0 && service.location.is_some();
        self.hold("redirects", !follows, "cannot be followed where `service.location` says where they point");
        self.hold("windows", service.windows.len() <= WINDOWS_LIMIT, &format!("must be at most {WINDOWS_LIMIT}"));
        for window in &service.windows {
            let good = span::parse(window).is_ok_and(|seconds| (300..=LONGEST_SECONDS).contains(&seconds));
            self.hold("windows", good, &format!("must be 5m to 31d each, not {window:?}"));
        }
        let no_window = service.slo_percent.is_some() && service.windows.is_empty();
        self.hold("slo_percent", !no_window, "needs one of `service.windows`");
    }

    fn backup(&mut self, backup: &BackupSettings) {
        self.named(&backup.name);
        self.hold("ca_file", backup.ca_file.as_deref().is_none_or(is_absolute), "must begin with /");
        if backup.kind == BackupKind::S3 {
            self.url("endpoint", backup.endpoint.as_deref().unwrap_or_default());
            let bucket = backup.bucket.as_deref().unwrap_or_default();
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let good = !bucket.is_empty() && bucket.chars().all(letters);
            self.hold("bucket", good, &format!("must be a bucket's name, not {bucket:?}"));
            let file = backup.credentials.as_deref().unwrap_or_default();
            self.hold(
                "credentials",
                is_absolute(file),
                &format!("must be a file, as in /etc/hardstand/credentials/s3, not {file:?}"),
            );
            self.hold("path", backup.path.is_none(), "is not for kind \"s3\"; say `prefix`");
        } else {
            let path = backup.path.as_deref().unwrap_or_default();
            self.hold("path", is_absolute(path), &format!("must begin with /, not be {path:?}"));
            let bucket = backup.bucket.is_none() && backup.endpoint.is_none() && backup.credentials.is_none();
            self.hold("kind", bucket, "must be \"s3\" where there is an endpoint, a bucket or credentials");
        }
    }
}

/// Pairs of keys whose first value must not be above its second.
fn orders(settings: &Settings, faults: &mut Vec<Fault>) {
    let t = &settings.thresholds;
    let p = &settings.probe;
    let free = ("thresholds.filesystem_free_crit_percent", "thresholds.filesystem_free_warn_percent");
    let inodes = ("thresholds.inodes_free_crit_percent", "thresholds.inodes_free_warn_percent");
    let full = ("thresholds.filesystem_full_crit_hours", "thresholds.filesystem_full_warn_hours");
    let used = ("thresholds.pool_used_warn_percent", "thresholds.pool_used_crit_percent");
    let heat = ("thresholds.disk_temperature_warn_celsius", "thresholds.disk_temperature_crit_celsius");
    let rows = [
        (free, t.filesystem_free_crit_percent, t.filesystem_free_warn_percent),
        (inodes, t.inodes_free_crit_percent, t.inodes_free_warn_percent),
        (full, t.filesystem_full_crit_hours, t.filesystem_full_warn_hours),
        (used, t.pool_used_warn_percent, t.pool_used_crit_percent),
        (heat, t.disk_temperature_warn_celsius, t.disk_temperature_crit_celsius),
        (
            ("thresholds.certificate_crit_days", "thresholds.certificate_warn_days"),
            t.certificate_crit_days,
            t.certificate_warn_days,
        ),
        (("probe.deadline_secs", "probe.interval_secs"), p.deadline_secs as f64, p.interval_secs as f64),
        (("probe.interval_secs", "probe.smart_interval_secs"), p.interval_secs as f64, p.smart_interval_secs as f64),
        (
            ("probe.interval_secs", "probe.inventory_interval_secs"),
            p.interval_secs as f64,
            p.inventory_interval_secs as f64,
        ),
    ];
    for ((lower, upper), low, high) in rows {
        if low > high {
            let message = format!("`{lower}` ({low}) must not be above `{upper}` ({high})");
            faults.push(Fault { keys: vec![lower.to_owned(), upper.to_owned()], message });
        }
    }
}
