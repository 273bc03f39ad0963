//! The unified kernel image: sections appended to the systemd stub of the target tree. Arithmetic on bytes only.
//! It must never sign or alter what the stub itself contains, apart from the two counters every loader checks.
//! Format: Microsoft's "PE Format", sections "COFF File Header", "Optional Header", "Section Table".

/// Why a UKI could not be made or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeError {
    /// The file is no PE image, or ends too early.
    #[error("not a PE image: {what}; the stub comes from the package systemd-boot-efi of the image's own tree")]
    NotPe {
        /// What was looked for.
        what: &'static str,
    },
    /// No room for another section header before the first section's data.
    #[error("the stub has room for {room} more sections, {wanted} are needed; use the stub of a newer systemd")]
    NoRoom {
        /// Free headers.
        room: usize,
        /// Sections to append.
        wanted: usize,
    },
    /// A section would not fit into 32-bit addresses.
    #[error("section {name} of {bytes} bytes does not fit into a PE image; make the image smaller")]
    TooBig {
        /// Section name.
        name: String,
        /// Its size.
        bytes: usize,
    },
}

/// One section of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Name, without its padding.
    pub name: String,
    /// Where its bytes begin in the file.
    pub offset: usize,
    /// How many bytes it has, without alignment padding.
    pub size: usize,
    address: u32,
}

/// Order in which the stub measures sections into PCR 11, as far as we write them. Source: systemd 257, `src/fundamental/uki.h`.
pub const MEASURED: [&str; 7] = [".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".uname", ".sbat"];

const HEADER_BYTES: usize = 40;
const READABLE_DATA: u32 = 0x4000_0040;

struct Headers {
    coff: usize,
    optional: usize,
    table: usize,
    count: usize,
    section_alignment: u32,
    file_alignment: u32,
    headers_end: usize,
}

/// Appends sections to a stub, in the order given.
pub fn append(stub: &[u8], sections: &[(&str, &[u8])]) -> Result<Vec<u8>, PeError> {
    let headers = headers(stub)?;
    let present = read(stub)?;
    let free = headers.headers_end.saturating_sub(headers.table + headers.count * HEADER_BYTES) / HEADER_BYTES;
    if free < sections.len() {
        return Err(PeError::NoRoom { room: free, wanted: sections.len() });
    }
    let mut out = stub.to_vec();
    let mut address = present
        .iter()
        .filter_map(|section| Some(u64::from(section.address) + u64::try_from(section.size).ok()?))
        .max()
        .unwrap_or(0)
        .next_multiple_of(u64::from(headers.section_alignment));
    let align = usize::try_from(headers.file_alignment).map_err(|_| PeError::NotPe { what: "its file alignment" })?;
    for (index, (name, bytes)) in sections.iter().enumerate() {
        let too_big = || PeError::TooBig { name: (*name).to_owned(), bytes: bytes.len() };
        out.resize(out.len().next_multiple_of(align), 0);
        let offset = u32::try_from(out.len()).map_err(|_| too_big())?;
        let size = u32::try_from(bytes.len()).map_err(|_| too_big())?;
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(align), 0);
        let raw = u32::try_from(out.len()).map_err(|_| too_big())? - offset;
        let mut header = [0_u8; HEADER_BYTES];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[8..12].copy_from_slice(&size.to_le_bytes());
        header[12..16].copy_from_slice(&u32::try_from(address).map_err(|_| too_big())?.to_le_bytes());
        header[16..20].copy_from_slice(&raw.to_le_bytes());
        header[20..24].copy_from_slice(&offset.to_le_bytes());
        header[36..40].copy_from_slice(&READABLE_DATA.to_le_bytes());
        let at = headers.table + (headers.count + index) * HEADER_BYTES;
        out[at..at + HEADER_BYTES].copy_from_slice(&header);
        address = (address + u64::from(size)).next_multiple_of(u64::from(headers.section_alignment));
    }
    let count =
        u16::try_from(headers.count + sections.len()).map_err(|_| PeError::NotPe { what: "its section count" })?;
    out[headers.coff + 2..headers.coff + 4].copy_from_slice(&count.to_le_bytes());
    let image = u32::try_from(address).map_err(|_| PeError::TooBig { name: "image".to_owned(), bytes: out.len() })?;
    out[headers.optional + 56..headers.optional + 60].copy_from_slice(&image.to_le_bytes());
    Ok(out)
}

