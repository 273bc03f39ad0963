//! A running machine: started, watched on its console, its parts pulled, its power cut.
//!
//! It must never outlive the harness (the kernel kills it with us) nor touch the file behind an image: every disk
//! that could be written is a throwaway layer.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hardstand_exec::{Run, Started, find};
use serde_json::{Map, Value, json};

use crate::args::{Bus, Disk, Firmware, Format, Machine, device, device_id, smbios};
use crate::console;
use crate::guest::Guest;
use crate::qmp::Qmp;
use crate::wait::until;

/// From the power button to the end of QEMU: systemd's own limit for a stop job is 90 s.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(120);
/// A guest under emulation has taken up to 8 s to let go of a pulled device.
const UNPLUG_LIMIT: Duration = Duration::from_secs(60);
/// `qemu-img create` writes a few kilobytes.
const QEMU_IMG_LIMIT: Duration = Duration::from_secs(30);
/// Socket directories are called this, then the harness's process id and the machine.
const ROOM_PREFIX: &str = "hardstand-lab-";
/// The variable stores and code images OVMF is packaged as, code before variables.
const OVMF: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// A machine that has been switched on.
pub(crate) struct Running {
    machine: Machine,
    qemu: Started,
    qmp: Qmp,
    guest: Arc<Guest>,
    since: Instant,
}

impl Running {
    /// Switches a machine on. QEMU's own words go to `qemu.log` beside the console's file.
    pub(crate) async fn start(machine: Machine) -> Result<Self> {
        let log = machine.console_log.with_extension("qemu.log");
        let log = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        std::fs::create_dir_all(&machine.room).with_context(|| format!("creating {}", machine.room.display()))?;
        credentials(&machine)?;
        // The deadline does not apply to a started program.
        let qemu = Run::new(qemu()?, Duration::ZERO).args(machine.argv()).start(log)?;
        let since = Instant::now();
        let guest = Arc::new(Guest::connect(&machine.control_socket()).await?);
        let qmp = Qmp::connect(&machine.qmp_socket()).await?;
        Ok(Self { machine, qemu, qmp, guest, since })
    }

