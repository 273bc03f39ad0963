//! What apt 3.0 of Debian 13 printed for a small archive, and lines of other archives.

use super::*;

const SIMULATION: &str = include_str!("../../../tests/fixtures/apt/simulate-trixie.txt");
const FILES: &str = include_str!("../../../tests/fixtures/apt/files-trixie.txt");

fn change(name: &str, arch: &str, from: Option<&str>, to: Option<&str>) -> PackageChange {
    let text = |text: &str| text.to_owned();
    let security = to.is_some();
    PackageChange { name: text(name), architecture: text(arch), from: from.map(text), to: to.map(text), security }
}

#[test]
fn a_captured_simulation_gives_the_exact_set() {
    let set = parse_simulation(SIMULATION).unwrap();
    let expected = PackageSet::new(vec![
        change("lab-app", "amd64", Some("1"), Some("2")),
        change("lab-data", "all", Some("1"), Some("2")),
        change("lab-new", "amd64", None, Some("2")),
        change("lab-old", "", Some("1"), None),
        change("linux-image-6.12.2-lab-amd64", "amd64", None, Some("6.12.2-1")),
        change("linux-image-lab-amd64", "amd64", Some("6.12.1-1"), Some("6.12.2-1")),
    ]);
    assert_eq!(set, expected);
    assert_eq!(newest_kernel(&set), Some("6.12.2-lab-amd64"));
    assert_eq!(parse_file_list(FILES).unwrap(), 720 + 808 + 716 + 756 + 768);
}

#[test]
fn lines_of_other_archives_are_read() {
    let text = "\
Reading package lists...
Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian-Security:12/stable-security, Debian:12.1/stable [amd64]) [libc6:amd64 ]
Inst libc6:i386 [2.36-9] (2.36-9+deb12u1 Debian:12.1/stable [i386])
Inst base-files [12.4] (12.4+deb12u1 Debian:12.1/stable [amd64])
Inst local (1:2.0~rc1 localhost [all]) []
Remv old:i386 [3]
Conf libc6 (2.36-9+deb12u1 Debian:12.1/stable [amd64])
";
    let set = parse_simulation(text).unwrap();
    let security: Vec<_> = set.changes().iter().map(|change| (change.name.as_str(), change.security)).collect();
    let expected = [("base-files", false), ("libc6", true), ("libc6", false), ("local", false), ("old", false)];
    assert_eq!(security, expected);
    assert_eq!(set.changes()[2].architecture, "i386");
    assert_eq!(set.changes()[4].architecture, "i386");
}

#[test]
fn a_line_of_another_form_is_an_error_with_its_number() {
    let told = |text: &str| parse_simulation(text).unwrap_err().to_string();
    assert_eq!(
        told("Reading\nInst libc6 2.36\n"),
        "parsing apt-get -s, line 2: \"Inst libc6 2.36\" is not `Inst NAME [OLD] (NEW ORIGIN [ARCH])`"
    );
    for line in
        ["Inst a (1 x)", "Inst a\u{0}b (1 x [amd64])", "Inst a (1\t2 x [amd64])", "Remv a", "Inst ../a (1 x [all])"]
    {
        assert!(told(line).contains("line 1"), "{line}");
    }
    let error = parse_file_list("'file:/a' a x MD5Sum:0\n").unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
    crate::host::feed_damaged(SIMULATION, |text| drop(parse_simulation(text)));
    crate::host::feed_damaged(FILES, |text| drop(parse_file_list(text)));
}

#[test]
fn preferences_pin_every_change_and_hold_all_else() {
    let text = preferences(&parse_simulation(SIMULATION).unwrap());
    let expected = "\
Explanation: the exact set of a plan of hardstand; written anew for each
Package: *
Pin: release *
Pin-Priority: -1

Package: lab-app:amd64
Pin: version 2
Pin-Priority: 1001

Package: lab-data
Pin: version 2
Pin-Priority: 1001
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("\nPackage: lab-old\nPin: release *\nPin-Priority: -1\n"), "{text}");
}

#[test]
fn kernels_are_told_from_what_points_at_them() {
    for (package, release) in [
        ("linux-image-6.12.57+deb13-amd64", Some("6.12.57+deb13-amd64")),
        ("linux-image-6.12.57+deb13-cloud-amd64-unsigned", Some("6.12.57+deb13-cloud-amd64")),
        ("proxmox-kernel-6.8.12-4-pve-signed", Some("6.8.12-4-pve")),
        ("linux-image-amd64", None),
        ("linux-image-6.12.57+deb13-amd64-dbg", None),
        ("proxmox-kernel-6.8", None),
        ("linux-headers-6.12", None),
    ] {
        assert_eq!(kernel_of(package), release, "{package}");
    }
}

#[test]
fn an_install_asks_nothing_and_keeps_the_operators_files() {
    let words = install(Choice::Pinned("/p")).join(" ");
    assert_eq!(
        words,
        "/usr/bin/apt-get -y -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
         -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false \
         -o Dir::Etc::Preferences=/p -o Dir::Etc::PreferencesParts=/dev/null dist-upgrade"
    );
    assert!(ENVIRONMENT.contains(&"DEBIAN_FRONTEND=noninteractive"));
    assert!(simulate(Choice::Free).contains(&"-s".to_owned()));
}

#[test]
fn a_failed_run_is_told_in_one_line() {
    // From the lab: a package whose script fails, as apt-get and dpkg print it.
    let printed = "Unpacking lab-tool (2.0+fails) over (1.0) ...\nSetting up lab-tool (2.0+fails) ...\n\
                   lab-tool: this version never installs\ndpkg: error processing package lab-tool (--configure):\n \
                   installed lab-tool package post-installation script subprocess returned error exit status 1\n\
                   Errors were encountered while processing:\n lab-tool\n\
                   E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
    assert_eq!(
        gist(printed),
        "lab-tool: this version never installs; dpkg: error processing package lab-tool (--configure):; installed lab-tool \
         package post-installation script subprocess returned error exit status 1"
    );
    assert_eq!(gist("E: Unable to locate package nix\n"), "E: Unable to locate package nix");
    assert_eq!(gist("one\ntwo\n\nthree\nfour\n"), "two; three; four");
    assert_eq!(gist(""), "");
}
