//! The whole pipeline on a small image: reproducible to the byte, every kind of damage found, every kind of host identity
//! refused, every failure one clear error with nothing half-written. Needs the package mirror of this machine.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hardstand_exec::{Finished, Run, find};

use crate::lab::{LIMIT, Lab, lab, stdout};

mod lab;
mod planted;
mod switches;

/// Files in which a host would be known, and what the refusal calls them.
const IDENTITIES: [(&str, &str); 9] = [
    ("etc/ssh/ssh_host_ed25519_key", "SSH host keys"),
    ("etc/ssh/ssh_host_rsa_key.pub", "SSH host keys"),
    ("etc/nvme/hostid", "an NVMe host id"),
    ("etc/nvme/hostnqn", "an NVMe host name"),
    ("etc/iscsi/initiatorname.iscsi", "an iSCSI initiator name"),
    ("etc/machine-id", "a machine id"),
    ("var/lib/dbus/machine-id", "a machine id"),
    ("etc/hostid", "a host id"),
    ("var/lib/systemd/random-seed", "a random seed"),
];

/// A copy of the image to be damaged, without hard links.
fn copy(lab: &Lab, name: &str) -> PathBuf {
    let target = lab.path(name);
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(target.join("netboot")).unwrap();
    for dir in ["", "netboot"] {
        for entry in fs::read_dir(lab.path("image").join(dir)).unwrap().flatten() {
            if entry.path().is_file() {
                fs::copy(entry.path(), target.join(dir).join(entry.file_name())).unwrap();
            }
        }
    }
    target
}

fn flip(file: &Path, at: usize) -> (u8, u8) {
    let mut bytes = fs::read(file).unwrap();
    let old = bytes[at];
    bytes[at] = !old;
    fs::write(file, &bytes).unwrap();
    (old, !old)
}

async fn verify(lab: &Lab, dir: &Path) -> Finished {
    lab.run(&["verify"]).arg(dir).output().await.unwrap()
}

