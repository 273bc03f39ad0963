//! Which acceleration really works here. `/dev/kvm` may exist, open, even run a boot sector, and still stop at the
//! first instruction of a real firmware; so the probe is a real firmware.
//!
//! It must never report KVM because of a device node.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hardstand_exec::Run;

use crate::args::{Accel, Firmware};
use crate::{machine, wait};

/// OVMF writes its first line after 1 s on hardware and 3 s under emulation; a KVM that takes longer is of no use.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Boots OVMF under KVM, and falls back to emulation when it does not speak in time. `dir` takes the probe's files.
pub(crate) async fn probe(dir: &Path) -> Result<Accel> {
    if std::fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(Accel::Tcg);
    }
    Ok(if speaks(dir, "kvm", PROBE_LIMIT).await? { Accel::Kvm } else { Accel::Tcg })
}

async fn speaks(dir: &Path, accel: &str, limit: Duration) -> Result<bool> {
    let Firmware::Uefi { code, vars } = machine::uefi(dir)? else { return Ok(false) };
    let (serial, log) = (dir.join("probe.console"), dir.join("probe.qemu.log"));
    let log_file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut qemu = Run::new(machine::qemu()?, limit)
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-cpu", "max", "-m", "256M"])
        .args(["-accel", accel, "-serial", &format!("file:{}", serial.display())])
        .args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", code.display())])
        .args(["-drive", &format!("if=pflash,unit=1,format=raw,file={}", vars.display())])
        .start(log_file)?;
    let spoken = wait::until("the firmware's first words", limit, async || {
        let some = std::fs::metadata(&serial).is_ok_and(|file| file.len() > 0);
        Ok(if some { Some(true) } else { qemu.ended()?.map(|_| false) })
    });
    let spoken = spoken.await.unwrap_or(false);
    qemu.kill().await?;
    Ok(spoken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probe itself must be able to say yes and no: emulation works everywhere, `none` nowhere.
    #[tokio::test]
    async fn the_probe_tells_what_works_from_what_does_not() {
        let dir = std::env::temp_dir().join(format!("hardstand-lab-probe-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let emulated = speaks(&dir, "tcg", Duration::from_secs(60)).await.unwrap();
        std::fs::remove_file(dir.join("probe.console")).unwrap();
        let absent = speaks(&dir, "none", Duration::from_secs(60)).await.unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(emulated);
        assert!(!absent);
    }
}
