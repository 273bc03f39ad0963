//! Following a boot: which stage it is in, how far a download is, how long it took. A bar on a terminal, plain lines
//! elsewhere.
//!
//! It only looks: at the console, at the network's byte counters, at the control port.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::machine::Running;
use crate::scene::BOOT_LIMIT;
use crate::stories::claims;
use crate::wait::until;
use crate::{console, network};

/// Without a terminal a line at least this often, or it looks like a hang.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How far the bar is at the start of each stage, in thousandths: shares of the time measured under emulation.
const STAGES: [(&str, u64); 5] =
    [("firmware", 0), ("download", 120), ("kernel", 330), ("services", 600), ("agent", 850)];
const WHOLE: u64 = 1000;

/// What is shown of one boot.
pub(crate) struct Boot {
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    stage: usize,
}

impl Boot {
    /// Follows a network boot from power-on to READY. `download` is what comes over `tap`, in bytes.
    pub(crate) async fn follow(running: &mut Running, tap: &str, download: u64) -> Result<()> {
        let mut boot = Self::new();
        until("the live system to come up", BOOT_LIMIT, async || {
            running.alive()?;
            let text = console::read(&running.machine().console_log)?;
            boot.look(&text, network::sent_to(tap).unwrap_or(0), download);
            Ok(running.guest().is_ready().then_some(()))
        })
        .await?;
        boot.enter(4);
        claims::agent_is_ready(running).await?;
        boot.end(running.uptime());
        Ok(())
    }

    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {msg}")
                .expect("the template is a constant and right")
                .progress_chars("#>-");
            ProgressBar::new(WHOLE).with_style(style)
        });
        let now = Instant::now();
        let mut boot = Self { bar, began: now, last_line: now, stage: 0 };
        boot.say("firmware");
        boot
    }

    fn look(&mut self, console: &str, sent: u64, download: u64) {
        let stage = stage(console, sent, download);
        if stage > self.stage {
            self.enter(stage);
        }
        if self.stage == 1 {
            let done = sent.min(download);
            let place = STAGES[1].1 + (STAGES[2].1 - STAGES[1].1) * done / download.max(1);
            self.place(place, &format!("download {} of {} MB", done / 1_000_000, download / 1_000_000));
        } else {
            self.place(STAGES[self.stage].1, STAGES[self.stage].0);
        }
    }

    fn enter(&mut self, stage: usize) {
        self.stage = stage;
        self.say(STAGES[stage].0);
        self.place(STAGES[stage].1, STAGES[stage].0);
    }

    fn place(&mut self, place: u64, words: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(place);
                bar.set_message(words.to_owned());
            }
            None if self.last_line.elapsed() >= LINE_EVERY => self.say(words),
            None => {}
        }
    }

    fn say(&mut self, words: &str) {
        if self.bar.is_none() {
            self.last_line = Instant::now();
            println!("{:>7.1} s  {words}", self.began.elapsed().as_secs_f64());
        }
    }

    fn end(self, uptime: Duration) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        println!("READY {:.1} s after power-on", uptime.as_secs_f64());
    }
}

/// The furthest stage there is a sign of.
fn stage(console: &str, sent: u64, download: u64) -> usize {
    if console.contains("Reached target") || console.contains("Started ") {
        3
    } else if console.contains("EFI stub") || console.contains("Linux version") {
        2
    } else {
        // A hundredth: more than DHCP needs, less than a blink of the download.
        usize::from(sent > download / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_goes_through_its_stages_in_order() {
        let seen = [
            ("", 0),
            ("BdsDxe", 50),
            ("BdsDxe", 5_000),
            ("EFI stub: Loaded", 9_000),
            ("EFI stub\nReached target", 9_000),
        ];
        assert_eq!(seen.map(|(console, sent)| stage(console, sent, 10_000)), [0, 0, 1, 2, 3]);
    }
}
