//! What `lab test` checks, and what each check needs.
//!
//! It must never hide a check behind a condition of the host: what cannot run here has failed.

use std::time::Duration;

use anyhow::Result;

use crate::checks::Check;
use crate::house::House;

/// A cold build of the whole workspace takes about 4 minutes on two cores; three times that is a hang.
const CARGO_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Every check.
pub(crate) fn checks(house: &House) -> Result<Vec<Check>> {
    let cargo = |words: &str| Ok::<_, anyhow::Error>(vec![house.cargo(CARGO_LIMIT)?.args(words.split(' '))]);
    Ok(vec![
        Check::new("fmt", cargo("fmt --all --check")?),
        Check::new("clippy", cargo("clippy --locked --workspace --all-targets --quiet -- -D warnings")?),
        // Cargo locks its target directory, so these would only wait for each other.
        Check::new("cargo-test", cargo("test --locked --workspace --quiet")?).after("clippy"),
    ])
}
