//! The parser of `corosync-cfgtool -s`: the links to the other nodes that are configured, whether they are there or not.
//!
//! It must never take a list that it cannot read for one without links.

use hardstand_core::observed::CorosyncLink;

use super::super::{HostError, excerpt};
use super::number;

/// Rows at most: eight links to a few dozen nodes.
const MOST_ROWS: usize = 1024;

/// Parses the links. Only knet tells of them: another transport has none.
///
/// # Errors
/// A row cannot be read, or there are none where knet should have some.
pub(super) fn parse(text: &str) -> Result<Vec<CorosyncLink>, HostError> {
    let bad = |why: String| HostError::Parse { what: "corosync-cfgtool -s".to_owned(), why };
    let first = text.lines().next().unwrap_or_default();
    let transport = first.split_once("transport ").map(|(_, transport)| transport.trim());
    match transport {
        Some("knet") => {}
        Some(_) => return Ok(Vec::new()),
        None => return Err(bad(format!("it begins with {:?}", excerpt(first)))),
    }
    let (mut links, mut link, mut rows) = (Vec::new(), None, 0);
    for (index, line) in text.lines().enumerate().skip(1) {
        let bad = |why: String| bad(format!("line {}: {why}", index + 1));
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("LINK ID ") {
            link = Some(number(rest.split(' ').next().unwrap_or_default()).map_err(bad)?);
        } else if let Some(rest) = line.strip_prefix("nodeid:") {
            let unread = || bad(format!("{:?} is no row of a node", excerpt(line)));
            let (node, state) = rest.split_once(':').ok_or_else(unread)?;
            let (node_id, state) = (number(node.trim()).map_err(bad)?, state.trim());
            let link = link.filter(|_| !state.is_empty() && rows < MOST_ROWS).ok_or_else(unread)?;
            rows += 1;
            if state != "localhost" {
                links.push(CorosyncLink { node_id, link, state: excerpt(state) });
            }
        }
    }
    if rows == 0 { Err(bad("no link in it".to_owned())) } else { Ok(links) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed_damaged;

    const CUT: &str = include_str!("../../../tests/fixtures/lab/quorum/one-link-links.txt");

    #[test]
    fn links_are_told_by_node_and_number() {
        let link = |link, state: &str| CorosyncLink { node_id: 2, link, state: state.to_owned() };
        assert_eq!(parse(CUT).unwrap(), [link(0, "connected"), link(1, "disconnected")]);
        feed_damaged(CUT, |text| drop(parse(text)));
    }

    #[test]
    fn another_transport_has_none_and_a_broken_list_is_an_error() {
        assert_eq!(parse("Local node ID 1, transport udp\nLINK ID 0 udp\n\tstatus\t= OK\n").unwrap(), []);
        for (text, why) in [
            ("", "it begins with \"\""),
            ("Could not initialize corosync configuration API error 11\n", "it begins with \"Could not initialize"),
            ("Local node ID 1, transport knet\n", "no link in it"),
            ("Local node ID 1, transport knet\nLINK ID x udp\n", "line 2: \"x\" is not a number"),
            ("Local node ID 1, transport knet\nnodeid: 2: connected\n", "line 2: \"nodeid: 2: connected\" is no row"),
            ("Local node ID 1, transport knet\nLINK ID 0 udp\nnodeid: 2:\n", "line 3: \"nodeid: 2:\" is no row"),
            ("Local node ID 1, transport knet\nLINK ID 0 udp\nnodeid: two: connected\n", "line 3: \"two\" is not a"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("parsing corosync-cfgtool -s: {why}")), "{error}");
        }
    }
}
