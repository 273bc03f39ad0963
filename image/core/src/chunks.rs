//! Hashes of pieces of a file, so that "it is wrong" becomes "these bytes are wrong". Arithmetic only: who hashes is the
//! edge. The pieces serve to find a fault; the proof is always the hash of the whole file.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Hex digits kept of each piece's SHA-256: enough to point at a fault, short enough to keep for every piece.
pub const DIGITS: usize = 16;
/// Most pieces of a file; keeps the list of a 3 GiB disk image below 64 kB.
const MOST: u64 = 4096;
/// Smallest piece.
const SMALLEST: u64 = 512;

/// The pieces of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunks {
    /// Path inside the image directory.
    pub file: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// Size of a piece in bytes; the last may be shorter.
    pub chunk_bytes: u64,
    /// [`DIGITS`] hex digits for each piece, in order.
    pub sums: String,
}

/// The piece size for a file: a power of two that gives at most 4096 pieces.
pub fn chunk_bytes(size: u64) -> u64 {
    size.div_ceil(MOST).next_power_of_two().max(SMALLEST)
}

/// Byte ranges in which the found pieces differ from the recorded ones; neighbours are joined.
pub fn differing(recorded: &Chunks, found: &Chunks) -> Vec<Range<u64>> {
    let pieces = |sums: &str| sums.as_bytes().chunks(DIGITS).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (old, new) = (pieces(&recorded.sums), pieces(&found.sums));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (index, piece) in (0_u64..).zip(&old) {
        let start = index * recorded.chunk_bytes;
        if usize::try_from(index).ok().and_then(|index| new.get(index)) == Some(piece) {
            continue;
        }
        let end = (start + recorded.chunk_bytes).min(recorded.size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::{Chunks, chunk_bytes, differing};

    fn chunks(size: u64, sums: &[&str]) -> Chunks {
        let sums = sums.iter().map(|sum| sum.repeat(16)).collect();
        Chunks { file: "x".to_owned(), size, chunk_bytes: 512, sums }
    }

    #[test]
    fn piece_sizes_are_powers_of_two_and_bounded() {
        assert_eq!(chunk_bytes(0), 512);
        assert_eq!(chunk_bytes(512 * 4096), 512);
        assert_eq!(chunk_bytes(512 * 4096 + 1), 1024);
        assert_eq!(chunk_bytes(3 << 30), 1 << 20);
    }

    #[test]
    fn neighbouring_faults_are_one_range_and_the_last_piece_is_short() {
        let old = chunks(2100, &["a", "b", "c", "d", "e"]);
        assert_eq!(differing(&old, &old), []);
        assert_eq!(differing(&old, &chunks(2100, &["a", "x", "y", "d", "z"])), [512..1536, 2048..2100]);
        assert_eq!(differing(&old, &chunks(600, &["a", "b"])), [Range { start: 1024, end: 2100 }]);
    }

    use std::ops::Range;
}
