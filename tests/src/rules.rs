//! The rules of the house over one source file each. Every rule takes the file's name and text and returns what
//! breaks it, as `file:line: what, and where it belongs`.
//!
//! The exceptions are listed here with their reason and nowhere else.

use crate::source::{Found, Scope, Source, parse};

/// What a pure crate may not name: whatever reaches outside the process or differs from run to run.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::time::SystemTime::elapsed",
    "std::hash::RandomState",
    "std::collections::hash_map::RandomState",
];
/// Printing is I/O too; these are macros and so not paths into `std`.
const IMPURE_MACROS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];

/// What starts a program or replaces the process.
const RUNS_PROGRAMS: &[&str] = &[
    "std::process::Command",
    "tokio::process",
    "nix::unistd::fork",
    "nix::unistd::execv",
    "nix::unistd::execve",
    "nix::unistd::execvp",
    "nix::unistd::execvpe",
    "nix::unistd::fexecve",
    "nix::spawn",
    "libc::fork",
    "libc::execv",
    "libc::execve",
    "libc::execvp",
    "libc::posix_spawn",
    "libc::system",
];
/// Where programs are run.
const RUNNER: &str = "agent/exec/src/";
/// Files that run programs all the same, with the reason.
const ALSO_RUN: &[(&str, &str)] = &[
    ("agent/src/host/ipmi/tests.rs", "starts a simulated controller that FreeIPMI's tools ask; never shipped"),
    ("agent/src/report/metrics/tests.rs", "hands the page to promtool; never shipped"),
    ("agent/tests/helper_process.rs", "starts our own helper with a socket passed to it; never shipped"),
];

/// What opens a file for writing.
const WRITES: &[&str] = &[
    "std::fs::OpenOptions",
    "std::fs::File::options",
    "std::fs::File::create",
    "std::fs::File::create_new",
    "std::fs::write",
    "std::fs::copy",
    "tokio::fs::OpenOptions",
    "tokio::fs::File::options",
    "tokio::fs::File::create",
    "tokio::fs::write",
    "tokio::fs::copy",
    "nix::fcntl::open",
];
/// The one file that may open a block device for writing (it needs a consent token to do so).
const BLOCK_WRITER: &str = "image/src/write.rs";
/// Devices that are not disks.
const HARMLESS_DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/urandom", "/dev/tty", "/dev/kvm", "/dev/net/tun"];

/// Programs that make or unmake filesystems and partition tables. The agent holds none of these names.
const WIPES: &[&str] = &[
    "mkfs",
    "wipefs",
    "sgdisk",
    "sfdisk",
    "fdisk",
    "cfdisk",
    "parted",
    "dd",
    "blkdiscard",
    "shred",
    "mkswap",
    "mke2fs",
    "labelclear",
    "hdparm",
    "nvme-format",
    "badblocks",
    "cryptsetup",
    "pvcreate",
    "pvremove",
    "vgremove",
    "lvremove",
];
/// Programs and buses that patch or reboot a running node. The image program holds none of these names.
const PATCHES: &[&str] =
    &["reboot", "poweroff", "shutdown", "kexec", "systemctl", "org.freedesktop.login1", "org.freedesktop.systemd1"];

/// Files that may say `unsafe`, with the reason.
const UNSAFE: &[(&str, &str)] = &[
    ("agent/exec/src/lib.rs", "pre_exec, so that a child dies with its parent"),
    ("agent/src/helper/serve.rs", "takes the descriptor that systemd passes"),
    ("agent/src/host/clock.rs", "adjtimex, which no safe crate here wraps"),
];

/// Names a module may not have: they say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "manager", "handler", "handlers", "helpers", "misc"];

/// The file opens with `//!`: what it is for and what it must never do.
pub fn opens_with_purpose(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//! ") {
        Vec::new()
    } else {
        vec![format!("{file}:1: does not open with `//!` and its purpose")]
    }
}

/// A pure crate reaches nothing outside its arguments. Unit tests may.
pub fn is_pure(file: &str, text: &str) -> Vec<String> {
    with(file, text, Scope::Shipped, |source| {
        let paths = under(&source.paths, IMPURE).map(|found| (found.line, format!("{} in a pure crate", found.text)));
        let macros = source.words.iter().filter(|word| IMPURE_MACROS.contains(&word.text.as_str()));
        let macros = macros.map(|found| (found.line, format!("{}! in a pure crate", found.text)));
        paths.chain(macros).collect()
    })
}

