//! How placement groups stand by the words of their states.
//!
//! It must never call a state good in which one word is not known.

use super::super::Standing;

/// The words that say what clients find: data that is served, and all copies of it.
const ACTIVE: &str = "active";
const CLEAN: &str = "clean";

/// How placement groups of a state stand: words joined by `+`, of which the worst decides.
pub(super) fn of_state(state: &str) -> Standing {
    let words = || state.split('+');
    let has = |wanted: &str| words().any(|word| word == wanted);
    let worst = words().map(of_word).max().unwrap_or(Standing::Unknown);
    if worst > Standing::Degraded {
        return worst;
    }
    match (has(ACTIVE), has(CLEAN)) {
        (true, true) => worst,
        (true, false) => Standing::Degraded,
        // Not served yet, and about to be.
        (false, _) if ["peering", "activating", "creating"].into_iter().any(has) => Standing::Degraded,
        (false, _) => Standing::Failed,
    }
}

fn of_word(word: &str) -> Standing {
    match word {
        ACTIVE | CLEAN | "scrubbing" | "deep" | "snaptrim" | "snaptrim_wait" => Standing::Ok,
        "creating" | "activating" | "peering" | "degraded" | "undersized" | "remapped" | "premerge" => {
            Standing::Degraded
        }
        "recovering" | "recovery_wait" | "forced_recovery" => Standing::Degraded,
        "backfilling" | "backfill_wait" | "forced_backfill" | "backfill_toofull" => Standing::Degraded,
        // A repair after a scrub that found something; requests that wait for an OSD to answer.
        "repair" | "laggy" | "wait" => Standing::Degraded,
        // Nobody serves it.
        "unknown" | "inactive" | "down" | "incomplete" | "stale" | "peered" => Standing::Failed,
        // Copies differ, objects are lost, or there is no space to mend it: errors in Ceph's own health.
        "inconsistent" | "failed_repair" | "snaptrim_error" => Standing::Failed,
        "recovery_unfound" | "backfill_unfound" | "recovery_toofull" => Standing::Failed,
        _ => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_word_decides() {
        use Standing::{Degraded, Failed, Ok, Unknown};
        for (state, expected) in [
            ("active+clean", Ok),
            ("clean+active", Ok),
            ("active+clean+scrubbing", Ok),
            ("active+clean+scrubbing+deep", Ok),
            ("active+clean+snaptrim", Ok),
            ("active+clean+snaptrim_wait", Ok),
            ("active", Degraded),
            ("active+scrubbing", Degraded),
            ("active+undersized", Degraded),
            ("active+undersized+degraded", Degraded),
            ("active+clean+remapped", Degraded),
            ("active+remapped+backfilling", Degraded),
            ("active+undersized+degraded+remapped+backfill_wait", Degraded),
            ("active+undersized+remapped+backfill_wait+forced_backfill", Degraded),
            ("active+remapped+backfill_toofull", Degraded),
            ("active+recovering+degraded", Degraded),
            ("active+recovery_wait+degraded", Degraded),
            ("active+forced_recovery+undersized", Degraded),
            ("active+clean+scrubbing+deep+repair", Degraded),
            ("active+clean+premerge", Degraded),
            ("active+clean+laggy", Degraded),
            ("active+clean+wait", Degraded),
            ("peering", Degraded),
            ("remapped+peering", Degraded),
            ("activating+undersized+degraded", Degraded),
            ("creating+peering", Degraded),
            ("undersized+degraded+peered", Failed),
            ("remapped+recovering", Failed),
            ("clean", Failed),
            ("unknown", Failed),
            ("inactive", Failed),
            ("down", Failed),
            ("down+peering", Failed),
            ("incomplete", Failed),
            ("stale+active+clean", Failed),
            ("active+clean+inconsistent", Failed),
            ("active+clean+failed_repair", Failed),
            ("active+recovery_unfound+degraded", Failed),
            ("active+backfill_unfound", Failed),
            ("active+recovery_toofull", Failed),
            ("active+clean+snaptrim_error", Failed),
            ("active+clean+odd", Unknown),
            ("odd", Unknown),
            ("ACTIVE+CLEAN", Unknown),
            ("active+clean+", Unknown),
            ("active clean", Unknown),
            ("", Unknown),
            ("down+odd", Failed),
        ] {
            assert_eq!(of_state(state), expected, "{state}");
        }
    }
}
