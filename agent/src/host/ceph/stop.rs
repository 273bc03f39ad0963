//! The parser of `ceph osd ok-to-stop`, which answers in JSON, and of `ceph mon ok-to-stop`, which answers in words.
//!
//! It must never take any words for a yes but those of a yes, to their end.

use hardstand_core::observed::CephOkToStop;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ERROR, HostError, bad, document, excerpt};

const WHAT: &str = "ceph osd ok-to-stop";

/// How Ceph begins a refusal on stderr; with its other errors it did not answer the question.
const BUSY: &str = "Error EBUSY: ";

#[derive(Deserialize)]
struct WireAnswer {
    ok_to_stop: Option<bool>,
    osds: Option<Vec<u64>>,
    num_ok_pgs: Option<u64>,
    num_not_ok_pgs: Option<u64>,
    unknown_pgs: Option<Vec<IgnoredAny>>,
    bad_no_pool_pgs: Option<Vec<IgnoredAny>>,
    bad_already_inactive: Option<Vec<IgnoredAny>>,
    bad_become_inactive: Option<Vec<IgnoredAny>>,
    ok_become_degraded: Option<Vec<IgnoredAny>>,
    ok_become_more_degraded: Option<Vec<IgnoredAny>>,
}

/// Parses the JSON of `ceph osd ok-to-stop ID... -f json`, with or without the error that Ceph prints beside it; or the one
/// line of `ceph mon ok-to-stop ID...`; or the refusal of either alone.
///
/// # Errors
/// The text is none of them, as it is when Ceph could not answer; then it is in the error what Ceph said.
pub(crate) fn parse(text: &str) -> Result<CephOkToStop, HostError> {
    let (errors, rest): (Vec<&str>, Vec<&str>) =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).partition(|line| line.starts_with(ERROR));
    if rest.first().is_some_and(|line| line.starts_with('{')) {
        let answer = document::<WireAnswer>(WHAT, &rest.join("\n"))?.into_core().map_err(|why| bad(WHAT, why))?;
        return with_errors(answer, &errors);
    }
    let lines: Vec<&str> = errors.into_iter().chain(rest).collect();
    match lines[..] {
        [] => Err(bad(WHAT, "it is empty".to_owned())),
        [line] => in_words(line).ok_or_else(|| bad(WHAT, format!("it says: {}", excerpt(line)))),
        [line, ..] => Err(bad(WHAT, format!("more than one line; it says: {}", excerpt(line)))),
    }
}

/// Ceph prints an error beside each answer that is no yes.
fn with_errors(answer: CephOkToStop, errors: &[&str]) -> Result<CephOkToStop, HostError> {
    match errors {
        [] => Ok(answer),
        [error, ..] if answer.ok == Some(false) => {
            let words = error.strip_prefix(BUSY).unwrap_or(error);
            Ok(CephOkToStop { words: Some(excerpt(words)), ..answer })
        }
        [error, ..] => Err(bad(WHAT, format!("beside its answer it says: {}", excerpt(error)))),
    }
}

impl WireAnswer {
    fn into_core(self) -> Result<CephOkToStop, String> {
        let (Some(ok), Some(osds)) = (self.ok_to_stop, self.osds) else {
            return Err("no `ok_to_stop` or no `osds` in it; is this the output of that command?".to_owned());
        };
        let number = |list: Option<Vec<IgnoredAny>>| list.map_or(0, |list| list.len() as u64);
        Ok(CephOkToStop {
            daemons: osds.into_iter().map(|id| format!("osd.{id}")).collect(),
            ok: Some(ok),
            ok_pgs: self.num_ok_pgs,
            not_ok_pgs: self.num_not_ok_pgs,
            unknown_pgs: number(self.unknown_pgs),
            no_pool_pgs: number(self.bad_no_pool_pgs),
            already_inactive_pgs: number(self.bad_already_inactive),
            become_inactive_pgs: number(self.bad_become_inactive),
            become_degraded_pgs: number(self.ok_become_degraded),
            become_more_degraded_pgs: number(self.ok_become_more_degraded),
            mons_left: None,
            words: None,
        })
    }
}

/// `quorum should be preserved (a,b) after stopping [c]`, or one of two refusals. Ceph takes monitors that are not there
/// for stopped ones as well; newer ones say so in other words.
fn in_words(line: &str) -> Option<CephOkToStop> {
    let words = line.strip_prefix(BUSY).unwrap_or(line);
    let answer = |ok: bool, (left, asked): (Vec<String>, Vec<String>)| CephOkToStop {
        daemons: asked.into_iter().map(|name| format!("mon.{name}")).collect(),
        ok: Some(ok),
        mons_left: Some(left),
        words: Some(excerpt(words)),
        ..CephOkToStop::default()
    };
    // A yes has no error before it.
    if let Some(names) = mons(line, "quorum should be preserved (", ") after stopping [") {
        return Some(answer(true, names));
    }
    if let Some(names) = mons(words, "not enough monitors would be available (", ") after stopping mons [") {
        return Some(answer(false, names));
    }
    let is_refused = words.starts_with("unsafe to stop osd(s) at this time (");
    is_refused.then(|| CephOkToStop { ok: Some(false), words: Some(excerpt(words)), ..CephOkToStop::default() })
}

/// The monitors that would be left, and those asked about.
fn mons(words: &str, before: &str, between: &str) -> Option<(Vec<String>, Vec<String>)> {
    let (left, asked) = words.strip_prefix(before)?.strip_suffix(']')?.split_once(between)?;
    let left = if left.is_empty() { Vec::new() } else { names(left)? };
    Some((left, names(asked)?))
}

fn names(list: &str) -> Option<Vec<String>> {
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    list.split(',').map(|name| Some(name).filter(is_name).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests;
