//! A simulator of the API of Proxmox VE, with a cluster that the story changes.
//!
//! It must never answer what the published schema does not allow: a path, a parameter or a value that is not in its table
//! is refused as the real one refuses it, and a test holds the table and the answers to the schema.

mod routes;
#[cfg(test)]
mod schema;
mod world;

use serde_json::{Value, json};

use super::{Answered, Asked, Simulated};
use routes::{Kind, Parameter, ROUTES, Route};
pub(crate) use world::{Guest, Job, Storage, Task, World};

/// The API with the cluster behind it, and who may ask.
pub(crate) struct Proxmox {
    /// What it tells of.
    pub world: World,
    /// The whole value of the header.
    pub token: String,
    /// What the token may do, everywhere: `Sys.Audit`, `VM.Audit`, ...
    pub privileges: Vec<&'static str>,
}

/// What `PVEAuditor` may do that the answers need.
pub(crate) const AUDITOR: [&str; 3] = ["Sys.Audit", "VM.Audit", "Datastore.Audit"];

/// A question that has been found in the table.
struct Found<'a> {
    route: &'static Route,
    /// Path parameters and others, decoded.
    values: Vec<(&'static str, String)>,
    api: &'a Proxmox,
}

/// Why a question is not answered.
struct Refusal {
    status: u16,
    reason: String,
    errors: Option<Value>,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), errors: None }
    }
}

impl Simulated for Proxmox {
    fn answer(&mut self, asked: &Asked) -> Answered {
        match self.find(asked).and_then(|found| (found.route.answer)(&found)) {
            Ok(data) => Answered::ok(json!({ "data": data }).to_string()),
            Err(Refusal { status, reason, errors }) => {
                let body = match errors {
                    Some(errors) => json!({ "data": null, "errors": errors }),
                    None => json!({ "data": null }),
                };
                Answered { status, reason, body: body.to_string() }
            }
        }
    }
}

impl Proxmox {
    fn find(&self, asked: &Asked) -> Result<Found<'_>, Refusal> {
        match asked.authorization.as_deref() {
            None => return Err(Refusal::new(401, "No ticket")),
            Some(token) if token != self.token => return Err(Refusal::new(401, "invalid token value!")),
            Some(_) => {}
        }
        let unknown = || Refusal::new(501, format!("Method '{} {}' not implemented", asked.method, asked.path));
        let path = asked.path.strip_prefix("/api2/json").ok_or_else(unknown)?;
        let fits = |route: &'static Route| Some((route, route.values(path)?));
        // Nobody who only looks asks for anything but GET, so there is nothing else in the table.
        let (route, mut values) = ROUTES.iter().find_map(fits).filter(|_| asked.method == "GET").ok_or_else(unknown)?;
        let mut errors = serde_json::Map::new();
        for (name, value) in asked.query.split('&').filter(|pair| !pair.is_empty()).map(parted) {
            match route.query.iter().find(|parameter| parameter.name == name) {
                Some(parameter) => values.push((parameter.name, value)),
                None => {
                    let why = "property is not defined in schema and the schema does not allow additional properties";
                    errors.insert(name, json!(why));
                }
            }
        }
        for parameter in route.path_parameters().chain(route.query) {
            let value = values.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value);
            if let Some(why) = value.and_then(|value| parameter.refuses(value)) {
                errors.insert(parameter.name.to_owned(), json!(why));
            }
        }
        if !errors.is_empty() {
            let reason = "Parameter verification failed.".to_owned();
            return Err(Refusal { status: 400, reason, errors: Some(errors.into()) });
        }
        if let Some(privilege) = route.needs.filter(|needs| !self.may(needs)) {
            return Err(Refusal::new(403, format!("Permission check failed (/, {privilege})")));
        }
        let found = Found { route, values, api: self };
        found.node_answers()?;
        Ok(found)
    }

    fn may(&self, privilege: &str) -> bool {
        self.privileges.contains(&privilege)
    }
}

impl Found<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// A question about a node is handed on to it.
    fn node_answers(&self) -> Result<(), Refusal> {
        let Some(node) = self.value("node") else { return Ok(()) };
        match self.api.world.nodes.iter().find(|(name, _)| name == node) {
            Some((_, true)) => Ok(()),
            Some(_) => {
                Err(Refusal::new(595, "Errors during connection establishment, proxy handshake: No route to host"))
            }
            None => Err(Refusal::new(500, format!("hostname lookup '{node}' failed - failed to get address info"))),
        }
    }
}

impl Parameter {
    /// What is wrong with a value, in the words of the real one.
    fn refuses(&self, value: &str) -> Option<String> {
        match self.kind {
            Kind::Text => None,
            Kind::Node => {
                let good = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                (!good).then(|| "invalid format - value does not look like a valid node name".to_owned())
            }
            Kind::Flag => {
                (!matches!(value, "0" | "1")).then(|| format!("type check ('boolean') failed - got '{value}'"))
            }
            Kind::Number { least, most } => match value.parse::<u64>() {
                Err(_) => Some(format!("type check ('integer') failed - got '{value}'")),
                Ok(number) if least.is_some_and(|least| number < least) => {
                    Some(format!("value must have a minimum value of {}", least.unwrap_or_default()))
                }
                Ok(number) if most.is_some_and(|most| number > most) => {
                    Some(format!("value must have a maximum value of {}", most.unwrap_or_default()))
                }
                Ok(_) => None,
            },
            Kind::OneOf(words) => (!words.contains(&value))
                .then(|| format!("value '{value}' does not have a value in the enumeration '{}'", words.join(", "))),
        }
    }
}

/// A pair of a query, decoded.
fn parted(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name), decoded(value))
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
