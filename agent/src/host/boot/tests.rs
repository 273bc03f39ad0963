//! Made-up machines, with the file names Debian and Proxmox VE use.

use super::*;
use crate::host::Scratch;

/// When the made-up machines were booted.
const BOOTED: u64 = 1_700_000_000;

fn machine(running: &str) -> Scratch {
    let host = Scratch::new();
    host.write("proc/sys/kernel/osrelease", format!("{running}\n"));
    host.write("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)\n");
    host.write("proc/sys/kernel/random/boot_id", "0a1b\n");
    host.write("proc/cmdline", "root=/dev/vda1 ro quiet\n");
    host.write("proc/stat", format!("cpu  1 2 3\nintr 5\nbtime {BOOTED}\nprocesses 9\n"));
    host
}

fn install(host: &Scratch, release: &str) {
    host.write(&format!("boot/vmlinuz-{release}"), "kernel");
    host.write(&format!("boot/initrd.img-{release}"), "initrd");
    host.write(&format!("usr/lib/modules/{release}/modules.dep"), "");
}

fn reasons_of(host: &Scratch) -> Vec<RebootReason> {
    KernelFiles::default().probe(host).unwrap().reboot.known().unwrap().clone()
}

fn newer(running: &str, newest: &str) -> Vec<RebootReason> {
    vec![RebootReason::NewerKernel { running: running.to_owned(), newest: newest.to_owned() }]
}

fn touch(host: &Scratch, package: &str, unix_seconds: u64) {
    let path = host.write(&format!("var/lib/dpkg/info/{package}.list"), "/.\n");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(unix_seconds)).unwrap();
}

#[test]
fn the_running_kernel_is_told() {
    let host = machine("6.12.57+deb13-amd64");
    let kernel = KernelFiles::default().probe(&host).unwrap();
    assert_eq!((kernel.release.as_str(), kernel.boot_id.as_str()), ("6.12.57+deb13-amd64", "0a1b"));
    assert_eq!(kernel.version, "#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)");
    assert_eq!((kernel.command_line.as_str(), kernel.booted_unix_seconds), ("root=/dev/vda1 ro quiet", BOOTED));
    assert_eq!(kernel.installed, Reading::Known(Vec::new()), "the boot image has no /boot");
    assert_eq!(kernel.reboot, Reading::Known(Vec::new()));
    host.write("proc/stat", "cpu 1\n");
    assert_eq!(
        KernelFiles::default().probe(&host).unwrap_err().to_string(),
        "parsing /proc/stat: no line `btime SECONDS`"
    );
}

#[test]
fn a_newer_kernel_counts_once_it_can_boot() {
    let running = "6.12.9+deb13-amd64";
    let host = machine(running);
    install(&host, running);
    install(&host, "6.1.0-28-amd64");
    host.write("boot/vmlinuz-6.12.57+deb13-amd64", "kernel");
    assert_eq!(reasons_of(&host), [], "neither initrd nor modules yet");
    host.write("usr/lib/modules/6.12.57+deb13-amd64/modules.dep", "");
    host.write("boot/initrd.img-6.12.57+deb13-amd64", "");
    assert_eq!(reasons_of(&host), [], "the initrd is being written");
    let kernels = KernelFiles::default().probe(&host).unwrap().installed.known().unwrap().clone();
    let listed: Vec<(&str, bool)> = kernels.iter().map(|kernel| (kernel.release.as_str(), kernel.bootable)).collect();
    assert_eq!(listed, [("6.12.57+deb13-amd64", false), (running, true), ("6.1.0-28-amd64", true)]);
    install(&host, "6.12.57+deb13-amd64");
    host.write("boot/vmlinuz-6.99.0-amd64.dpkg-new", "half");
    assert_eq!(reasons_of(&host), newer(running, "6.12.57+deb13-amd64"));
}

