//! Tests of what all outputs of Ceph have in common, and of samples that may lie beside the checkout.

use hardstand_core::standing::{Report, Standing, worst};
use serde::Deserialize;

use super::*;

/// How a text stands, as `hardstand parse` has it.
pub(super) fn state<T: Report>(parsed: Result<T, HostError>) -> Standing {
    parsed.map_or(Standing::Unknown, |report| worst(&report.subjects()))
}

/// Whatever is left of a good text is not ok, but for the white space at its end.
pub(super) fn never_ok_when_cut<T: Report>(good: &str, parse: fn(&str) -> Result<T, HostError>) {
    let good = good.trim_end();
    assert_eq!(state(parse(good)), Standing::Ok, "{good}");
    for end in 0..good.len() {
        assert_ne!(state(parse(&good[..end])), Standing::Ok, "cut at {end}: {:?}", &good[..end]);
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Wire {
    a: Option<u64>,
}

#[test]
fn the_first_document_is_read_and_remarks_are_left() {
    for text in [
        r#"{"a":1}"#,
        "\n{\n  \"a\": 1\n}\n",
        "{\"a\":1}\ndumped monmap epoch 3\n",
        "\n{\"a\":1}\nok\n",
        "{\"a\":1} ok",
        "{\"a\":1,\"b\":[[[]]]}\r\n",
    ] {
        assert_eq!(document::<Wire>("ceph", text).unwrap(), Wire { a: Some(1) }, "{text}");
    }
}

#[test]
fn what_is_no_remark_is_an_error() {
    for (text, expected) in [
        ("", "it is empty"),
        (" \n ", "it is empty"),
        ("HEALTH_OK\n", "no JSON in it; it says: HEALTH_OK"),
        ("[{\"a\":1}]", "no JSON in it; it says: [{\"a\":1}]"),
        ("Error EINVAL: invalid\u{7} command\n", "no JSON in it; it says: Error EINVAL: invalid command"),
        ("{\"a\":1}\nError EAGAIN: try again\n", "behind the JSON it says: Error EAGAIN: try again"),
        ("{\"a\":1}\nok\n[errno 110] RADOS timed out\n", "behind the JSON it says: [errno 110] RADOS timed out"),
        ("{\"a\":1}\n{\"a\":2}", "behind the JSON it says: {\"a\":2}"),
        ("{\"a\":1}}", "behind the JSON it says: }"),
        ("{\"a\":1}\0", "behind the JSON it says: "),
        ("{\"a\":1", "EOF while parsing an object at line 1 column 6"),
        ("{\"a\":-1}", "invalid value: integer `-1`, expected u64 at line 1 column 7"),
        ("{\"a\":1,\"a\":1}", "duplicate field `a` at line 1 column 10"),
    ] {
        let error = document::<Wire>("ceph", text).unwrap_err().to_string();
        assert_eq!(error, format!("parsing ceph: {expected}"), "{text:?}");
    }
    let deep = format!("{{\"b\":{}", "[".repeat(100_000));
    assert!(document::<Wire>("ceph", &deep).is_err());
    let long = format!("{{\"a\":\"{}\"}}", "x\n".repeat(10_000));
    assert!(document::<Wire>("ceph", &long).unwrap_err().to_string().len() < 200);
}

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/ceph");

fn sample(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("{SAMPLES}/{name}")).ok();
    if text.is_none() {
        eprintln!("no sample {name} in {SAMPLES}; only our own texts were read");
    }
    text
}

fn state_as(kind: &str, text: &str) -> Standing {
    match kind {
        "status" => state(status::parse(text)),
        "health" => state(health::parse(text)),
        "stop" => state(stop::parse(text)),
        "tree" => state(tree::parse(text)),
        other => panic!("no kind {other}"),
    }
}

#[test]
fn samples_are_read() {
    for (name, kind, expected) in [
        ("squid-status-degraded.json", "status", Standing::Degraded),
        ("squid-status-one-mon-clean.json", "status", Standing::Degraded),
        ("pve-cluster-ceph-status-reef.real.json", "status", Standing::Degraded),
        ("osd-ok-to-stop-yes.json", "stop", Standing::Ok),
    ] {
        let Some(text) = sample(name) else { continue };
        for other in ["status", "health", "stop", "tree"] {
            let expected = if other == kind { expected } else { Standing::Unknown };
            assert_eq!(state_as(other, &text), expected, "{name} as {other}");
        }
    }
    for name in [
        "cli-error-texts.txt",
        "mon-dump-with-trailing-text.txt",
        "pg-dump-stuck-json-pretty-leading-blank-trailing-ok.txt",
        "tentacle-mgr-stat.json",
        "units-list.txt",
    ] {
        let Some(text) = sample(name) else { continue };
        for kind in ["status", "health", "stop", "tree"] {
            assert_eq!(state_as(kind, &text), Standing::Unknown, "{name} as {kind}");
            for line in text.lines().filter_map(|line| line.split_once('\t')) {
                assert_eq!(state_as(kind, &line.1.replace("\\n", "\n")), Standing::Unknown, "{line:?} as {kind}");
            }
        }
    }
}

#[test]
fn collections_of_samples_are_read() {
    use Standing::{Degraded, Failed, Ok, Unknown};
    let rook: &[(usize, &str, Standing)] = &[
        (2, "tree", Unknown),
        (3, "tree", Unknown),
        (4, "status", Failed),
        (7, "tree", Degraded),
        (19, "status", Ok),
        (20, "status", Failed),
        (21, "tree", Unknown),
        (25, "status", Ok),
        (26, "status", Failed),
        (27, "status", Degraded),
    ];
    let exporter: &[(usize, &str, Standing)] = &[
        (5, "status", Unknown),
        (6, "status", Unknown),
        (7, "status", Unknown),
        (8, "status", Unknown),
        (9, "status", Failed),
        (10, "status", Unknown),
        (11, "status", Unknown),
        (12, "status", Unknown),
        (14, "status", Unknown),
        (17, "status", Unknown),
        (18, "status", Failed),
        (19, "status", Failed),
        (20, "status", Unknown),
        (28, "tree", Degraded),
        (29, "tree", Unknown),
        (30, "tree", Unknown),
        (31, "tree", Unknown),
        (32, "tree", Unknown),
    ];
    for (name, expected) in [("rook.json", rook), ("digitalocean-ceph_exporter.json", exporter)] {
        let Some(text) = sample(name) else { continue };
        let collection: serde_json::Value = serde_json::from_str(&text).unwrap();
        let samples = collection["samples"].as_array().unwrap();
        for (index, sample) in samples.iter().enumerate() {
            let body = sample["body"].to_string();
            for kind in ["status", "health", "stop", "tree"] {
                let expected = expected.iter().find(|(at, of, _)| (*at, *of) == (index, kind));
                let expected = expected.map_or(Unknown, |(_, _, state)| *state);
                assert_eq!(state_as(kind, &body), expected, "{name} {index} as {kind}");
            }
        }
    }
}
