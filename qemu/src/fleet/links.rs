//! The cables of a fleet: cut whole, or in one direction between two machines.
//!
//! It works on the bridge, below IP, so that not even an address is asked for over a cut link.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::{Run, find};

use super::seed::Seed;

/// Both programs only talk to the kernel.
const KERNEL_LIMIT: Duration = Duration::from_secs(20);

/// The cables, and what is cut of them.
pub(crate) struct Links {
    seeds: Vec<Seed>,
    cut: Vec<String>,
    dropped: Vec<(String, String)>,
}

impl Links {
    pub(super) fn new(seeds: Vec<Seed>) -> Result<Self> {
        Ok(Self { seeds, cut: Vec::new(), dropped: Vec::new() })
    }

    /// Cuts a machine off from everything, the harness included. Its card keeps its carrier, as behind a dead switch.
    pub(crate) async fn cut(&mut self, name: &str) -> Result<()> {
        let tap = self.tap(name);
        set(&tap, "down").await?;
        self.cut.push(tap);
        Ok(())
    }

    /// Drops what goes from one machine to another; the other direction works.
    pub(crate) async fn drop_one_way(&mut self, from: &str, to: &str) -> Result<()> {
        self.dropped.push((self.tap(from), self.tap(to)));
        self.rules().await
    }

    /// Parts the named machines from all others, both ways. The harness still reaches all.
    pub(crate) async fn partition(&mut self, names: &[&str]) -> Result<()> {
        let here: Vec<String> = names.iter().map(|name| self.tap(name)).collect();
        let there: Vec<String> = self.seeds.iter().map(Seed::tap).filter(|tap| !here.contains(tap)).collect();
        for (one, other) in here.iter().flat_map(|one| there.iter().map(move |other| (one, other))) {
            self.dropped.push((one.clone(), other.clone()));
            self.dropped.push((other.clone(), one.clone()));
        }
        self.rules().await
    }

    /// Mends everything that was cut or dropped.
    pub(crate) async fn mend(&mut self) -> Result<()> {
        self.dropped.clear();
        self.rules().await?;
        for tap in std::mem::take(&mut self.cut) {
            set(&tap, "up").await?;
        }
        Ok(())
    }

    fn tap(&self, name: &str) -> String {
        let seed = self.seeds.iter().find(|seed| seed.name == name);
        seed.expect("a story names machines of its own topology").tap()
    }

    async fn rules(&self) -> Result<()> {
        let nft = find("nft").context("finding nft; install nftables, or start through qemu/lab")?;
        let run = Run::new(nft, KERNEL_LIMIT).args(["-f", "-"]).stdin(ruleset(&self.dropped));
        run.success().await.context("dropping between machines")?;
        Ok(())
    }
}

/// The whole table at once: what was there before is replaced, in one transaction.
fn ruleset(dropped: &[(String, String)]) -> String {
    let mut text = String::from(
        "table bridge hardstand_lab\ndelete table bridge hardstand_lab\ntable bridge hardstand_lab {\n\
         chain forward {\ntype filter hook forward priority 0; policy accept;\n",
    );
    for (from, to) in dropped {
        let _ = writeln!(text, "iifname \"{from}\" oifname \"{to}\" drop");
    }
    text + "}\n}\n"
}

async fn set(tap: &str, state: &str) -> Result<()> {
    let ip = find("ip").context("finding ip; install iproute2, or start through qemu/lab")?;
    let run = Run::new(ip, KERNEL_LIMIT).args(["link", "set", tap, state]);
    run.success().await.with_context(|| format!("setting {tap} {state}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ruleset;

    #[test]
    fn one_direction_is_one_rule() {
        let text = ruleset(&[("tap-node1".to_owned(), "tap-nas".to_owned())]);
        assert_eq!(text.matches("drop").count(), 1);
        assert!(text.contains("iifname \"tap-node1\" oifname \"tap-nas\" drop\n"), "{text}");
    }
}
