//! Layers of a tree, each one cpio archive and one zstd frame; the kernel unpacks them one after the other. A layer that
//! did not change is taken from the store, so that a changed overlay costs seconds.

use std::io::Write;

use hardstand_recipe::cpio;
use hardstand_recipe::tree::Tree;

use crate::files;
use crate::problem::{Doing, Problem};
use crate::progress::Progress;
use crate::store::Store;

/// Bytes handed to the compressor at once: small enough for a bar that moves.
const PIECE: usize = 1 << 20;

/// Packs one layer at a zstd level.
pub(crate) fn layer(store: &Store, label: &str, tree: &Tree, level: i32) -> Result<Vec<u8>, Problem> {
    let archive = cpio::archive(tree);
    let key = format!("{}-{level}", files::sha256(&archive));
    if let Some(packed) = store.derived("layer", &key)? {
        return Ok(packed);
    }
    let packed = compress(&format!("packing {label}"), &archive, level)?;
    store.keep_derived("layer", &key, &packed)?;
    Ok(packed)
}

/// One zstd frame. With workers the output depends on the level alone, not on how many there are; never without.
pub(crate) fn compress(label: &str, bytes: &[u8], level: i32) -> Result<Vec<u8>, Problem> {
    let doing = || label.to_owned();
    let workers = std::thread::available_parallelism().map_or(2, |count| u32::try_from(count.get()).unwrap_or(2));
    let mut progress = Progress::new(label, bytes.len() as u64);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).doing(doing)?;
    encoder.multithread(workers.max(1)).doing(doing)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64)).doing(doing)?;
    for piece in bytes.chunks(PIECE) {
        encoder.write_all(piece).doing(doing)?;
        progress.add(piece.len() as u64);
    }
    let mut packed = encoder.finish().doing(doing)?;
    packed.resize(packed.len().next_multiple_of(4), 0);
    progress.end();
    Ok(packed)
}

/// Undoes [`compress`].
pub(crate) fn decompress(label: &str, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut decoder = zstd::stream::read::Decoder::new(bytes).doing(|| label.to_owned())?.single_frame();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut decoder, &mut plain).doing(|| label.to_owned())?;
    Ok(plain)
}
