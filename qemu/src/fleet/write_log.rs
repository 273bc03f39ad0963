//! A disk that forgets, at a power cut, what the guest had not flushed. QEMU writes every request to a log beside the
//! disk (`blklogwrites`, the format of Linux' dm-log-writes); after a cut the disk is made again from what it was at
//! power-on and the log up to its last flush.
//!
//! It must never replay a request that came after the last flush.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, find};

/// Copies a sparse file of a gigabyte or two.
const COPY_LIMIT: Duration = Duration::from_secs(120);
/// First word of a log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// The version of the format QEMU writes.
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Room for the header of an entry: four words.
const HEADER: usize = 32;

/// A disk with its log.
pub(super) struct Strict {
    dir: PathBuf,
}

impl Strict {
    /// A whole copy of `image` in `dir`.
    pub(super) async fn over(image: &Path, dir: &Path) -> Result<Self> {
        let strict = Self { dir: dir.to_owned() };
        copy(image, &strict.base()).await?;
        copy(image, &strict.disk()).await?;
        Ok(strict)
    }

    /// What the machine runs on.
    pub(super) fn disk(&self) -> PathBuf {
        self.dir.join("system.raw")
    }

    /// Where QEMU writes its requests.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("system.log")
    }

    fn base(&self) -> PathBuf {
        self.dir.join("system.base")
    }

    /// Before a power-on: an empty log.
    pub(super) fn begin(&self) -> Result<()> {
        let log = self.log();
        File::create(&log).with_context(|| format!("emptying {}", log.display()))?;
        Ok(())
    }

    /// After a power cut: both copies become what was flushed.
    pub(super) async fn cut(&self) -> Result<()> {
        let log = File::open(self.log()).context("opening the log of a disk")?;
        let log = Log::read(&log)?;
        log.replay(log.flushed(), &write(&self.base())?)?;
        // Whole, because a request may have reached the disk and not yet the log.
        copy(&self.base(), &self.disk()).await
    }
}

/// What a log says, without its data.
struct Log<'f> {
    file: &'f File,
    entries: Vec<Entry>,
}

/// One request, in bytes of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: u64,
    bytes: u64,
    flags: u64,
    /// Where its data lies in the log.
    data: u64,
}

impl<'f> Log<'f> {
    fn read(file: &'f File) -> Result<Self> {
        if file.metadata().context("looking at a disk's log")?.len() == 0 {
            // The guest has not flushed once.
            return Ok(Self { file, entries: Vec::new() });
        }
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0).context("reading the head of a disk's log")?;
        ensure!(word(&head, 0) == MAGIC && word(&head, 8) == VERSION, "the log of a disk has another format");
        let count = word(&head, 16);
        let sector = u64::from(u32::from_le_bytes(head[24..28].try_into().expect("four bytes")));
        ensure!(sector >= 512 && sector.is_power_of_two(), "the log of a disk has sectors of {sector} bytes");
        let mut entries = Vec::new();
        let mut place = sector;
        for _ in 0..count {
            let mut header = [0; HEADER];
            file.read_exact_at(&mut header, place).context("reading a disk's log")?;
            let flags = word(&header, 16);
            let bytes = word(&header, 8) * sector;
            let data = place + sector;
            entries.push(Entry { at: word(&header, 0) * sector, bytes, flags, data });
            place = data + if flags & DISCARD == 0 { bytes } else { 0 };
        }
        Ok(Self { file, entries })
    }

    /// How many of the entries are certain: all up to the last flush.
    fn flushed(&self) -> usize {
        self.entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |last| last + 1)
    }

    fn replay(&self, count: usize, disk: &File) -> Result<()> {
        for entry in &self.entries[..count] {
            let mut data = vec![0; usize::try_from(entry.bytes).context("a request fits into memory")?];
            if entry.flags & DISCARD == 0 {
                self.file.read_exact_at(&mut data, entry.data).context("reading a disk's log")?;
            }
            disk.write_all_at(&data, entry.at).context("writing what was flushed")?;
        }
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn write(path: &Path) -> Result<File> {
    File::options().read(true).write(true).open(path).with_context(|| format!("opening {}", path.display()))
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let cp = find("cp").context("finding cp")?;
    let run = Run::new(cp, COPY_LIMIT).arg("--sparse=always").arg(from).arg(to);
    run.success().await.with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real QEMU wrote before it was killed: one request flushed, two not.
    #[tokio::test]
    async fn a_cut_keeps_what_was_flushed_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("hardstand-lab-write-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let image = dir.join("image");
        File::create(&image).unwrap().set_len(1 << 20).unwrap();
        let strict = Strict::over(&image, &dir).await.unwrap();
        strict.begin().unwrap();
        strict.cut().await.unwrap();
        strict.begin().unwrap();
        let disk = format!(
            "driver=blklogwrites,file.driver=raw,file.file.driver=file,file.file.filename={},log.driver=file,\
             log.filename={},log-super-update-interval=4294967295",
            strict.disk().display(),
            strict.log().display()
        );
        let qemu_io = find("qemu-io").unwrap();
        let run = Run::new(qemu_io, Duration::from_secs(60)).args(["-t", "writeback", "--image-opts", &disk]);
        let steps = ["write -P 1 0 8k", "flush", "write -P 2 64k 4k", "write -P 3 0 4k", "sigraise 9"];
        let ended = steps.iter().fold(run, |run, step| run.args(["-c", step])).output().await.unwrap();
        assert_eq!(ended.status, "signal 9");
        let at = |place: u64| {
            let mut byte = [0];
            write(&strict.disk()).unwrap().read_exact_at(&mut byte, place).unwrap();
            byte[0]
        };
        assert_eq!((at(0), at(4096), at(64 << 10)), (3, 1, 2), "the disk holds what QEMU was told");
        strict.cut().await.unwrap();
        assert_eq!((at(0), at(4096), at(64 << 10)), (1, 1, 0), "the disk holds what was flushed");
        strict.begin().unwrap();
        strict.cut().await.unwrap();
        assert_eq!((at(0), at(4096)), (1, 1), "a cut without a request changes nothing");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
