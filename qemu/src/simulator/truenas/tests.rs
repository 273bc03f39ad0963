//! The simulator against itself, and against the published schema where that is at hand.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::methods::{METHODS, Method, Param, faults};
use super::world::{self, Version, World};
use super::{Peer, Simulator, serve};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/truenas");

/// The model of a method's parameters and of its answer, by its file and class; a query's answer is a list of entries.
/// 25.04 and 26 lack some, 25.10 those that are not here: boot.get_state, pool.snapshottask.query and the count of
/// pool.snapshot.query.
const MODELS: [(&str, &str, &str); 13] = [
    ("system.state", "system_lifecycle.SystemStateArgs", "system_lifecycle.SystemStateResult"),
    ("system.info", "system.SystemInfoArgs", "system.SystemInfoResult"),
    ("pool.query", "", "pool.PoolEntry"),
    ("alert.list", "alert.AlertListArgs", "alert.AlertListResult"),
    ("iscsi.global.sessions", "iscsi_global.ISCSIGlobalSessionsArgs", "iscsi_global.ISCSIGlobalSessionsResult"),
    ("replication.query", "", "replication.ReplicationEntry"),
    ("core.get_jobs", "", "core.CoreGetJobsItem"),
    ("boot.environment.query", "", "boot_environments.BootEnvironmentEntry"),
    ("system.reboot.info", "system_reboot.SystemRebootInfoArgs", "system_reboot.SystemRebootInfoResult"),
    ("update.status", "update.UpdateStatusArgs", "update.UpdateStatusResult"),
    (
        "zfs.resource.snapshot.count",
        "zfs_resource_snapshot.ZFSResourceSnapshotCountArgs",
        "zfs_resource_snapshot.ZFSResourceSnapshotCountResult",
    ),
    ("auth.login_ex", "auth.AuthLoginExArgs", "auth.AuthLoginExResult"),
    ("auth.login_with_api_key", "auth.AuthLoginWithApiKeyArgs", "auth.AuthLoginWithApiKeyResult"),
];

async fn client(simulator: &Simulator, peer: Peer) -> WebSocketStream<DuplexStream> {
    let (near, far) = duplex(1 << 20);
    tokio::spawn(serve::connection(simulator.clone(), far, peer));
    client_async("ws://localhost/api/current", near).await.unwrap().0
}

async fn ask(socket: &mut WebSocketStream<DuplexStream>, method: &str, params: Value) -> Value {
    let question = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    socket.send(Message::text(question.to_string())).await.unwrap();
    let answer: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(answer["id"], 7);
    answer
}

fn login(key: &str) -> Value {
    json!([{"mechanism": "API_KEY_PLAIN", "username": "hardstand", "api_key": key}])
}

#[tokio::test]
async fn only_what_the_table_allows_is_answered() {
    let simulator = Simulator::new(World::well(Version::V25_10));
    let mut root = client(&simulator, Peer::Local(0)).await;
    assert_eq!(ask(&mut root, "system.state", json!([])).await["result"], "READY");
    for (method, params, code) in [
        ("system.reboot", json!(["because"]), -32601),
        ("zfs.resource.snapshot.count", json!([]), -32601),
        ("", json!([]), -32600),
        ("system.state", json!([1]), -32602),
        ("system.state", json!({}), -32602),
        ("alert.list", json!([[], {}]), -32602),
        ("pool.query", json!([{}]), -32602),
        ("pool.query", json!([[["name", "is", "tank"]]]), -32602),
        ("pool.query", json!([[], {"colums": ["name"]}]), -32602),
        ("pool.query", json!([[], {"limit": 10_001}]), -32602),
        ("pool.query", json!([[], {"count": "yes"}]), -32602),
        ("auth.login_ex", json!([]), -32602),
        ("auth.login_ex", json!([{"mechanism": "API_KEY_PLAIN", "api_key": "x"}]), -32602),
        ("auth.login_ex", json!([{"mechanism": "SMILE"}]), -32602),
    ] {
        let answer = ask(&mut root, method, params.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
        assert_eq!(code == -32602, answer["error"]["data"]["extra"].is_array(), "{answer}");
    }
    let running = json!([[["state", "in", ["RUNNING"]]], {"select": ["id", "method"]}]);
    *simulator.world().of("core.get_jobs") = json!([world::job(1, "a"), world::job(2, "b")]);
    simulator.world().of("core.get_jobs")[1]["state"] = json!("SUCCESS");
    assert_eq!(ask(&mut root, "core.get_jobs", running).await["result"], json!([{"id": 1, "method": "a"}]));
    assert_eq!(ask(&mut root, "core.get_jobs", json!([[], {"count": true}])).await["result"], 2);
}

#[tokio::test]
async fn a_login_is_needed_but_for_root_on_the_socket_and_a_key_without_tls_is_revoked() {
    let simulator = Simulator::new(World::well(Version::V25_10));
    let key = simulator.world().key.clone();
    for peer in [Peer::Local(1000), Peer::Tls] {
        let mut socket = client(&simulator, peer).await;
        assert_eq!(ask(&mut socket, "system.state", json!([])).await["error"]["data"]["error"], 207);
        assert_eq!(ask(&mut socket, "auth.login_ex", login("5-no")).await["result"]["response_type"], "AUTH_ERR");
        assert_eq!(ask(&mut socket, "system.state", json!([])).await["error"]["data"]["error"], 207);
        assert_eq!(ask(&mut socket, "auth.login_ex", login(&key)).await["result"]["response_type"], "SUCCESS");
        assert_eq!(ask(&mut socket, "system.state", json!([])).await["result"], "READY");
    }
    let mut older = client(&simulator, Peer::Tls).await;
    assert_eq!(ask(&mut older, "auth.login_with_api_key", json!([key])).await["result"], true);
    let mut plain = client(&simulator, Peer::Plain).await;
    assert_eq!(ask(&mut plain, "auth.login_ex", login(&key)).await["result"]["response_type"], "AUTH_ERR");
    let mut late = client(&simulator, Peer::Tls).await;
    assert_eq!(ask(&mut late, "auth.login_ex", login(&key)).await["result"]["response_type"], "AUTH_ERR", "revoked");
}

#[tokio::test]
async fn more_calls_than_it_takes_are_refused_and_so_is_a_long_message_before_login() {
    let simulator = Simulator::new(World::well(Version::V25_10));
    let mut root = client(&simulator, Peer::Local(0)).await;
    let question = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "system.state", "params": []}).to_string();
    // Those before were taken, and are not answered.
    simulator.world().trouble = world::Trouble::Hangs;
    for id in 0..20 {
        root.send(Message::text(question(id))).await.unwrap();
    }
    while simulator.world().most_under_way < 20 {
        tokio::task::yield_now().await;
    }
    simulator.world().trouble = world::Trouble::None;
    root.send(Message::text(question(20))).await.unwrap();
    let answer = root.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("-32000"), "{answer}");
    let mut stranger = client(&simulator, Peer::Tls).await;
    stranger.send(Message::text(format!("{:>9000}", "{}"))).await.unwrap();
    assert!(!matches!(stranger.next().await, Some(Ok(Message::Text(_)))), "it ends the connection");
}

