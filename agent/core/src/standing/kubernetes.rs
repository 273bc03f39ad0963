//! How evictions stand by what the Kubernetes API answered.
//!
//! It must never take a pod for gone because something else was not found, nor a node for drained whose drain was not
//! told to its end.

use super::{Fault, Names, Report, Standing, Subject};
use crate::observed::{DrainedNode, EvictionAnswer, Evictions};

/// The API's words for a pod that two budgets guard. No waiting helps.
const TWO_BUDGETS: &str = "more than one PodDisruptionBudget";

impl Report for Evictions {
    fn subjects(&self) -> Vec<Subject> {
        let mut names = Names::default();
        let mut subjects: Vec<Subject> = Vec::new();
        for (index, answer) in self.answers.iter().enumerate() {
            let name = match (&answer.namespace, &answer.pod) {
                (Some(namespace), Some(pod)) => format!("{namespace}/{pod}"),
                (None, Some(pod)) => pod.clone(),
                (_, None) => format!("answer {}", index + 1),
            };
            subjects.push(Subject::judged("eviction", names.unique("eviction", name), of_answer(answer).as_slice()));
        }
        for node in &self.nodes {
            subjects.push(Subject::judged("node", names.unique("node", node.name.clone()), of_node(node).as_slice()));
        }
        subjects.extend(
            self.unread
                .iter()
                .enumerate()
                .map(|(index, words)| Subject::not_ok("line", (index + 1).to_string(), Standing::Unknown, words)),
        );
        if self.by_kubectl && self.nodes.is_empty() {
            subjects.push(Subject::not_ok("node", "node", Standing::Unknown, "no node is told to be drained"));
        }
        subjects
    }
}

fn of_node(node: &DrainedNode) -> Option<Fault> {
    match (&node.error, node.state.as_str()) {
        (Some(error), _) => Some((Standing::Failed, error.clone())),
        (None, "drained" | "evicted") => None,
        (None, state) => {
            Some((Standing::Unknown, format!("{state}, and not told to be drained; is the report cut short?")))
        }
    }
}

/// A success says that the pod was told to end, and not yet that it has.
fn of_answer(answer: &EvictionAnswer) -> Option<Fault> {
    let unknown = |why: String| Some((Standing::Unknown, why));
    match (answer.status.as_deref(), answer.code) {
        (Some("Success"), None | Some(200..=299)) if answer.reason.is_none() => None,
        (Some("Success"), _) => unknown(format!("a success that says {}", told(answer))),
        (Some("Failure"), _) => match of_failure(answer) {
            Standing::Ok => None,
            Standing::Degraded => Some((Standing::Degraded, format!("{}; it may be tried again", told(answer)))),
            state => Some((state, told(answer))),
        },
        (Some("evicted" | "deleted" | "gone"), _) => None,
        (Some(status), _) => unknown(format!("{status}, and how it ended is not told")),
        (None, _) => unknown("neither a success nor a failure".to_owned()),
    }
}

fn of_failure(answer: &EvictionAnswer) -> Standing {
    let reason = answer.reason.as_deref();
    if answer.message.as_ref().is_some_and(|message| message.contains(TWO_BUDGETS)) {
        return Standing::Failed;
    }
    let by_reason = reason.and_then(code_of);
    let code = match (answer.code, by_reason) {
        (Some(code), Some(meant)) if code != meant => return Standing::Unknown,
        (code, meant) => code.or(meant),
    };
    match code {
        // It may be tried again: the budget allows no disruption now, or the API is asked too often.
        Some(429) => Standing::Degraded,
        // The pod is gone already, which is what was wanted.
        Some(404) if is_about_the_pod(answer) => Standing::Ok,
        // Another pod has its name by now; or it is forbidden by rights, by a namespace that ends, or by a broken budget.
        Some(409 | 403) => Standing::Failed,
        _ => Standing::Unknown,
    }
}

/// "Not found" is also said of a namespace, of a budget, and of a path that the server does not know.
fn is_about_the_pod(answer: &EvictionAnswer) -> bool {
    let is_pod = |message: &str| message.starts_with("pods \"") && message.ends_with("\" not found");
    match (answer.about.as_deref(), answer.message.as_deref()) {
        (Some("pods"), Some(message)) => answer.pod.is_some() && is_pod(message),
        (Some("pods"), None) => answer.pod.is_some(),
        (None, Some(message)) => is_pod(message),
        _ => false,
    }
}

fn code_of(reason: &str) -> Option<u64> {
    match reason {
        "TooManyRequests" => Some(429),
        "NotFound" => Some(404),
        "Conflict" => Some(409),
        "Forbidden" => Some(403),
        "InternalError" => Some(500),
        _ => None,
    }
}

