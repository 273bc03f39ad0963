//! The fixtures are dpkg's record after real runs of dpkg over made-up packages (one whose script fails, one only
//! unpacked, one on hold, one removed but for its configuration), and lists that apt fetched from archives made of newer
//! ones. What apt itself would upgrade there was written down: the expectations are its answers.

use std::path::PathBuf;

use super::*;
use crate::host::{Scratch, feed_damaged};

const STATUS_TEXT: &str = include_str!("../../../tests/fixtures/apt/status");
const PINS: &str = include_str!("../../../tests/fixtures/apt/site.pref");
const MAIN: &str =
    include_str!("../../../tests/fixtures/apt/lists/mirror.example_debian_dists_trixie_main_binary-amd64_Packages");
const BACKPORTS: &str =
    include_str!("../../../tests/fixtures/apt/lists/mirror.example_debian_dists_trixie-backports_Release");

fn machine() -> Scratch {
    let host = Scratch::new();
    host.write(STATUS, STATUS_TEXT);
    std::fs::create_dir_all(host.path(UPDATES)).unwrap();
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/apt/lists");
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        host.write(&format!("{LISTS}/{name}"), std::fs::read(entry.path()).unwrap());
    }
    host
}

fn probed(host: &Host) -> Packages {
    PackageFiles::default().probe(host).unwrap()
}

/// `name candidate origin`, with `!` for security and `=` for held.
fn pending_rows(host: &Host) -> Vec<String> {
    let packages = probed(host);
    let rows = packages.pending.known().unwrap_or_else(|| panic!("{:?}", packages.pending)).iter().map(|row| {
        let marks = format!("{}{}", if row.security { "!" } else { "" }, if row.held { "=" } else { "" });
        format!("{} {} {}{marks}", row.name, row.candidate, row.origin)
    });
    rows.collect()
}

#[test]
fn what_is_installed_held_and_half_way_is_told() {
    let packages = probed(&machine());
    assert_eq!(packages.installed, 12);
    let half_way: Vec<(&str, &str)> =
        packages.half_configured.iter().map(|row| (row.name.as_str(), row.state.as_str())).collect();
    assert_eq!(half_way, [("broken", "half-configured"), ("trig", "half-configured"), ("unpacked", "unpacked")]);
    assert_eq!(packages.held, ["held"]);
    assert!(!packages.dpkg_interrupted);
}

#[test]
fn apt_agrees_on_what_is_pending() {
    assert_eq!(
        pending_rows(&machine()),
        [
            "archless 1.1 Debian/stable",
            "fixed 2.0-1+deb13u1 Debian/stable-security!",
            "foreign 1.1 Debian/stable",
            "frombpo 5.0-1~bpo13+2 Debian Backports/stable-backports",
            "held 1:1.2 Debian/stable=",
            "keeps 1.0-3 Debian/stable",
            "plain 1.0-2 Debian/stable",
        ]
    );
}

#[test]
fn apt_agrees_on_what_is_pending_under_pins() {
    let host = machine();
    host.write("etc/apt/preferences.d/site.pref", PINS);
    host.write("etc/apt/preferences.d/ignored.bak", "rubbish");
    assert_eq!(
        pending_rows(&host),
        [
            "archless 1.1 Debian/stable",
            "experiment 2.0 Debian/experimental",
            "fixed 2.0-1+deb13u1 Debian/stable-security!",
            "foreign 1.1 Debian/stable",
            "frombpo 5.0-1~bpo13+2 Debian Backports/stable-backports",
            "keeps 1.1-1 Debian Backports/stable-backports",
            "newer 4.0-1~bpo13+1 Debian Backports/stable-backports",
        ]
    );
    host.write("etc/apt/preferences", "Package: *\nPin: origin \"mirror.example\"\nPin-Priority: 50\n");
    assert_eq!(
        pending_rows(&host),
        [
            "experiment 2.0 Debian/experimental",
            "keeps 1.1-1 Debian Backports/stable-backports",
            "newer 4.0-1~bpo13+1 Debian Backports/stable-backports"
        ]
    );
}

#[test]
fn an_unknown_pin_makes_pending_unknown() {
    let host = machine();
    for (text, what) in [
        ("Package: /^lib/\nPin: version 1\nPin-Priority: 1\n", "Package: /^lib/"),
        ("Package: src:linux\nPin: version 1\nPin-Priority: 1\n", "Package: src:linux"),
        ("Package: x\nPin: release stable\nPin-Priority: 1\n", "Pin: release stable"),
        ("Package: x\nPin: moon full\nPin-Priority: 1\n", "Pin: moon full"),
        ("Package: x\nPin: version 1\nPin-Priority: high\n", "Pin-Priority: high"),
    ] {
        let path = host.write("etc/apt/preferences.d/odd", text);
        let why = format!(
            "parsing {}: line 4: the pin {what:?} has a form not known here; see: apt-cache policy, and man 5 \
             apt_preferences",
            path.display()
        );
        assert_eq!(probed(&host).pending.why(), Some(why.as_str()));
    }
}