    /// The way to run commands inside.
    pub(crate) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    /// The machine as it was described.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Time since the power button.
    pub(crate) fn uptime(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits until the control port inside answers, at most `limit`: the guest's systemd is up.
    pub(crate) async fn guest_answers(&mut self, limit: Duration) -> Result<()> {
        until(&format!("the control port inside {}", self.machine.name), limit, async || {
            self.alive()?;
            Ok(self.guest.is_ready().then_some(()))
        })
        .await
    }

    /// An error if QEMU has ended or the kernel has died.
    pub(crate) fn alive(&mut self) -> Result<()> {
        if let Some(status) = self.qemu.ended()? {
            bail!("QEMU of {} ended with {status}", self.machine.name);
        }
        match console::death(&console::read(&self.machine.console_log)?) {
            Some(line) => bail!("the kernel of {} died: {line}", self.machine.name),
            None => Ok(()),
        }
    }

    /// Presses the power button and waits for the end.
    pub(crate) async fn power_off(mut self) -> Result<()> {
        self.qmp.execute("system_powerdown", json!({})).await?;
        self.qemu
            .wait(POWER_OFF_LIMIT)
            .await
            .with_context(|| format!("waiting for {} to go off", self.machine.name))?;
        Ok(())
    }

    /// Cuts the power: whatever the guest had not flushed is gone.
    pub(crate) async fn power_cut(mut self) -> Result<()> {
        Ok(self.qemu.kill().await?)
    }

    /// Pulls a disk out.
    pub(crate) async fn pull(&mut self, serial: &str) -> Result<()> {
        let (_, disk) = self.disk(serial)?;
        let id = device_id(disk);
        self.qmp.execute("device_del", json!({ "id": id })).await?;
        let what = format!("{} to let go of disk {serial}", self.machine.name);
        self.qmp
            .event(&what, UNPLUG_LIMIT, |event| {
                event["event"] == "DEVICE_DELETED" && event["data"]["device"] == id.as_str()
            })
            .await
    }

    /// Puts a pulled disk back where it was.
    pub(crate) async fn put_back(&mut self, serial: &str) -> Result<()> {
        let (place, disk) = self.disk(serial)?;
        let properties = properties(&device(place, disk));
        self.qmp.execute("device_add", properties).await?;
        Ok(())
    }

    /// Pulls (`false`) or plugs the cable of the network card at `place`.
    pub(crate) async fn cable(&mut self, place: usize, plugged: bool) -> Result<()> {
        self.qmp.execute("set_link", json!({ "name": format!("nic{place}"), "up": plugged })).await?;
        Ok(())
    }

    fn disk(&self, serial: &str) -> Result<(usize, &Disk)> {
        let disks = self.machine.disks.iter().enumerate();
        disks
            .filter(|(_, disk)| disk.bus == Bus::Virtio)
            .find(|(_, disk)| disk.serial == serial)
            .with_context(|| format!("finding disk {serial} of {}", self.machine.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The sockets only; what is worth keeping is not in there.
        let _ = std::fs::remove_dir_all(&self.machine.room);
    }
}

/// Hands the credentials over in files only we can read.
fn credentials(machine: &Machine) -> Result<()> {
    for (place, credential) in machine.credentials.iter().enumerate() {
        let path = machine.credential_file(place);
        let doing = || format!("writing {}", path.display());
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).with_context(doing)?;
        file.write_all(smbios(credential).as_bytes()).with_context(doing)?;
    }
    Ok(())
}

/// A directory for one machine's sockets, short enough for a socket's path. Removed with the machine.
pub(crate) fn room(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{ROOM_PREFIX}{}-{name}", std::process::id()))
}

/// Socket directories whose harness is gone.
pub(crate) fn abandoned_rooms() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let abandoned = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let harness = name.strip_prefix(ROOM_PREFIX).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        harness.is_some_and(|id| !Path::new("/proc").join(id).exists())
    });
    abandoned.collect()
}

/// The QEMU program of this machine.
pub(crate) fn qemu() -> Result<PathBuf> {
    find("qemu-system-x86_64").context("finding qemu-system-x86_64; install qemu-system-x86, or start through qemu/lab")
}

/// OVMF with a fresh variable store kept in `dir`.
pub(crate) fn uefi(dir: &Path) -> Result<Firmware> {
    let (code, vars) = OVMF
        .iter()
        .find(|(code, _)| Path::new(code).is_file())
        .context("finding OVMF under /usr/share/OVMF; install ovmf, or start through qemu/lab")?;
    let copy = dir.join("efivars.fd");
    std::fs::copy(vars, &copy).with_context(|| format!("copying {vars} to {}", copy.display()))?;
    Ok(Firmware::Uefi { code: code.into(), vars: copy })
}

/// A throwaway layer over a raw image: the image itself is never written.
pub(crate) async fn overlay(image: &Path, layer: &Path) -> Result<Format> {
    let qemu_img = find("qemu-img").context("finding qemu-img; install qemu-utils, or start through qemu/lab")?;
    Run::new(qemu_img, QEMU_IMG_LIMIT)
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .arg(image)
        .arg(layer)
        .success()
        .await
        .with_context(|| format!("laying a throwaway layer over {}", image.display()))?;
    Ok(Format::Qcow2)
}

/// `driver,key=value,...` of the command line as the object QMP wants.
fn properties(device: &str) -> Value {
    let mut object = Map::new();
    for (place, part) in device.split(',').enumerate() {
        match part.split_once('=') {
            Some((key, value)) if key != "bootindex" => drop(object.insert(key.to_owned(), json!(value))),
            Some(_) => {}
            None if place == 0 => drop(object.insert("driver".to_owned(), json!(part))),
            None => {}
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_the_command_line_becomes_one_of_qmp() {
        let object = properties("virtio-blk-pci,id=dev-data,bus=port1,drive=data,bootindex=2");
        assert_eq!(object, json!({"driver": "virtio-blk-pci", "id": "dev-data", "bus": "port1", "drive": "data"}));
    }
}