#[test]
fn flavours_and_candidates_are_no_newer_versions() {
    let host = machine("6.12.57+deb13-amd64");
    install(&host, "6.12.57+deb13-amd64");
    install(&host, "6.12.57+deb13-cloud-amd64");
    assert_eq!(reasons_of(&host), []);
    install(&host, "6.12.60+deb13-cloud-amd64");
    assert_eq!(reasons_of(&host), newer("6.12.57+deb13-amd64", "6.12.60+deb13-cloud-amd64"));
    for (older, newer) in [
        ("6.13-rc7-amd64", "6.13-amd64"),
        ("6.13-rc7", "6.13.0-1-pve"),
        ("6.8.12-4-pve", "6.8.12-15-pve"),
        ("6.8.12-15-pve", "6.11.0-1-pve"),
        ("6.1.0-9-amd64", "6.1.0-28-amd64"),
        ("6.1.0-28-amd64", "6.12.9+bpo-amd64"),
    ] {
        assert_eq!(compare_kernels(older, newer), Ordering::Less, "{older} {newer}");
    }
}

#[test]
fn a_pin_decides_what_boots_next() {
    let host = machine("6.8.12-4-pve");
    for release in ["6.8.12-4-pve", "6.8.12-8-pve", "6.11.0-1-pve"] {
        install(&host, release);
    }
    assert_eq!(reasons_of(&host), newer("6.8.12-4-pve", "6.11.0-1-pve"));
    host.write("etc/kernel/proxmox-boot-pin", "6.8.12-4-pve\n");
    assert_eq!(reasons_of(&host), []);
    host.write("etc/kernel/next-boot-pin", "6.8.12-8-pve\n");
    assert_eq!(reasons_of(&host), newer("6.8.12-4-pve", "6.8.12-8-pve"), "for the next boot alone");
    host.write("etc/kernel/next-boot-pin", "6.8.99-1-pve\n");
    assert_eq!(reasons_of(&host), [], "a pinned kernel that is not there leaves the other pin");
    host.write("etc/kernel/proxmox-boot-pin", "6.8.99-1-pve\n");
    assert_eq!(reasons_of(&host), newer("6.8.12-4-pve", "6.11.0-1-pve"), "no pinned kernel is there");
}

#[test]
fn requests_and_replaced_packages_are_reasons() {
    let host = machine("6.12.57+deb13-amd64");
    touch(&host, "libc6:amd64", BOOTED + 60);
    touch(&host, "dbus", BOOTED - 60);
    touch(&host, "systemd", BOOTED * 3);
    host.write("run/reboot-required", "*** System restart required ***\n");
    host.write("run/reboot-required.pkgs", "linux-base\nlibc6\nlinux-base\n");
    let requested = RebootReason::Requested { packages: vec!["libc6".to_owned(), "linux-base".to_owned()] };
    assert_eq!(reasons_of(&host), [requested, RebootReason::Replaced { what: "libc6".to_owned() }]);
}

#[test]
fn a_list_that_dpkg_replaces_later_is_seen_though_the_rest_is_kept() {
    let host = machine("6.12.57+deb13-amd64");
    touch(&host, "libc6:amd64", BOOTED - 60);
    let info = std::fs::File::open(host.path("var/lib/dpkg/info")).unwrap();
    info.set_modified(UNIX_EPOCH + Duration::from_secs(BOOTED - 60)).unwrap();
    let mut files = KernelFiles::default();
    let mut reasons = || files.probe(&host).unwrap().reboot.known().unwrap().clone();
    assert_eq!(reasons(), []);
    // As dpkg does it: written beside, then renamed over the old one.
    touch(&host, "libc6:amd64.new", BOOTED + 60);
    let info = host.path("var/lib/dpkg/info");
    std::fs::rename(info.join("libc6:amd64.new.list"), info.join("libc6:amd64.list")).unwrap();
    assert_eq!(reasons(), [RebootReason::Replaced { what: "libc6".to_owned() }]);
    assert_eq!(files.lists, None, "a directory that has just changed is looked at again");
}

#[test]
fn an_unreadable_boot_makes_the_answer_unknown() {
    let host = machine("6.12.57+deb13-amd64");
    host.write("boot", "not a directory");
    let kernel = KernelFiles::default().probe(&host).unwrap();
    let why = format!("reading {}: Not a directory (os error 20)", host.path("boot").display());
    assert_eq!((kernel.installed.why(), kernel.reboot.why()), (Some(why.as_str()), Some(why.as_str())));
}
