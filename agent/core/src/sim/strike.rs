//! What each fault does to hosts, links and the store.
//!
//! It must never do what the world cannot: a fault is weather, not malice.

use super::fault::{Fault, Planned};
use super::host::Power;
use super::world::{Event, World};
use crate::store::{Key, Record, Txn};

impl World {
    pub(super) fn strike_or_arm(&mut self, at: usize) {
        let planned = self.faults[at];
        if planned.edge.is_some() {
            self.nodes[planned.node].armed.push(planned);
        } else {
            self.strike(planned);
        }
    }

    pub(super) fn strike(&mut self, planned: Planned) {
        let Planned { fault, node, lasts_ms, .. } = planned;
        let now_ms = self.now_ms;
        let until_ms = now_ms + lasts_ms;
        self.tell(|world| format!("FAULT {} at {} for {lasts_ms} ms", fault.word(), world.nodes[node].name));
        let this = &mut self.nodes[node];
        let host = &mut this.host;
        match fault {
            Fault::Pause => {
                this.paused_until_ms = until_ms;
                self.after(lasts_ms, Event::Wake { node });
            }
            Fault::Partition => this.cut_off_ms = (now_ms, until_ms),
            Fault::Loss | Fault::Reorder => this.lossy_until_ms = until_ms,
            Fault::PowerCut if host.is_up() => self.lose_power(node, Power::Off { until_ms }),
            Fault::AgentRestart if host.is_up() => self.restart_agent(node),
            Fault::PowerCut | Fault::AgentRestart => {}
            Fault::AgentUpgrade => host.curses.agent_upgrade = true,
            Fault::SlowReboot => host.curses.slow_reboot = true,
            Fault::FailedReboot => host.curses.reboot_ignored = true,
            Fault::OldKernel => host.curses.old_kernel = true,
            Fault::BadPackage => host.curses.bad_package = true,
            Fault::SickAfterwards => host.curses.sick_afterwards = true,
            Fault::Degraded => host.degraded_ms = (now_ms, until_ms + lasts_ms),
            Fault::UnknownProbe => host.blind_ms = (now_ms, until_ms + lasts_ms),
            Fault::ClockJump => this.clock_offset = this.clock_offset.wrapping_mul(7) % (1 << 40),
            Fault::SessionLost => {
                if let Some((id, _, _)) = self.sessions.iter().rfind(|(_, owner, _)| *owner == node).copied() {
                    self.end_session(id, node);
                }
            }
            Fault::StoreRestore => self.restore_store(),
            Fault::StoreFull => self.store_full_until_ms = until_ms,
            Fault::ForceRelease => self.people.wants_force = Some(node),
            Fault::TwoOperators => self.people.two = true,
            Fault::Abort => self.people.wants_abort = true,
            Fault::NodeDies => self.lose_power(node, Power::Dead),
        }
    }

    /// The store goes back to what it was some seconds ago, and every connection breaks.
    fn restore_store(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let restored_from = self.store.revision();
        // What was lost and nobody had heard of is as if it had never been.
        let kept = match snapshot.store.get(&Key::AuditHead).map(|entry| entry.value.as_ref()) {
            Some(Record::AuditHead(head)) => head.seq,
            _ => 0,
        };
        let life = match snapshot.store.get(&Key::Incarnation).map(|entry| entry.value.as_ref()) {
            Some(Record::Incarnation(life)) => life.clone(),
            _ => String::new(),
        };
        let lost = self.nodes.iter().any(|node| node.known_seq(&life) > kept);
        self.store.restore(snapshot.store);
        self.commit_times.truncate(snapshot.commits);
        self.sessions = snapshot.sessions;
        let now_ms = self.now_ms;
        self.last_restore_ms = Some(now_ms);
        self.states += 1;
        if lost {
            self.restores += 1;
            self.people.restored_ms = Some(now_ms);
        }
        // Sessions of the snapshot live a whole TTL from here on.
        for session in &mut self.sessions {
            session.2 = now_ms;
        }
        for node in &mut self.nodes {
            if node.recorded_seq(&life) > kept {
                node.bereft_ms = Some(now_ms);
            }
            if let Some(agent) = &mut node.agent {
                agent.connected = false;
            }
        }
        let revision = self.store.revision();
        self.ledger.rewind(revision);
        self.tell(|_| format!("the store is restored from revision {restored_from} to {revision}"));
    }

    /// The broken rule "the permit dies with the session".
    pub(super) fn free_with_session(&mut self, node: usize) {
        let name = &self.nodes[node].name;
        let held = self.leases().find(|(_, entry)| matches!(entry.value.as_ref(), Record::Lease(l) if l.node == *name));
        let held = held.map(|(key, _)| key.clone());
        if let Some(key) = held {
            self.commit(super::check::Author::Store, Txn::new().delete(key));
        }
    }
}
