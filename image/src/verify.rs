//! Checks a whole image directory: signature, checksums, manifest, PCR 11. It says which bytes of which artefact are
//! wrong: to the byte where a good copy lies inside another output, to a small range of bytes elsewhere. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hardstand_recipe::chunks::{self, Chunks};
use hardstand_recipe::manifest::{Artefact, Manifest};

use crate::files;
use crate::pcr;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;
use crate::seal::{self, CHUNKS, MANIFEST, PUBLIC_KEY, SIGNATURE, SUMS};
use crate::sign;

/// Ranges of bytes shown for one artefact; a file that is wrong everywhere needs no list.
const MOST_RANGES: usize = 8;

/// What was found: one line per fault; none means the image is as it was built.
pub(crate) struct Verdict {
    pub(crate) faults: Vec<String>,
    pub(crate) signed: String,
    pub(crate) files: usize,
}

/// Checks everything there is to check.
pub(crate) fn verify(dir: &Path, key: Option<&Path>) -> Result<Verdict, Problem> {
    let sums = files::read_text(&dir.join(SUMS))?;
    let signature = files::read_text(&dir.join(SIGNATURE))?;
    let mut faults = Vec::new();
    let signed = match sign::check(sums.as_bytes(), &signature, key) {
        Ok(comment) => comment,
        Err(Problem::Sign { doing, source }) => {
            faults.push(format!(
                "{SUMS}: the signature does not fit ({doing}: {source}); it was changed, or signed by another key"
            ));
            String::new()
        }
        Err(other) => return Err(other),
    };
    let recorded = parse_sums(&sums)?;
    let mut progress = Progress::new("verifying", total(dir, &recorded)?);
    let mut found = BTreeMap::new();
    for name in recorded.keys() {
        if dir.join(name).is_file() {
            found.insert(name.clone(), seal::hash(dir, name, |bytes| progress.add(bytes))?);
        } else {
            faults.push(format!("{name}: missing"));
        }
    }
    progress.end();
    let bad: BTreeSet<&String> =
        found.iter().filter(|(name, (sha256, _))| recorded.get(*name) != Some(sha256)).map(|(name, _)| name).collect();
    let manifest: Option<Manifest> = trusted(dir, MANIFEST, &bad)?;
    let pieces: Vec<Chunks> = trusted(dir, CHUNKS, &bad)?.unwrap_or_default();
    let artefacts = manifest.as_ref().map(|manifest| manifest.artefacts.as_slice()).unwrap_or_default();
    for name in &bad {
        faults.extend(locate(dir, name, &found[*name].1, &pieces, artefacts, &bad)?);
    }
    let listed: BTreeSet<_> =
        recorded.keys().cloned().chain([SUMS, SIGNATURE, PUBLIC_KEY].map(str::to_owned)).collect();
    for extra in seal::outputs(dir)?.into_iter().filter(|name| !listed.contains(name)) {
        faults.push(format!("{extra}: not part of this image; remove it"));
    }
    if let Some(manifest) = &manifest {
        faults.extend(against_manifest(dir, manifest, &recorded, &bad)?);
    }
    Ok(Verdict { faults, signed, files: recorded.len() })
}

/// A file of the seal, read only if its checksum is right.
fn trusted<T: serde::de::DeserializeOwned>(
    dir: &Path,
    name: &str,
    bad: &BTreeSet<&String>,
) -> Result<Option<T>, Problem> {
    let path = dir.join(name);
    if bad.iter().any(|bad| *bad == name) || !path.is_file() {
        return Ok(None);
    }
    serde_json::from_slice(&files::read(&path)?).map(Some).map_err(|error| {
        Problem::Refused(format!("{}: {error}; it was made by another version of this program", path.display()))
    })
}

/// Where a file is wrong.
fn locate(
    dir: &Path,
    name: &str,
    found: &Chunks,
    pieces: &[Chunks],
    artefacts: &[Artefact],
    bad: &BTreeSet<&String>,
) -> Result<Vec<String>, Problem> {
    let Some(recorded) = pieces.iter().find(|pieces| pieces.file == name) else {
        return Ok(vec![format!("{name}: SHA-256 differs")]);
    };
    let mut lines = Vec::new();
    if found.size != recorded.size {
        lines.push(format!("{name}: has {} bytes, should have {}", found.size, recorded.size));
    }
    let found = if found.chunk_bytes == recorded.chunk_bytes { found.clone() } else { rehash(dir, name, recorded)? };
    let ranges = chunks::differing(recorded, &found);
    let more = ranges.len().saturating_sub(MOST_RANGES);
    for range in ranges.into_iter().take(MOST_RANGES) {
        let exact = exact(dir, name, range.clone(), artefacts, bad)?;
        lines.push(exact.unwrap_or_else(|| {
            format!(
                "{name}: wrong within bytes {}..={} (0x{:x}..=0x{:x})",
                range.start,
                range.end - 1,
                range.start,
                range.end - 1
            )
        }));
    }
    if more > 0 {
        lines.push(format!("{name}: and {more} more ranges"));
    }
    Ok(lines)
}

