//! The least restart that is enough, with its reason.

use hardstand_core::Reading;
use hardstand_core::observed::{KernelImage, RebootReason};
use hardstand_core::plan::PackageChange;

use super::*;

fn kernel(installed: &[&str]) -> Kernel {
    let image = |release: &&str| KernelImage { release: (*release).to_owned(), path: String::new(), bootable: true };
    Kernel {
        boot_id: "boot-1".to_owned(),
        release: "6.12.1-amd64".to_owned(),
        version: String::new(),
        command_line: String::new(),
        booted_unix_seconds: 0,
        installed: Reading::Known(installed.iter().map(image).collect()),
        reboot: Reading::Known(Vec::new()),
    }
}

fn set(changes: &[(&str, bool)]) -> PackageSet {
    let change = |(name, there): &(&str, bool)| PackageChange {
        name: (*name).to_owned(),
        architecture: "amd64".to_owned(),
        from: Some("1".to_owned()),
        to: there.then(|| "2".to_owned()),
        security: false,
    };
    PackageSet::new(changes.iter().map(change).collect())
}

fn told(changes: &[(&str, bool)], patch: &PatchSettings) -> (Option<String>, RebootKind, String) {
    let (kernel, reboot) = of(&set(changes), &kernel(&["6.12.1-amd64"]), patch);
    (kernel, reboot.kind, reboot.why)
}

#[test]
fn each_set_asks_for_the_least_that_is_enough() {
    let plain = PatchSettings::default();
    let declared = PatchSettings { soft_reboot: true, kexec: true, keep_running: Vec::new() };
    let next = Some("6.12.2-amd64".to_owned());
    let new_kernel = [("linux-image-6.12.2-amd64", true), ("libc6", true)];
    let why = "kernel 6.12.1-amd64 is followed by 6.12.2-amd64".to_owned();
    assert_eq!(told(&new_kernel, &plain), (next.clone(), RebootKind::Full, why.clone()));
    assert_eq!(told(&new_kernel, &declared), (next, RebootKind::Kexec, why));
    let (kernel, kind, why) = told(&[("linux-image-6.12.1-amd64", true)], &declared);
    assert_eq!((kernel, kind), (None, RebootKind::Full), "{why}");
    assert_eq!(told(&[("intel-microcode", true)], &declared).1, RebootKind::Full);
    assert_eq!(told(&[("libc6", true)], &plain).1, RebootKind::Full);
    assert_eq!(told(&[("libc6", true)], &declared).1, RebootKind::SoftReboot);
    assert_eq!(told(&[("nginx", true)], &plain).1, RebootKind::Services);
    assert_eq!(told(&[], &plain), (None, RebootKind::None, "nothing changes".to_owned()));
}

#[test]
fn a_kernel_that_waits_already_or_is_removed_counts() {
    let plain = PatchSettings::default();
    let waiting = kernel(&["6.12.3-amd64", "6.12.1-amd64"]);
    assert_eq!(of(&set(&[("nginx", true)]), &waiting, &plain).0.as_deref(), Some("6.12.3-amd64"));
    let (next, reboot) = of(&set(&[("linux-image-6.12.3-amd64", false)]), &waiting, &plain);
    assert_eq!((next, reboot.kind), (None, RebootKind::Services));
    let mut due = kernel(&[]);
    due.reboot = Reading::Known(vec![RebootReason::Requested { packages: Vec::new() }]);
    let (_, reboot) = of(&set(&[]), &due, &plain);
    assert_eq!((reboot.kind, reboot.why.as_str()), (RebootKind::Full, "a reboot is due already: requested"));
}
