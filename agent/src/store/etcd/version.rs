//! Which etcd versions are known to be sound enough.
//!
//! It must never refuse one: our safety does not rest on etcd's leases, only calm does.

/// Major, minor, patch.
pub(super) type Version = (u32, u32, u32);

/// First good patch level of each series with lease fixes.
const LEASES_FIXED: [Version; 2] = [(3, 5, 23), (3, 6, 5)];
/// First patch level of each series whose progress answers wait for the changes before them.
const PROGRESS_FIXED: [Version; 3] = [(3, 4, 25), (3, 5, 8), (3, 6, 0)];

/// A version as etcd writes it; a suffix after the patch level is left out.
pub(super) fn parse(text: &str) -> Option<Version> {
    let mut parts = text.split(['.', '-', '+']).map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// What to tell the operator of this version, if anything.
pub(crate) fn warning(text: &str) -> Option<String> {
    match parse(text) {
        None => Some(format!(
            "etcd says its version is {text:?}, which is not understood; 3.5.23 or 3.6.5 and later are known"
        )),
        Some(version) if is_fixed(version, &LEASES_FIXED) => None,
        Some(_) => Some(format!(
            "etcd {text} has lease bugs that make sessions flap; nothing unsafe follows, but update it to 3.5.23, 3.6.5 or later"
        )),
    }
}

/// Whether a progress answer never overtakes changes.
pub(super) fn tells_progress_truly(version: Version) -> bool {
    is_fixed(version, &PROGRESS_FIXED)
}

/// At least the fix of its own series; a series after the last listed has it, one before the first has not.
fn is_fixed(version: Version, fixes: &[Version]) -> bool {
    let series = |version: &Version| (version.0, version.1);
    match fixes.iter().find(|fix| series(fix) == series(&version)) {
        Some(fix) => version >= *fix,
        None => fixes.last().is_some_and(|last| version > *last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_patch_levels_are_warned_of_and_new_ones_are_not() {
        for good in ["3.5.23", "3.5.24", "3.6.5", "3.6.10", "3.7.0", "3.7.2", "4.0.0", "3.6.5-rc.1"] {
            assert_eq!(warning(good), None, "{good}");
        }
        for bad in ["3.3.0", "3.4.23", "3.5.0", "3.5.16", "3.5.22", "3.6.0", "3.6.4"] {
            assert!(warning(bad).unwrap().contains("update it to 3.5.23, 3.6.5 or later"), "{bad}");
        }
        for odd in ["", "3", "three", "3.5"] {
            assert!(warning(odd).unwrap().contains("not understood"), "{odd}");
        }
    }

    #[test]
    fn progress_is_believed_from_the_fix_on() {
        for (version, truly) in
            [((3, 4, 24), false), ((3, 4, 25), true), ((3, 5, 7), false), ((3, 5, 16), true), ((3, 7, 2), true)]
        {
            assert_eq!(tells_progress_truly(version), truly, "{version:?}");
        }
    }
}
