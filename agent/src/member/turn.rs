//! The executor of a node's turns: commit, journal, act, in this order, and each only after the one before.
//!
//! It must never choose, and never begin an act whose journal record is not on the disk.

use hardstand_core::journal::Journal;
use hardstand_core::step::{PERMIT_MS, Step, Turn};
use hardstand_core::store::Answer;

use super::{Member, now_ms};
use crate::journal::JournalError;

/// What came of a turn.
pub(super) enum Progress {
    /// Something changed: decide again at once.
    Moved,
    /// Nothing to do, for this reason.
    Waits(String),
}

impl Member {
    /// Carries one turn out.
    ///
    /// # Errors
    /// The journal cannot be written: nothing more may be begun.
    pub(super) async fn take(&mut self, turn: Turn) -> Result<Progress, JournalError> {
        match turn {
            Turn::Wait(why) => Ok(Progress::Waits(why)),
            Turn::Write(journal) => {
                self.write(journal)?;
                Ok(Progress::Moved)
            }
            Turn::Commit { txn, then } => match self.link.commit(&txn).await {
                Ok(Answer::Committed { revision }) => {
                    self.write(then)?;
                    self.link.catch_up(revision).await;
                    Ok(Progress::Moved)
                }
                Ok(Answer::Conflict { revision }) => {
                    self.link.catch_up(revision).await;
                    Ok(Progress::Waits("somebody else wrote first; looking again".to_owned()))
                }
                Err(error) => Ok(Progress::Waits(error.to_string())),
            },
            Turn::Act { permit: None, journal, step } => {
                self.write(journal)?;
                self.begin(step, None);
                Ok(Progress::Moved)
            }
            Turn::Act { permit: Some(txn), journal, step } => {
                // From the question, not the answer: what the permit rests on was seen then, and this process may have
                // slept in between (S3, S6).
                let asked_ms = now_ms();
                match self.link.commit(&txn).await {
                    Ok(Answer::Committed { revision }) => {
                        self.write(journal)?;
                        if now_ms().saturating_sub(asked_ms) <= PERMIT_MS {
                            self.begin(step, Some(asked_ms));
                        } else {
                            tracing::warn!(step = step.word(), "the permit has grown old before the act; asking again");
                        }
                        self.link.catch_up(revision).await;
                        Ok(Progress::Moved)
                    }
                    Ok(Answer::Conflict { revision }) => {
                        self.link.catch_up(revision).await;
                        Ok(Progress::Waits("the permit was refused; looking again".to_owned()))
                    }
                    Err(error) => Ok(Progress::Waits(error.to_string())),
                }
            }
        }
    }

    /// Writes the journal; a new phase, or the end of a hold, begins with no act.
    fn write(&mut self, journal: Journal) -> Result<(), JournalError> {
        if journal == self.journal {
            return Ok(());
        }
        self.file.write(&journal)?;
        let old = std::mem::replace(&mut self.journal, journal);
        if old.phase != self.journal.phase {
            tracing::info!(from = old.phase.word(), to = self.journal.phase.word(), "phase");
        }
        if let Some(hold) = &self.journal.hold
            && old.hold.as_ref().map(|old| &old.reason) != Some(&hold.reason)
        {
            tracing::error!(reason = hold.reason, next_action = hold.next_action, "holds");
        }
        if old.phase != self.journal.phase || (old.hold.is_some() && self.journal.hold.is_none()) {
            self.act.forget();
        }
        Ok(())
    }

    fn begin(&mut self, step: Step, permit_ms: Option<u64>) {
        if let Some(journey) = &self.journal.journey {
            self.act.start(step, journey, permit_ms);
        }
    }
}
