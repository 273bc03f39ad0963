//! Tests of the simulator: what it refuses, and that its table and its answers are within the published schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::{Guest, Job, Storage, Task};
use super::*;

const TOKEN: &str = "PVEAPIToken=hardstand@pve!one=secret";

fn world() -> World {
    let guest = |vmid, kind, name, node| Guest { vmid, kind, name, node, status: "running", ..Guest::default() };
    let task = |kind, id, end| Task {
        node: "one",
        kind,
        id,
        start: 0x66f0_a1b2,
        end,
        status: "OK",
        log: vec!["INFO: Finished Backup of VM 100 (00:00:01)".to_owned(), "TASK OK".to_owned()],
    };
    World {
        nodes: vec![("one".to_owned(), true), ("two".to_owned(), false)],
        guests: vec![
            Guest {
                ha: Some("started"),
                tags: "a;b",
                lock: Some("backup"),
                options: vec![("scsi0", "nas:vm-100-disk-0,size=8G"), ("hostpci0", "0000:01:00")],
                ..guest(100, "qemu", "web", "one")
            },
            Guest { options: vec![("rootfs", "nas:subvol-101-disk-0,size=8G")], ..guest(101, "lxc", "db", "one") },
            guest(200, "qemu", "far", "two"),
        ],
        storages: vec![
            Storage { name: "nas", kind: "nfs", shared: true, active: true, enabled: true },
            Storage { name: "old", kind: "dir", shared: false, active: false, enabled: false },
        ],
        tasks: vec![task("qmigrate", "100", None), task("vzdump", "", Some(0x66f0_a1ff))],
        jobs: vec![Job {
            id: "100-0",
            guest: 100,
            source: "one",
            target: "two",
            last_sync: 1,
            fail_count: 1,
            error: Some("no tunnel IP received"),
            running: true,
        }],
        uncovered: vec![101],
        maintenance: vec!["two".to_owned()],
        stranger: None,
    }
}

fn api() -> Proxmox {
    Proxmox { world: world(), token: TOKEN.to_owned(), privileges: AUDITOR.to_vec() }
}

fn asked(method: &str, path: &str, token: Option<&str>) -> Asked {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Asked {
        method: method.to_owned(),
        path: format!("/api2/json{path}"),
        query: query.to_owned(),
        authorization: token.map(str::to_owned),
    }
}

fn get(api: &mut Proxmox, path: &str) -> Value {
    let answered = api.answer(&asked("GET", path, Some(TOKEN)));
    assert_eq!(answered.status, 200, "{path}: {answered:?}");
    let body: Value = serde_json::from_str(&answered.body).unwrap();
    body["data"].clone()
}

/// One good question for each route.
fn questions(world: &World) -> Vec<String> {
    let backup = world.tasks.iter().find(|task| task.kind == "vzdump" && task.node == "one").unwrap();
    let upid = backup.upid().replace(':', "%3A").replace('@', "%40");
    let known = |path: &str| {
        let vmid = if path.contains("/lxc/") { "101" } else { "100" };
        path.replace("{node}", "one").replace("{vmid}", vmid).replace("{upid}", &upid)
    };
    ROUTES.iter().map(|route| known(route.path)).collect()
}

#[test]
fn what_is_not_in_the_table_is_refused() {
    for (method, path, token, status, told) in [
        ("GET", "/cluster/resources", None, 401, "No ticket"),
        ("GET", "/cluster/resources", Some("PVEAPIToken=other@pve!one=secret"), 401, "invalid token value!"),
        ("POST", "/cluster/resources", Some(TOKEN), 501, "Method 'POST /api2/json/cluster/resources' not implemented"),
        ("DELETE", "/nodes/one/qemu/100/config", Some(TOKEN), 501, "not implemented"),
        ("GET", "/cluster/resource", Some(TOKEN), 501, "not implemented"),
        ("GET", "/cluster/resources/", Some(TOKEN), 501, "not implemented"),
        ("GET", "/cluster/resources?type=guest", Some(TOKEN), 400, "'guest' does not have a value in the enumeration"),
        ("GET", "/cluster/resources?kind=vm", Some(TOKEN), 400, "property is not defined in schema"),
        ("GET", "/nodes/one/storage?enabled=yes", Some(TOKEN), 400, "type check ('boolean') failed - got 'yes'"),
        ("GET", "/nodes/one/tasks?limit=-1", Some(TOKEN), 400, "type check ('integer') failed"),
        ("GET", "/nodes/one/tasks?source=running", Some(TOKEN), 400, "archive, active, all"),
        ("GET", "/nodes/one/replication?guest=99", Some(TOKEN), 400, "minimum value of 100"),
        ("GET", "/nodes/one/qemu/1000000000/config", Some(TOKEN), 400, "maximum value of 999999999"),
        ("GET", "/nodes/o%20ne/storage", Some(TOKEN), 400, "valid node name"),
        ("GET", "/nodes/two/storage", Some(TOKEN), 595, "No route to host"),
        ("GET", "/nodes/six/storage", Some(TOKEN), 500, "hostname lookup 'six' failed"),
        ("GET", "/nodes/one/lxc/100/config", Some(TOKEN), 500, "nodes/one/lxc/100.conf' does not exist"),
        ("GET", "/nodes/one/tasks/UPID/log", Some(TOKEN), 500, "unable to parse worker upid 'UPID'"),
    ] {
        let answered = api().answer(&asked(method, path, token));
        assert_eq!(answered.status, status, "{path}: {answered:?}");
        let said = format!("{} {}", answered.reason, answered.body);
        assert!(said.contains(told), "{path}: {answered:?}");
        let body: Value = serde_json::from_str(&answered.body).unwrap();
        assert_eq!(body.get("errors").is_some(), status == 400, "{path}: {answered:?}");
    }
}