/// The pieces of a file whose size changed, cut as they were recorded.
fn rehash(dir: &Path, name: &str, recorded: &Chunks) -> Result<Chunks, Problem> {
    let bytes = files::read(&dir.join(name))?;
    let size = usize::try_from(recorded.chunk_bytes).unwrap_or(usize::MAX);
    let sums = bytes.chunks(size).map(seal::chunk_sum).collect();
    Ok(Chunks { sums, ..recorded.clone() })
}

/// The first wrong byte of a range, if a good copy of it lies in another output.
fn exact(
    dir: &Path,
    name: &str,
    range: std::ops::Range<u64>,
    artefacts: &[Artefact],
    bad: &BTreeSet<&String>,
) -> Result<Option<String>, Problem> {
    // (offset in our file, offset in the other file, bytes, other file)
    let mut copies = Vec::new();
    for artefact in artefacts {
        for part in &artefact.contains {
            if artefact.file == name {
                copies.push((part.offset, 0, part.size, &part.file));
            } else if part.file == name {
                copies.push((0, part.offset, part.size, &artefact.file));
            }
        }
    }
    for (ours, theirs, size, other) in copies {
        let start = range.start.max(ours);
        let end = range.end.min(ours + size);
        if start >= end || bad.contains(other) || !dir.join(other).is_file() {
            continue;
        }
        let length = end - start;
        let wrong = read_at(&dir.join(name), start, length)?;
        let right = read_at(&dir.join(other), theirs + (start - ours), length)?;
        if let Some(at) = wrong.iter().zip(&right).position(|(wrong, right)| wrong != right) {
            let byte = start + at as u64;
            return Ok(Some(format!(
                "{name}: byte {byte} (0x{byte:x}) is 0x{:02x}, should be 0x{:02x} (as in {other})",
                wrong[at], right[at]
            )));
        }
    }
    Ok(None)
}

fn read_at(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, Problem> {
    use std::io::{Read, Seek, SeekFrom};
    let doing = || format!("reading {}", path.display());
    let mut file = std::fs::File::open(path).doing(doing)?;
    file.seek(SeekFrom::Start(offset)).doing(doing)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).doing(doing)?;
    Ok(bytes)
}

fn against_manifest(
    dir: &Path,
    manifest: &Manifest,
    recorded: &BTreeMap<String, String>,
    bad: &BTreeSet<&String>,
) -> Result<Vec<String>, Problem> {
    let mut faults = Vec::new();
    for artefact in &manifest.artefacts {
        if recorded.get(&artefact.file) != Some(&artefact.sha256) {
            faults.push(format!("{MANIFEST}: says another SHA-256 for {} than {SUMS}", artefact.file));
        }
    }
    let uki = dir.join("uki.efi");
    if uki.is_file() && !bad.iter().any(|bad| *bad == "uki.efi") {
        let found = pcr::expected(&files::read(&uki)?)?;
        if found != manifest.pcr11_sha256 {
            faults.push(format!("{MANIFEST}: says PCR 11 will be {}, uki.efi gives {found}", manifest.pcr11_sha256));
        }
    }
    Ok(faults)
}

fn total(dir: &Path, recorded: &BTreeMap<String, String>) -> Result<u64, Problem> {
    let mut total = 0;
    for name in recorded.keys().filter(|name| dir.join(name).is_file()) {
        total += std::fs::metadata(dir.join(name)).doing(|| format!("reading {name}"))?.len();
    }
    Ok(total)
}

fn parse_sums(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    text.lines()
        .map(|line| {
            line.split_once("  ")
                .filter(|(sha256, name)| hardstand_recipe::lock::is_sha256(sha256) && is_plain(name))
                .map(|(sha256, name)| (name.to_owned(), sha256.to_owned()))
                .ok_or_else(|| Problem::Refused(format!("{SUMS} holds a line that is no checksum: {line}")))
        })
        .collect()
}

/// A name that stays inside the image directory.
fn is_plain(name: &str) -> bool {
    !name.starts_with('/') && !name.split('/').any(|part| part.is_empty() || part == "..")
}
