//! The declared services as a gate: nobody else goes down while one of them does not answer.
//!
//! It must never take a service that this leader has not asked lately for one that serves (S6).

use crate::fleet::Policy;
use crate::rollout::RolloutState;
use crate::status::Blocker;
use crate::view::View;

/// The leader tells what it found every 10 s, and at once when a service comes or goes; three of those that did not come
/// are a silence.
const TOLD_MS: u64 = 30_000;

/// The check's name, as the policy may tolerate it: `service`, or `service:wiki` for one of them.
const CHECK: &str = "service";

/// Every declared service that is down, or of which the leader of a running rollout knows nothing.
pub(super) fn blockers(view: &View, policy: &Policy, now_ms: u64) -> Vec<Blocker> {
    let running = view.rollout.as_ref().filter(|rollout| rollout.value.state == RolloutState::Running);
    let (Some(rollout), Some(leader)) = (running, &view.leader) else { return Vec::new() };
    if policy.services.is_empty() {
        return Vec::new();
    }
    let told = view.probes.get(&(rollout.value.plan.clone(), leader.value.node.clone()));
    let fresh = told.filter(|told| now_ms.saturating_sub(told.changed_ms) <= TOLD_MS);
    let tolerated = |name: &str| {
        policy.gates.tolerate.iter().any(|one| one == CHECK || one.strip_prefix(CHECK) == Some(&format!(":{name}")))
    };
    let asked = policy.services.iter().filter(|service| !tolerated(&service.name));
    let missing = asked.filter_map(|service| {
        let name = service.name.as_str();
        let row = fresh.and_then(|told| told.value.iter().find(|row| row.service == name && row.asked > 0));
        let (why, way_out) = match row {
            Some(row) if !row.failing => return None,
            Some(row) => {
                let seen = row.last_failure.as_ref().map_or("no good answer", |failure| failure.why.as_str());
                (format!("the service {name} is down: {seen}"), format!("bring it back: {}", service.url))
            }
            None => {
                let why = format!(
                    "whether the service {name} serves is not known: {} has not asked it lately",
                    leader.value.node
                );
                (why, "wait for its first probes: hardstand rollout watch".to_owned())
            }
        };
        Some(Blocker::new(CHECK, name, why, way_out))
    });
    missing.collect()
}
