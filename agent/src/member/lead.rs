//! The leader's part: stands for the empty throne, and carries out one act of `core::leader` at a time.
//!
//! It must never write but what the core decided.

use hardstand_core::leader::{self, Moment};
use hardstand_core::step::Facts;
use hardstand_core::store::Answer;
use hardstand_core::window::Opening;

use super::Member;
use crate::host::clock::opening;

impl Member {
    /// One act as the leader. True when something was done, so that it is decided again at once.
    pub(super) async fn lead(&mut self, facts: &Facts) -> bool {
        if facts.same_history != hardstand_core::Reading::Known(true) || !self.link.view.is_in_touch(facts.now_ms) {
            return false;
        }
        let view = &self.link.view;
        let (what, txn) = if view.leader.is_none() {
            let Some(session) = self.link.session() else { return false };
            let Some(txn) = leader::stand(view, &self.me.node, session, facts.unix_seconds) else {
                return false;
            };
            ("standing for leader".to_owned(), txn)
        } else {
            let moment = self.moment(facts);
            let turn = leader::decide(view, &self.me.node, &moment);
            self.teller.note_waiting(&turn.waiting);
            let Some(act) = turn.act else { return false };
            act
        };
        match self.link.commit(&txn).await {
            Ok(Answer::Committed { revision }) => {
                tracing::info!(what, revision, "leads");
                self.link.catch_up(revision).await;
                true
            }
            Ok(Answer::Conflict { revision }) => {
                self.link.catch_up(revision).await;
                false
            }
            Err(error) => {
                tracing::warn!(what, %error, "a leader's write failed");
                false
            }
        }
    }

    pub(super) fn moment(&self, facts: &Facts) -> Moment {
        let policy = self.link.view.policy.as_ref().map(|policy| &policy.value);
        let opening = policy.map_or(Opening::Closed { next: None }, |policy| opening(policy, facts.unix_seconds));
        Moment {
            now_ms: facts.now_ms,
            unix_seconds: facts.unix_seconds,
            opening,
            same_history: facts.same_history.clone(),
        }
    }
}
