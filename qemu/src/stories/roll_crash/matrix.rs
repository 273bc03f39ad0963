//! What came of each power cut, as a table that is kept with the story's evidence.
//!
//! It must never show a cell as passed before the node has gone on from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cells::Cell;

/// The file, in the story's directory.
const FILE: &str = "crash-matrix.md";
/// What the words of the table mean.
const HEAD: &str = "# A power cut at every boundary of a node's journal\n\n\
    Before the write: the record's file is flushed and has not its name yet. After the write: its name is flushed, its act \
    has not begun. The act of a phase ends before the write of the next record begins, so that moment is also the one \
    after the act.\n\n\
    | cell | node | phase | power cut | on the disk afterwards | what came of it | until it went on |\n\
    | --- | --- | --- | --- | --- | --- | --- |\n";

/// The table so far.
pub(super) struct Table {
    file: PathBuf,
    text: String,
    all: usize,
    rows: usize,
}

impl Table {
    /// An empty table of so many cells.
    pub(super) fn new(dir: &Path, all: usize) -> Self {
        Self { file: dir.join(FILE), text: HEAD.to_owned(), all, rows: 0 }
    }

    /// Adds a row, keeps the table, and gives the line that is said.
    pub(super) fn add(&mut self, cell: &Cell, found: &str, outcome: &str, took: Duration) -> Result<String> {
        self.rows += 1;
        let (row, when, seconds) = (self.rows, cell.when(), took.as_secs());
        let (node, phase) = (cell.node, cell.phase);
        self.text += &format!("| {row} | {node} | {phase} | {when} | {found} | {outcome} | {seconds} s |\n");
        std::fs::write(&self.file, &self.text).with_context(|| format!("writing {}", self.file.display()))?;
        let all = self.all;
        Ok(format!("cell {row} of {all}: {cell}: power cut; the node came back in phase {found}; {outcome}"))
    }
}
