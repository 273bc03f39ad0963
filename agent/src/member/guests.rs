//! Guests that speak FleetLock: heard at the door, decided by the core, committed like everything the leader does.
//!
//! It must never answer yes before the store has the lease.

use hardstand_core::fleetlock::{self, Refusal, Verdict};
use hardstand_core::step::Facts;
use hardstand_core::store::Answer;

use super::{Member, now_ms};
use crate::fleetlock::{Asked, Reply};

/// How often a commit that lost a race is decided again.
const TRIES: u32 = 5;

impl Member {
    /// Opens or shuts the door as the policy says.
    pub(super) async fn keep_door(&mut self) {
        let policy = self.link.view.policy.as_ref().map(|policy| &policy.value);
        let listen = policy.and_then(|policy| policy.fleetlock.as_ref()).map(|rules| rules.listen.clone());
        self.door.keep(listen.as_deref()).await;
    }

    /// Answers one guest.
    pub(super) async fn answer(&mut self, asked: Asked, facts: &Facts) {
        let reply = self.reply(&asked, facts).await;
        tracing::info!(guest = asked.guest.id, group = asked.guest.group, wish = ?asked.wish, ?reply, "a guest asked");
        // Who asked may have gone away; it asks again and is told the same.
        let _ = asked.answer.send(reply);
    }

    async fn reply(&mut self, asked: &Asked, facts: &Facts) -> Reply {
        if let Some(host) = fleetlock::elsewhere(&self.link.view, &self.me.node) {
            return Reply::Elsewhere(host);
        }
        for _ in 0..TRIES {
            let moment = leader_moment(self, facts);
            let verdict = fleetlock::decide(&self.link.view, &asked.guest, asked.wish, &self.me.node, &moment);
            let txn = match verdict {
                Verdict::Granted => return Reply::Yes,
                Verdict::Refused(refusal) => return Reply::No(refusal),
                Verdict::Commit(txn) => txn,
            };
            match self.link.commit(&txn).await {
                Ok(Answer::Committed { revision }) => {
                    self.link.catch_up(revision).await;
                    return Reply::Yes;
                }
                Ok(Answer::Conflict { revision }) => self.link.catch_up(revision).await,
                Err(error) => return Reply::No(Refusal::out_of_reach(error.to_string())),
            }
        }
        Reply::No(Refusal::out_of_reach("others write all the time; ask again"))
    }
}

fn leader_moment(member: &Member, facts: &Facts) -> hardstand_core::leader::Moment {
    hardstand_core::leader::Moment { now_ms: now_ms(), ..member.moment(facts) }
}