#[tokio::test]
async fn the_image_is_whole_signed_and_listed() {
    let lab = lab().await;
    let finished = verify(lab, &lab.path("image")).await;
    assert_eq!(finished.code, Some(0), "{}", stdout(&finished));
    assert!(stdout(&finished).contains(": good, "));
    for tool in ["sha256sum", "minisign"] {
        let program = find(tool).unwrap();
        let args: &[&str] = match tool {
            "minisign" => &["-Vm", "SHA256SUMS", "-p", "../config/hardstand/image.pub"],
            _ => &["--quiet", "--strict", "-c", "SHA256SUMS"],
        };
        Run::new(program, LIMIT).args(args).dir(lab.path("image")).success().await.unwrap();
    }
    let sbom = lab.run(&["sbom", "image"]).success().await.unwrap();
    let sbom: serde_json::Value = serde_json::from_slice(&sbom.stdout).unwrap();
    let names: Vec<_> = sbom["packages"].as_array().unwrap().iter().map(|package| package["name"].clone()).collect();
    assert!(names.contains(&"systemd".into()) && names.contains(&"libc6".into()), "{names:?}");
    let key = fs::metadata(lab.path("config/hardstand/image.key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
}

#[tokio::test]
async fn a_wrong_byte_is_named() {
    let lab = lab().await;
    let bad = copy(lab, "bad-bytes");
    let (old, new) = flip(&bad.join("initrd"), 1_234_567);
    flip(&bad.join("disk.img"), 700);
    let finished = verify(lab, &bad).await;
    assert_eq!(finished.code, Some(1));
    let said = stdout(&finished);
    let exact = format!("initrd: byte 1234567 (0x12d687) is 0x{new:02x}, should be 0x{old:02x} (as in ");
    assert!(said.contains(&exact), "{said}");
    assert!(said.contains("disk.img: wrong within bytes 0..="), "{said}");
}

#[tokio::test]
async fn whatever_else_is_wrong_with_an_image_is_said() {
    let lab = lab().await;
    let bad = copy(lab, "bad-files");
    fs::remove_file(bad.join("netboot/boot.ipxe")).unwrap();
    fs::write(bad.join("stray"), b"x").unwrap();
    let vmlinuz = fs::read(bad.join("vmlinuz")).unwrap();
    fs::write(bad.join("vmlinuz"), &vmlinuz[..vmlinuz.len() - 3]).unwrap();
    flip(&bad.join("manifest.json"), 1000);
    let said = stdout(&verify(lab, &bad).await);
    assert!(said.contains("netboot/boot.ipxe: missing"), "{said}");
    assert!(said.contains("stray: not part of this image; remove it"), "{said}");
    assert!(
        said.contains(&format!("vmlinuz: has {} bytes, should have {}", vmlinuz.len() - 3, vmlinuz.len())),
        "{said}"
    );
    assert!(said.contains("manifest.json: wrong within bytes 512..=1023"), "{said}");
    let forged = copy(lab, "bad-signature");
    let sums = fs::read_to_string(forged.join("SHA256SUMS")).unwrap();
    fs::write(forged.join("SHA256SUMS"), sums.replacen('a', "b", 1)).unwrap();
    let finished = verify(lab, &forged).await;
    assert_eq!(finished.code, Some(1));
    assert!(stdout(&finished).contains("SHA256SUMS: the signature does not fit"), "{}", stdout(&finished));
}

#[tokio::test]
async fn each_planted_identity_is_refused() {
    let lab = lab().await;
    for (path, what) in IDENTITIES {
        let recipe = lab.with_overlay(&format!("id-{}", path.replace(['/', '.', '_'], "-")), &[(path, "4c4c4544\n")]);
        let finished = lab.build(&recipe, "store", "refused").output().await.unwrap();
        assert_eq!(finished.code, Some(1), "{path} was let through");
        assert!(finished.stderr.contains(&format!("/{path} ({what}, from overlay ./id-")), "{}", finished.stderr);
        assert!(!lab.path("refused").exists());
    }
}

#[tokio::test]
async fn a_changed_overlay_shows_in_the_diff() {
    let lab = lab().await;
    let recipe = lab.with_overlay("motd", &[("etc/motd", "hello\n")]);
    lab.build(&recipe, "store", "motd-image").success().await.unwrap();
    let finished = lab.run(&["diff", "image", "motd-image"]).output().await.unwrap();
    assert_eq!(finished.code, Some(1));
    let said = stdout(&finished);
    assert!(said.contains("recipe: tiny -> motd"), "{said}");
    assert!(said.contains("file etc/motd"), "{said}");
    assert!(!said.contains("package "), "{said}");
    assert_eq!(lab.run(&["diff", "image", "image"]).output().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_damaged_package_is_noticed_and_fetched_again() {
    let lab = lab().await;
    let store = lab.path("damaged");
    fs::create_dir_all(store.join("packages")).unwrap();
    let lock = fs::read_to_string(lab.path("tiny.lock")).unwrap();
    for entry in fs::read_dir(lab.path("store/packages")).unwrap().flatten() {
        fs::hard_link(entry.path(), store.join("packages").join(entry.file_name())).unwrap();
    }
    let victim =
        lock.lines().find_map(|line| line.strip_prefix("sha256 = \"")).unwrap().trim_end_matches('"').to_owned();
    let file = store.join("packages").join(&victim);
    fs::remove_file(&file).unwrap();
    fs::write(&file, b"not a package").unwrap();
    let finished = lab.build("tiny.toml", "damaged", "never").output().await.unwrap();
    assert_eq!(finished.code, Some(1));
    let said = "is not in the package store, or was damaged there; `hardstand-image lock --locked` fetches what the lock names";
    assert!(finished.stderr.contains(said), "{}", finished.stderr);
    assert!(!lab.path("never").exists());
    lab.run(&["lock", "tiny.toml", "--locked", "--store", "damaged"]).success().await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), fs::read(lab.path("store/packages").join(&victim)).unwrap());
}

#[tokio::test]
async fn a_mirror_that_serves_something_else_is_refused() {
    let lab = lab().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil").await;
        }
    });
    let finished = lab
        .run(&[
            "lock",
            "tiny.toml",
            "--locked",
            "--store",
            "lied-to",
            "--mirror",
            &address,
            "--security-mirror",
            &address,
        ])
        .output()
        .await
        .unwrap();
    server.abort();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("has SHA-256 ") && finished.stderr.contains(", the lock says "),
        "{}",
        finished.stderr
    );
    assert_eq!(fs::read_dir(lab.path("lied-to/packages")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_package_the_archive_does_not_have_is_named() {
    let lab = lab().await;
    let text = "extends = \"tiny\"\npackages = [\"no-such-package\"]\n";
    fs::write(lab.path("missing.toml"), text).unwrap();
    let finished = lab.run(&["lock", "missing.toml", "--store", "store"]).output().await.unwrap();
    assert_eq!(finished.code, Some(1));
    let said = "the archive has no package no-such-package in trixie (main); correct `packages` of the recipe";
    assert!(finished.stderr.contains(said), "{}", finished.stderr);
    assert!(!lab.path("missing.lock").exists());
    let stale = lab.build("missing.toml", "store", "never").output().await.unwrap();
    assert!(stale.stderr.contains("the recipe now asks for no-such-package"), "{}", stale.stderr);
}

#[tokio::test]
async fn a_full_disk_is_one_error_and_leaves_nothing() {
    let lab = lab().await;
    let program = env!("CARGO_BIN_EXE_hardstand-image");
    lab.fresh_store("full-store");
    // (what is small, store, output): scratch for a cold build, the output directory for a warm one.
    for (small, store, out) in [("small-tmp", "full-store", "never-full"), ("small-out", "store", "small-out/image")] {
        fs::create_dir_all(lab.path(small)).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=20m none {small} && \
             {program} build tiny.toml --lock tiny.lock --store {store} --out {out}; status=$?; ls -A {small}; exit $status"
        );
        let mut run = lab.command("/usr/bin/unshare").args(["-rm", "/bin/sh", "-c", &script]);
        if small == "small-tmp" {
            run = run.env("TMPDIR", lab.path(small));
        }
        let finished = run.output().await.unwrap();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("the disk is full: free some space"), "{}", finished.stderr);
        assert_eq!(stdout(&finished), "", "left behind in {small}");
    }
    assert!(!lab.path("never-full").exists());
}

