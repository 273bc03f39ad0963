//! The proof that a build is reproducible: build again from nothing but the lock and the packages, and compare every byte.

use std::path::Path;

use crate::build::{self, Job};
use crate::files;
use crate::problem::Problem;
use crate::progress::say;
use crate::scratch::Scratch;
use crate::seal::{self, CHUNKS, MANIFEST, SBOM, SUMS};
use crate::store::Store;

/// Builds a second time without any derived thing in the store, elsewhere, and compares with the first.
/// The signature is left out: minisign signs with fresh randomness.
pub(crate) async fn prove(store: &Store, job: &Job<'_>) -> Result<(), Problem> {
    let scratch = Scratch::new()?;
    let fresh = store.without_derived(&scratch.path().join("derived"))?;
    let second = scratch.path().join("again");
    build::build(&fresh, &Job { out: &second, ..*job }).await?;
    let differing = compare(job.out, &second)?;
    if differing.is_empty() {
        say("built twice: every byte is the same");
        return Ok(());
    }
    Err(Problem::Refused(format!(
        "two builds of the same inputs differ:{}\n  compare them with `hardstand-image diff`; report it together with the lock",
        differing.iter().map(|line| format!("\n  {line}")).collect::<String>()
    )))
}

fn compare(first: &Path, second: &Path) -> Result<Vec<String>, Problem> {
    let mut names = seal::outputs(first)?;
    names.extend([MANIFEST, SBOM, CHUNKS, SUMS].map(str::to_owned));
    let mut differing = Vec::new();
    for name in names {
        let (left, right) = (first.join(&name), second.join(&name));
        if !right.is_file() {
            differing.push(format!("{name}: only in the first"));
        } else if files::sha256_file(&left)? != files::sha256_file(&right)? {
            differing.push(match first_difference(&left, &right)? {
                Some(at) => format!("{name}: first at byte {at}"),
                None => format!("{name}: one is longer"),
            });
        }
    }
    Ok(differing)
}

fn first_difference(left: &Path, right: &Path) -> Result<Option<usize>, Problem> {
    let (left, right) = (files::read(left)?, files::read(right)?);
    Ok(left.iter().zip(&right).position(|(left, right)| left != right))
}
