//! One fenced transaction on each engine, on the same disk, as the store's own measurement prints it.
//!
//! It must never compare two runs.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::read::measured;
use crate::bench::Row;
use crate::house::House;

/// An optimised build of the agent with all its parts takes five minutes on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Some twenty thousand fsyncs.
const RUN_LIMIT: Duration = Duration::from_secs(10 * 60);
const EMBEDDED: &str = "fenced transaction, embedded";
const REMOTE: &str = "fenced transaction, remote over mutual TLS";
const ETCD: &str = "fenced transaction, etcd over mutual TLS";

/// Runs the measurement on the disk of `out/`.
pub(super) async fn measure(house: &House) -> Result<Vec<Row>> {
    let words = "bench --locked --profile timing --package hardstand --bench store --".split(' ');
    println!("measuring one fenced transaction on each engine (an optimised build first)");
    let run = house.cargo(BUILD_LIMIT + RUN_LIMIT)?.args(words).arg(house.evidence("bench-store", "")?);
    let said = run.success().await.context("measuring the store")?;
    let said = String::from_utf8_lossy(&said.stdout);
    print!("{said}");
    rows(&said)
}

fn rows(said: &str) -> Result<Vec<Row>> {
    let told = |(p50, p99): (Duration, Duration)| {
        format!("p50 {:.2} ms, p99 {:.2} ms", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3)
    };
    let (here, remote, etcd) = (measured(said, EMBEDDED)?, measured(said, REMOTE)?, measured(said, ETCD)?);
    let row = |figure, ours: (Duration, Duration)| Row {
        figure,
        ours: told(ours),
        peer: format!("etcd, one member, mutual TLS on loopback: {}", told(etcd)),
        target: "not slower, p50 and p99",
        reached: Some(ours.0 <= etcd.0 && ours.1 <= etcd.1),
    };
    Ok(vec![
        row("one fenced transaction, embedded, by its host's agent", here),
        row("one fenced transaction, embedded, by another agent (mutual TLS on loopback)", remote),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_slower_in_its_tail_alone_is_slower() {
        let said = "fenced transaction, embedded                 p50      900 us   p99     2100 us\n\
                    fenced transaction, remote over mutual TLS   p50     1200 us   p99     9000 us\n\
                    fenced transaction, etcd over mutual TLS     p50     1300 us   p99     4000 us\n";
        let rows = rows(said).expect("three measurements");
        assert_eq!(rows.iter().map(|row| row.reached).collect::<Vec<_>>(), [Some(true), Some(false)]);
        assert_eq!(rows[0].ours, "p50 0.90 ms, p99 2.10 ms");
    }
}
