//! The methods that the simulator has, with what each may be called with.
//!
//! It must never be wider than the published schema: a test holds it to that where the schema is at hand.

use serde_json::{Value, json};

use super::world::Version;

/// One method.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// The versions that have it, first and last.
    pub(crate) since: Version,
    pub(crate) until: Version,
}

/// One parameter by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    Filters,
    Options,
    /// What one logs in with; needed.
    Login,
    /// A key alone; needed.
    Key,
    /// Paths whose snapshots are counted.
    Count,
}

const fn method(name: &'static str, params: &'static [Param]) -> Method {
    Method { name, params, since: Version::V25_04, until: Version::V26 }
}

const QUERY: &[Param] = &[Param::Filters, Param::Options];

pub(crate) const METHODS: [Method; 16] = [
    method("system.state", &[]),
    method("system.info", &[]),
    method("pool.query", QUERY),
    method("boot.get_state", &[]),
    method("alert.list", &[]),
    method("iscsi.global.sessions", QUERY),
    method("replication.query", QUERY),
    method("pool.snapshottask.query", QUERY),
    method("core.get_jobs", QUERY),
    method("boot.environment.query", QUERY),
    method("system.reboot.info", &[]),
    Method { since: Version::V25_10, ..method("update.status", &[]) },
    Method { until: Version::V25_10, ..method("pool.snapshot.query", QUERY) },
    Method { since: Version::V26, ..method("zfs.resource.snapshot.count", &[Param::Count]) },
    method("auth.login_ex", &[Param::Login]),
    method("auth.login_with_api_key", &[Param::Key]),
];

/// The most rows that may be asked for.
const MOST_ROWS: u64 = 10_000;
const OPERATORS: [&str; 11] = ["=", "!=", ">", "<", ">=", "<=", "~", "in", "nin", "^", "$"];

/// What is wrong with the parameters of a call, as `[[attribute, message, errno]]`.
pub(crate) fn faults(method: &Method, params: &Value) -> Option<Value> {
    let fault = |attribute: &str, message: &str| Some(json!([[attribute, message, 22]]));
    let Some(params) = params.as_array() else { return fault("", "params must be an array") };
    if params.len() > method.params.len() {
        return fault("", "too many arguments");
    }
    let is_needed = |param: &Param| matches!(param, Param::Login | Param::Key);
    if method.params.iter().skip(params.len()).any(is_needed) {
        return fault("", "too few arguments");
    }
    method.params.iter().zip(params).find_map(|(param, value)| match param {
        Param::Filters => filters(value).err().and_then(|why| fault("query-filters", &why)),
        Param::Options => options(value).err().and_then(|why| fault("query-options", &why)),
        Param::Login => login(value).err().and_then(|why| fault("login_data", &why)),
        Param::Key => (!value.is_string()).then(|| fault("api_key", "must be a string")).flatten(),
        Param::Count => only(value, &["paths", "recursive"]).err().and_then(|why| fault("data", &why)),
    })
}

fn only(value: &Value, known: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("must be an object")?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{key}: Extra inputs are not permitted")),
        None => Ok(()),
    }
}

fn filters(value: &Value) -> Result<(), String> {
    for filter in value.as_array().ok_or("must be an array")? {
        let parts = filter.as_array().filter(|parts| parts.len() == 3).ok_or("a filter has three parts")?;
        let operator = parts[1].as_str().unwrap_or_default();
        if !parts[0].is_string() || !OPERATORS.contains(&operator) {
            return Err(format!("Invalid operation: {operator}"));
        }
    }
    Ok(())
}

fn options(value: &Value) -> Result<(), String> {
    only(value, &["extra", "order_by", "select", "count", "get", "offset", "limit", "force_sql_filters"])?;
    let holds = |key: &str, good: fn(&Value) -> bool| value.get(key).is_none_or(good);
    let strings = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let all = holds("extra", Value::is_object)
        && holds("order_by", strings)
        && holds("select", strings)
        && ["count", "get", "force_sql_filters"].iter().all(|key| holds(key, Value::is_boolean))
        && holds("offset", Value::is_u64)
        && holds("limit", |limit| limit.as_u64().is_some_and(|limit| limit <= MOST_ROWS));
    if all { Ok(()) } else { Err("one of them is of another type, or too large".to_owned()) }
}

fn login(value: &Value) -> Result<(), String> {
    only(value, &["mechanism", "username", "api_key", "login_options"])?;
    let is_text = |key: &str| value.get(key).is_some_and(Value::is_string);
    match value.get("mechanism").and_then(Value::as_str) {
        Some("API_KEY_PLAIN") if is_text("username") && is_text("api_key") => Ok(()),
        _ => Err("Input tag does not match any of the expected tags".to_owned()),
    }
}

/// Puts filters and options on the rows of an answer.
pub(crate) fn queried(rows: Value, params: &Value) -> Value {
    let Value::Array(rows) = rows else { return rows };
    let (filters, options) = (&params[0], &params[1]);
    let fits = |row: &Value| filters.as_array().into_iter().flatten().all(|filter| keeps(row, filter));
    let mut rows: Vec<Value> = rows.into_iter().filter(fits).collect();
    if options["count"] == json!(true) {
        return json!(rows.len());
    }
    let limit = options["limit"].as_u64().filter(|limit| *limit > 0).unwrap_or(MOST_ROWS);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let select: Vec<&str> = options["select"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !select.is_empty() {
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|key, _| select.contains(&key.as_str()));
        }
    }
    Value::Array(rows)
}

/// The operators that anybody asks with here; another one keeps nothing, which a story would notice.
fn keeps(row: &Value, filter: &Value) -> bool {
    let value = &row[filter[0].as_str().unwrap_or_default()];
    match filter[1].as_str() {
        Some("=") => *value == filter[2],
        Some("in") => filter[2].as_array().is_some_and(|any| any.contains(value)),
        _ => false,
    }
}
