//! A machine as a value, and the QEMU arguments it means. Pure: the same machine gives the same arguments, and the
//! goldens beside this crate show them.
//!
//! It must never look at the host (which files exist, what acceleration works): that is told to it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// What executes the guest's instructions. Probed by `accel`, never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The host's CPU.
    Kvm,
    /// Plain emulation, one thread per guest CPU: the floor that works everywhere.
    Tcg,
}

/// Who starts the boot medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF, with a variable store of this machine's own.
    Uefi {
        /// The code image, never written.
        code: PathBuf,
        /// This machine's copy of the variable store.
        vars: PathBuf,
    },
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    /// virtio-blk behind a PCIe port of its own, so that it can be pulled and put back.
    Virtio,
    /// A USB stick.
    Usb,
}

/// How a disk's file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Plain bytes.
    Raw,
    /// A throwaway layer over another file.
    Qcow2,
}

/// One disk. Its `serial` is also the name of its block node and, with `dev-` before it, of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Serial number the guest sees; letters, digits and `-` only, at most 20.
    pub serial: String,
    /// The file behind it.
    pub file: PathBuf,
    /// How the file is laid out.
    pub format: Format,
    /// How it is attached.
    pub bus: Bus,
    /// Place in the boot order, from 1; `None`: never booted.
    pub boot: Option<u8>,
    /// File every write request is copied to, for a disk that forgets what was not flushed when the power is cut.
    pub write_log: Option<PathBuf>,
}

/// What a network card carries for booting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rom {
    /// QEMU's iPXE, for BIOS.
    Ipxe,
    /// Nothing: OVMF brings its own PXE and HTTP boot.
    Empty,
}

/// One virtio network card on a tap of the lab's bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nic {
    /// The tap interface, already there.
    pub tap: String,
    /// Hardware address.
    pub mac: String,
    /// What it boots with.
    pub rom: Rom,
    /// Place in the boot order, from 1; `None`: never booted.
    pub boot: Option<u8>,
}

/// A systemd credential handed to the guest's PID 1 through SMBIOS: the way in that leaves the image as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// Its name, such as `systemd.extra-unit.NAME`.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A whole machine. The sockets and the console's file live in `room`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Short name, for people.
    pub name: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u8,
    /// What executes it.
    pub accel: Accel,
    /// What boots it.
    pub firmware: Firmware,
    /// Disks, in the order the guest finds them.
    pub disks: Vec<Disk>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Credentials for PID 1.
    pub credentials: Vec<Credential>,
    /// Directory of the sockets; short, because a socket's path may have 107 bytes only.
    pub room: PathBuf,
    /// File the first serial port is copied to.
    pub console_log: PathBuf,
}

impl Machine {
    /// Socket of the first serial port.
    pub(crate) fn console_socket(&self) -> PathBuf {
        self.room.join("console")
    }

    /// Socket of the second serial port, where the lab's control port answers.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.room.join("control")
    }

    /// QMP socket.
    pub(crate) fn qmp_socket(&self) -> PathBuf {
        self.room.join("qmp")
    }

    /// File the credential at `place` is handed over in: arguments are seen by everybody, and it may be a secret.
    pub(crate) fn credential_file(&self, place: usize) -> PathBuf {
        self.room.join(format!("credential-{place}"))
    }

    /// The arguments for `qemu-system-x86_64`.
    pub(crate) fn argv(&self) -> Vec<String> {
        let mut argv = Argv(Vec::new());
        argv.put("-name", &self.name);
        argv.0.extend(["-nodefaults", "-no-user-config"].map(String::from));
        argv.put("-display", "none");
        // Without a graphics card SeaBIOS and iPXE speak on the serial port.
        argv.put("-machine", "q35,graphics=off");
        let (accel, cpu) = match self.accel {
            Accel::Kvm => ("kvm", "host"),
            Accel::Tcg => ("tcg,thread=multi", "max"),
        };
        argv.put("-accel", accel);
        argv.put("-cpu", cpu);
        argv.put("-smp", &self.cpus.to_string());
        argv.put("-m", &format!("{}M", self.memory_mib));
        argv.put("-rtc", "base=utc");
        argv.put("-device", "virtio-rng-pci");
        argv.ports(self);
        argv.firmware(&self.firmware);
        if self.disks.iter().any(|disk| disk.bus == Bus::Usb) {
            argv.put("-device", "qemu-xhci,id=xhci");
        }
        for (place, disk) in self.disks.iter().enumerate() {
            argv.disk(place, disk);
        }
        for (place, nic) in self.nics.iter().enumerate() {
            argv.nic(place, nic);
        }
        for place in 0..self.credentials.len() {
            argv.put("-smbios", &format!("type=11,path={}", escaped(&self.credential_file(place))));
        }
        argv.0
    }
}