/// A JSON Schema as pydantic writes them, as far as these have it.
struct Schema<'a> {
    defs: &'a Map<String, Value>,
}

impl Schema<'_> {
    fn fits(&self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return self.fits(&self.defs[name], value, path);
        }
        let any = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
        if let Some(any) = any {
            let all: Vec<String> = any.iter().filter_map(|one| self.fits(one, value, path).err()).collect();
            return if all.len() < any.len() { Ok(()) } else { Err(all.join(" | ")) };
        }
        let bad = |why: &str| Err(format!("{path}: {why}: {value}"));
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return bad("not in the enum");
        }
        if schema.get("const").is_some_and(|only| only != value) {
            return bad("not the constant");
        }
        let is_of = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            // On the wire a date is an object; in the schema it is text.
            Some("string") => value.is_string() || value.get("$date").is_some_and(Value::is_u64),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            _ => true,
        };
        if !is_of {
            return bad("of another type");
        }
        if schema["maximum"].as_f64().is_some_and(|most| value.as_f64().is_some_and(|number| number > most)) {
            return bad("too large");
        }
        for (place, one) in value.as_array().into_iter().flatten().enumerate() {
            self.fits(&schema["items"], one, &format!("{path}[{place}]"))?;
        }
        let Some(object) = value.as_object().filter(|_| schema["type"] == "object") else { return Ok(()) };
        for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(needed) {
                return bad(&format!("lacks {needed}"));
            }
        }
        for (key, one) in object {
            let path = format!("{path}.{key}");
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => return Err(format!("{path}: not known")),
                (Value::Null, more) => self.fits(more, one, &path)?,
                (known, _) => self.fits(known, one, &path)?,
            }
        }
        Ok(())
    }
}

fn fits(model: &Value, value: &Value) -> Result<(), String> {
    let none = Map::new();
    Schema { defs: model["$defs"].as_object().unwrap_or(&none) }.fits(model, value, "")
}

/// Positional parameters by the names of the model's properties, in their order as the sample has it.
fn named(model_text: &str, params: &[Value]) -> Value {
    // serde_json sorts keys; the two models with parameters of more than one name are the queries.
    let names: &[&str] = if model_text.contains("query_filters") {
        &["query_filters", "query_options"]
    } else if model_text.contains("login_data") {
        &["login_data"]
    } else if model_text.contains("api_key") {
        &["api_key"]
    } else {
        &["data"]
    };
    names.iter().zip(params).map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>().into()
}

