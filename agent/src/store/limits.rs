//! What a transaction may carry, the same for every engine, so that a fleet that works on one works on the other.
//!
//! It must never look at what a value says.

use std::collections::BTreeSet;

use hardstand_core::store::Op;

use super::{StoreError, Txn, key_of, keys_of};

/// Bytes of one value. A plan for a few hundred nodes is about a tenth of it; etcd takes 1.5 MB in one request.
pub(crate) const VALUE_BYTES_LIMIT: usize = 1 << 20;
/// Bytes of all keys and values of one transaction: one full value, and the records that go with it.
pub(crate) const TXN_BYTES_LIMIT: usize = VALUE_BYTES_LIMIT + (64 << 10);
/// Compares, and writes, of one transaction. The default of etcd (`--max-txn-ops`).
pub(crate) const OPS_LIMIT: usize = 128;
/// Bytes of one key. The longest of ours is under 200.
const KEY_BYTES_LIMIT: usize = 512;

/// Whether a transaction can be served at all.
///
/// # Errors
/// [`StoreError::Refused`] with the limit and what was found.
pub(crate) fn check(txn: &Txn) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Refused { why });
    if txn.compares.len() > OPS_LIMIT || txn.ops.len() > OPS_LIMIT {
        let found = txn.compares.len().max(txn.ops.len());
        return refused(format!("{found} conditions or writes in one transaction, the limit is {OPS_LIMIT}"));
    }
    for key in keys_of(txn) {
        check_key(key)?;
    }
    let mut written = BTreeSet::new();
    let mut bytes = 0;
    for op in &txn.ops {
        let key = key_of(op);
        if !written.insert(key) {
            return refused(format!("{key} is written twice in one transaction"));
        }
        bytes += key.len();
        if let Op::Put { value, .. } | Op::PutInSession { value, .. } = op {
            if value.len() > VALUE_BYTES_LIMIT {
                return refused(format!("{key} has {} bytes, the limit is {VALUE_BYTES_LIMIT}", value.len()));
            }
            bytes += value.len();
        }
    }
    if bytes > TXN_BYTES_LIMIT {
        return refused(format!("a transaction of {bytes} bytes, the limit is {TXN_BYTES_LIMIT}"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_BYTES_LIMIT {
        let why = format!("a key of {} bytes, it may have 1 to {KEY_BYTES_LIMIT}", key.len());
        return Err(StoreError::Refused { why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, bytes: usize) -> Txn {
        Txn::new().put(key.to_owned(), "x".repeat(bytes))
    }

    #[test]
    fn a_value_at_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(check(&put("/k", VALUE_BYTES_LIMIT)), Ok(()));
        let told = check(&put("/k", VALUE_BYTES_LIMIT + 1)).unwrap_err().to_string();
        assert!(told.contains("/k has 1048577 bytes, the limit is 1048576"), "{told}");
    }

    #[test]
    fn many_values_count_together() {
        let half = VALUE_BYTES_LIMIT / 2 + (40 << 10);
        let txn = put("/a", half).put("/b".to_owned(), "x".repeat(half));
        assert!(matches!(check(&txn), Err(StoreError::Refused { .. })));
    }

    #[test]
    fn a_key_twice_no_key_and_a_long_one_are_refused() {
        for txn in [put("/a", 1).delete("/a".to_owned()), put("", 1), put(&"k".repeat(KEY_BYTES_LIMIT + 1), 1)] {
            assert!(matches!(check(&txn), Err(StoreError::Refused { .. })));
        }
        assert_eq!(check(&put("/a", 1).if_absent("/a".to_owned())), Ok(()), "comparing what is written is the point");
    }

    #[test]
    fn the_count_is_limited() {
        let of = |count: usize| (0..count).fold(Txn::new(), |txn, i| txn.put(format!("/{i}"), String::new()));
        assert_eq!(check(&of(OPS_LIMIT)), Ok(()));
        assert!(check(&of(OPS_LIMIT + 1)).is_err());
    }
}
