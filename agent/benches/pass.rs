//! How long the files of one pass take on a big host: the made-up tree of `src/host/big.rs`, which the tests read too.
//! `cargo bench --profile timing -p hardstand --bench pass`
//!
//! It must never be compared with a pass over a real `/sys`: there the kernel makes each file anew, here they lie ready.

#![allow(dead_code, unused_imports, reason = "the rooms are taken whole, and only a part of them is measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to tell")]

// cargo sets `test` for a bench, so the rooms bring the tests that stand in them; nothing runs these.
#[path = "../src/config/mod.rs"]
mod config;
#[path = "../src/crew.rs"]
mod crew;
#[path = "../src/durable.rs"]
mod durable;
#[path = "../src/hang.rs"]
mod hang;
#[path = "../src/helper/mod.rs"]
mod helper;
#[path = "../src/hmac.rs"]
mod hmac;
#[path = "../src/host/mod.rs"]
mod host;
#[path = "../src/trust/mod.rs"]
mod trust;

use std::time::{Duration, Instant};

use host::big::{Pass, big_host};
use host::pci::KnownPci;

/// Enough that one in a hundred is five of them.
const ROUNDS: usize = 500;

fn main() {
    let tree = big_host();
    let (mut pass, mut pci) = (Pass::default(), KnownPci::default());
    print("files of a pass over a big host", || assert!(pass.read(&tree).is_ok()));
    print("PCI devices of a big host", || assert!(pci.probe(&tree.host()).is_ok()));
}

fn print(what: &str, mut work: impl FnMut()) {
    work();
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    let micros = |part: usize| took[took.len() * part / 1000].as_secs_f64() * 1e6;
    println!("{what:<44} p50 {:8.0} us   p99 {:8.0} us", micros(500), micros(990));
}
