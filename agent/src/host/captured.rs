//! For tests: a machine captured as one text file, unpacked into a directory that a [`Host`] can stand on.
//!
//! One line per entry: `f PATH<TAB>BYTES` for a file (`\n`, `\t`, `\\` and `\xHH` escaped), `l PATH<TAB>TARGET` for a
//! symbolic link. How the trees were captured is told in `tests/fixtures/README.md`.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Host;

/// A q35 machine of QEMU 10 with SATA, NVMe, virtio, virtio-scsi and USB disks, an empty optical drive, a bond.
pub(crate) const Q35: &str = include_str!("../../tests/fixtures/trees/qemu-q35.tree");

/// An unpacked tree; removed when dropped.
pub(crate) struct Captured {
    dir: TempDir,
}

impl Captured {
    pub(crate) fn unpack(tree: &str) -> Self {
        let captured = Self { dir: TempDir::new().unwrap() };
        captured.add(tree);
        captured
    }

    /// Unpacks more into it.
    pub(crate) fn add(&self, tree: &str) {
        for line in tree.lines() {
            let (entry, value) = line.split_once('\t').unwrap();
            let (kind, path) = entry.split_once(' ').unwrap();
            match kind {
                "f" => self.write(path, &unescaped(value)),
                "l" => self.link(path, value),
                other => panic!("unknown kind of entry {other:?}"),
            }
        }
    }

    pub(crate) fn empty() -> Self {
        Self::unpack("")
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.dir.path())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// The plain files of the tree, sorted.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => dirs.push(entry.path()),
                    kind if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        files.sort();
        files
    }

    /// A message with the place of this tree taken out, so that it can be compared.
    pub(crate) fn plain(&self, message: impl std::fmt::Display) -> String {
        let root = Path::new(self.dir.path()).display().to_string();
        message.to_string().replace(&root, "")
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => panic!("unknown escape \\{}", other as char),
        }
    }
    bytes
}
