//! Reads files of paragraphs (deb822) line by line: dpkg's status, apt's lists, Release files.
//!
//! It must never hold more than one line and the wanted fields: lists are 50 MB and more.

use std::io::{BufRead, Read};

/// Longest line that is believed, in bytes. The longest real ones (dependencies, provides) are some 50 kB.
const LINE_LIMIT: u64 = 1 << 20;

/// Why a file of paragraphs cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParagraphError {
    /// Reading failed.
    #[error("line {line}: {source}")]
    Read {
        /// Counted from 1.
        line: u64,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line has not the form `Name: value`.
    #[error("line {line}: {why}")]
    Form {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// Calls `each` with the wanted fields of every paragraph, in the order of `wanted`; one that is not there is empty.
/// Only a field's first line is kept. `each` says whether to go on.
pub(super) fn read_paragraphs<const N: usize>(
    mut reader: impl BufRead,
    wanted: [&str; N],
    mut each: impl FnMut(&[String; N]) -> Result<bool, String>,
) -> Result<(), ParagraphError> {
    let mut values = [const { String::new() }; N];
    let (mut buffer, mut number, mut any) = (Vec::new(), 0_u64, false);
    loop {
        buffer.clear();
        number += 1;
        let limited = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut buffer);
        let read = limited.map_err(|source| ParagraphError::Read { line: number, source })?;
        let line = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
        if line.len() as u64 >= LINE_LIMIT {
            return Err(ParagraphError::Form { line: number, why: format!("longer than {LINE_LIMIT} bytes") });
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            keep(line, wanted, &mut values).map_err(|why| ParagraphError::Form { line: number, why })?;
            any = true;
        } else if any {
            let on = each(&values).map_err(|why| ParagraphError::Form { line: number, why })?;
            values.iter_mut().for_each(String::clear);
            any = false;
            if !on {
                return Ok(());
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Keeps a line's value if its field is wanted.
fn keep<const N: usize>(line: &[u8], wanted: [&str; N], values: &mut [String; N]) -> Result<(), String> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Ok(());
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let Some(colon) = colon.filter(|colon| *colon > 0) else {
        let shown: String = String::from_utf8_lossy(line).chars().take(60).collect();
        return Err(format!("no `Name: value`: {shown:?}"));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if let Some(at) = wanted.iter().position(|field| name.eq_ignore_ascii_case(field.as_bytes())) {
        values[at].clear();
        values[at].push_str(String::from_utf8_lossy(value).trim());
    }
    Ok(())
}
