//! Progress with bytes and time left: a bar on a terminal, plain lines elsewhere. It only shows; it decides nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use hardstand_recipe::size;
use indicatif::{ProgressBar, ProgressStyle};

/// Silence on a log longer than this looks like a hang.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// One piece of work measured in bytes.
pub(crate) struct Progress {
    label: String,
    total: u64,
    done: u64,
    began: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts to show `label`; `total` in bytes.
    pub(crate) fn new(label: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:28} [{bar:24}] {bytes}/{total_bytes} {eta} left")
                .expect("the template is a constant and right")
                .progress_chars("#>-");
            let bar = ProgressBar::new(total).with_style(style).with_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Self { label: label.to_owned(), total, done: 0, began: now, last_line: now, bar }
    }

    /// Counts bytes that are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done = (self.done + bytes).min(self.total);
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                say(&format!(
                    "{}: {} of {}{}",
                    self.label,
                    size::words(self.done),
                    size::words(self.total),
                    self.left()
                ));
            }
            None => {}
        }
    }

    /// Ends it with one line that stays.
    pub(crate) fn end(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = self.began.elapsed().as_millis();
        say(&format!("{}: {} in {}.{} s", self.label, size::words(self.total), took / 1000, took % 1000 / 100));
    }

    fn left(&self) -> String {
        let passed = self.began.elapsed().as_secs();
        match (passed * (self.total - self.done)).checked_div(self.done) {
            Some(seconds) => format!(", about {seconds} s left"),
            None => String::new(),
        }
    }
}

/// One line for the operator.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
