//! The seal: manifest, SBOM, hashes of pieces, checksums and their signature. Everything but the signature is made from
//! the outputs and the plan alone, so that two builds seal alike.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use hardstand_recipe::chunks::{self, Chunks};
use hardstand_recipe::layout::DiskLayout;
use hardstand_recipe::manifest::{self, Artefact, Manifest, Package, Part, TreeFile};
use hardstand_recipe::pe;
use hardstand_recipe::plan::Plan;
use hardstand_recipe::sbom;
use hardstand_recipe::tree::{Kind, Tree};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::date;
use crate::files;
use crate::pcr;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;
use crate::sign;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SBOM: &str = "sbom.spdx.json";
pub(crate) const CHUNKS: &str = "chunks.json";
pub(crate) const SUMS: &str = "SHA256SUMS";
pub(crate) const SIGNATURE: &str = "SHA256SUMS.minisig";
pub(crate) const PUBLIC_KEY: &str = "minisign.pub";
/// What the seal says about an image beside its bytes.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) lock_sha256: String,
    pub(crate) kernel: &'a str,
    pub(crate) tree: &'a Tree,
    pub(crate) layout: Option<&'a DiskLayout>,
}

/// Writes all parts of the seal into the output directory.
pub(crate) fn seal(dir: &Path, facts: &Facts<'_>) -> Result<(), Problem> {
    let names = outputs(dir)?;
    let mut total = 0;
    for name in &names {
        total += size_of(&dir.join(name))?;
    }
    let mut progress = Progress::new("sealing", total);
    let mut artefacts = Vec::new();
    let mut pieces = Vec::new();
    for name in names {
        let (sha256, chunks) = hash(dir, &name, |bytes| progress.add(bytes))?;
        artefacts.push(Artefact { file: name, size: chunks.size, sha256, contains: Vec::new() });
        pieces.push(chunks);
    }
    progress.end();
    let uki = files::read(&dir.join("uki.efi"))?;
    contained(dir, &uki, &mut artefacts, facts.layout)?;
    let manifest = Manifest {
        schema: manifest::SCHEMA.to_owned(),
        recipe: facts.plan.recipe.clone(),
        clock: facts.plan.clock,
        lock_sha256: facts.lock_sha256.clone(),
        kernel: facts.kernel.to_owned(),
        cmdline: facts.plan.cmdline.clone(),
        pcr11_sha256: pcr::expected(&uki)?,
        artefacts,
        packages: facts.plan.install.iter().map(package).collect(),
        tree: facts.tree.iter().filter_map(|(path, node)| tree_file(path, node)).collect(),
    };
    write_json(&dir.join(MANIFEST), &manifest)?;
    write_json(&dir.join(SBOM), &sbom_of(&manifest))?;
    let mut lines: Vec<_> = manifest.artefacts.iter().map(|one| (one.file.clone(), one.sha256.clone())).collect();
    for name in [MANIFEST, SBOM] {
        let (sha256, chunks) = hash(dir, name, |_| {})?;
        lines.push((name.to_owned(), sha256));
        pieces.push(chunks);
    }
    write_json(&dir.join(CHUNKS), &pieces)?;
    lines.push((CHUNKS.to_owned(), files::sha256_file(&dir.join(CHUNKS))?.0));
    lines.sort();
    let sums: String = lines.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
    files::write(&dir.join(SUMS), sums.as_bytes())?;
    let comment = format!("recipe:{} clock:{}", facts.plan.recipe, facts.plan.clock);
    let (signature, public) = sign::sign(sums.as_bytes(), &comment)?;
    files::write(&dir.join(SIGNATURE), signature.as_bytes())?;
    files::write(&dir.join(PUBLIC_KEY), public.as_bytes())
}

/// The SBOM of an image.
pub(crate) fn sbom_of(manifest: &Manifest) -> sbom::Document {
    let tool = concat!("hardstand-image-", env!("CARGO_PKG_VERSION"));
    sbom::document(manifest, &date::rfc3339(manifest.clock), tool)
}

/// SHA-256 of a file and of its pieces, in one pass.
pub(crate) fn hash(dir: &Path, name: &str, mut tell: impl FnMut(u64)) -> Result<(String, Chunks), Problem> {
    let path = dir.join(name);
    let doing = || format!("reading {}", path.display());
    let size = size_of(&path)?;
    let chunk_bytes = chunks::chunk_bytes(size);
    let mut file = File::open(&path).doing(doing)?;
    let mut whole = Sha256::new();
    let mut sums = String::new();
    let mut piece = vec![0; usize::try_from(chunk_bytes).unwrap_or(usize::MAX)];
    let zeros = chunk_sum(&piece);
    loop {
        let read = fill(&mut file, &mut piece).doing(doing)?;
        if read == 0 {
            break;
        }
        whole.update(&piece[..read]);
        // Disk images are mostly zeros; looking is much cheaper than hashing a second time.
        let empty = read == piece.len() && piece.iter().all(|&byte| byte == 0);
        sums.push_str(&if empty { zeros.clone() } else { chunk_sum(&piece[..read]) });
        tell(read as u64);
    }
    Ok((files::hex(&whole.finalize()), Chunks { file: name.to_owned(), size, chunk_bytes, sums }))
}

