//! What a TPM will hold in PCR 11 after the systemd stub has measured a UKI: the name and the content of each section,
//! in the stub's order. Source: systemd 257, `systemd-stub(7)` and `systemd-measure(1)`, which is the oracle.

use hardstand_recipe::pe::{self, MEASURED};
use sha2::{Digest, Sha256};

use crate::files;
use crate::problem::Problem;

/// PCR 11 in the SHA-256 bank, in hex, before any boot phase is measured into it.
pub(crate) fn expected(uki: &[u8]) -> Result<String, Problem> {
    let sections = pe::read(uki)?;
    let mut pcr = [0_u8; 32];
    for name in MEASURED {
        let Some(section) = sections.iter().find(|section| section.name == name) else { continue };
        let content = &uki[section.offset..section.offset + section.size];
        for measured in [Sha256::new().chain_update(name).chain_update([0]).finalize(), Sha256::digest(content)] {
            pcr = Sha256::new().chain_update(pcr).chain_update(measured).finalize().into();
        }
    }
    Ok(files::hex(&pcr))
}
