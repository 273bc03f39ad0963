//! The SMBIOS table of the firmware: memory devices (type 17).
//!
//! It must never trust a length in the table: firmware writes wrong ones.

use hardstand_core::observed::Dimm;

use crate::host::{Host, HostError};

/// Where the kernel shows the table, to root alone.
const TABLE: &str = "sys/firmware/dmi/tables/DMI";
const MEMORY_DEVICE: u8 = 17;
const END_OF_TABLE: u8 = 127;
/// Type, length and handle.
const HEADER: usize = 4;
/// What boards write into a text field when they have nothing to say.
const PLACEHOLDERS: [&str; 12] = [
    "unknown",
    "not specified",
    "none",
    "no dimm",
    "[empty]",
    "undefined",
    "n/a",
    "default string",
    "system serial number",
    "system product name",
    "system manufacturer",
    "to be filled by o.e.m.",
];

/// Whether a text of the firmware is more than what boards write when nobody filled it in.
pub(crate) fn says_something(text: &str) -> bool {
    !text.is_empty() && !PLACEHOLDERS.contains(&text.to_lowercase().as_str())
}

/// Reads the memory slots.
///
/// # Errors
/// The table cannot be read (only root may) or a structure runs past its end.
pub(crate) fn dimms(host: &Host) -> Result<Vec<Dimm>, HostError> {
    let path = host.path(TABLE);
    let table = std::fs::read(&path).map_err(|source| HostError::Read { path, source })?;
    parse_dimms(&table)
}

/// Parses a whole SMBIOS table.
pub(crate) fn parse_dimms(table: &[u8]) -> Result<Vec<Dimm>, HostError> {
    let mut dimms = Vec::new();
    let mut at = 0;
    while let Some((structure, next)) = structure(table, at)? {
        match structure.kind() {
            END_OF_TABLE => break,
            MEMORY_DEVICE => dimms.push(structure.dimm()),
            _ => {}
        }
        at = next;
    }
    Ok(dimms)
}

struct Structure<'a> {
    formatted: &'a [u8],
    strings: &'a [u8],
}

/// The structure at a place and the place of the next one; `None` at the end of the table.
fn structure(table: &[u8], at: usize) -> Result<Option<(Structure<'_>, usize)>, HostError> {
    let bad = |why: String| HostError::Parse { what: "the SMBIOS table".to_owned(), why };
    let Some(rest) = table.get(at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    let past_end = || bad(format!("the structure at byte {at} runs past the end of the table"));
    let length = usize::from(*rest.get(1).ok_or_else(past_end)?);
    if length < HEADER {
        return Err(bad(format!("the structure at byte {at} is {length} bytes long, less than its header")));
    }
    let formatted = rest.get(..length).ok_or_else(past_end)?;
    let after = &rest[length..];
    // Strings end with a NUL each and the set with one more; an empty set is two NULs.
    let end = after.windows(2).position(|pair| pair == [0, 0]).ok_or_else(past_end)?;
    Ok(Some((Structure { formatted, strings: &after[..end] }, at + length + end + 2)))
}

impl Structure<'_> {
    fn kind(&self) -> u8 {
        self.formatted[0]
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        self.formatted.get(offset).copied()
    }

    fn word(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte(offset)?, self.byte(offset + 1)?]))
    }

    fn double(&self, offset: usize) -> Option<u32> {
        Some(u32::from(self.word(offset)?) | u32::from(self.word(offset + 2)?) << 16)
    }

    /// Strings are counted from 1; 0 is none.
    fn string(&self, offset: usize) -> Option<String> {
        let index = usize::from(self.byte(offset)?).checked_sub(1)?;
        let bytes = self.strings.split(|byte| *byte == 0).nth(index)?;
        let text = String::from_utf8_lossy(bytes);
        says_something(text.trim()).then(|| text.trim().to_owned())
    }

    fn dimm(&self) -> Dimm {
        Dimm {
            locator: self.string(0x10).unwrap_or_default(),
            bank: self.string(0x11).unwrap_or_default(),
            size_bytes: self.size_bytes(),
            kind: self.byte(0x12).map(memory_kind).unwrap_or_default(),
            // The configured speed; older tables have only the module's own.
            speed_mts: self.speed(0x20, 0x58).or_else(|| self.speed(0x15, 0x54)),
            manufacturer: self.string(0x17),
            part_number: self.string(0x1a),
            serial: self.string(0x18),
        }
    }

    /// 0 is an empty slot; so is "unknown" (0xffff), which only boards with nothing in the slot write.
    fn size_bytes(&self) -> u64 {
        match self.word(0x0c) {
            None | Some(0 | 0xffff) => 0,
            Some(0x7fff) => self.double(0x1c).map_or(0, |mebibytes| u64::from(mebibytes & 0x7fff_ffff) << 20),
            Some(kibibytes) if kibibytes & 0x8000 != 0 => u64::from(kibibytes & 0x7fff) << 10,
            Some(mebibytes) => u64::from(mebibytes) << 20,
        }
    }

    fn speed(&self, offset: usize, extended: usize) -> Option<u32> {
        match self.word(offset)? {
            0 => None,
            0xffff => self.double(extended).filter(|speed| *speed != 0),
            speed => Some(u32::from(speed)),
        }
    }
}

fn memory_kind(code: u8) -> String {
    let name = match code {
        0x01 | 0x02 => "",
        0x03 => "DRAM",
        0x07 => "RAM",
        0x0f => "SDRAM",
        0x12 => "DDR",
        0x13 => "DDR2",
        0x14 => "DDR2 FB-DIMM",
        0x18 => "DDR3",
        0x1a => "DDR4",
        0x1b => "LPDDR",
        0x1c => "LPDDR2",
        0x1d => "LPDDR3",
        0x1e => "LPDDR4",
        0x1f => "non-volatile",
        0x20 => "HBM",
        0x21 => "HBM2",
        0x22 => "DDR5",
        0x23 => "LPDDR5",
        0x24 => "HBM3",
        other => return format!("type {other:#04x}"),
    };
    name.to_owned()
}
