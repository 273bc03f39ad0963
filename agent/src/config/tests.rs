//! What is read, what is refused, and in which words.

use std::path::Path;

use hardstand_core::Settings;
use hardstand_core::observed::Role;
use hardstand_core::settings::{BackupSettings, ServiceSettings};
use hardstand_core::snapshot::Keep;

use super::fragment::{Fragment, read_system};
use super::{ConfigError, Loaded, load, settings_of};

fn parse(text: &str) -> Result<Settings, ConfigError> {
    settings_of(vec![Fragment { path: "agent.toml".into(), text: text.to_owned() }]).map(|loaded| loaded.settings)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("must be refused").to_string()
}

fn load_below(root: &Path) -> Result<Loaded, ConfigError> {
    settings_of(read_system(root)?)
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(parse("").unwrap(), Settings::default());
}

#[test]
fn every_setting_can_be_written_down_and_read_back() {
    let mut settings = Settings::default();
    settings.node.name = Some("pve1".into());
    settings.node.role = Role::Proxmox;
    settings.units.required = vec!["corosync.service".into()];
    settings.nics.ignore = vec!["eno2".into()];
    settings.filesystems.ignore = vec!["/mnt/a b".into()];
    settings.metrics.listen = "[::1]:9787".into();
    settings.thresholds.clock_offset_warn_seconds = 0.1;
    settings.probe.interval_secs = 15;
    let mut service = ServiceSettings { name: "wiki".into(), url: "https://wiki.lan/".into(), ..Default::default() };
    (service.status, service.slo_percent) = (vec!["200".into()], Some(99.5));
    let file = BackupSettings { name: "pve".into(), path: Some("/mnt/dump".into()), ..Default::default() };
    settings.service = vec![service.clone(), ServiceSettings { name: "photos".into(), ..service }];
    settings.backup = vec![file];
    settings.certificates.endpoints = vec!["[::1]:8006".into()];
    assert_eq!(parse(&toml::to_string(&settings).unwrap()).unwrap(), settings);
}

#[test]
fn a_number_may_be_written_without_its_fraction() {
    let settings = parse("[thresholds]\nload_per_cpu_warn = 3\nsustained_secs = 1_200").unwrap();
    assert_eq!((settings.thresholds.load_per_cpu_warn, settings.thresholds.sustained_secs), (3.0, 1200));
}

#[test]
fn unknown_keys_are_refused_with_place_and_nearest_key() {
    let text = "\
[node]
name = \"pve1\"
rol = \"proxmox\"

[probe]
intervall_secs = 10
wake = true

[stores]
engine = \"etcd\"

[thresholds]
interval_secs = 3
";
    assert_eq!(
        refusal(text),
        "\
agent.toml:3:1: unknown key `node.rol`; did you mean `node.role`?
agent.toml:6:1: unknown key `probe.intervall_secs`; did you mean `probe.interval_secs`?
agent.toml:7:1: unknown key `probe.wake`; known in [probe]: deadline_secs, interval_secs, inventory_interval_secs, \
smart_interval_secs
agent.toml:9:2: unknown key `stores`; did you mean `store`?
agent.toml:13:1: unknown key `thresholds.interval_secs`; did you mean `truenas.interval_secs`?"
    );
}