#[tokio::test]
async fn a_killed_build_is_followed_by_a_good_one() {
    let lab = lab().await;
    lab.fresh_store("killed-store");
    let log_path = lab.path("killed.log");
    let log = fs::File::create(&log_path).unwrap();
    let mut build = lab.build("tiny.toml", "killed-store", "killed").start(log).unwrap();
    let began = Instant::now();
    while !fs::read_to_string(&log_path).unwrap().contains("installing packages: ") {
        assert!(began.elapsed() < LIMIT, "waiting for the installation to begin: {:?}", fs::read_to_string(&log_path));
        assert_eq!(build.ended().unwrap(), None, "{:?}", fs::read_to_string(&log_path));
        tokio::task::yield_now().await;
    }
    build.kill().await.unwrap();
    assert!(!lab.path("killed").exists());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let left: Vec<_> = mounts.lines().filter(|line| line.contains(lab.path("").to_str().unwrap())).collect();
    assert!(left.is_empty(), "mounts left behind: {left:?}");
    assert_eq!(fs::read_dir(lab.path("killed-store/derived")).unwrap().count(), 0);
    lab.build("tiny.toml", "killed-store", "killed").success().await.unwrap();
    assert_eq!(fs::read(lab.path("killed/SHA256SUMS")).unwrap(), fs::read(lab.path("image/SHA256SUMS")).unwrap());
}