/// Calls that the table allows, and some that it refuses.
fn tried(method: &Method) -> Vec<Vec<Value>> {
    let one = |param: &Param| match param {
        Param::Filters => vec![json!([]), json!([["state", "in", ["RUNNING"]]]), json!({})],
        Param::Options => {
            vec![json!({"select": ["name"], "limit": 10_000}), json!({"limit": 10_001}), json!({"odd": 1})]
        }
        Param::Key => vec![json!("5-k"), json!(7)],
        Param::Count => vec![json!({}), json!({"paths": ["tank"], "recursive": true}), json!({"odd": 1})],
        Param::Login => vec![login("5-k")[0].clone(), json!({"mechanism": "SMILE"}), json!({"api_key": "5-k"})],
    };
    let mut all = vec![Vec::new()];
    for param in method.params {
        let more: Vec<Vec<Value>> = all
            .iter()
            .flat_map(|before| one(param).into_iter().map(|value| [before.as_slice(), &[value]].concat()))
            .collect();
        all.extend(more);
    }
    all
}

#[test]
fn the_table_and_the_answers_fit_the_published_schema() {
    let mut checked = Vec::new();
    for (version, file) in [
        (Version::V25_04, "api-schema-v25_04_2.json"),
        (Version::V25_10, "api-schema-v25_10_5.json"),
        (Version::V26, "api-schema-v26_0_0.json"),
    ] {
        let Ok(text) = std::fs::read_to_string(format!("{SAMPLES}/{file}")) else {
            return println!("skipped: {SAMPLES}/{file} is not there");
        };
        let schema: Value = serde_json::from_str(&text).unwrap();
        let models = &schema["models"];
        let (mut lacking, mut count) = (Vec::new(), 0);
        for (name, args, result) in MODELS {
            let method = METHODS.iter().find(|method| method.name == name).unwrap();
            if !(method.since..=method.until).contains(&version) {
                continue;
            }
            match models.get(args) {
                Some(model) if !args.is_empty() => {
                    for params in tried(method) {
                        let told = faults(method, &Value::Array(params.clone())).is_none();
                        let published = fits(model, &named(&model.to_string(), &params)).is_ok();
                        assert!(
                            !told || published,
                            "{version:?} {name}: the table allows what the schema does not: {params:?}"
                        );
                        count += 1;
                    }
                    let none = model["properties"].as_object().is_none_or(Map::is_empty);
                    assert_eq!(none, method.params.is_empty(), "{version:?} {name}");
                }
                _ => lacking.push(format!("{name} (parameters)")),
            }
            match models.get(result) {
                Some(model) => {
                    for answer in answers(version, name) {
                        let rows = if result.ends_with("Result") {
                            vec![json!({"result": answer})]
                        } else {
                            answer.as_array().unwrap().clone()
                        };
                        for row in rows {
                            fits(model, &row).unwrap_or_else(|why| panic!("{version:?} {name}: {why}"));
                            count += 1;
                        }
                    }
                }
                None => lacking.push(format!("{name} (answer)")),
            }
        }
        println!("{version:?}: {count} checks; no model of: {}", lacking.join(", "));
        checked.push(count);
    }
    assert!(checked[1] > 30, "25.10 is checked whole: {checked:?}");
}

/// What the stories make it answer, beside a box that is well.
fn answers(version: Version, name: &str) -> Vec<Value> {
    let well = World::well(version).answers.get(name).cloned().unwrap_or(json!(true));
    let offer = json!({"version": "25.10.2", "manifest": {}, "release_notes": null, "release_notes_url": "none"});
    let error = json!({"errname": "EREBOOTREQUIRED", "reason": "applied"});
    let more = match name {
        "alert.list" => vec![json!([world::alert("SMART", "CRITICAL")])],
        "iscsi.global.sessions" => vec![json!([world::session("iqn.a")])],
        "core.get_jobs" => vec![json!([world::job(1, "replication.run")])],
        "boot.environment.query" => vec![json!([world::environment("a", true, false)])],
        "update.status" => vec![world::update("NORMAL", Some(offer), Value::Null), world::update("ERROR", None, error)],
        "auth.login_ex" => {
            let mut world = World::well(version);
            let key = world.key.clone();
            let mut said = |key: &str, expired| {
                world.key_expired = expired;
                serve::log_in(&mut world, name, &login(key), Peer::Tls)
            };
            vec![said(&key, false), said(&key, true), said("5-no", false)]
        }
        "pool.query" => {
            let mut world = World::well(version);
            world.of("pool.query")[0]["scan"] = world::scan("RESILVER", "SCANNING");
            vec![world.of("pool.query").clone()]
        }
        _ => Vec::new(),
    };
    // A login has no answer of its own in a box that is well.
    let well = (name != "auth.login_ex").then_some(well);
    well.into_iter().chain(more).collect()
}

#[test]
fn the_schemas_reader_finds_what_does_not_fit() {
    let model = json!({"$defs": {"A": {"enum": ["x"]}}, "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]}}});
    assert_eq!(fits(&model, &json!({"a": "x", "b": null})), Ok(()));
    for bad in [json!({}), json!({"a": "y"}), json!({"a": "x", "b": 10}), json!({"a": "x", "c": 1}), json!([])] {
        assert!(fits(&model, &bad).is_err(), "{bad}");
    }
}
