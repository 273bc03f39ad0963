//! The order of Debian versions (deb-version(7)): `[epoch:]upstream[-revision]`, where `~` sorts before everything.
//!
//! It must never refuse a text: two versions that differ only in leading zeros are equal, and whatever else is not of
//! the form still has its place in one total order.

use std::cmp::Ordering;

/// Compares as `dpkg --compare-versions` does.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Parts::of(one), Parts::of(other));
    compare_numbers(one.epoch, other.epoch)
        .then_with(|| compare_part(one.upstream, other.upstream))
        .then_with(|| compare_part(one.revision, other.revision))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let version = version.trim();
        let (epoch, rest) = match version.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
            _ => ("", version),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
    }
}

/// Compares runs of non-digits and runs of digits in turn.
fn compare_part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (text, rest) = split_while(one, |byte| !byte.is_ascii_digit());
        let (other_text, other_rest) = split_while(other, |byte| !byte.is_ascii_digit());
        let (number, rest) = split_while(rest, |byte| byte.is_ascii_digit());
        let (other_number, other_rest) = split_while(other_rest, |byte| byte.is_ascii_digit());
        let order = compare_texts(text, other_text).then_with(|| compare_numbers(number, other_number));
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn split_while(bytes: &[u8], is_part: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len()))
}

/// Letters before other signs, the end before letters, `~` before the end.
fn compare_texts(one: &[u8], other: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(sign) => i32::from(*sign) + 256,
    };
    let longest = one.len().max(other.len());
    let mut orders = (0..longest).map(|at| weight(one.get(at)).cmp(&weight(other.get(at))));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Compares numbers of any length.
fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    let (one, other) = (&one[significant(one)..], &other[significant(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs with dpkg's own verdict, as `dpkg --compare-versions` gave it.
    const JUDGED: &str = include_str!("../tests/fixtures/versions.txt");

    fn judged() -> impl Iterator<Item = (&'static str, &'static str, Ordering)> {
        JUDGED.lines().map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let order = match fields[1] {
                "lt" => Ordering::Less,
                "eq" => Ordering::Equal,
                "gt" => Ordering::Greater,
                other => panic!("{other}"),
            };
            (fields[0], fields[2], order)
        })
    }

    #[test]
    fn dpkg_agrees() {
        let mut count = 0;
        for (one, other, order) in judged() {
            assert_eq!(compare(one, other), order, "{one} against {other}");
            assert_eq!(compare(other, one), order.reverse(), "{other} against {one}");
            count += 1;
        }
        assert!(count > 1000, "only {count} pairs");
    }

    #[test]
    fn it_is_one_order() {
        let mut versions: Vec<&str> = judged().flat_map(|(one, other, _)| [one, other]).collect();
        versions.extend(["", ":", "-", "~", "1:", ":1", "a:1", "1-", "-1", "\u{e9}", "9999999999999999999999999999"]);
        versions.sort_unstable();
        versions.dedup();
        let step = versions.len() / 60 + 1;
        let some: Vec<&str> = versions.iter().copied().step_by(step).chain(versions.iter().copied().take(12)).collect();
        for one in &some {
            assert_eq!(compare(one, one), Ordering::Equal);
            for two in &some {
                assert_eq!(compare(one, two), compare(two, one).reverse(), "{one} {two}");
                for three in &some {
                    if compare(one, two).is_le() && compare(two, three).is_le() {
                        assert!(compare(one, three).is_le(), "{one} {two} {three}");
                    }
                }
            }
        }
    }
}