/// Lists the sections of an image.
pub fn read(image: &[u8]) -> Result<Vec<Section>, PeError> {
    let headers = headers(image)?;
    (0..headers.count)
        .map(|index| {
            let at = headers.table + index * HEADER_BYTES;
            let name = image.get(at..at + 8).ok_or(PeError::NotPe { what: "a section header" })?;
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            let virtual_size = word(image, at + 8, "a section size")? as usize;
            let raw_size = word(image, at + 16, "a section size")? as usize;
            let offset = word(image, at + 20, "a section offset")? as usize;
            let size = virtual_size.min(raw_size);
            image.get(offset..offset + size).ok_or(PeError::NotPe { what: "the bytes of a section" })?;
            Ok(Section { name, offset, size, address: word(image, at + 12, "a section address")? })
        })
        .collect()
}

fn headers(image: &[u8]) -> Result<Headers, PeError> {
    if image.get(..2) != Some(b"MZ") {
        return Err(PeError::NotPe { what: "the MZ mark" });
    }
    let start = word(image, 0x3c, "the header's address")? as usize;
    if image.get(start..start + 4) != Some(b"PE\0\0") {
        return Err(PeError::NotPe { what: "the PE mark" });
    }
    let coff = start + 4;
    let optional = coff + 20;
    let half = |at: usize, what| {
        image.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))).ok_or(PeError::NotPe { what })
    };
    let section_alignment = word(image, optional + 32, "the section alignment")?;
    let file_alignment = word(image, optional + 36, "the file alignment")?;
    if !section_alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
        return Err(PeError::NotPe { what: "alignments that are powers of two" });
    }
    Ok(Headers {
        coff,
        optional,
        table: optional + half(coff + 16, "the optional header")?,
        count: half(coff + 2, "the section count")?,
        section_alignment,
        file_alignment,
        headers_end: word(image, optional + 60, "the size of the headers")? as usize,
    })
}

fn word(image: &[u8], at: usize, what: &'static str) -> Result<u32, PeError> {
    let bytes = image.get(at..at + 4).ok_or(PeError::NotPe { what })?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use super::{PeError, append, read};

    /// A stub with one section `.text` of 5 bytes at file offset 512, address 4096, and room for `room` more headers.
    fn stub(room: usize) -> Vec<u8> {
        let mut image = vec![0_u8; 512];
        let (start, table) = (0x40, 0x40 + 24 + 0x70);
        image[..2].copy_from_slice(b"MZ");
        image[0x3c] = 0x40;
        image[start..start + 4].copy_from_slice(b"PE\0\0");
        image[start + 6] = 1;
        image[start + 20] = 0x70;
        image[start + 24 + 32..start + 24 + 36].copy_from_slice(&4096_u32.to_le_bytes());
        image[start + 24 + 36..start + 24 + 40].copy_from_slice(&512_u32.to_le_bytes());
        let end = u32::try_from(table + (1 + room) * 40).unwrap();
        image[start + 24 + 60..start + 24 + 64].copy_from_slice(&end.to_le_bytes());
        image[table..table + 5].copy_from_slice(b".text");
        for (at, value) in [(8, 5_u32), (12, 4096), (16, 512), (20, 512)] {
            image[table + at..table + at + 4].copy_from_slice(&value.to_le_bytes());
        }
        image.extend_from_slice(b"hello");
        image.resize(1024, 0);
        image
    }

    #[test]
    fn appended_sections_are_found_again_byte_for_byte() {
        let kernel = vec![7_u8; 5000];
        let image = append(&stub(2), &[(".cmdline", b"quiet"), (".linux", &kernel)]).unwrap();
        let sections = read(&image).unwrap();
        let names: Vec<_> = sections.iter().map(|section| (section.name.as_str(), section.address)).collect();
        assert_eq!(names, [(".text", 4096), (".cmdline", 8192), (".linux", 12288)]);
        assert_eq!(&image[sections[1].offset..sections[1].offset + sections[1].size], b"quiet");
        assert_eq!(&image[sections[2].offset..sections[2].offset + sections[2].size], kernel);
        assert_eq!(super::word(&image, 0x40 + 24 + 56, "").unwrap(), 12288 + 8192);
    }

    #[test]
    fn a_full_header_table_is_refused() {
        let error = append(&stub(1), &[(".a", b"1"), (".b", b"2")]).unwrap_err();
        assert_eq!(error, PeError::NoRoom { room: 1, wanted: 2 });
    }

    #[test]
    fn what_is_not_a_pe_image_is_refused() {
        assert!(matches!(read(b"\x7fELF"), Err(PeError::NotPe { what: "the MZ mark" })));
        assert!(read(&stub(1)[..514]).is_err());
    }
}
