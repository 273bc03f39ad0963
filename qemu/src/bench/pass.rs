//! What the files of one pass cost on a big host, as the agent's own measurement prints it.
//!
//! It must never be taken for a real machine: the tree is made up (`agent/src/host/big.rs`).

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Row;
use super::fleet::measured;
use crate::house::House;

/// An optimised build of the agent with all its parts takes five minutes on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// A thousand passes of a few milliseconds.
const RUN_LIMIT: Duration = Duration::from_secs(60);
const PASS: &str = "files of a pass over a big host";
const PCI: &str = "PCI devices of a big host";
/// What a pass every ten seconds may take, at 0.05 % of a core.
const PASS_MOST: Duration = Duration::from_millis(5);

pub(super) async fn measure(house: &House) -> Result<Vec<Row>> {
    println!("measuring a pass over a big host (an optimised build first)");
    let words = "bench --locked --profile timing --package hardstand --bench pass".split(' ');
    let run = house.cargo(BUILD_LIMIT + RUN_LIMIT)?.args(words);
    let said = run.success().await.context("measuring a pass over a big host")?;
    let said = String::from_utf8_lossy(&said.stdout);
    print!("{said}");
    rows(&said)
}

fn rows(said: &str) -> Result<Vec<Row>> {
    let row = |figure, (p50, p99): (Duration, Duration), target, reached| Row {
        figure,
        ours: format!("p50 {:.2} ms, p99 {:.2} ms", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3),
        peer: String::new(),
        target,
        reached,
    };
    let (pass, pci) = (measured(said, PASS)?, measured(said, PCI)?);
    Ok(vec![
        row("files of one pass, made-up host of 64 processors, 36 disks", pass, "<= 5 ms", Some(pass.0 <= PASS_MOST)),
        row("its 160 PCI devices, once a minute", pci, "", None),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_takes_too_long_is_told() {
        let said = |pass: u32| {
            format!(
                "files of a pass over a big host              p50 {pass:8} us   p99     9000 us\n\
                 PCI devices of a big host                    p50      900 us   p99     1100 us\n"
            )
        };
        let reached = |pass| rows(&said(pass)).expect("two measurements")[0].reached;
        assert_eq!((reached(4_900), reached(5_100)), (Some(true), Some(false)));
    }
}