/// The name a disk's device has in QMP.
pub(crate) fn device_id(disk: &Disk) -> String {
    format!("dev-{}", disk.serial)
}

/// The properties of a disk's device, for the command line and for putting a pulled disk back.
pub(crate) fn device(place: usize, disk: &Disk) -> String {
    let boot = boot_index(disk.boot);
    let (serial, id) = (&disk.serial, device_id(disk));
    // Merged requests fill all the vectors a write may have; the log adds one for its header, and the write fails.
    let merging = if disk.write_log.is_some() { ",request-merging=off" } else { "" };
    match disk.bus {
        Bus::Virtio => format!("virtio-blk-pci,id={id},bus=port{place},drive={serial},serial={serial}{merging}{boot}"),
        Bus::Usb => {
            format!("usb-storage,id={id},bus=xhci.0,drive={serial},serial={serial},removable=on{boot}")
        }
    }
}

struct Argv(Vec<String>);

impl Argv {
    fn put(&mut self, option: &str, value: &str) {
        self.0.push(option.to_owned());
        self.0.push(value.to_owned());
    }

    /// Two serial ports (console and control) and QMP. A socket with a log file keeps the console as a file and
    /// still lets a person attach.
    fn ports(&mut self, machine: &Machine) {
        let console = escaped(&machine.console_socket());
        let log = escaped(&machine.console_log);
        self.put("-chardev", &format!("socket,id=console,path={console},server=on,wait=off,logfile={log}"));
        self.put("-serial", "chardev:console");
        let control = escaped(&machine.control_socket());
        self.put("-chardev", &format!("socket,id=control,path={control},server=on,wait=off"));
        self.put("-serial", "chardev:control");
        let qmp = escaped(&machine.qmp_socket());
        self.put("-qmp", &format!("unix:{qmp},server=on,wait=off"));
    }