/// Programs are run in `hardstand-exec` and nowhere else, tests included.
pub fn runs_no_program(file: &str, text: &str) -> Vec<String> {
    if file.starts_with(RUNNER) || ALSO_RUN.iter().any(|(listed, _reason)| *listed == file) {
        return Vec::new();
    }
    with(file, text, Scope::All, |source| {
        under(&source.paths, RUNS_PROGRAMS)
            .map(|found| (found.line, format!("{}: programs are run through hardstand-exec", found.text)))
            .collect()
    })
}

/// No shipped file both names a device and can open files for writing, but the one writer.
pub fn writes_no_device(file: &str, text: &str) -> Vec<String> {
    if file == BLOCK_WRITER {
        return Vec::new();
    }
    with(file, text, Scope::Shipped, |source| {
        let writes: Vec<_> = under(&source.paths, WRITES).collect();
        let devices = source
            .strings
            .iter()
            .filter(|string| string.text.starts_with("/dev") && !HARMLESS_DEVICES.contains(&string.text.as_str()));
        match writes.first() {
            Some(write) => devices
                .map(|found| {
                    let told = format!("names {} and can write ({}): only {BLOCK_WRITER} may", found.text, write.text);
                    (found.line, told)
                })
                .collect(),
            None => Vec::new(),
        }
    })
}

/// The agent has no program in hand that wipes a disk.
pub fn wipes_nothing(file: &str, text: &str) -> Vec<String> {
    holds_none_of(file, text, WIPES, "wipes disks; the agent contains no such code")
}

/// The image program has nothing in hand that patches or reboots a running node.
pub fn patches_nothing(file: &str, text: &str) -> Vec<String> {
    holds_none_of(file, text, PATCHES, "acts on a running node; the image program contains no such code")
}

/// `unsafe` stands only in the files listed, unit tests included.
pub fn is_safe(file: &str, text: &str) -> Vec<String> {
    if UNSAFE.iter().any(|(listed, _reason)| *listed == file) {
        return Vec::new();
    }
    with(file, text, Scope::All, |source| {
        let said = source.words.iter().filter(|word| word.text == "unsafe" || word.text == "unsafe_code");
        said.map(|found| (found.line, "unsafe outside the files listed in tests/src/rules.rs".to_owned())).collect()
    })
}

/// No glob imports. A unit test may import its parent whole.
pub fn imports_by_name(file: &str, text: &str) -> Vec<String> {
    with(file, text, Scope::All, |source| {
        let globs = source.paths.iter().filter(|path| path.text.ends_with("::*") && path.text != "super::*");
        globs.map(|found| (found.line, format!("{} is a glob import; name what is used", found.text))).collect()
    })
}

/// The module's name says what is inside.
pub fn has_a_telling_name(file: &str) -> Vec<String> {
    let mut parts = file.trim_end_matches(".rs").split('/');
    let empty = parts.find(|part| EMPTY_NAMES.contains(part));
    empty.map(|part| format!("{file}:1: `{part}` says nothing about what is inside")).into_iter().collect()
}

fn holds_none_of(file: &str, text: &str, names: &[&str], why: &str) -> Vec<String> {
    with(file, text, Scope::Shipped, |source| {
        let mut told = Vec::new();
        for string in &source.strings {
            // By whole word, so that `added` is not `dd`, nor is the last byte of a MAC address; `/sbin/mkfs.ext4` is
            // `mkfs` all the same.
            let words = string.text.split(|c: char| c.is_whitespace() || "/'\"`;|&()<>".contains(c));
            for word in words {
                let stem = if word.starts_with("mkfs.") { "mkfs" } else { word };
                if names.contains(&stem) {
                    told.push((string.line, format!("\"{word}\" {why}")));
                }
            }
        }
        told
    })
}

fn under<'a>(paths: &'a [Found], forbidden: &'static [&'static str]) -> impl Iterator<Item = &'a Found> {
    paths.iter().filter(move |path| {
        forbidden
            .iter()
            .any(|name| path.text.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    })
}

