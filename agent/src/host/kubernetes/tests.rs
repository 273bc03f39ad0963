//! Tests of the parsers of evictions: the API's answers, kubectl's lines, cut short, damaged, and samples beside.

use hardstand_core::standing::{Report, Standing, worst};

use super::*;
use crate::host::feed_damaged;

const DONE: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}"#;

const LATER: &str = r#"{
  "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
  "message": "Cannot evict pod as it would violate the pod's disruption budget.", "reason": "TooManyRequests",
  "details": {"causes": [{"reason": "DisruptionBudget",
    "message": "The disruption budget web-budget needs 3 healthy pods and has 3 currently"}], "retryAfterSeconds": 10},
  "code": 429
}
"#;

const GONE: &str = r#"{"kind":"Status","status":"Failure","message":"pods \"web-1\" not found","reason":"NotFound",
  "details":{"name":"web-1","kind":"pods"},"code":404}"#;

const TWO: &str = r#"{"kind":"Status","status":"Failure","code":500,
  "message":"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}"#;

const DRAIN: &str = "\
node/one cordoned
Warning: ignoring DaemonSet-managed Pods: kube-system/net-1
evicting pod lab/web-1
evicting pod lab/db-0
evicting pod shop/web-1
error when evicting pods/\"db-0\" -n \"lab\" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.
evicting pod lab/db-0
pod/web-1 evicted
pod/web-1 evicted
node/one drained
";

fn state(text: &str) -> Standing {
    parse(text).map_or(Standing::Unknown, |evictions| worst(&evictions.subjects()))
}

#[test]
fn answers_are_read_whole() {
    let text = |text: &str| Some(text.to_owned());
    let answer = parse(LATER).unwrap().answers.remove(0);
    let expected = EvictionAnswer {
        status: text("Failure"),
        code: Some(429),
        reason: text("TooManyRequests"),
        message: text("Cannot evict pod as it would violate the pod's disruption budget."),
        causes: vec!["The disruption budget web-budget needs 3 healthy pods and has 3 currently".to_owned()],
        budget: text("web-budget"),
        retry_after_seconds: Some(10),
        ..EvictionAnswer::default()
    };
    assert_eq!(answer, expected);
    let gone = parse(GONE).unwrap().answers.remove(0);
    assert_eq!((gone.pod, gone.about), (text("web-1"), text("pods")));
    for (text, expected) in
        [(DONE, Standing::Ok), (LATER, Standing::Degraded), (GONE, Standing::Ok), (TWO, Standing::Failed)]
    {
        assert_eq!(state(text), expected, "{text}");
    }
}