#[test]
fn wrong_types_are_refused_with_place_and_what_would_be_right() {
    let text = "\
metrics = \"off\"
[node]
name = 7
role = \"proxmx\"
[probe]
interval_secs = \"10s\"
deadline_secs = -5
smart_interval_secs = 2.5
[thresholds]
load_per_cpu_warn = true
[units]
required = \"nginx.service\"
ignore = [\"a.service\", 3]
";
    assert_eq!(
        refusal(text),
        "\
agent.toml:1:11: `metrics` must be a table, not the string \"off\"
agent.toml:3:8: `node.name`: invalid type: integer `7`, expected a string
agent.toml:4:8: `node.role`: unknown variant `proxmx`, expected one of `proxmox`, `truenas`, `debian`, `live`
agent.toml:6:17: `probe.interval_secs` must be a whole number, not negative, not the string \"10s\"
agent.toml:7:17: `probe.deadline_secs` must be a whole number, not negative, not -5
agent.toml:8:23: `probe.smart_interval_secs` must be a whole number, not negative, not 2.5
agent.toml:10:21: `thresholds.load_per_cpu_warn` must be a number, not true
agent.toml:12:12: `units.required` must be a list of strings, not the string \"nginx.service\"
agent.toml:13:10: `units.ignore` must be a list of strings, not a list with 3"
    );
}

#[test]
fn values_out_of_range_or_order_are_refused_where_they_were_set() {
    let text = "\
[node]
name = \"pve 1\"
[probe]
interval_secs = 5
deadline_secs = 10
[metrics]
listen = \"localhost\"
[units]
required = [\"nginx\"]
[filesystems]
ignore = [\"mnt\"]
[thresholds]
nic_error_warn_percent = 101
filesystem_free_warn_percent = 2
load_per_cpu_warn = nan
";
    assert_eq!(
        refusal("[thresholds]\nload_per_cpu_warn = nan\n"),
        "agent.toml:2:21: `thresholds.load_per_cpu_warn` is out of range"
    );
    assert_eq!(
        refusal(&text.replace("load_per_cpu_warn = nan\n", "")),
        "\
agent.toml:2:1: `node.name` must be 1 to 64 letters, digits, `.`, `-` or `_`, not \"pve 1\"
agent.toml:5:1: `probe.deadline_secs` (10) must not be above `probe.interval_secs` (5)
agent.toml:7:1: `metrics.listen` must be ADDRESS:PORT (127.0.0.1:9787, [::1]:9787) or \"off\", not \"localhost\"
agent.toml:9:1: each of `units.required` must be a unit with its kind, as in nginx.service, not \"nginx\"
agent.toml:11:1: each of `filesystems.ignore` must be a mount point, as in /mnt/scratch, not \"mnt\"
agent.toml:13:1: `thresholds.nic_error_warn_percent` must be 0 to 100, not 101
agent.toml:14:1: `thresholds.filesystem_free_crit_percent` (3) must not be above \
`thresholds.filesystem_free_warn_percent` (2)"
    );
}

#[test]
fn a_cluster_is_asked_by_somebody_over_tls() {
    let token = "token_file = \"/t\"\n";
    let good = format!(
        "[kubernetes]\nendpoints = [\"https://k1:6443\", \"https://[::1]:6443/\"]\n{token}nodes = [\"k-1.lan\"]\n"
    );
    assert!(parse(&good).unwrap().kubernetes.is_declared());
    assert!(parse("[kubernetes]\nkubeconfig = \"/k\"\nnodes = [\"k1\"]\n").unwrap().kubernetes.is_declared());
    for (from, to, told) in [
        (
            "https://k1:6443",
            "http://k1:6443",
            "2:1: each of `kubernetes.endpoints` must be https://HOST:PORT, not \"http:",
        ),
        ("https://k1:6443", "https://u:p@k1", "2:1: each of `kubernetes.endpoints` must be https://HOST:PORT"),
        ("https://k1:6443", "https://k1/k8s", "2:1: each of `kubernetes.endpoints` must be https://HOST:PORT"),
        (token, "", "2:1: `kubernetes.endpoints` needs `kubernetes.token_file` or `kubernetes.kubeconfig`"),
        ("\"/t\"", "\"t\"", "3:1: `kubernetes.token_file` must begin with /"),
        ("k-1.lan", "K1&x", "4:1: each of `kubernetes.nodes` must be a node of the cluster, as kubectl names it"),
        (token, "token_file = \"/t\"\nkubeconfig = \"/k\"\n", "4:1: `kubernetes.kubeconfig` stands instead of"),
        (token, "token_file = \"/t\"\ninterval_secs = 1\n", "4:1: `kubernetes.interval_secs` must be 2 to 300, not 1"),
        (
            "endpoints = [\"https://k1:6443\", \"https://[::1]:6443/\"]\n",
            "",
            "3:1: `kubernetes.nodes` needs `kubernetes.endp",
        ),
    ] {
        let refused = refusal(&good.replacen(from, to, 1));
        assert!(refused.contains(&format!("agent.toml:{told}")), "{to:?}: {refused}");
    }
}

#[test]
fn tables_of_which_there_are_several_add_up_and_are_as_strict() {
    let text = "\
[[service]]
name = \"wiki\"
url = \"https://wiki.lan/\"
statuss = [\"200\"]
required = 1
[[service]]
name = \"wiki two\"
url = \"wiki\"
timeout_secs = 31
[[backup]]
name = \"photos\"
kind = \"s4\"
[backup.more]
";
    let told = refusal(text);
    for one in [
        "agent.toml:4:1: unknown key `service.statuss`; did you mean `service.status`?",
        "agent.toml:5:12: `service.required` must be true or false, not 1",
        "agent.toml:12:8: `backup.kind`: unknown variant `s4`, expected one of `file`, `s3`, `drill`",
        "agent.toml:13:9: unknown key `backup.more`; known in [backup]: bucket, ca_file, ",
    ] {
        assert!(told.contains(one), "{told}");
    }
    let text = "\
[[service]]
name = \"wiki\"
url = \"https://u:secret@wiki.lan/\"
status = [\"2xx\"]
windows = [\"40d\"]
connect_to = \"traefik\"
[[service]]
name = \"wiki\"
timeout_secs = 31
[[backup]]
name = \"photos\"
kind = \"s3\"
bucket = \"photos\"
endpoint = \"https://s3.lan\"
[certificates]
endpoints = [\"pve1\"]
";
    assert_eq!(
        refusal(text),
        "\
agent.toml:3:1: `service.url` must hold no password: it is shown
agent.toml:4:1: `service.status` must be statuses and ranges, as in \"200\" or \"200-299\", not \"2xx\"
agent.toml:5:1: `service.windows` must be 5m to 31d each, not \"40d\"
agent.toml:6:1: `service.connect_to` must be ADDRESS or ADDRESS:PORT, as in 192.0.2.7:443, not \"traefik\"
agent.toml:7:1: `service.url` must be http:// or https:// with a host and no password, not \"\"
agent.toml:8:1: `service.name` \"wiki\" is there already; each has a name of its own
agent.toml:9:1: `service.timeout_secs` must be 1 to 30, not 31
agent.toml:10:1: `backup.credentials` must be a file, as in /etc/hardstand/credentials/s3, not \"\"
agent.toml:16:1: each of `certificates.endpoints` must be HOST:PORT, as in pve1:8006, not \"pve1\""
    );
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/hardstand/agent.toml", "[[service]]\nname = \"a\"\nurl = \"http://a\"");
    put(root.path(), "etc/hardstand/agent.toml.d/b.toml", "service = [{ name = \"b\", url = \"http://b\" }]");
    let services = load_below(root.path()).unwrap().settings.service;
    assert_eq!(services.iter().map(|service| &*service.name).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn each_snapshot_falls_under_one_rule_that_keeps_something() {
    let rules = "\
[[prune]]
dataset = \"tank/data\"
prefix = \"auto-\"
keep_daily = 7
[[prune]]
dataset = \"tank/data\"
prefix = \"weekly-\"
keep_last = 4
";
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/hardstand/agent.toml", rules);
    let written = load_below(root.path()).unwrap().settings.prune;
    assert_eq!(written[0].keep(), Keep { days: 7, ..Keep::default() });
    assert_eq!((&*written[1].prefix, written[1].keep()), ("weekly-", Keep { last: 4, ..Keep::default() }));

    let text = "\
[[prune]]
dataset = \"/tank\"
prefix = \"\"
keep_last = 1
[[prune]]
dataset = \"tank\"
prefix = \"auto-\"
[[prune]]
dataset = \"tank\"
prefix = \"auto-daily-\"
keep_last = 1
";
    assert_eq!(
        refusal(text),
        "\
agent.toml:2:1: `prune.dataset` must be a dataset, as in tank/data, not \"/tank\"
agent.toml:3:1: `prune.prefix` must be how its snapshots' names begin, as in auto-, not \"\"
agent.toml:6:1: `prune.dataset` needs one of keep_last, keep_hourly, keep_daily, keep_weekly
agent.toml:10:1: `prune.prefix` \"auto-daily-\" and \"auto-\" of tank mean the same snapshots; one rule for each"
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    assert_eq!(
        refusal("[node]\nname = pve1\n[probe\n"),
        "\
agent.toml:2:8: not TOML: string values must be quoted, expected literal string
agent.toml:3:7: not TOML: unclosed table, expected `]`"
    );
}

#[test]
fn drop_ins_override_hide_and_apply_in_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    put(root, "etc/hardstand/agent.toml", "[probe]\ninterval_secs = 20\ndeadline_secs = 2\n[node]\nname = \"a\"");
    put(root, "usr/lib/hardstand/agent.toml.d/10-site.toml", "[node]\nname = \"vendor\"");
    put(root, "run/hardstand/agent.toml.d/10-site.toml", "[node]\nname = \"runtime\"");
    put(root, "usr/lib/hardstand/agent.toml.d/50-hidden.toml", "[nics]\nignore = [\"eno1\"]");
    put(root, "run/hardstand/agent.toml.d/90-late.toml", "[probe]\ninterval_secs = 30");
    put(root, "etc/hardstand/agent.toml.d/20-early.toml", "[probe]\ninterval_secs = 25");
    put(root, "etc/hardstand/agent.toml.d/notes.txt", "not read");
    std::os::unix::fs::symlink("/dev/null", root.join("etc/hardstand/agent.toml.d/50-hidden.toml")).unwrap();
    let loaded = load_below(root).unwrap();
    assert_eq!(loaded.settings.node.name.as_deref(), Some("runtime"));
    assert_eq!((loaded.settings.probe.interval_secs, loaded.settings.probe.deadline_secs), (30, 2));
    assert!(loaded.settings.nics.ignore.is_empty());
    let names: Vec<_> = loaded.files.iter().map(|file| file.strip_prefix(root).unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "etc/hardstand/agent.toml",
            "run/hardstand/agent.toml.d/10-site.toml",
            "etc/hardstand/agent.toml.d/20-early.toml",
            "etc/hardstand/agent.toml.d/50-hidden.toml",
            "run/hardstand/agent.toml.d/90-late.toml",
        ]
    );
}

#[test]
fn errors_of_all_files_come_in_one_run() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/hardstand/agent.toml", "nod = 1");
    put(root.path(), "etc/hardstand/agent.toml.d/a.toml", "[probe]\ninterval = 1");
    let error = load_below(root.path()).unwrap_err().to_string();
    let shown = error.replace(&root.path().display().to_string(), "");
    assert_eq!(
        shown,
        "\
/etc/hardstand/agent.toml:1:1: unknown key `nod`; did you mean `node`?
/etc/hardstand/agent.toml.d/a.toml:2:1: unknown key `probe.interval`; did you mean `probe.interval_secs`?"
    );
}

#[test]
fn a_machine_without_files_has_the_defaults_but_a_named_file_must_be_there() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(load_below(root.path()).unwrap().settings, Settings::default());
    let missing = root.path().join("agent.toml");
    assert_eq!(
        load(Some(&missing)).unwrap_err().to_string(),
        format!("reading {}: No such file or directory (os error 2)", missing.display())
    );
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_not_read_to_its_end() {
    let error = load(Some(Path::new("/dev/zero"))).unwrap_err().to_string();
    assert_eq!(error, "reading /dev/zero: larger than 1048576 bytes; this is not a configuration file");
}

#[test]
fn proxmox_is_asked_with_tls_and_by_names_that_can_be() {
    let text = "\
[proxmox]
endpoint = \"http://pve1:8006\"
connect_to = \"pve1\"
node = \"pve1.lan\"
token_file = \"token\"
no_backup_tags = [\"a;b\"]
interval_secs = 1
";
    assert_eq!(
        refusal(text),
        "\
agent.toml:2:1: `proxmox.endpoint` must be https://: a token goes there
agent.toml:3:1: `proxmox.connect_to` must be ADDRESS or ADDRESS:PORT, as in 192.0.2.7:443, not \"pve1\"
agent.toml:4:1: `proxmox.node` must be a node's name in its cluster, as in pve1, not \"pve1.lan\"
agent.toml:5:1: `proxmox.token_file` must begin with /
agent.toml:6:1: each of `proxmox.no_backup_tags` must be one tag, as in no-backup, not \"a;b\"
agent.toml:7:1: `proxmox.interval_secs` must be 2 to 60, not 1"
    );
}