fn with(file: &str, text: &str, scope: Scope, look: impl FnOnce(&Source) -> Vec<(usize, String)>) -> Vec<String> {
    match parse(text, scope) {
        Ok(source) => look(&source).into_iter().map(|(line, told)| format!("{file}:{line}: {told}")).collect(),
        Err(error) => vec![format!("{file}:1: is not Rust: {error}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_purpose_is_told() {
        assert_eq!(opens_with_purpose("a.rs", "use x;"), ["a.rs:1: does not open with `//!` and its purpose"]);
        assert!(opens_with_purpose("a.rs", "//! Reads x.").is_empty());
    }

    #[test]
    fn every_impure_name_is_seen() {
        for name in IMPURE {
            let told = is_pure("core.rs", &format!("fn a() {{ {name}(); }}"));
            assert_eq!(told, [format!("core.rs:1: {name} in a pure crate")]);
        }
        assert_eq!(is_pure("core.rs", "use std::time::Instant;\nfn a() { Instant::now(); }").len(), 1);
        assert_eq!(is_pure("core.rs", "fn a() { println!(); }"), ["core.rs:1: println! in a pure crate"]);
        assert!(is_pure("core.rs", "use std::time::{Duration, SystemTime};\nfn a(now: SystemTime) {}").is_empty());
    }

    #[test]
    fn running_a_program_is_seen_under_any_name() {
        let sources = [
            "use tokio::process::Command;",
            "use std::process as p; fn a() { p::Command::new(\"x\"); }",
            "use nix::unistd::{getuid, execve};",
        ];
        for text in sources {
            assert_eq!(runs_no_program("agent/src/run.rs", text).len(), 1, "{text}");
        }
        assert!(runs_no_program("agent/exec/src/lib.rs", sources[0]).is_empty());
        assert!(runs_no_program("agent/src/main.rs", "fn main() -> std::process::ExitCode { todo() }").is_empty());
    }

    #[test]
    fn a_second_writer_of_devices_is_seen() {
        let text = "use std::fs::OpenOptions;\nfn a() { OpenOptions::new().write(true).open(\"/dev/sda\"); }";
        assert_eq!(
            writes_no_device("image/src/pack.rs", text),
            ["image/src/pack.rs:2: names /dev/sda and can write (std::fs::OpenOptions): only image/src/write.rs may"]
        );
        assert!(writes_no_device("image/src/write.rs", text).is_empty());
        assert!(writes_no_device("image/src/pack.rs", "fn a() { std::fs::File::open(\"/dev/sda\"); }").is_empty());
        assert_eq!(
            writes_no_device("a.rs", "fn a(n: &str) { std::fs::write(format!(\"/dev/{n}\"), b\"\"); }").len(),
            1
        );
    }

    #[test]
    fn names_of_wipers_and_patchers_are_seen_as_words() {
        assert_eq!(wipes_nothing("a.rs", "fn a() { run(\"/usr/sbin/mkfs.ext4\"); run(\"dd\"); }").len(), 2);
        assert_eq!(wipes_nothing("a.rs", "fn a() { run(\"sh -c 'dd if=x;wipefs -a y'\"); }").len(), 2);
        assert!(wipes_nothing("a.rs", "fn a() { say(\"added a disk aa:bb:cc:dd\"); }").is_empty());
        assert_eq!(patches_nothing("a.rs", "fn a() { run(\"systemctl\"); }").len(), 1);
    }

    #[test]
    fn unsafe_globs_and_empty_names_are_seen() {
        assert_eq!(is_safe("a.rs", "fn a() { unsafe { b() } }").len(), 1);
        assert!(is_safe("agent/exec/src/lib.rs", "fn a() { unsafe { b() } }").is_empty());
        assert_eq!(imports_by_name("a.rs", "use std::io::*;").len(), 1);
        assert!(imports_by_name("a.rs", "#[cfg(test)] mod tests { use super::*; }").is_empty());
        assert_eq!(has_a_telling_name("agent/src/util.rs").len(), 1);
        assert!(has_a_telling_name("agent/src/helper/mod.rs").is_empty());
    }
}