/// `429 TooManyRequests: the causes, else the message`.
fn told(answer: &EvictionAnswer) -> String {
    let code = answer.code.map(|code| code.to_string());
    let head: Vec<&str> = [code.as_deref(), answer.reason.as_deref()].into_iter().flatten().collect();
    let words = if answer.causes.is_empty() { answer.message.clone() } else { Some(answer.causes.join(", ")) };
    match (head.is_empty(), words) {
        (true, Some(words)) => words,
        (true, None) => "nothing more".to_owned(),
        (false, Some(words)) => format!("{}: {words}", head.join(" ")),
        (false, None) => head.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::worst;
    use super::*;
    use Standing::{Degraded, Failed, Ok, Unknown};

    fn answer(status: &str, code: u64, reason: &str, about: &str, message: &str) -> EvictionAnswer {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        EvictionAnswer {
            pod: text(if about == "pods" { "web-1" } else { "" }),
            status: text(status),
            code: (code != 0).then_some(code),
            reason: text(reason),
            about: text(about),
            message: text(message),
            ..EvictionAnswer::default()
        }
    }

    fn state(answer: EvictionAnswer) -> Standing {
        worst(&Evictions { answers: vec![answer], ..Evictions::default() }.subjects())
    }

    #[test]
    fn an_answer_stands_by_its_code_and_reason() {
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        let gone = "pods \"web-1\" not found";
        for (status, code, reason, about, message, expected) in [
            ("Success", 201, "", "", "", Ok),
            ("Success", 200, "", "", "", Ok),
            ("Success", 0, "", "", "", Ok),
            ("Success", 429, "", "", "", Unknown),
            ("Success", 201, "TooManyRequests", "", "", Unknown),
            ("Failure", 429, "TooManyRequests", "", "", Degraded),
            ("Failure", 429, "", "", "", Degraded),
            ("Failure", 0, "TooManyRequests", "", "", Degraded),
            ("Failure", 404, "TooManyRequests", "pods", gone, Unknown),
            ("Failure", 404, "NotFound", "pods", gone, Ok),
            ("Failure", 404, "NotFound", "pods", "", Ok),
            ("Failure", 404, "", "pods", gone, Ok),
            ("Failure", 0, "NotFound", "", gone, Ok),
            ("Failure", 404, "NotFound", "pods", "pods \"web-1\" lost", Unknown),
            ("Failure", 404, "NotFound", "", "the server could not find the requested resource", Unknown),
            ("Failure", 404, "NotFound", "namespaces", "namespaces \"lab\" not found", Unknown),
            ("Failure", 404, "NotFound", "poddisruptionbudgets", gone, Unknown),
            ("Failure", 404, "NotFound", "", "", Unknown),
            ("Failure", 409, "Conflict", "pods", "the UID in the precondition differs", Failed),
            ("Failure", 403, "Forbidden", "pods", "", Failed),
            ("Failure", 500, "", "", two, Failed),
            ("Failure", 0, "", "", two, Failed),
            ("Failure", 500, "InternalError", "", "etcdserver: request timed out", Unknown),
            ("Failure", 500, "", "", "", Unknown),
            ("Failure", 504, "Timeout", "", "", Unknown),
            ("Failure", 201, "", "", "", Unknown),
            ("Failure", 0, "", "", "", Unknown),
            ("evicted", 0, "", "", "", Ok),
            ("deleted", 0, "", "", "", Ok),
            ("gone", 0, "", "", "", Ok),
            ("evicting", 0, "", "", "", Unknown),
            ("", 201, "", "", "", Unknown),
        ] {
            let told = answer(status, code, reason, about, message);
            assert_eq!(state(told.clone()), expected, "{told:?}");
        }
        assert_eq!(worst(&Evictions::default().subjects()), Unknown);
    }

    #[test]
    fn a_node_must_be_told_to_be_drained() {
        let node = |state: &str, error: Option<&str>| {
            let (name, state, error) = ("one".to_owned(), state.to_owned(), error.map(str::to_owned));
            let nodes = vec![DrainedNode { name, state, error }];
            worst(&Evictions { by_kubectl: true, nodes, ..Evictions::default() }.subjects())
        };
        assert_eq!((node("drained", None), node("evicted", None)), (Ok, Ok));
        assert_eq!(node("drained", Some("it was not")), Failed);
        assert_eq!(node("cordoned", None), Unknown);
        assert_eq!(node("drained (dry run)", None), Unknown);
        let evicted = vec![answer("evicted", 0, "", "", "")];
        let mut report = Evictions { by_kubectl: true, answers: evicted, ..Evictions::default() };
        assert_eq!(worst(&report.subjects()), Unknown, "no node is told");
        report.nodes.push(DrainedNode { name: "one".to_owned(), state: "drained".to_owned(), error: None });
        assert_eq!(worst(&report.subjects()), Ok);
        report.unread.push("odd".to_owned());
        assert_eq!(worst(&report.subjects()), Unknown);
    }

    #[test]
    fn an_answer_says_what_is_wrong() {
        let mut told = answer("Failure", 429, "TooManyRequests", "", "Cannot evict pod.");
        told.causes = vec!["The disruption budget web needs 2 healthy pods and has 2 currently".to_owned()];
        let report = Evictions { answers: vec![told.clone(), told], ..Evictions::default() };
        let why = "The disruption budget web needs 2 healthy pods and has 2 currently; it may be tried again";
        assert_eq!(report.subjects()[0].why, Some(format!("429 TooManyRequests: {why}")));
        assert_eq!(report.subjects()[1].name, "answer 2");
    }
}
