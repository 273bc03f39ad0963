//! The lab image's kernel hook: what lies on the EFI system partition after each call, and after one that was cut off.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

use std::path::PathBuf;
use std::time::Duration;

use hardstand_exec::{Finished, Run};
use hardstand_tests::root;
use tempfile::TempDir;

/// A call copies a few bytes.
const LIMIT: Duration = Duration::from_secs(30);

struct Node {
    dir: TempDir,
}

impl Node {
    /// A machine as the image installs it: one UKI, nothing else.
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        node.write("efi/EFI/BOOT/BOOTX64.EFI", "uki of the image");
        node.write("loader.efi", "systemd-boot");
        node.write("cmdline", "initrd=\\x console=ttyS0 rw root=LABEL=hardstand\n");
        for release in ["6.12.1-a", "6.12.2+b-a"] {
            node.write(&format!("boot/vmlinuz-{release}"), &format!("kernel {release}"));
            node.write(&format!("boot/initrd.img-{release}"), &format!("initrd {release}"));
        }
        node
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        std::fs::create_dir_all(self.path(relative).parent().unwrap()).unwrap();
        std::fs::write(self.path(relative), text).unwrap();
    }

    fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_else(|error| format!("{relative}: {error}"))
    }

    fn entries(&self) -> Vec<String> {
        let Ok(found) = std::fs::read_dir(self.path("efi/loader/entries")) else { return Vec::new() };
        let mut names: Vec<String> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn call(&self, args: &[&str]) -> Finished {
        let script = root().join("overlays/lab-node/usr/lib/hardstand/boot-entry");
        let run = Run::new(script, LIMIT).args(args).env("HARDSTAND_EFI", self.path("efi"));
        let run = run.env("HARDSTAND_BOOT", self.path("boot")).env("HARDSTAND_LOADER", self.path("loader.efi"));
        run.env("HARDSTAND_CMDLINE", self.path("cmdline")).output().await.unwrap()
    }

    async fn add(&self, release: &str) {
        let finished = self.call(&["add", release]).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_kernel_gets_an_entry_with_tries_and_the_image_stays_as_fallback() {
    let node = Node::new();
    node.add("6.12.2+b-a").await;
    assert_eq!(node.entries(), ["hardstand-6.12.2+b-a+2.conf"]);
    let expected = "title hardstand 6.12.2+b-a\nsort-key 0-hardstand\nversion 6.12.2+b-a\n\
                    linux /hardstand/6.12.2+b-a/linux\ninitrd /hardstand/6.12.2+b-a/initrd\n\
                    options console=ttyS0 rw root=LABEL=hardstand \n";
    assert_eq!(node.read("efi/loader/entries/hardstand-6.12.2+b-a+2.conf"), expected);
    assert_eq!(node.read("efi/hardstand/6.12.2+b-a/linux"), "kernel 6.12.2+b-a");
    assert_eq!(node.read("efi/EFI/Linux/hardstand-image.efi"), "uki of the image");
    assert_eq!(node.read("efi/EFI/BOOT/BOOTX64.EFI"), "systemd-boot");
}

#[tokio::test]
async fn again_changes_nothing_but_the_files_which_have_tries_of_their_own_and_a_blessed_entry_keeps_no_count() {
    let node = Node::new();
    node.add("6.12.1-a").await;
    node.add("6.12.2+b-a").await;
    // The boot loader counts by renaming.
    let entries = node.path("efi/loader/entries");
    std::fs::rename(entries.join("hardstand-6.12.1-a+2.conf"), entries.join("hardstand-6.12.1-a+1-1.conf")).unwrap();
    node.add("6.12.1-a").await;
    assert_eq!(node.entries(), ["hardstand-6.12.1-a+1-1.conf", "hardstand-6.12.2+b-a+2.conf"]);
    // What failed were other files: a cut may have left an initrd that was half made.
    std::fs::rename(entries.join("hardstand-6.12.1-a+1-1.conf"), entries.join("hardstand-6.12.1-a+0-2.conf")).unwrap();
    node.write("boot/initrd.img-6.12.1-a", "a newer initrd");
    node.add("6.12.1-a").await;
    assert_eq!(node.entries(), ["hardstand-6.12.1-a+2.conf", "hardstand-6.12.2+b-a+2.conf"]);
    assert_eq!(node.read("efi/hardstand/6.12.1-a/initrd"), "a newer initrd");
    assert_eq!(node.read("efi/EFI/Linux/hardstand-image.efi"), "uki of the image", "never the boot loader itself");
    // `uname -r` of this machine.
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned();
    node.write(&format!("boot/vmlinuz-{release}"), "kernel");
    node.write(&format!("boot/initrd.img-{release}"), "initrd");
    node.add(&release).await;
    for _ in 0..2 {
        assert_eq!(node.call(&["bless"]).await.code, Some(0));
        assert!(node.entries().contains(&format!("hardstand-{release}.conf")), "{:?}", node.entries());
    }
    assert_eq!(node.call(&["remove", "6.12.1-a"]).await.code, Some(0));
    assert!(!node.path("efi/hardstand/6.12.1-a").exists());
    assert_eq!(node.entries().len(), 2);
}

#[tokio::test]
async fn without_an_initrd_yet_nothing_changes_and_what_is_missing_is_said() {
    let node = Node::new();
    std::fs::remove_file(node.path("boot/initrd.img-6.12.1-a")).unwrap();
    node.add("6.12.1-a").await;
    assert_eq!((node.entries().len(), node.read("efi/EFI/BOOT/BOOTX64.EFI").as_str()), (0, "uki of the image"));
    let finished = node.call(&["add", "7.0"]).await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("there is no "), "{}", finished.stderr);
    for wrong in [&["add", "../x"][..], &["add"], &["wipe"], &["remove", "."]] {
        assert_eq!(node.call(wrong).await.code, Some(1), "{wrong:?}");
    }
    std::fs::remove_dir_all(node.path("efi/EFI")).unwrap();
    let finished = node.call(&["add", "6.12.2+b-a"]).await;
    assert!(finished.stderr.contains("no EFI system partition at"), "{}", finished.stderr);
}

#[tokio::test]
async fn what_an_earlier_call_left_half_done_is_finished_by_the_next() {
    let node = Node::new();
    // Cut off after the UKI was kept and half a kernel was written beside its place.
    node.write("efi/EFI/Linux/hardstand-image.efi", "uki of the image");
    node.write("efi/hardstand/6.12.1-a/linux.new", "ker");
    node.add("6.12.1-a").await;
    assert_eq!(node.read("efi/hardstand/6.12.1-a/linux"), "kernel 6.12.1-a");
    assert!(!node.path("efi/hardstand/6.12.1-a/linux.new").exists());
    // A partition that is full: the kernel's place cannot be made. The machine boots as it did.
    let full = Node::new();
    full.write("efi/hardstand", "in the way");
    assert_ne!(full.call(&["add", "6.12.1-a"]).await.code, Some(0));
    assert_eq!((full.entries().len(), full.read("efi/EFI/BOOT/BOOTX64.EFI").as_str()), (0, "uki of the image"));
}