#[test]
fn lists_that_cannot_be_read_are_unknown_and_the_rest_is_told() {
    let host = machine();
    let list = format!("{LISTS}/mirror.example_debian_dists_trixie_main_binary-i386_Packages");
    let packed = host.path(format!("{list}.lz4"));
    std::fs::rename(host.path(&list), &packed).unwrap();
    let packages = probed(&host);
    let why = format!(
        "parsing /{list}.lz4: kept compressed, which is not read here; turn Acquire::GzipIndexes off and run: apt-get \
         update"
    );
    assert_eq!((packages.installed, packages.pending.why()), (12, Some(why.as_str())));
    std::fs::remove_file(packed).unwrap();
    let path = host.write(&list, "Package: x\nVersion 1\n");
    let why = format!("parsing {}: line 2: no `Name: value`: \"Version 1\"", path.display());
    assert_eq!(probed(&host).pending.why(), Some(why.as_str()));
    std::fs::remove_dir_all(host.path(LISTS)).unwrap();
    let packages = probed(&host);
    let why = "parsing /var/lib/apt/lists: there are no package lists; run: apt-get update";
    assert_eq!(packages.pending.why(), Some(why));
    let why = "there are no package lists; run: apt-get update";
    assert_eq!(packages.lists_refreshed_unix_seconds.why(), Some(why));
}

#[test]
fn the_lists_age_by_their_newest_trace() {
    let host = machine();
    let set = |path: PathBuf, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        File::open(path).unwrap().set_modified(time).unwrap();
    };
    for name in host.names(LISTS) {
        set(host.path(LISTS).join(name), 1000);
    }
    std::fs::create_dir_all(host.path(LISTS).join("partial")).unwrap();
    set(host.path(LISTS).join("mirror.example_debian_dists_trixie_Release"), 2000);
    set(host.path(LISTS), 1500);
    assert_eq!(probed(&host).lists_refreshed_unix_seconds, Reading::Known(2000), "`partial` says nothing");
    set(host.path(LISTS), 3000);
    assert_eq!(probed(&host).lists_refreshed_unix_seconds, Reading::Known(3000));
    set(host.write(SUCCESS_STAMP, ""), 4000);
    assert_eq!(probed(&host).lists_refreshed_unix_seconds, Reading::Known(4000));
}

#[test]
fn nothing_is_read_again_until_something_changes() {
    let host = machine();
    let mut files = PackageFiles::default();
    let first = files.probe(&host).unwrap();
    // Read again, this would be the answer.
    files.seen.as_mut().unwrap().1.installed = 99;
    assert_eq!(files.probe(&host).unwrap().installed, 99);
    host.write("var/lib/dpkg/updates/0001", "");
    let second = files.probe(&host).unwrap();
    assert_eq!((second.installed, second.dpkg_interrupted), (first.installed, true));
    host.write(STATUS, STATUS_TEXT.replace("Status: hold ok", "Status: install ok"));
    assert!(files.probe(&host).unwrap().held.is_empty());
    host.write("etc/apt/preferences", PINS);
    assert_eq!(files.probe(&host).unwrap().pending.known().unwrap().len(), 7);
    std::fs::remove_file(host.path(STATUS)).unwrap();
    let why = format!("reading {}: No such file or directory (os error 2)", host.path(STATUS).display());
    assert_eq!(files.probe(&host).unwrap_err().to_string(), why);
}

#[test]
fn broken_texts_are_told_with_their_line() {
    let status = |text: &str| parse_dpkg_status(text).unwrap_err().to_string();
    assert_eq!(
        status("Package: a\nStatus: install ok\nVersion: 1\n\n"),
        "parsing dpkg status: line 4: the Status of a is not three words: \"install ok\""
    );
    assert_eq!(
        status("Package: a\nStatus: install ok installed\n"),
        "parsing dpkg status: line 3: a is installed and has no Version"
    );
    assert_eq!(status("Version: 1\n"), "parsing dpkg status: line 2: the paragraph before has no Package");
    assert_eq!(status("\n\nrubbish\n"), "parsing dpkg status: line 3: no `Name: value`: \"rubbish\"");
    let long = format!("Package: {}\n", "x".repeat(2 << 20));
    assert_eq!(status(&long), "parsing dpkg status: line 1: longer than 1048576 bytes");
    let packages = |text: &str| parse_apt_packages(text).unwrap_err().to_string();
    assert_eq!(
        packages("Package: a\n\n"),
        "parsing apt packages: line 2: the paragraph before has no Package or no Version"
    );
    let release = |text: &str| parse_apt_release(text).unwrap_err().to_string();
    assert_eq!(release("<html>\n"), "parsing apt release: line 1: no `Name: value`: \"<html>\"");
    assert_eq!(
        release("SHA256:\n 0 0 x\nSuite: late\n"),
        "parsing apt release: neither Origin nor Suite nor Codename before the checksums"
    );
}

#[test]
fn good_texts_are_parsed_and_damaged_ones_never_panic() {
    let signed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{BACKPORTS}");
    let release = parse_apt_release(&signed).unwrap();
    assert_eq!(release, parse_apt_release(BACKPORTS).unwrap());
    assert_eq!((release.suite.as_str(), release.codename.as_str()), ("stable-backports", "trixie-backports"));
    assert!(release.not_automatic && release.but_automatic_upgrades && !release.is_security());
    assert_eq!(parse_apt_packages(MAIN).unwrap().len(), 6);
    let plain = Offered { name: "plain".to_owned(), version: "1.0-2".to_owned(), arch: "amd64".to_owned() };
    assert!(parse_apt_packages(MAIN).unwrap().contains(&plain));
    assert_eq!(parse_dpkg_status(STATUS_TEXT).unwrap().len(), 15);
    feed_damaged(STATUS_TEXT, |text| drop(parse_dpkg_status(text)));
    feed_damaged(MAIN, |text| drop(parse_apt_packages(text)));
    feed_damaged(BACKPORTS, |text| drop(parse_apt_release(text)));
    feed_damaged(PINS, |text| drop(preferences::read_pins(text.as_bytes(), &mut Vec::new())));
}
