//! What `kubectl drain` prints, and single messages of it.
//!
//! It must never take a pod for evicted that kubectl was only about to evict, nor a dry run for a drain.

use std::collections::BTreeMap;

use hardstand_core::observed::{DrainedNode, EvictionAnswer, Evictions};

use super::super::excerpt;

/// The API's words for what a disruption budget does not allow now, and for a pod that two of them guard. They stand
/// alone where somebody kept nothing else.
const MESSAGES: [&str; 2] = [
    "Cannot evict pod as it would violate the pod's disruption budget",
    "This pod has more than one PodDisruptionBudget",
];

/// Reads line by line. Lines that are not known are kept.
pub(super) fn parse(text: &str) -> Result<Evictions, String> {
    let mut reader = Reader::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if reader.line(line).is_none() {
            reader.told.unread.push(excerpt(line));
        }
    }
    let told = reader.told;
    if told.answers.is_empty() && told.nodes.is_empty() {
        let line = excerpt(text.lines().next().unwrap_or_default());
        return Err(format!("no JSON and no line of kubectl drain in it; it says: {line}"));
    }
    Ok(told)
}

#[derive(Default)]
struct Reader {
    told: Evictions,
    /// Where the pods are, by `namespace/name`.
    pods: BTreeMap<String, usize>,
    /// Those not told to be gone, by name: the line that says so leaves out the namespace.
    pending: BTreeMap<String, Vec<usize>>,
    /// Those that kubectl began to evict since it last called a node drained.
    begun: Vec<usize>,
    nodes: BTreeMap<String, usize>,
}

impl Reader {
    /// `None` when the line is not known.
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(pod) = line.strip_prefix("evicting pod ") {
            self.told.by_kubectl = true;
            return self.evicting(pod);
        }
        if let Some(failure) = line.strip_prefix("error when evicting pod") {
            return self.failure(failure.trim_start_matches(['s', '/', ' ']));
        }
        if let Some(rest) = line.strip_prefix("pod/") {
            self.told.by_kubectl = true;
            let (name, state) = rest.split_once(' ')?;
            return matches!(state, "evicted" | "deleted").then(|| self.gone(name, state));
        }
        if let Some(rest) = line.strip_prefix("node/").or_else(|| line.strip_prefix("node ")) {
            self.told.by_kubectl = true;
            let (name, state) = rest.split_once(' ')?;
            self.node(name.trim_matches('"'), state);
            return Some(());
        }
        if let Some(rest) = line.strip_prefix("error: unable to ") {
            let name = quoted(rest).next()?;
            self.told.by_kubectl = true;
            self.node_failed(name, line);
            return Some(());
        }
        let warned = line.split_once(": ").filter(|(word, _)| word.eq_ignore_ascii_case("warning"));
        if let Some(warning) = warned.map(|(_, warning)| warning).or_else(|| line.strip_prefix("Flag ")) {
            self.told.warnings.push(excerpt(warning));
            return Some(());
        }
        self.message(line)
    }

    /// `namespace/name` or `"name"`; with anything behind it, such as `(server dry run)`, it is not known.
    fn evicting(&mut self, pod: &str) -> Option<()> {
        let (namespace, name) = match pod.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, pod.trim_matches('"')),
        };
        if name.is_empty() || name.contains([' ', '"']) {
            return None;
        }
        let index = self.pod(namespace, name);
        self.told.answers[index].status = Some("evicting".to_owned());
        self.begun.push(index);
        Some(())
    }

    /// `"name" -n "namespace" (will retry after 5s): why`.
    fn failure(&mut self, failure: &str) -> Option<()> {
        let (head, why) = failure.split_once(": ")?;
        let mut names = quoted(head);
        let (name, namespace) = (names.next()?, names.next());
        // It tries again when there were too many requests, and when the namespace ends, which is forbidden.
        let is_tried_again = head.contains("(will retry");
        let reason = match (is_tried_again, head.contains("terminating namespace")) {
            (true, false) => Some("TooManyRequests"),
            (_, true) => Some("Forbidden"),
            (false, false) => None,
        };
        let index = self.pod(namespace, name);
        let answer = &mut self.told.answers[index];
        answer.status = Some("Failure".to_owned());
        answer.reason = reason.map(str::to_owned);
        answer.message = Some(why.to_owned());
        Some(())
    }

    /// Where the pod's answer is, as if nothing had been said of it yet.
    fn pod(&mut self, namespace: Option<&str>, name: &str) -> usize {
        let key = format!("{}/{name}", namespace.unwrap_or_default());
        let answers = &mut self.told.answers;
        let index = *self.pods.entry(key).or_insert(answers.len());
        if index == answers.len() {
            answers.push(EvictionAnswer::default());
        }
        if !matches!(answers[index].status.as_deref(), Some("evicting" | "Failure")) {
            self.pending.entry(name.to_owned()).or_default().push(index);
        }
        answers[index] = EvictionAnswer {
            pod: Some(name.to_owned()),
            namespace: namespace.map(str::to_owned),
            ..EvictionAnswer::default()
        };
        index
    }

    fn gone(&mut self, name: &str, state: &str) {
        let index = self.pending.get_mut(name).and_then(Vec::pop).unwrap_or_else(|| self.pod(None, name));
        let answer = &mut self.told.answers[index];
        (answer.status, answer.reason, answer.message) = (Some(state.to_owned()), None, None);
    }

    /// kubectl drains one node after the other and calls it drained when no pod of it is left.
    fn node(&mut self, name: &str, state: &str) {
        if matches!(state, "drained" | "evicted") {
            for index in self.begun.drain(..) {
                let status = &mut self.told.answers[index].status;
                if status.as_deref() == Some("evicting") {
                    *status = Some("gone".to_owned());
                }
            }
        }
        self.node_entry(name).state = state.to_owned();
    }

    fn node_failed(&mut self, name: &str, line: &str) {
        self.node_entry(name).error = Some(excerpt(line));
    }

    fn node_entry(&mut self, name: &str) -> &mut DrainedNode {
        let nodes = &mut self.told.nodes;
        let index = *self.nodes.entry(name.to_owned()).or_insert_with(|| {
            nodes.push(DrainedNode { name: name.to_owned(), ..DrainedNode::default() });
            nodes.len() - 1
        });
        &mut nodes[index]
    }

    /// `Error from server (NotFound): pods "web-1" not found`, or one of the API's messages alone.
    fn message(&mut self, line: &str) -> Option<()> {
        let (reason, message) = match line.strip_prefix("Error from server") {
            Some(rest) => {
                let (reason, message) = rest.split_once(": ")?;
                (reason.trim().strip_prefix('(').and_then(|reason| reason.strip_suffix(')')), message)
            }
            None if MESSAGES.iter().any(|known| line.contains(known)) => {
                (line.contains(MESSAGES[0]).then_some("TooManyRequests"), line)
            }
            None => return None,
        };
        self.told.answers.push(EvictionAnswer {
            status: Some("Failure".to_owned()),
            reason: reason.map(str::to_owned),
            message: Some(message.to_owned()),
            ..EvictionAnswer::default()
        });
        Some(())
    }
}

/// What stands between quotation marks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}
