//! The table of invariants names only tests that exist, and every invariant has one.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::collections::BTreeSet;
use std::path::Path;

use hardstand_tests::{files_below, root};

const TABLE: &str = "agent/core/INVARIANTS.md";

/// The rows: number, and the tests it names.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let number = cells.next()?.to_owned();
        let tests = cells.nth(1)?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        number.starts_with(['S', 'L']).then_some((number, tests))
    };
    text.lines().filter(|line| line.starts_with('|')).filter_map(row).collect()
}

/// Names of all test functions below a directory.
fn tests_below(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in files_below(dir, ".rs").unwrap() {
        let text = std::fs::read_to_string(&source).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[test]") {
            names.extend(pair[1].strip_prefix("fn ").and_then(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let rows = rows(&std::fs::read_to_string(root().join(TABLE)).unwrap());
    let wanted: Vec<String> = (1..=18).map(|n| format!("S{n}")).chain((1..=4).map(|n| format!("L{n}"))).collect();
    assert_eq!(rows.iter().map(|(number, _)| number.clone()).collect::<Vec<_>>(), wanted);
    let known = tests_below(&root().join("agent"));
    assert!(known.len() > 100, "found {} tests", known.len());
    for (number, tests) in &rows {
        assert!(!tests.is_empty(), "{number} names no test");
        let gone: Vec<&String> = tests.iter().filter(|test| !known.contains(*test)).collect();
        assert!(gone.is_empty(), "{number} names {gone:?}, which are no tests");
    }
}

#[test]
fn a_row_is_read_as_written() {
    let read = rows("| # | statement | tests |\n| --- | --- | --- |\n| S1 | words | `a` `b_c` |\n| x | y | `z` |\n");
    assert_eq!(read, [("S1".to_owned(), vec!["a".to_owned(), "b_c".to_owned()])]);
}
