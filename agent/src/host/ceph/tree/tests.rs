//! Tests of the parser of Ceph's tree of OSDs.

use hardstand_core::standing::Standing;

use super::super::tests::{never_ok_when_cut, state};
use super::*;
use crate::host::feed_damaged;

const GOOD: &str = r#"{"nodes":[
{"id":-1,"name":"default","type":"root","type_id":11,"children":[-3,-5]},
{"id":-3,"name":"lab1","type":"host","type_id":1,"pool_weights":{},"children":[1,0]},
{"id":0,"device_class":"ssd","name":"osd.0","type":"osd","type_id":0,"crush_weight":0.4366,"depth":2,"pool_weights":{},
 "exists":1,"status":"up","reweight":1,"primary_affinity":1},
{"id":1,"device_class":"ssd","name":"osd.1","type":"osd","type_id":0,"crush_weight":0.4366,"depth":2,"pool_weights":{},
 "exists":1,"status":"up","reweight":0.95,"primary_affinity":1},
{"id":-5,"name":"lab2","type":"host","type_id":1,"pool_weights":{},"children":[2]},
{"id":2,"name":"osd.2","type":"osd","type_id":0,"crush_weight":0.4366,"depth":2,"pool_weights":{},
 "exists":1,"status":"up","reweight":1.00000,"primary_affinity":1.00000}],
"stray":[]}
"#;

fn replaced(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn a_tree_is_read_whole() {
    let bucket = |id, kind: &str, name: &str, children: &[i64]| CephBucket {
        id,
        name: name.to_owned(),
        kind: kind.to_owned(),
        children: Some(children.to_vec()),
    };
    let osd = |id, class: Option<&str>, reweight| CephOsd {
        id,
        name: format!("osd.{id}"),
        device_class: class.map(str::to_owned),
        status: Some("up".to_owned()),
        exists: Some(true),
        crush_weight: Some(0.4366),
        reweight: Some(reweight),
    };
    let expected = CephOsdTree {
        buckets: vec![
            bucket(-1, "root", "default", &[-3, -5]),
            bucket(-3, "host", "lab1", &[1, 0]),
            bucket(-5, "host", "lab2", &[2]),
        ],
        osds: vec![osd(0, Some("ssd"), 1.0), osd(1, Some("ssd"), 0.95), osd(2, None, 1.0)],
        stray: Some(Vec::new()),
    };
    assert_eq!(parse(GOOD).unwrap(), expected);
}

#[test]
fn words_and_weights_decide() {
    for (from, to, expected) in [
        ("lab1", "lab1", Standing::Ok),
        (r#""status":"up","reweight":1,"#, r#""status":"down","reweight":1,"#, Standing::Degraded),
        (r#""status":"up","reweight":1,"#, r#""status":"destroyed","reweight":0,"#, Standing::Degraded),
        (r#""status":"up","reweight":1,"#, r#""status":"odd","reweight":1,"#, Standing::Unknown),
        (r#""status":"up","reweight":1,"#, r#""reweight":1,"#, Standing::Unknown),
        (r#""status":"up","reweight":1,"#, r#""status":"up","#, Standing::Unknown),
        (r#""reweight":1,"#, r#""reweight":0,"#, Standing::Degraded),
        (r#""crush_weight":0.4366,"#, r#""crush_weight":0,"#, Standing::Degraded),
        (r#""crush_weight":0.4366,"#, "", Standing::Unknown),
        (r#""exists":1,"status":"up""#, r#""exists":0,"status":"down""#, Standing::Degraded),
        ("\"children\":[2]", "\"children\":[2,3]", Standing::Unknown),
        ("\"children\":[2]", "\"children\":[]", Standing::Unknown),
        (",\"children\":[2]", "", Standing::Unknown),
        (",\n\"stray\":[]", "", Standing::Unknown),
        (
            "\"stray\":[]",
            r#""stray":[{"id":7,"name":"osd.7","type":"osd","type_id":0,"crush_weight":0,"depth":0,"exists":1,
            "status":"down","reweight":0,"primary_affinity":1}]"#,
            Standing::Degraded,
        ),
    ] {
        assert_eq!(state(parse(&replaced(from, to))), expected, "{from} -> {to}");
    }
    assert_eq!(state(parse(&GOOD.replace("\"up\"", "\"down\""))), Standing::Failed);
}

#[test]
fn what_is_in_two_places_is_read_once() {
    let second_root = r#"{"nodes":[{"id":-9,"name":"other","type":"root","children":[-5]},
{"id":-5,"name":"lab2","type":"host","type_id":1,"pool_weights":{},"children":[2]},
{"id":2,"name":"osd.2","type":"osd","type_id":0,"crush_weight":0.4366,"depth":2,"exists":1,"status":"up","reweight":1},"#;
    let linked = replaced("{\"nodes\":[", second_root);
    let tree = parse(&linked).unwrap();
    assert_eq!((tree.buckets.len(), tree.osds.len()), (4, 3));
    assert_eq!(state(parse(&linked)), Standing::Ok);
    let differs = linked.replacen("\"status\":\"up\"", "\"status\":\"down\"", 1);
    assert_eq!(parse(&differs).unwrap().osds.len(), 4);
    assert_eq!(state(parse(&differs)), Standing::Failed, "all that is in the second root");
}

#[test]
fn broken_output_says_what_is_wrong() {
    for (text, expected) in [
        ("{}", "no `nodes` in it; is this the output of that command?"),
        (r#"{"nodes":{}}"#, "invalid type: map, expected a sequence at line 1 column 9"),
        (r#"{"nodes":[{"name":"a","type":"osd"}]}"#, "row 1 of `nodes` has no `id`"),
        (r#"{"nodes":[{"id":0,"name":"a"}]}"#, "row 1 of `nodes` has no `type`"),
        (r#"{"nodes":[{"id":0,"type":"osd"}]}"#, "row 1 of `nodes` has no `name`"),
        (
            r#"{"nodes":[{"id":-1,"name":"a","type":"osd"}]}"#,
            "row 1 of `nodes` is of a type that does not go with its `id`",
        ),
        (
            r#"{"nodes":[{"id":1,"name":"a","type":"host"}]}"#,
            "row 1 of `nodes` is of a type that does not go with its `id`",
        ),
        (r#"{"nodes":[],"stray":[{"id":-1,"name":"a","type":"host"}]}"#, "row 1 of `stray` is no OSD"),
        (r#"{"nodes":[],"stray":[{}]}"#, "row 1 of `stray` has no `id`"),
        (r#"{"nodes":[{"id":1.0}]}"#, "invalid type: floating point `1.0`, expected i64 at line 1 column 19"),
        (r#"{"nodes":[{"id":0,"reweight":1e999}]}"#, "number out of range at line 1 column 34"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("parsing {WHAT}: {expected}"), "{text}");
    }
    let row = r#"{"id":-1,"name":"a","type":"host"}"#;
    let crowd = format!(r#"{{"nodes":[{}{row}]}}"#, format!("{row},").repeat(MOST_ROWS));
    assert_eq!(parse(&crowd).unwrap_err().to_string(), format!("parsing {WHAT}: more than 32768 rows"));
    never_ok_when_cut(GOOD, parse);
    feed_damaged(GOOD, |text| {
        state(parse(text));
    });
}
