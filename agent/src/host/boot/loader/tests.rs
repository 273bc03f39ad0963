//! Boot entries: good ones, and each way in which one is not.

use super::*;
use crate::host::Scratch;

const RELEASE: &str = "6.12.2-lab-amd64";

fn with_kernel() -> Scratch {
    let host = Scratch::new();
    for release in ["6.12.1-lab-amd64", RELEASE] {
        host.write(&format!("boot/vmlinuz-{release}"), "kernel");
        host.write(&format!("boot/initrd.img-{release}"), "initrd");
        host.write(&format!("usr/lib/modules/{release}/modules.dep"), "");
    }
    host
}

fn with_entry() -> Scratch {
    let host = with_kernel();
    let text = format!(
        "title x\nversion {RELEASE}\nlinux /hardstand/{RELEASE}/linux\ninitrd /hardstand/{RELEASE}/initrd\noptions rw\n"
    );
    host.write("efi/loader/entries/hardstand-6.12.2-lab-amd64+3.conf", text);
    host.write(&format!("efi/hardstand/{RELEASE}/linux"), "kernel");
    host.write(&format!("efi/hardstand/{RELEASE}/initrd"), "initrd");
    host
}

#[test]
fn an_entry_of_systemd_boot_is_found_by_its_version() {
    let host = with_entry();
    let id = "hardstand-6.12.2-lab-amd64.conf".to_owned();
    assert_eq!(entry(&host, RELEASE), Ok(Entry::SystemdBoot { id }));
    assert_eq!(newest(&host).as_deref(), Some(RELEASE));
    assert_eq!(esp(&host), Some("efi"));
    assert_eq!(kernel_bytes(&host), 12);
    let other = "no entry of systemd-boot below /efi names kernel 6.12.1-lab-amd64; run kernel-install or its hook";
    assert_eq!(entry(&host, "6.12.1-lab-amd64"), Err(other.to_owned()));
}

#[test]
fn an_entry_that_the_boot_loader_has_given_up_is_none_unless_it_runs() {
    let host = with_entry();
    let entries = host.path("efi/loader/entries");
    let rename = |from: &str, to: &str| std::fs::rename(entries.join(from), entries.join(to)).unwrap();
    rename("hardstand-6.12.2-lab-amd64+3.conf", "hardstand-6.12.2-lab-amd64+1-1.conf");
    assert!(entry(&host, RELEASE).is_ok());
    rename("hardstand-6.12.2-lab-amd64+1-1.conf", "hardstand-6.12.2-lab-amd64+0-2.conf");
    let given_up = format!(
        "the boot loader has given kernel {RELEASE} up, its tries failed; see why: journalctl -b -1, then renew what it \
         boots: update-initramfs -u -k {RELEASE}"
    );
    assert_eq!(entry(&host, RELEASE), Err(given_up));
    host.write("proc/sys/kernel/osrelease", format!("{RELEASE}\n"));
    assert!(entry(&host, RELEASE).is_ok(), "its last try succeeded, and it is about to be blessed");
}

#[test]
fn an_entry_whose_files_are_not_there_is_none() {
    for file in ["linux", "initrd"] {
        let host = with_entry();
        host.write(&format!("efi/hardstand/{RELEASE}/{file}"), "");
        let name = "hardstand-6.12.2-lab-amd64+3.conf";
        let expected = format!("the boot entry {name} names hardstand/{RELEASE}/{file}, which is not there");
        assert_eq!(entry(&host, RELEASE), Err(expected));
    }
    let host = with_entry();
    host.write(&format!("boot/initrd.img-{RELEASE}"), "");
    let expected = format!("kernel {RELEASE} lacks its initrd or its modules; update-initramfs -c -k {RELEASE}");
    assert_eq!(entry(&host, RELEASE), Err(expected));
    assert_eq!(entry(&host, "7.0"), Err("there is no /boot/vmlinuz-7.0".to_owned()));
    let host = with_entry();
    host.write(
        "efi/loader/entries/hardstand-6.12.2-lab-amd64+3.conf",
        format!("version {RELEASE}\nlinux /../etc/passwd\n"),
    );
    assert!(entry(&host, RELEASE).is_err());
}

#[test]
fn grubs_menu_must_name_the_very_kernel() {
    let host = with_kernel();
    let none = "no boot loader is known here: neither entries of systemd-boot nor a menu of GRUB";
    assert_eq!(entry(&host, RELEASE), Err(none.to_owned()));
    host.write("boot/grub/grub.cfg", format!("# vmlinuz-{RELEASE}\n\tlinux\t/boot/vmlinuz-{RELEASE}-dbg root=x\n"));
    let other = format!("GRUB's menu does not name kernel {RELEASE}; run update-grub");
    assert_eq!(entry(&host, RELEASE), Err(other));
    host.write("boot/grub/grub.cfg", format!("\tlinux\t/boot/vmlinuz-{RELEASE} root=x\n"));
    assert_eq!(entry(&host, RELEASE), Ok(Entry::Grub));
}

#[test]
fn tries_are_no_part_of_an_entrys_name() {
    for (name, id) in [
        ("a.conf", "a.conf"),
        ("a+3.conf", "a.conf"),
        ("a+2-1.conf", "a.conf"),
        ("a-6.12+deb13-amd64.conf", "a-6.12+deb13-amd64.conf"),
        ("a-6.12+deb13-amd64+1-2.conf", "a-6.12+deb13-amd64.conf"),
    ] {
        assert_eq!(without_tries(name), id);
    }
}

#[test]
fn a_place_of_boot_files_that_should_be_mounted_and_is_not_is_named() {
    let host = Scratch::new();
    assert!(unmounted(&host).is_err(), "no list of mounts is no answer");
    let root = "1 0 0:1 / / rw - ext4 /dev/vda2 rw\n";
    let esp = |place: &str| format!("{root}2 1 0:2 / {place} rw - vfat /dev/vda1 rw\n");
    host.write("proc/self/mountinfo", root);
    assert_eq!(unmounted(&host).unwrap(), None, "without fstab nothing is wanted");
    host.write("etc/fstab", "# /dev/x /boot ext4 rw 0 2\nLABEL=root / ext4 rw 0 1\nLABEL=ESP /efi vfat umask=77 0 2\n");
    assert_eq!(unmounted(&host).unwrap().as_deref(), Some("/efi"));
    host.write("proc/self/mountinfo", esp("/efi"));
    assert_eq!(unmounted(&host).unwrap(), None);
    host.write("proc/self/mountinfo", esp("/boot"));
    assert_eq!(unmounted(&host).unwrap().as_deref(), Some("/efi"));
    host.write("etc/fstab", "LABEL=ESP /efi vfat noauto,umask=77 0 2\nLABEL=data /data ext4\n");
    assert_eq!(unmounted(&host).unwrap(), None, "somebody mounts it when it is needed; data is no boot file");
}