/// What is recorded of one piece.
pub(crate) fn chunk_sum(piece: &[u8]) -> String {
    files::sha256(piece)[..chunks::DIGITS].to_owned()
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Every file of an image directory that carries content, by its path inside it, sorted.
pub(crate) fn outputs(dir: &Path) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for (sub, prefix) in [(dir.to_owned(), ""), (dir.join("netboot"), "netboot/")] {
        if !sub.is_dir() {
            continue;
        }
        let doing = || format!("listing {}", sub.display());
        for entry in std::fs::read_dir(&sub).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let of_the_seal = [MANIFEST, SBOM, CHUNKS, SUMS, SIGNATURE, PUBLIC_KEY].contains(&name.as_str());
            if entry.file_type().doing(doing)?.is_file() && !of_the_seal && !hidden {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Notes which outputs lie inside others: a fault in one can then be named to the byte.
fn contained(dir: &Path, uki: &[u8], artefacts: &mut [Artefact], layout: Option<&DiskLayout>) -> Result<(), Problem> {
    let sections = pe::read(uki)?;
    let size = uki.len() as u64;
    let esp = layout.and_then(|layout| layout.partitions.first());
    let on_disk = match esp {
        Some(esp) => find_in(&dir.join("disk.img"), uki, esp.start, esp.bytes)?,
        None => None,
    };
    for artefact in artefacts {
        let inside = |file: &str, offset, size| Part { file: file.to_owned(), offset, size };
        match artefact.file.as_str() {
            "uki.efi" => {
                for (section, file) in [(".linux", "vmlinuz"), (".initrd", "initrd")] {
                    if let Some(found) = sections.iter().find(|found| found.name == section) {
                        artefact.contains.push(inside(file, found.offset as u64, found.size as u64));
                    }
                }
            }
            "disk.img" => artefact.contains.extend(on_disk.map(|offset| inside("uki.efi", offset, size))),
            name => {
                let twin = name.strip_prefix("netboot/").filter(|name| ["uki.efi", "vmlinuz", "initrd"].contains(name));
                artefact.contains.extend(twin.map(|twin| inside(twin, 0, artefact.size)));
            }
        }
    }
    Ok(())
}

/// Where the bytes begin on a disk image, if mtools laid them in one run (it does on an empty file system).
fn find_in(disk: &Path, wanted: &[u8], start: u64, bytes: u64) -> Result<Option<u64>, Problem> {
    const SECTOR: u64 = 512;
    let doing = || format!("reading {}", disk.display());
    let mut file = File::open(disk).doing(doing)?;
    let head = &wanted[..wanted.len().min(4096)];
    let mut found = vec![0; head.len()];
    let mut at = start;
    while at + wanted.len() as u64 <= start + bytes {
        file.seek(SeekFrom::Start(at)).doing(doing)?;
        file.read_exact(&mut found).doing(doing)?;
        if found == head {
            let mut whole = vec![0; wanted.len()];
            file.seek(SeekFrom::Start(at)).doing(doing)?;
            file.read_exact(&mut whole).doing(doing)?;
            return Ok((whole == wanted).then_some(at));
        }
        at += SECTOR;
    }
    Ok(None)
}

fn package(install: &hardstand_recipe::plan::Install) -> Package {
    Package {
        name: install.name.clone(),
        version: install.version.clone(),
        architecture: install.architecture.clone(),
        sha256: install.sha256.clone(),
        origin: if install.file.is_some() { "local" } else { "archive" }.to_owned(),
    }
}

fn tree_file(path: &str, node: &hardstand_recipe::tree::Node) -> Option<TreeFile> {
    let (size, content) = match &node.kind {
        Kind::Dir => return None,
        Kind::File { bytes, .. } => (bytes.get().len() as u64, files::sha256(bytes.get())),
        Kind::Symlink(target) => (0, format!("-> {target}")),
    };
    Some(TreeFile { path: path.to_owned(), mode: format!("{:04o}", node.mode), size, content })
}

fn size_of(path: &Path) -> Result<u64, Problem> {
    Ok(std::fs::metadata(path).doing(|| format!("reading {}", path.display()))?.len())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Problem> {
    let mut text = serde_json::to_vec_pretty(value).expect("our own types have string keys only");
    text.push(b'\n');
    files::write(path, &text)
}
