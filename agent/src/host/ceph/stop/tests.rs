//! Tests of the parser of Ceph's answers to whether daemons may be stopped.

use hardstand_core::standing::Standing;

use super::super::tests::{never_ok_when_cut, state};
use super::*;
use crate::host::feed_damaged;

const YES: &str =
    r#"{"ok_to_stop":true,"osds":[2,11],"num_ok_pgs":77,"num_not_ok_pgs":0,"ok_become_degraded":["4.1","4.1f"]}"#;
const NO: &str = r#"{"ok_to_stop":false,"osds":[2],"num_ok_pgs":70,"num_not_ok_pgs":2,
    "bad_become_inactive":["4.1","4.9"],"ok_become_degraded":["4.2"],"ok_become_more_degraded":["4.3"]}"#;
const REFUSED: &str = "Error EBUSY: unsafe to stop osd(s) at this time (2 PGs are or would become offline)";
const MONS: &str = "quorum should be preserved (n1,n-2.lab) after stopping [n3]";
const TOO_FEW: &str = "Error EBUSY: not enough monitors would be available (n1) after stopping mons [n2,n3]";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn answers_are_read() {
    let yes = CephOkToStop {
        daemons: names(&["osd.2", "osd.11"]),
        ok: Some(true),
        ok_pgs: Some(77),
        not_ok_pgs: Some(0),
        become_degraded_pgs: 2,
        ..CephOkToStop::default()
    };
    assert_eq!(parse(YES).unwrap(), yes);
    let no = CephOkToStop {
        daemons: names(&["osd.2"]),
        ok: Some(false),
        ok_pgs: Some(70),
        not_ok_pgs: Some(2),
        become_inactive_pgs: 2,
        become_degraded_pgs: 1,
        become_more_degraded_pgs: 1,
        ..CephOkToStop::default()
    };
    assert_eq!(parse(NO).unwrap(), no);
    let words = Some("unsafe to stop osd(s) at this time (2 PGs are or would become offline)".to_owned());
    let said = CephOkToStop { words: words.clone(), ..no };
    assert_eq!(parse(&format!("{NO}\n{REFUSED}\n")).unwrap(), said, "the error behind the answer");
    assert_eq!(parse(&format!("{REFUSED}\n\n{NO}\n")).unwrap(), said, "the error before the answer");
    assert_eq!(parse(REFUSED).unwrap(), CephOkToStop { ok: Some(false), words, ..CephOkToStop::default() });
    let mons = CephOkToStop {
        daemons: names(&["mon.n3"]),
        ok: Some(true),
        mons_left: Some(names(&["n1", "n-2.lab"])),
        words: Some(MONS.to_owned()),
        ..CephOkToStop::default()
    };
    assert_eq!(parse(&format!("{MONS}\n")).unwrap(), mons);
    let too_few = parse(TOO_FEW).unwrap();
    assert_eq!((too_few.ok, too_few.daemons), (Some(false), names(&["mon.n2", "mon.n3"])));
    assert_eq!(too_few.mons_left, Some(names(&["n1"])));
}

#[test]
fn answers_stand_as_they_say() {
    for (text, expected) in [
        (YES.to_owned(), Standing::Ok),
        (MONS.to_owned(), Standing::Ok),
        (NO.to_owned(), Standing::Failed),
        (REFUSED.to_owned(), Standing::Failed),
        (TOO_FEW.to_owned(), Standing::Failed),
        (TOO_FEW.replace("(n1)", "()"), Standing::Failed),
        (TOO_FEW.replace("Error EBUSY: ", ""), Standing::Failed),
        (NO.replace("bad_become_inactive", "bad_already_inactive"), Standing::Failed),
        (YES.replace("true", "false"), Standing::Failed),
        (YES.replace("[2,11]", "[]"), Standing::Unknown),
        (YES.replace("\"num_ok_pgs\":77,", ""), Standing::Unknown),
        (YES.replace("\"num_not_ok_pgs\":0,", ""), Standing::Unknown),
        (YES.replace("\"num_not_ok_pgs\":0", "\"num_not_ok_pgs\":1"), Standing::Unknown),
        (YES.replace("ok_become_degraded", "unknown_pgs"), Standing::Unknown),
        (YES.replace("ok_become_degraded", "bad_no_pool_pgs"), Standing::Unknown),
        (YES.replace("true", "false").replace("ok_become_degraded", "unknown_pgs"), Standing::Unknown),
        (MONS.replace("(n1,n-2.lab)", "()"), Standing::Unknown),
        (MONS.replace("n1,", "n1,n3,"), Standing::Unknown),
    ] {
        assert_eq!(state(parse(&text)), expected, "{text}");
    }
}

#[test]
fn what_is_no_answer_is_an_error() {
    let no_answer = "no `ok_to_stop` or no `osds` in it; is this the output of that command?";
    for (text, expected) in [
        ("".to_owned(), "it is empty".to_owned()),
        ("{}".to_owned(), no_answer.to_owned()),
        (r#"{"ok_to_stop":true}"#.to_owned(), no_answer.to_owned()),
        (r#"{"osds":[1]}"#.to_owned(), no_answer.to_owned()),
        (
            r#"{"ok_to_stop":1,"osds":[1]}"#.to_owned(),
            "invalid type: integer `1`, expected a boolean at line 1 column 15".to_owned(),
        ),
        (
            r#"{"ok_to_stop":true,"osds":[-1]}"#.to_owned(),
            "invalid value: integer `-1`, expected u64 at line 1 column 29".to_owned(),
        ),
        (
            format!("{YES}\nError EAGAIN: 2 pgs have unknown state\n"),
            "beside its answer it says: Error EAGAIN: 2 pgs have unknown state".to_owned(),
        ),
        (format!("{YES}\n{YES}"), format!("behind the JSON it says: {}", excerpt(YES))),
        (format!("Error EBUSY: {MONS}"), format!("it says: Error EBUSY: {MONS}")),
        (format!("{MONS}\n{TOO_FEW}"), format!("more than one line; it says: {TOO_FEW}")),
        (format!("{MONS}, or not"), format!("it says: {MONS}, or not")),
        (MONS.replace("n3", ""), format!("it says: {}", MONS.replace("n3", ""))),
        (MONS.replace("n3", "n 3"), format!("it says: {}", MONS.replace("n3", "n 3"))),
        ("invalid mon(s) specified: [n9]".to_owned(), "it says: invalid mon(s) specified: [n9]".to_owned()),
        (
            "Error EAGAIN: 9 pgs have unknown state; cannot draw any conclusions".to_owned(),
            "it says: Error EAGAIN: 9 pgs have unknown state; cannot draw any conclusions".to_owned(),
        ),
        ("should be safe to stop [n1]".to_owned(), "it says: should be safe to stop [n1]".to_owned()),
        ("Error ENOENT: no osd.9\u{1b}[0m".to_owned(), "it says: Error ENOENT: no osd.9[0m".to_owned()),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert_eq!(error, format!("parsing {WHAT}: {expected}"), "{text}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_yes() {
    never_ok_when_cut(YES, parse);
    never_ok_when_cut(MONS, parse);
    for text in [YES, NO, MONS, TOO_FEW] {
        feed_damaged(text, |text| {
            state(parse(text));
        });
    }
}
