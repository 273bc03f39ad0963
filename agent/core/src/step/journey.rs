//! One turn of a journey, phase by phase.
//!
//! It must never go on from a phase without the observation that ends it.

use super::{
    ActState, Court, Denied, Done, Event, Hold, Journal, Journey, Key, LeaseState, NodePlan, Phase, REBOOT_ATTEMPTS,
    Reading, RebootKind, Record, RolloutState, Step, Transition, Turn, lease,
};
use crate::journal::Ran;
use crate::phase::next;
use crate::rollout::Ending;

impl Court<'_> {
    pub(super) fn travel(&self, journey: &Journey) -> Turn {
        if let Some(turn) = self.renewed(journey) {
            return turn;
        }
        match self.journal.phase {
            // A journey in phase idle cannot be: the journal's reader refuses it.
            Phase::Idle => Turn::Wait("the journal holds a journey and is idle".to_owned()),
            Phase::Gated => self.gated(journey),
            Phase::Leased => self.leased(journey),
            Phase::Staged => self.staged(journey),
            Phase::Draining => self.draining(journey),
            Phase::Drained => self.drained(journey),
            Phase::Patching => self.patching(journey),
            Phase::Patched => self.patched(journey),
            Phase::RebootArmed => self.reboot_armed(journey),
            Phase::Returned => self.returned(journey),
            Phase::Verifying => self.verifying(journey),
            Phase::Restoring => self.restoring(journey),
            Phase::Released => self.released(journey),
        }
    }

    /// A later leader, or a resumed rollout, gives the same order with a new epoch or revision.
    fn renewed(&self, journey: &Journey) -> Option<Turn> {
        let order = &self.view.orders.get(&self.me.node)?.value;
        (order.uid == journey.order.uid && *order != journey.order).then(|| {
            let mut then = self.journal.clone();
            then.journey = Some(Journey { order: order.clone(), ..journey.clone() });
            Turn::Write(then)
        })
    }

    fn gated(&self, journey: &Journey) -> Turn {
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        self.go(journey, Event::LeaseSeen)
    }

    fn leased(&self, journey: &Journey) -> Turn {
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        match &self.facts.act {
            ActState::None => Turn::Act { permit: None, journal: self.journal.clone(), step: Step::Stage },
            ActState::Running => self.limited(journey, journey.timeouts.stage_seconds, "packages are being fetched"),
            ActState::Ended => self.go(journey, Event::Staged),
            ActState::Failed { why, next_action } => self.hold(format!("staging failed: {why}"), next_action.clone()),
        }
    }

    fn staged(&self, journey: &Journey) -> Turn {
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        // Read again at entry: minutes have passed since the leader looked (S2).
        if let Some(bad) = self.bad_gates(Some(&journey.part.baseline)).first() {
            return Turn::Wait(format!("gate before draining: {}", bad.summary));
        }
        self.permitted(journey, Event::DrainPermitted, Step::Drain)
    }

    fn draining(&self, journey: &Journey) -> Turn {
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        match (&self.facts.act, &self.facts.drained) {
            (ActState::Ended, Reading::Known(true)) => self.go(journey, Event::DrainSeen),
            (ActState::None, _) => {
                self.gates_before_drain(journey).unwrap_or_else(|| self.permitted_again(journey, Step::Drain))
            }
            (ActState::Failed { why, next_action }, _) => {
                self.give_up(journey, format!("draining failed: {why}"), next_action.clone())
            }
            _ if self.is_over(journey, journey.timeouts.drain_seconds) => {
                let why = match &self.facts.drained {
                    Reading::Unknown { why } => why.clone(),
                    Reading::Known(_) => "something still serves".to_owned(),
                };
                let limit = journey.timeouts.drain_seconds;
                let next_action = "see what does not stop: hardstand node show".to_owned();
                self.give_up(journey, format!("not drained after {limit} s: {why}"), next_action)
            }
            _ => Turn::Wait("services are leaving".to_owned()),
        }
    }

    /// Unless something is known to have left, gates are looked at again as before the first permit (S6, S13).
    fn gates_before_drain(&self, journey: &Journey) -> Option<Turn> {
        let bad = self.bad_gates(Some(&journey.part.baseline));
        let bad = bad.first().filter(|_| self.facts.restored != Reading::Known(false))?;
        let limit = journey.timeouts.drain_seconds;
        Some(if self.is_over(journey, limit) {
            let why = format!("not drained after {limit} s: {}", bad.summary);
            self.give_up(journey, why, "see it on the node: hardstand health".to_owned())
        } else {
            Turn::Wait(format!("gate before draining: {}", bad.summary))
        })
    }

    fn drained(&self, journey: &Journey) -> Turn {
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        if journey.part.stay_seconds > 0 {
            return Turn::Wait(format!("drained, as asked; send it back: hardstand node undrain {}", self.me.node));
        }
        self.permitted(journey, Event::PatchPermitted, Step::Patch)
    }

    /// A package run is waited for and judged by the package database, never by memory (S7, S17).
    fn patching(&self, journey: &Journey) -> Turn {
        match (&self.facts.act, &self.facts.packages) {
            (ActState::Running, _) => {
                self.limited(journey, journey.timeouts.patch_seconds, "packages are being installed")
            }
            (ActState::Failed { why, next_action }, _) => {
                self.hold(format!("installing packages failed: {why}"), next_action.clone())
            }
            (_, Reading::Known(state)) if state.installed && state.whole && state.boot_entry => {
                self.go(journey, Event::PatchProved)
            }
            (ActState::None, Reading::Known(_)) => match self.withdrawn(journey) {
                Some(why) => self.hold(
                    format!("{why} while packages were half installed"),
                    "finish by hand: dpkg --configure -a && apt-get -f install; then lift the halt".to_owned(),
                ),
                None => self.permitted_again(journey, Step::Patch),
            },
            (ActState::Ended, Reading::Known(state)) => {
                let why = match (state.whole, state.installed) {
                    (false, _) => "packages are half-configured",
                    (true, false) => "planned versions are not installed",
                    (true, true) => "the new kernel has no boot entry",
                };
                self.hold(
                    format!("the package run ended, but {why}"),
                    "look at it: dpkg --audit; apt-get -f install; then lift the halt".to_owned(),
                )
            }
            (_, Reading::Unknown { why }) => self.limited(journey, journey.timeouts.patch_seconds, why),
        }
    }

    fn patched(&self, journey: &Journey) -> Turn {
        if journey.part.reboot.kind == RebootKind::None {
            return self.go(journey, Event::NoReboot);
        }
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        self.reboot(journey)
    }

    fn reboot_armed(&self, journey: &Journey) -> Turn {
        match self.rebooted(journey) {
            Reboot::Proved => self.go(journey, Event::RebootProved),
            Reboot::WrongKernel { .. } if self.is_given_up(journey) => self.undo(journey),
            Reboot::WrongKernel { runs } => self.deny(journey, &runs),
            Reboot::Booting(why) => self.limited(journey, journey.timeouts.reboot_seconds, &why),
            Reboot::NotYet => match &self.facts.act {
                ActState::Failed { why, next_action } => {
                    self.hold(format!("the reboot was refused: {why}"), next_action.clone())
                }
                ActState::Running => self.limited(journey, journey.timeouts.reboot_seconds, "the node goes down"),
                ActState::Ended if !self.is_over(journey, journey.timeouts.reboot_seconds) => {
                    Turn::Wait("the node goes down".to_owned())
                }
                ActState::None | ActState::Ended => {
                    if self.withdrawn(journey).is_some() {
                        self.undo(journey)
                    } else if journey.reboots < REBOOT_ATTEMPTS {
                        self.reboot(journey)
                    } else {
                        self.hold(
                            format!("{} orders to reboot, and it is still the same boot", journey.reboots),
                            "reboot it by hand, or see what holds it: systemctl list-jobs; then lift the halt"
                                .to_owned(),
                        )
                    }
                }
            },
        }
    }

    fn returned(&self, journey: &Journey) -> Turn {
        if !self.can_commit() {
            return Turn::Wait("the store is out of reach; serving, and waiting for it".to_owned());
        }
        if self.withdrawn(journey).is_some() {
            return self.undo(journey);
        }
        self.go(journey, Event::StoreSeen)
    }

    fn verifying(&self, journey: &Journey) -> Turn {
        if self.gates_held(journey.streak_seconds) {
            return match self.step(journey, Event::GatesHeld) {
                Ok(journal) => Turn::Act { permit: None, journal, step: Step::Restore },
                Err(why) => Turn::Wait(why),
            };
        }
        let bad = self.bad_gates(Some(&journey.part.baseline));
        let why = bad.first().map_or_else(|| "gates must hold for the streak".to_owned(), |bad| bad.summary.clone());
        self.limited(journey, journey.timeouts.verify_seconds, &why)
    }

    fn restoring(&self, journey: &Journey) -> Turn {
        match (&self.facts.act, &self.facts.restored) {
            (ActState::Ended, Reading::Known(true)) => self.go(journey, Event::RestoreSeen),
            (ActState::None, _) => Turn::Act { permit: None, journal: self.journal.clone(), step: Step::Restore },
            (ActState::Failed { why, next_action }, _) => {
                self.hold(format!("services did not come back: {why}"), next_action.clone())
            }
            _ => self.limited(journey, journey.timeouts.restore_seconds, "services are coming back"),
        }
    }

    /// Gives the lease back with what came of it; a lease that is gone needs nothing.
    fn released(&self, journey: &Journey) -> Turn {
        if !self.can_commit() {
            return Turn::Wait("the store is out of reach; the lease is given back when it is not".to_owned());
        }
        if let Some(turn) = self.unproved(journey) {
            return turn;
        }
        let Ok(mut then) = self.step(journey, Event::Ended) else {
            return Turn::Wait("released has no end".to_owned());
        };
        let spent = then.journey.take().map(|journey| journey.spent).unwrap_or_default();
        then.finish(journey.order.uid.clone());
        if journey.ending() == Ending::Verified {
            then.ran = Some(Ran { plan: journey.order.plan.clone(), at_unix_seconds: self.facts.unix_seconds });
        }
        let token = &journey.order.token;
        let (Some(lease), Some(incarnation)) = (self.own_lease(token), &self.view.incarnation) else {
            return Turn::Write(then);
        };
        let mut txn =
            lease::release(token, lease.value.key(), incarnation.modified).delete(Key::Order(self.me.node.clone()));
        let ending = journey.ending();
        if ending == Ending::Verified {
            let done = Done {
                node: self.me.node.clone(),
                ending,
                token: token.clone(),
                boot_id: self.facts.boot_id.clone(),
                kernel: self.facts.kernel.known().cloned().unwrap_or_default(),
                spent,
            };
            let key = Key::Done { plan: journey.order.plan.clone(), node: self.me.node.clone() };
            txn = txn.put(key, Record::Done(done));
        }
        let (what, why) = match ending {
            Ending::Verified => (Transition::Verified, "gates held, services are back"),
            Ending::Undone => (Transition::Withdrawn, "went back, nothing was installed or it was verified"),
        };
        let deed = self.deed(what, why).under(token).of_plan(&journey.order.plan);
        let (txn, head) = self.chained(txn, deed);
        then.seen = self.known(head);
        Turn::Commit { txn, then }
    }

    /// A crash on the last steps may have brought up another kernel than the one that was proved: that is no end (S8).
    fn unproved(&self, journey: &Journey) -> Option<Turn> {
        let expected = journey.part.kernel.as_ref().filter(|_| journey.part.reboot.kind.changes_boot_id())?;
        match &self.facts.kernel {
            _ if journey.undoing => None,
            Reading::Known(runs) if runs == expected => None,
            Reading::Known(_) if self.is_given_up(journey) => {
                let undoing = Journey { undoing: true, ..journey.clone() };
                Some(Turn::Write(Journal { journey: Some(undoing), ..self.journal.clone() }))
            }
            Reading::Known(runs) => Some(self.deny(journey, runs)),
            Reading::Unknown { why } => Some(self.limited(journey, journey.timeouts.restore_seconds, why)),
        }
    }

    /// Why this journey has no permit any more. Silence of the store is no answer (S4).
    fn withdrawn(&self, journey: &Journey) -> Option<String> {
        if !self.can_commit() || journey.undoing {
            return None;
        }
        if self.own_lease(&journey.order.token).is_none() {
            return Some("the lease is no longer ours".to_owned());
        }
        let rollout = self.view.rollout.as_ref()?;
        (rollout.value.plan != journey.order.plan || rollout.value.state == RolloutState::Aborted)
            .then(|| "the rollout was aborted".to_owned())
    }

    /// Whether another kernel than the planned one was told, and a person has ended the rollout over it: the node then
    /// goes back with what it runs. Its set stays denied.
    fn is_given_up(&self, journey: &Journey) -> bool {
        self.journal.denial(&journey.part.packages.id()).is_some() && self.withdrawn(journey).is_some()
    }

    /// The permit for the next phase and its step, or what it waits for.
    fn permitted(&self, journey: &Journey, event: Event, step: Step) -> Turn {
        match self.step(journey, event) {
            Ok(journal) => self.under_permit(journey, journal, step),
            Err(why) => Turn::Wait(why),
        }
    }

    /// The same phase again, after a crash: the permit is asked for again, the step can be repeated.
    fn permitted_again(&self, journey: &Journey, step: Step) -> Turn {
        self.under_permit(journey, self.journal.clone(), step)
    }

    fn reboot(&self, journey: &Journey) -> Turn {
        if let Reading::Known(state) = &self.facts.packages
            && !(state.whole && state.boot_entry)
        {
            return self.hold(
                "packages are not whole, or the new kernel has no boot entry; a reboot could strand the node"
                    .to_owned(),
                "look at it: dpkg --audit; apt-get -f install; then lift the halt".to_owned(),
            );
        }
        if let Reading::Unknown { why } = &self.facts.packages {
            return self.limited(journey, journey.timeouts.patch_seconds, why);
        }
        match self.step(journey, Event::RebootPermitted) {
            Ok(mut journal) => {
                if let Some(journey) = &mut journal.journey {
                    journey.reboots += 1;
                    journey.boot_id_before.clone_from(&self.facts.boot_id);
                }
                self.under_permit(journey, journal, Step::Reboot)
            }
            Err(why) => Turn::Wait(why),
        }
    }

    fn under_permit(&self, journey: &Journey, mut journal: Journal, step: Step) -> Turn {
        if !self.can_commit() {
            return Turn::Wait("the store is out of reach; nothing new is begun".to_owned());
        }
        let token = &journey.order.token;
        let (Some(lease), Some(incarnation)) = (self.own_lease(token), &self.view.incarnation) else {
            return Turn::Wait("the lease is no longer ours".to_owned());
        };
        if self.view.halt.is_some() {
            return Turn::Wait("the fleet is halted".to_owned());
        }
        if self.view.leader.as_ref().map(|leader| leader.created) != Some(journey.order.epoch) {
            return Turn::Wait("the leader has changed; the new one renews the order".to_owned());
        }
        let rollout = self.view.rollout.as_ref();
        if rollout.map(|rollout| rollout.modified) != Some(journey.order.rollout_modified) {
            let state = rollout.map_or("gone", |rollout| rollout.value.state.word());
            return Turn::Wait(format!("the rollout is {state}"));
        }
        let mut next = lease.value.clone();
        let entered = next.state == LeaseState::Granted;
        next.state = LeaseState::Entered;
        next.phase = journal.phase;
        next.boot_id_before = Some(self.facts.boot_id.clone());
        next.deadline_seconds = limit_seconds(journey, journal.phase);
        let what = if entered { Transition::Entered } else { Transition::Stepped };
        let deed = self
            .deed(what, format!("begins to {}", step.word()))
            .under(token)
            .of_plan(&journey.order.plan)
            .into_phase(journal.phase);
        let (permit, head) = self.chained(lease::fence(&journey.order, incarnation.modified, next), deed);
        journal.seen = self.known(head);
        Turn::Act { permit: Some(permit), journal, step }
    }

    fn undo(&self, journey: &Journey) -> Turn {
        let undoing = Journey { undoing: true, ..journey.clone() };
        self.go(&undoing, Event::Undo)
    }

    /// Goes back at once and halts the fleet with the reason.
    fn give_up(&self, journey: &Journey, reason: String, next_action: String) -> Turn {
        let undoing = Journey { undoing: true, ..journey.clone() };
        match self.step(&undoing, Event::Undo) {
            Ok(mut then) => {
                let hold = Hold { reason, next_action, told: true };
                if !self.can_commit() {
                    return Turn::Wait(format!("{}; the store is out of reach", hold.reason));
                }
                if self.view.halt.is_some() {
                    return Turn::Write(then);
                }
                let (txn, head) = self.halt(&hold);
                then.seen = self.known(head);
                Turn::Commit { txn, then }
            }
            Err(why) => Turn::Wait(why),
        }
    }

    /// A set that came up under another kernel is not tried again.
    fn deny(&self, journey: &Journey, runs: &str) -> Turn {
        let expected = journey.part.kernel.as_deref().unwrap_or("another");
        let reason = format!("it came back with kernel {runs}, not {expected}");
        let mut then = self.journal.clone();
        let set = journey.part.packages.id();
        if then.denial(&set).is_none() {
            then.denied.push(Denied { set, why: reason.clone() });
        }
        let next_action = format!(
            "see why it did not boot {expected} (journalctl -b -1); hardstand rollout abort, remove it on {}, then lift the halt",
            self.me.node
        );
        then.hold = Some(Hold { reason, next_action, told: false });
        Turn::Write(then)
    }

    fn hold(&self, reason: String, next_action: String) -> Turn {
        let mut then = self.journal.clone();
        then.hold = Some(Hold { reason, next_action, told: false });
        Turn::Write(then)
    }

    /// Waits, up to the phase's limit; then holds.
    fn limited(&self, journey: &Journey, limit_seconds: u64, what_for: &str) -> Turn {
        if self.is_over(journey, limit_seconds) {
            let phase = self.journal.phase;
            return self.hold(
                format!("still {phase} after {limit_seconds} s: {what_for}"),
                "see it on the node: hardstand health; when it is well, lift the halt".to_owned(),
            );
        }
        Turn::Wait(what_for.to_owned())
    }

    fn is_over(&self, journey: &Journey, limit_seconds: u64) -> bool {
        self.spent_ms(journey) > limit_seconds.saturating_mul(1_000)
    }

    /// Time in the present phase. Over a reboot the clock starts anew: it can only delay (S16).
    fn spent_ms(&self, journey: &Journey) -> u64 {
        if journey.phase_boot_id == self.facts.boot_id {
            self.facts.now_ms.saturating_sub(journey.phase_since_ms)
        } else {
            self.facts.now_ms
        }
    }

    fn go(&self, journey: &Journey, event: Event) -> Turn {
        match self.step(journey, event) {
            Ok(journal) => Turn::Write(journal),
            Err(why) => Turn::Wait(why),
        }
    }

    /// The journal in the phase after an event.
    fn step(&self, journey: &Journey, event: Event) -> Result<Journal, String> {
        let phase = next(self.journal.phase, event).map_err(|refused| refused.to_string())?;
        let mut then = self.journal.clone();
        let mut journey = journey.clone();
        journey.spent.push((self.journal.phase, self.spent_ms(&journey) / 1_000));
        journey.phase_since_ms = self.facts.now_ms;
        journey.phase_boot_id.clone_from(&self.facts.boot_id);
        then.phase = phase;
        then.journey = Some(journey);
        Ok(then)
    }

    fn rebooted(&self, journey: &Journey) -> Reboot {
        let part: &NodePlan = &journey.part;
        match part.reboot.kind {
            RebootKind::None => Reboot::Proved,
            RebootKind::Services => match self.facts.act {
                ActState::Ended => Reboot::Proved,
                _ => Reboot::NotYet,
            },
            RebootKind::SoftReboot => match &self.facts.userspace_since_ms {
                Reading::Known(since)
                    if self.facts.boot_id != journey.boot_id_before || *since > journey.phase_since_ms =>
                {
                    self.booted(part)
                }
                _ => Reboot::NotYet,
            },
            RebootKind::Kexec | RebootKind::Full if self.facts.boot_id == journey.boot_id_before => Reboot::NotYet,
            RebootKind::Kexec | RebootKind::Full => self.booted(part),
        }
    }

    /// Another boot: is it the one that was asked for, and is it whole (S8)?
    fn booted(&self, part: &NodePlan) -> Reboot {
        match (&self.facts.kernel, &part.kernel) {
            (Reading::Unknown { why }, _) => return Reboot::Booting(why.clone()),
            (Reading::Known(runs), Some(expected)) if runs != expected => {
                return Reboot::WrongKernel { runs: runs.clone() };
            }
            (Reading::Known(_), _) => {}
        }
        match &self.facts.boot_complete {
            Reading::Known(true) => Reboot::Proved,
            Reading::Known(false) => Reboot::Booting("the boot is not complete".to_owned()),
            Reading::Unknown { why } => Reboot::Booting(why.clone()),
        }
    }
}

/// What is known of a reboot.
enum Reboot {
    Proved,
    WrongKernel { runs: String },
    Booting(String),
    NotYet,
}

/// How long others wait for a lease's next writing before it is overdue.
fn limit_seconds(journey: &Journey, phase: Phase) -> u64 {
    let limits = &journey.timeouts;
    match phase {
        Phase::Draining => limits.drain_seconds + limits.restore_seconds,
        Phase::Drained if journey.part.stay_seconds > 0 => journey.part.stay_seconds,
        Phase::Patching => limits.patch_seconds + limits.verify_seconds + limits.restore_seconds,
        Phase::RebootArmed => limits.reboot_seconds + limits.verify_seconds + limits.restore_seconds,
        _ => limits.whole_seconds(),
    }
}
