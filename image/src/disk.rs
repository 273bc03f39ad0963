//! The disk image: GPT and partitions put into one sparse file. It writes image files only, never a block device.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use gptman::{GPT, GPTPartitionEntry};
use hardstand_recipe::layout::{DiskLayout, SECTOR};

use crate::problem::{Doing, Problem};
use crate::progress::Progress;

/// Copied at once; a piece of zeros becomes a hole.
const PIECE: usize = 256 << 10;

/// Writes the image: tables by the layout, then each partition's content from its file.
pub(crate) fn assemble(image: &Path, layout: &DiskLayout, contents: &[&Path]) -> Result<(), Problem> {
    let doing = || format!("writing {}", image.display());
    let gpt_doing = |source| Problem::Gpt { file: image.display().to_string(), source };
    let mut disk = File::options().read(true).write(true).create_new(true).open(image).doing(doing)?;
    disk.set_len(layout.bytes).doing(doing)?;
    let mut gpt = GPT::new_from(&mut disk, SECTOR, layout.id.0).map_err(gpt_doing)?;
    for (number, partition) in (1_u32..).zip(&layout.partitions) {
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: partition.wanted.kind.0,
            unique_partition_guid: partition.wanted.id.0,
            starting_lba: partition.start / SECTOR,
            ending_lba: (partition.start + partition.bytes) / SECTOR - 1,
            attribute_bits: 0,
            partition_name: partition.wanted.name.into(),
        };
    }
    gpt.write_into(&mut disk).map_err(gpt_doing)?;
    GPT::write_protective_mbr_into(&mut disk, SECTOR).map_err(gpt_doing)?;
    let mut progress = Progress::new("writing disk.img", layout.partitions.iter().map(|part| part.bytes).sum());
    for (partition, content) in layout.partitions.iter().zip(contents) {
        copy_sparse(content, &mut disk, partition.start, &mut progress)?;
    }
    disk.sync_all().doing(doing)?;
    progress.end();
    Ok(())
}

fn copy_sparse(from: &Path, disk: &mut File, start: u64, progress: &mut Progress) -> Result<(), Problem> {
    let doing = || format!("copying {} into the disk image", from.display());
    let mut source = File::open(from).doing(doing)?;
    let size = source.metadata().doing(doing)?.len();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        // Most of a file system image is a hole; reading it as zeros would take longest of all.
        let data = next_data(&source, at).doing(doing)?.unwrap_or(size).min(size);
        progress.add(data - at);
        at = data;
        source.seek(SeekFrom::Start(at)).doing(doing)?;
        let read = source.read(&mut piece).doing(doing)?;
        if read == 0 {
            // A hole at the end has no data to read.
            progress.add(size - at);
            return Ok(());
        }
        if piece[..read].iter().any(|&byte| byte != 0) {
            disk.seek(SeekFrom::Start(start + at)).doing(doing)?;
            disk.write_all(&piece[..read]).doing(doing)?;
        }
        at += read as u64;
        progress.add(read as u64);
    }
    Ok(())
}

/// Where data begins at or after `offset`; `None` when only a hole follows.
fn next_data(file: &File, offset: u64) -> std::io::Result<Option<u64>> {
    let at = i64::try_from(offset).map_err(std::io::Error::other)?;
    match nix::unistd::lseek(file, at, nix::unistd::Whence::SeekData) {
        Ok(found) => u64::try_from(found).map(Some).map_err(std::io::Error::other),
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        // A file system that does not know holes has data everywhere.
        Err(nix::errno::Errno::EINVAL) => Ok(Some(offset)),
        Err(error) => Err(error.into()),
    }
}