#[test]
fn without_a_right_it_is_refused_or_left_out() {
    let without = |privilege: &str| {
        let privileges = AUDITOR.into_iter().filter(|one| *one != privilege).collect();
        Proxmox { privileges, ..api() }
    };
    for (privilege, path) in [
        ("Sys.Audit", "/cluster/ha/status/current"),
        ("Sys.Audit", "/cluster/backup-info/not-backed-up"),
        ("VM.Audit", "/nodes/one/qemu/100/config"),
    ] {
        let answered = without(privilege).answer(&asked("GET", path, Some(TOKEN)));
        assert_eq!(answered.status, 403, "{answered:?}");
        assert_eq!(answered.reason, format!("Permission check failed (/, {privilege})"));
    }
    assert_eq!(get(&mut without("Datastore.Audit"), "/nodes/one/storage").as_array().unwrap().len(), 0);
    assert_eq!(get(&mut without("VM.Audit"), "/cluster/resources?type=vm").as_array().unwrap().len(), 0);
    assert_eq!(get(&mut without("Sys.Audit"), "/nodes/one/tasks?source=all").as_array().unwrap().len(), 0);
    for path in questions(&world()) {
        get(&mut api(), &path);
    }
}

#[test]
fn parameters_choose() {
    let mut api = api();
    let mut count = |path: &str| get(&mut api, path).as_array().unwrap().len();
    assert_eq!([count("/nodes/one/storage"), count("/nodes/one/storage?enabled=1")], [2, 1]);
    let tasks = ["", "?source=active", "?source=all", "?source=all&typefilter=qmigrate", "?source=all&limit=1"];
    assert_eq!(tasks.map(|query| count(&format!("/nodes/one/tasks{query}"))), [1, 1, 2, 1, 1]);
    assert_eq!([count("/nodes/one/tasks?since=1727046066"), count("/nodes/one/tasks?since=1727046067")], [1, 0]);
    let log = &questions(&world())[6];
    assert_eq!([count(log), count(&format!("{log}?limit=1")), count(&format!("{log}?limit=0&start=1"))], [2, 1, 1]);
}

/// A path, a parameter, a word or a limit that the published schema has not would let the agent ask what no real host
/// answers.
#[test]
fn the_table_is_within_the_published_schema() {
    let Some(paths) = schema::paths() else { return };
    for route in ROUTES {
        let schema = &paths.get(route.path).unwrap_or_else(|| panic!("{} is not in the schema", route.path))["GET"];
        let parameters = &schema["parameters"];
        assert_eq!(parameters["additionalProperties"], 0, "{}", route.path);
        for parameter in route.path_parameters().chain(route.query) {
            let known = &parameters["properties"][parameter.name];
            let what = format!("{} of {}", parameter.name, route.path);
            let kind = known["type"].as_str().unwrap_or_else(|| panic!("{what} is not in the schema"));
            let limits = (known["minimum"].as_u64(), known["maximum"].as_u64());
            let words = known["enum"].as_array().map(|words| words.iter().map(|word| word.as_str().unwrap()).collect());
            match parameter.kind {
                Kind::Text => assert_eq!((kind, words), ("string", None::<Vec<_>>), "{what}"),
                Kind::Node => assert_eq!((kind, &known["format"]), ("string", &Value::from("pve-node")), "{what}"),
                Kind::Flag => assert_eq!(kind, "boolean", "{what}"),
                Kind::Number { least, most } => assert_eq!((kind, limits), ("integer", (least, most)), "{what}"),
                Kind::OneOf(ours) => assert_eq!((kind, words), ("string", Some(ours.to_vec())), "{what}"),
            }
            let is_in_path = route.path.contains(&format!("{{{}}}", parameter.name));
            assert_eq!(known["optional"] == 1, !is_in_path, "{what}");
        }
        let placeholders = route.path.matches('{').count();
        assert_eq!(route.path_parameters().count(), placeholders, "{} has parameters of its own", route.path);
        let needed = parameters["properties"].as_object().into_iter().flatten().filter(|(_, one)| one["optional"] != 1);
        assert_eq!(needed.count(), placeholders, "{} needs more", route.path);
        if let Some(privilege) = route.needs {
            assert!(schema["permissions"]["check"].to_string().contains(privilege), "{}", route.path);
        }
    }
}

/// In all that the story does.
#[test]
fn the_answers_are_within_the_published_schema() {
    let Some(paths) = schema::paths() else { return };
    let mut seen = BTreeSet::new();
    for change in crate::stories::PROXMOX_CHANGES {
        let mut api = Proxmox { world: crate::stories::proxmox_world(), ..api() };
        change(&mut api.world);
        for (route, question) in ROUTES.iter().zip(questions(&api.world)) {
            let answer = get(&mut api, &question);
            let misfits = schema::misfits(&answer, &paths[route.path]["GET"]["returns"], route.path);
            assert!(misfits.is_empty(), "{question}: {misfits:#?}");
            seen.insert(route.path);
        }
    }
    assert_eq!(seen.len(), ROUTES.len());
}

#[test]
fn a_row_of_a_type_to_come_is_the_one_thing_that_does_not_fit() {
    let Some(paths) = schema::paths() else { return };
    let mut api = api();
    api.world.stranger = Some("appliance");
    let answer = get(&mut api, "/cluster/resources");
    let misfits = schema::misfits(&answer, &paths["/cluster/resources"]["GET"]["returns"], "");
    assert_eq!(misfits.len(), 1, "{misfits:#?}");
    assert!(misfits[0].contains("\"appliance\" is not one of"), "{misfits:#?}");
}