#[test]
fn more_than_one_answer_is_read() {
    assert_eq!(state(&format!("{DONE}\n{GONE}{DONE}")), Standing::Ok);
    assert_eq!(state(&format!("{DONE}\n{LATER}\n{DONE}\n")), Standing::Degraded);
    assert_eq!(state(&format!("[{DONE},{TWO}]")), Standing::Failed);
    let list = format!(r#"{{"kind":"List","apiVersion":"v1","items":[{DONE},{LATER}]}}"#);
    assert_eq!(parse(&list).unwrap().answers.len(), 2);
    assert_eq!(state(&list), Standing::Degraded);
    assert_eq!(state("[]"), Standing::Unknown);
    assert_eq!(state(r#"{"kind":"List","items":[]}"#), Standing::Unknown);
}

#[test]
fn words_decide() {
    for (text, from, to, expected) in [
        (DONE, r#""code":201"#, r#""code":500"#, Standing::Unknown),
        (DONE, r#""status":"Success""#, r#""status":"Perhaps""#, Standing::Unknown),
        (DONE, r#""status":"Success","#, "", Standing::Unknown),
        (LATER, r#", "retryAfterSeconds": 10"#, "", Standing::Degraded),
        (LATER, r#""code": 429"#, r#""code": 503"#, Standing::Unknown),
        (LATER, r#""details""#, r#""more""#, Standing::Degraded),
        (GONE, r#""details":{"name":"web-1","kind":"pods"},"#, "", Standing::Ok),
        (GONE, r#""kind":"pods""#, r#""kind":"namespaces""#, Standing::Unknown),
        (GONE, r#"pods \"web-1\" not found"#, "the server could not find the requested resource", Standing::Unknown),
        (GONE, r#""code":404"#, r#""code":409"#, Standing::Unknown),
        (GONE, r#""reason":"NotFound","#, r#""reason":"Gone","#, Standing::Ok),
        (TWO, "more than one", "an odd", Standing::Unknown),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(state(&text.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
}

#[test]
fn a_drain_is_read_whole() {
    let evictions = parse(DRAIN).unwrap();
    let pods: Vec<_> = evictions
        .answers
        .iter()
        .map(|answer| {
            (answer.namespace.as_deref().unwrap(), answer.pod.as_deref().unwrap(), answer.status.as_deref().unwrap())
        })
        .collect();
    // No more was said of the one that was not found at the second try.
    assert_eq!(pods, [("lab", "web-1", "evicted"), ("lab", "db-0", "gone"), ("shop", "web-1", "evicted")]);
    assert_eq!((evictions.nodes.len(), evictions.nodes[0].state.as_str()), (1, "drained"));
    assert_eq!(evictions.warnings, ["ignoring DaemonSet-managed Pods: kube-system/net-1"]);
    assert_eq!(state(DRAIN), Standing::Ok);
    let again =
        format!("{DRAIN}node/two already cordoned\nevicting pod lab/web-1\npod/web-1 evicted\nnode/two drained\n");
    assert_eq!(state(&again), Standing::Ok);
    assert_eq!(parse(&again).unwrap().answers.len(), 3);
    assert_eq!(state(&again.replace("node/two drained\n", "")), Standing::Unknown);
}

#[test]
fn words_of_a_drain_decide() {
    let second = "evicting pod lab/db-0\npod/web-1";
    let end = "node/one drained\n";
    for (from, to, expected) in [
        (end, "", Standing::Unknown),
        (end, "node/one drained (dry run)\n", Standing::Unknown),
        (end, "node \"one\" drained\n", Standing::Ok),
        (end, "node/one evicted\n", Standing::Ok),
        (end, "node/one drained\nnode/one uncordoned\n", Standing::Unknown),
        (end, "node/two drained\n", Standing::Unknown),
        (end, "error: unable to drain node \"one\" due to error: odd, continuing command...\n", Standing::Failed),
        (end, "node/one drained\nerror: unable to cordon node \"two\": odd\n", Standing::Failed),
        ("evicting pod lab/web-1\n", "evicting pod lab/web-1 (server dry run)\n", Standing::Unknown),
        ("evicting pod lab/web-1\n", "evicting pod \"web-1\"\n", Standing::Ok),
        ("pod/web-1 evicted\n", "pod/web-1 deleted\n", Standing::Ok),
        ("pod/web-1 evicted\n", "pod/web-1 evicted (dry run)\n", Standing::Unknown),
        (second, "pod/web-1", Standing::Degraded),
        (
            second,
            "error when evicting pod \"db-0\" (will retry after 5s): Too many requests\npod/web-1",
            Standing::Degraded,
        ),
        (
            second,
            "error when evicting pods/\"db-0\" -n \"lab\": This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.\npod/web-1",
            Standing::Failed,
        ),
        (
            second,
            "error when evicting pod \"db-0\" from terminating namespace \"lab\" (will retry after 5s): forbidden\npod/web-1",
            Standing::Failed,
        ),
        (
            second,
            "error when evicting pods/\"db-0\" -n \"lab\": global timeout reached: 1m0s\npod/web-1",
            Standing::Unknown,
        ),
        ("Warning: ", "WARNING: ", Standing::Ok),
        ("Warning: ", "Flag --delete-local-data has been deprecated\nWarning: ", Standing::Ok),
        ("Warning: ", "There are pending nodes to be drained:\nWarning: ", Standing::Unknown),
    ] {
        assert!(DRAIN.contains(from), "{from}");
        assert_eq!(state(&DRAIN.replacen(from, to, 1)), expected, "{from} -> {to}");
    }
}

#[test]
fn single_messages_are_read() {
    for (text, expected) in [
        ("Error from server (NotFound): pods \"web-1\" not found", Standing::Ok),
        ("Error from server (NotFound): namespaces \"lab\" not found", Standing::Unknown),
        ("Error from server (Forbidden): pods \"web-1\" is forbidden", Standing::Failed),
        (
            "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.",
            Standing::Degraded,
        ),
        ("Error from server: odd", Standing::Unknown),
        ("Cannot evict pod as it would violate the pod's disruption budget.", Standing::Degraded),
        (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            Standing::Failed,
        ),
        ("Err: This pod has more than one PodDisruptionBudget, which the eviction subresource", Standing::Failed),
        ("pod/web-1 evicted", Standing::Unknown),
        ("evicting pod lab/web-1", Standing::Unknown),
    ] {
        assert_eq!(state(text), expected, "{text}");
    }
}

#[test]
fn what_breaks_off_is_not_ok() {
    for end in 0..DRAIN.trim_end().len() {
        assert_ne!(state(&DRAIN[..end]), Standing::Ok, "cut at {end}: {:?}", &DRAIN[..end]);
    }
    for good in [DONE, LATER, GONE, TWO] {
        for end in 0..good.trim_end().len() {
            assert!(parse(&good[..end]).is_err(), "cut at {end}: {:?}", &good[..end]);
        }
    }
}

#[test]
fn broken_answers_say_what_is_wrong() {
    let why = |text: &str| parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "it is empty"),
        ("\u{1}rubbish {\nmore", "no JSON and no line of kubectl drain in it; it says: rubbish {"),
        ("{}", "an object without a kind where a Status should be"),
        (r#"{"kind":"Pod","status":{"phase":"Running"}}"#, "an object of kind \"Pod\" where a Status should be"),
        (r#"{"kind":"Status","status":{}}"#, "the status of a Status is no word"),
        (r#"{"kind":"List","items":[{"kind":"Eviction"}]}"#, "an object of kind \"Eviction\" where a Status should be"),
        (r#"{"kind":"Status","code":"201"}"#, "invalid type: string \"201\", expected u64 at line 1 column 29"),
        (r#"{"kind":"Status","code":1,"code":2}"#, "duplicate field `code` at line 1 column 32"),
        ("[7]", "invalid type: integer `7`, expected an object of Kubernetes at line 1 column 2"),
        ("{\"kind\":\"Status\"} odd", "expected value at line 1 column 19"),
        ("[{}", "EOF while parsing a list at line 1 column 3"),
    ] {
        assert_eq!(why(text), format!("parsing the answer to an eviction: {expected}"), "{text}");
    }
    assert!(why(&"{\"items\":[".repeat(100_000)).contains("recursion limit exceeded"));
    for good in [DONE, LATER, GONE, TWO, DRAIN] {
        feed_damaged(good, |text| drop(parse(text).map(|evictions| evictions.subjects())));
    }
}

/// Captures that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_are_read() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/interfaces/samples/k8s");
    for (name, expected) in [
        ("eviction-201.json", Standing::Ok),
        ("eviction-429.json", Standing::Degraded),
        ("eviction-500-two-pdbs.txt", Standing::Failed),
        ("kubectl-drain-output.txt", Standing::Ok),
        // A condition of a pod and no answer.
        ("pod-condition-disruptiontarget.json", Standing::Unknown),
    ] {
        match std::fs::read_to_string(format!("{dir}/{name}")) {
            Ok(text) => assert_eq!(state(&text), expected, "{name}"),
            Err(_) => eprintln!("no sample {name} in {dir}; only our own texts were read"),
        }
    }
}