    fn firmware(&mut self, firmware: &Firmware) {
        let Firmware::Uefi { code, vars } = firmware else { return };
        let (code, vars) = (escaped(code), escaped(vars));
        self.put("-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
        self.put("-drive", &format!("if=pflash,unit=1,format=raw,file={vars}"));
    }

    fn disk(&mut self, place: usize, disk: &Disk) {
        let format = match disk.format {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        };
        let (node, file) = (&disk.serial, escaped(&disk.file));
        let below = match &disk.write_log {
            None => format!("driver={format},node-name={node},discard=unmap,file.driver=file,file.filename={file}"),
            // The log's head counts what was flushed; between flushes it need not be written.
            Some(log) => format!(
                "driver=blklogwrites,node-name={node},file.driver={format},file.file.driver=file,file.file.filename={file},\
                 log.driver=file,log.filename={},log-super-update-interval=4294967295",
                escaped(log)
            ),
        };
        self.put("-blockdev", &below);
        if disk.bus == Bus::Virtio {
            let number = place + 1;
            self.put("-device", &format!("pcie-root-port,id=port{place},chassis={number},slot={number}"));
        }
        self.put("-device", &device(place, disk));
    }

    fn nic(&mut self, place: usize, nic: &Nic) {
        // QEMU fits only its default ROM to the card it is in, so that one must not be named.
        let rom = match nic.rom {
            Rom::Ipxe => "",
            Rom::Empty => ",romfile=",
        };
        let boot = boot_index(nic.boot);
        self.put("-netdev", &format!("tap,id=net{place},ifname={},script=no,downscript=no", nic.tap));
        self.put("-device", &format!("virtio-net-pci,id=nic{place},netdev=net{place},mac={}{rom}{boot}", nic.mac));
    }
}

fn boot_index(boot: Option<u8>) -> String {
    boot.map(|place| format!(",bootindex={place}")).unwrap_or_default()
}

/// A credential as the virtual firmware carries it.
pub(crate) fn smbios(credential: &Credential) -> String {
    format!("io.systemd.credential.binary:{}={}", credential.name, BASE64.encode(&credential.text))
}

/// QEMU's option syntax wants a comma inside a value doubled.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            name: "node".to_owned(),
            memory_mib: 2048,
            cpus: 2,
            accel: Accel::Tcg,
            firmware: Firmware::Bios,
            disks: Vec::new(),
            nics: Vec::new(),
            credentials: Vec::new(),
            room: "/room".into(),
            console_log: "/keep/console.log".into(),
        }
    }

    fn disk(serial: &str, bus: Bus, boot: Option<u8>) -> Disk {
        Disk {
            serial: serial.to_owned(),
            file: format!("/d/{serial}").into(),
            format: Format::Qcow2,
            bus,
            boot,
            write_log: None,
        }
    }

    /// One option a line, so that a difference reads well.
    fn shown(machine: &Machine) -> String {
        let mut text = String::new();
        for word in machine.argv() {
            let separator = if word.starts_with('-') { "\n" } else { " " };
            text.push_str(separator);
            text.push_str(&word);
        }
        text.trim_start().to_owned() + "\n"
    }

    #[test]
    fn a_bios_machine_that_boots_from_the_network() {
        let mut machine = machine();
        machine.nics = vec![Nic { tap: "tap0".into(), mac: "52:54:00:00:00:01".into(), rom: Rom::Ipxe, boot: Some(1) }];
        assert_eq!(shown(&machine), include_str!("../goldens/pxe-bios.txt"));
    }

    #[test]
    fn a_uefi_machine_with_disks_that_can_be_pulled() {
        let mut machine = machine();
        machine.accel = Accel::Kvm;
        machine.firmware = Firmware::Uefi { code: "/fw/code.fd".into(), vars: "/room/vars.fd".into() };
        machine.disks = vec![disk("root", Bus::Virtio, Some(1)), disk("data", Bus::Virtio, None)];
        machine.nics = vec![Nic { tap: "tap0".into(), mac: "52:54:00:00:00:01".into(), rom: Rom::Empty, boot: None }];
        machine.credentials = vec![Credential { name: "greeting".into(), text: "hello, guest\n".into() }];
        assert_eq!(shown(&machine), include_str!("../goldens/disk-uefi.txt"));
    }

    #[test]
    fn a_usb_stick_gets_a_controller() {
        let mut machine = machine();
        machine.disks = vec![disk("stick", Bus::Usb, Some(1))];
        assert_eq!(shown(&machine), include_str!("../goldens/usb.txt"));
    }

    #[test]
    fn a_disk_that_forgets_writes_a_log() {
        let mut machine = machine();
        let log = Some("/d/root.log".into());
        machine.disks = vec![Disk { format: Format::Raw, write_log: log, ..disk("root", Bus::Virtio, Some(1)) }];
        let argv = shown(&machine);
        let wanted = "-blockdev driver=blklogwrites,node-name=root,file.driver=raw,file.file.driver=file,\
                      file.file.filename=/d/root,log.driver=file,log.filename=/d/root.log,";
        assert!(argv.contains(wanted), "{argv}");
        assert!(argv.contains("drive=root,serial=root,request-merging=off"), "{argv}");
    }

    #[test]
    fn a_credential_is_no_argument() {
        let mut machine = machine();
        machine.credentials = vec![Credential { name: "key".into(), text: "secret".into() }];
        assert!(!machine.argv().concat().contains(&BASE64.encode("secret")));
        assert_eq!(smbios(&machine.credentials[0]), "io.systemd.credential.binary:key=c2VjcmV0");
    }

    #[test]
    fn a_comma_in_a_path_stays_in_the_path() {
        let mut machine = machine();
        machine.console_log = "/a,b/console.log".into();
        assert!(shown(&machine).contains("logfile=/a,,b/console.log\n"), "{}", shown(&machine));
    }
}
