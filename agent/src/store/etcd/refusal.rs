//! What a failed call means to the store's users.
//!
//! It must never take a lost answer to a write for "nothing was written": only refusals that etcd gives before it
//! proposes a write count as such, and they stand here by their words.

use hardstand_core::store::SessionId;

use super::super::StoreError;
use super::grpc::{CallError, Status, code};

/// What etcd (3.4 to 3.7) says before it has proposed anything: the write did not happen and will not.
const BEFORE_PROPOSAL: [&str; 6] = [
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: not capable",
    "etcdserver: learner",
    "etcdserver: rpc not supported for learner",
    "raft proposal dropped",
];
/// What etcd says when the database has reached its quota. It looks before it proposes a write and again when it applies
/// it; the write that passes the first look and not the second is applied, and answered with this all the same.
const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
/// What etcd says when roles changed while a request was under way; it was applied as a refusal, and may be sent again.
const OLD_AUTH: &str = "revision of auth store is old";

/// The error of a call that only reads.
pub(super) fn of_read(error: CallError) -> StoreError {
    match error {
        CallError::Refused(status) => of_status(&status).unwrap_or_else(|| away(status.message)),
        CallError::NotSent(why) | CallError::Unanswered(why) => away(why),
    }
}

/// The error of a call that writes.
pub(super) fn of_write(error: CallError) -> StoreError {
    match error {
        CallError::NotSent(why) => away(why),
        CallError::Unanswered(why) => StoreError::Unknown { why },
        CallError::Refused(status) => match of_status(&status) {
            Some(StoreError::Full { why }) => {
                StoreError::Unknown { why: format!("{why}: make room (compact, defrag, disarm its alarm)") }
            }
            Some(told) => told,
            None if is_before_proposal(&status) => away(status.message),
            None => StoreError::Unknown { why: status.message },
        },
    }
}

/// Whether a call may be asked of another member: it did nothing here.
pub(super) fn may_go_elsewhere(error: &CallError) -> bool {
    match error {
        CallError::NotSent(_) => true,
        CallError::Unanswered(_) => false,
        CallError::Refused(status) => is_before_proposal(status),
    }
}

/// Whether the member, not the request, is what failed.
pub(super) fn is_members_fault(error: &CallError) -> bool {
    match error {
        CallError::NotSent(_) | CallError::Unanswered(_) => true,
        CallError::Refused(status) => of_status(status).is_none() && !status.message.contains(OLD_AUTH),
    }
}

/// Whether etcd said that it does not know the lease of a write.
pub(super) fn is_lost_lease(error: &CallError) -> bool {
    matches!(error, CallError::Refused(status) if status.code == code::NOT_FOUND && status.message.contains("lease"))
}

/// The session that etcd does not know any more.
pub(super) fn lost(session: SessionId) -> StoreError {
    StoreError::SessionLost { session, why: "etcd does not know its lease; it has expired".to_owned() }
}

/// Refusals that are final, and after which nothing was written; but see [`NO_SPACE`].
fn of_status(status: &Status) -> Option<StoreError> {
    let why = status.message.clone();
    match status.code {
        code::PERMISSION_DENIED | code::UNAUTHENTICATED => Some(StoreError::Denied { why }),
        code::RESOURCE_EXHAUSTED if why.contains(NO_SPACE) => Some(StoreError::Full { why }),
        code::OUT_OF_RANGE => Some(StoreError::Compacted { at: 0 }),
        code::INVALID_ARGUMENT if why.contains("user name is empty") => Some(StoreError::Denied {
            why: format!(
                "{why}: etcd did not take the certificate's common name for a user; see its --client-cert-auth"
            ),
        }),
        code::INVALID_ARGUMENT if why.contains("auth") => None,
        code::INVALID_ARGUMENT => Some(StoreError::Refused { why }),
        _ if why.contains("corrupt") => Some(StoreError::Corrupt { why }),
        _ => None,
    }
}

fn is_before_proposal(status: &Status) -> bool {
    status.message.contains(OLD_AUTH) || BEFORE_PROPOSAL.iter().any(|said| status.message.starts_with(said))
}

fn away(why: String) -> StoreError {
    StoreError::OutOfReach { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u32, message: &str) -> CallError {
        CallError::Refused(Status { code, message: message.to_owned() })
    }

    #[test]
    fn a_write_without_an_answer_is_unknown_whatever_was_said() {
        let cases = [
            CallError::Unanswered("reset".to_owned()),
            refused(code::UNAVAILABLE, "etcdserver: request timed out"),
            refused(code::UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure"),
            refused(code::UNAVAILABLE, "etcdserver: leader changed"),
            refused(code::UNAVAILABLE, "etcdserver: server stopped"),
            refused(2, "something that etcd has never said before"),
            refused(13, "internal"),
            refused(1, "context canceled"),
            refused(4, "context deadline exceeded"),
        ];
        let full = refused(code::RESOURCE_EXHAUSTED, NO_SPACE);
        assert!(!may_go_elsewhere(&full));
        assert!(matches!(of_write(full), StoreError::Unknown { why } if why.contains("make room")));
        for case in cases {
            assert!(!may_go_elsewhere(&case), "{case}");
            assert!(matches!(of_write(case.clone()), StoreError::Unknown { .. }), "{case}");
            assert!(matches!(of_read(case.clone()), StoreError::OutOfReach { .. }), "{case}");
        }
    }

    #[test]
    fn a_refusal_before_the_proposal_may_go_elsewhere() {
        for case in [
            CallError::NotSent("refused".to_owned()),
            refused(code::UNAVAILABLE, "etcdserver: no leader"),
            refused(code::RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
        ] {
            assert!(may_go_elsewhere(&case), "{case}");
            assert!(matches!(of_write(case.clone()), StoreError::OutOfReach { .. }), "{case}");
        }
    }

    #[test]
    fn final_refusals_have_their_own_kinds() {
        let of = |code, message| of_write(refused(code, message));
        assert!(matches!(of_read(refused(code::RESOURCE_EXHAUSTED, NO_SPACE)), StoreError::Full { .. }));
        assert!(matches!(of(code::INVALID_ARGUMENT, "etcdserver: request is too large"), StoreError::Refused { .. }));
        assert!(matches!(
            of(code::INVALID_ARGUMENT, "etcdserver: too many operations in txn request"),
            StoreError::Refused { .. }
        ));
        assert!(matches!(of(code::PERMISSION_DENIED, "etcdserver: permission denied"), StoreError::Denied { .. }));
        assert!(matches!(of(code::INVALID_ARGUMENT, "etcdserver: user name is empty"), StoreError::Denied { .. }));
        assert!(is_lost_lease(&refused(code::NOT_FOUND, "etcdserver: requested lease not found")));
    }
}
