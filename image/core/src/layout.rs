//! Where things lie on a disk image: arithmetic on sectors, and GUIDs made from the lock's hash. It writes nothing.

/// Bytes of a sector of the image. 512 is what every firmware reads from a USB stick.
pub const SECTOR: u64 = 512;
/// Partitions start on this boundary: flash erase blocks and RAID stripes divide it.
pub const ALIGN: u64 = 1 << 20;
/// GPT at the end of the disk: 32 sectors of entries and one header.
const BACKUP_SECTORS: u64 = 33;

/// EFI system partition. Source: UEFI 2.10, table 5.7.
pub const ESP_TYPE: Guid = Guid::from_text_order([
    0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
]);
/// Root partition for x86-64. Source: the UAPI group's Discoverable Partitions Specification.
pub const ROOT_TYPE: Guid = Guid::from_text_order([
    0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09,
]);

/// A GUID in the byte order GPT stores (first three groups little-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    const fn from_text_order(text: [u8; 16]) -> Self {
        let t = text;
        Self([t[3], t[2], t[1], t[0], t[5], t[4], t[7], t[6], t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15]])
    }

    /// A GUID (version 8, RFC 9562) from 16 bytes of a digest: the same lock names its disks alike.
    pub fn from_digest(digest: &[u8; 16]) -> Self {
        let mut text = *digest;
        text[6] = (text[6] & 0x0f) | 0x80;
        text[8] = (text[8] & 0x3f) | 0x80;
        Self::from_text_order(text)
    }
}

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let b = &self.0;
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (at, index) in order.into_iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", b[index])?;
        }
        Ok(())
    }
}

/// One partition to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// GPT name.
    pub name: &'static str,
    /// GPT type.
    pub kind: Guid,
    /// The partition's own GUID.
    pub id: Guid,
    /// Bytes; rounded up to [`ALIGN`].
    pub bytes: u64,
}

/// One placed partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What was asked.
    pub wanted: Wanted,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLayout {
    /// The disk's GUID.
    pub id: Guid,
    /// Size of the image in bytes.
    pub bytes: u64,
    /// Partitions in order.
    pub partitions: Vec<Partition>,
}

/// Places partitions one behind the other, each aligned, with room for both copies of the GPT.
pub fn place(id: Guid, wanted: Vec<Wanted>) -> DiskLayout {
    let mut next = ALIGN;
    let partitions = wanted
        .into_iter()
        .map(|wanted| {
            let bytes = wanted.bytes.max(1).next_multiple_of(ALIGN);
            let partition = Partition { wanted, start: next, bytes };
            next += bytes;
            partition
        })
        .collect();
    DiskLayout { id, bytes: (next + BACKUP_SECTORS * SECTOR).next_multiple_of(ALIGN), partitions }
}

/// Bytes an EFI system partition needs for files of this size: FAT tables and directories come on top, and FAT32 has
/// a least number of clusters that every firmware expects.
pub fn esp_bytes(files: u64, asked: u64) -> u64 {
    const LEAST_FAT32: u64 = 34 << 20;
    let needed = files + files / 64 + (2 << 20);
    needed.max(LEAST_FAT32).max(asked).next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::{ALIGN, ESP_TYPE, Guid, ROOT_TYPE, Wanted, esp_bytes, place};

    #[test]
    fn guids_print_as_people_know_them() {
        assert_eq!(ESP_TYPE.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(ROOT_TYPE.to_string(), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
        assert_eq!(Guid::from_digest(&[0xff; 16]).to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }

    #[test]
    fn partitions_are_aligned_and_do_not_touch_the_tables() {
        let wanted = |bytes| Wanted { name: "x", kind: ESP_TYPE, id: Guid([0; 16]), bytes };
        let disk = place(Guid([1; 16]), vec![wanted(ALIGN + 1), wanted(3 * ALIGN)]);
        let spans: Vec<_> = disk.partitions.iter().map(|p| (p.start / ALIGN, p.bytes / ALIGN)).collect();
        assert_eq!(spans, [(1, 2), (3, 3)]);
        assert_eq!(disk.bytes, 7 * ALIGN);
    }

    #[test]
    fn an_esp_holds_its_files_and_is_never_too_small_for_fat32() {
        assert_eq!(esp_bytes(0, 0), 34 << 20);
        assert_eq!(esp_bytes(74 << 20, 64 << 20), 78 << 20);
        assert_eq!(esp_bytes(0, 256 << 20), 256 << 20);
    }
}
