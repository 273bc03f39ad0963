//! Rows in columns that fit a width.
//!
//! It must never draw wider than it was told.

use super::terminal::{Style, columns, ellipsize, one_line, wrap};

/// Between two columns.
const GAP: &str = "  ";
/// A column that gives way keeps at least this.
const LEAST: usize = 8;

/// How a column gives way when the row is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Not at all.
    Whole,
    /// Its end is left out.
    Cut,
    /// The same, once no other column can give way.
    CutLast,
    /// It goes on in the next line. At most one column does.
    Wrap,
}

/// One cell: its text, and how it is painted once it fits.
pub(crate) struct Cell<'a> {
    text: String,
    paint: Box<dyn Fn(&str) -> String + 'a>,
}

impl<'a> Cell<'a> {
    /// A plain cell. Text from outside may be given as it is.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: one_line(text.as_ref()), paint: Box::new(str::to_owned) }
    }

    /// A painted one.
    pub(crate) fn painted(text: impl AsRef<str>, paint: impl Fn(&str) -> String + 'a) -> Self {
        Self { text: one_line(text.as_ref()), paint: Box::new(paint) }
    }
}

/// One row, and what stands below it, indented and wrapped.
pub(crate) struct Row<'a> {
    /// A cell per column.
    pub(crate) cells: Vec<Cell<'a>>,
    /// Empty for nothing.
    pub(crate) below: String,
}

/// Draws the rows under their headings.
pub(crate) fn draw(style: Style, headings: &[(&str, Fit)], rows: &[Row<'_>], indent: usize) -> String {
    let widths = fit(style.width.saturating_sub(indent), headings, rows);
    let mut out = String::new();
    if headings.iter().any(|(heading, _)| !heading.is_empty()) {
        let cells: Vec<Vec<String>> = headings.iter().map(|(heading, _)| vec![(*heading).to_owned()]).collect();
        lines(&mut out, indent, &widths, &cells, |_, text| style.dim(text));
    }
    for row in rows {
        let cells: Vec<Vec<String>> = std::iter::zip(&row.cells, std::iter::zip(headings, &widths))
            .map(|(cell, ((_, fit), width))| match fit {
                Fit::Wrap => wrap(&cell.text, *width),
                Fit::Whole | Fit::Cut | Fit::CutLast => vec![ellipsize(&cell.text, *width)],
            })
            .collect();
        lines(&mut out, indent, &widths, &cells, |column, text| (row.cells[column].paint)(text));
        if !row.below.is_empty() {
            let margin = indent + widths.first().copied().unwrap_or(0) + GAP.len();
            for line in wrap(&one_line(&row.below), style.width.saturating_sub(margin).max(LEAST)) {
                out.push_str(&" ".repeat(margin));
                out.push_str(&style.dim(&line));
                out.push('\n');
            }
        }
    }
    out
}

fn lines(
    out: &mut String,
    indent: usize,
    widths: &[usize],
    cells: &[Vec<String>],
    paint: impl Fn(usize, &str) -> String,
) {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut text = " ".repeat(indent);
        let mut pending = 0;
        for (column, (cell, width)) in std::iter::zip(cells, widths).enumerate() {
            let part = cell.get(line).map_or("", String::as_str);
            if !part.is_empty() {
                text.push_str(&" ".repeat(pending));
                pending = 0;
                text.push_str(&paint(column, part));
            }
            pending += width - columns(part).min(*width) + GAP.len();
        }
        out.push_str(&text);
        out.push('\n');
    }
}

/// The width of each column: its widest cell, less what is missing, taken first from the wrapping column, then from
/// the widest of those that may be cut.
fn fit(width: usize, headings: &[(&str, Fit)], rows: &[Row<'_>]) -> Vec<usize> {
    let mut widths: Vec<usize> = headings.iter().map(|(heading, _)| columns(heading)).collect();
    for row in rows {
        for (column, cell) in row.cells.iter().enumerate() {
            widths[column] = widths[column].max(columns(&cell.text));
        }
    }
    let room = width.saturating_sub(GAP.len() * widths.len().saturating_sub(1));
    // A wrapping column reads badly below a quarter of the line: others give way first.
    let comfortable = width / 4;
    for (give, least) in [(Fit::Wrap, comfortable), (Fit::Cut, LEAST), (Fit::Wrap, LEAST), (Fit::CutLast, LEAST)] {
        loop {
            let over = widths.iter().sum::<usize>().saturating_sub(room);
            let widest = (0..widths.len())
                .filter(|column| headings[*column].1 == give && widths[*column] > least)
                .max_by_key(|column| widths[*column]);
            let (1.., Some(column)) = (over, widest) else { break };
            widths[column] -= 1;
        }
    }
    widths
}
