//! The real ways in which `agent-health` makes a node wrong: what is done, what must show, how it is undone.
//!
//! It must never fake a symptom: every fault happens to the real thing.

/// How a fault is made or undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// By a command in the guest, as root.
    Inside(&'static str),
    /// By pulling a disk out of the machine.
    Pull(&'static str),
    /// By putting it back.
    PutBack(&'static str),
    /// By pulling or plugging the cable of a network card.
    Cable {
        /// Which card.
        place: usize,
        /// Whether it is plugged afterwards.
        plugged: bool,
    },
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// For people.
    pub name: &'static str,
    /// How it is made.
    pub make: Act,
    /// How it is undone.
    pub undo: Act,
    /// The check that must say so.
    pub check: &'static str,
    /// A part of its subject.
    pub subject: &'static str,
    /// How bad it must be called.
    pub severity: &'static str,
}

/// Done before anything is broken: two filesystems in use, the second card up.
pub(crate) const PREPARE: &str = r#"set -e
for name in full readonly; do
    disk=/dev/disk/by-id/virtio-$name
    mkfs.ext4 -q -m 0 $disk
    mkdir -p /srv/$name
    mount $disk /srv/$name
done
for card in /sys/class/net/*; do
    [ "$(cat $card/address)" != 52:54:00:68:73:02 ] || ip link set "$(basename $card)" up
done"#;

/// Makes a package of the directory in `$1`, with the name in `$2`, without compression.
macro_rules! package {
    ($script:literal) => {
        concat!(
            "set -e\npackage() { mkdir -p $1/DEBIAN; printf 'Package: %s\\nVersion: 1\\nArchitecture: all\\n",
            "Maintainer: lab <lab@localhost>\\nDescription: made by the lab\\n' $2 >$1/DEBIAN/control; ",
            "dpkg-deb --root-owner-group -Znone -b $1 $1.deb >/dev/null; }\n",
            "at=$(mktemp -d)\n",
            $script
        )
    };
}

/// Every fault, in the order it is made; undone the other way round.
pub(crate) const FAULTS: [Fault; 9] = [
    Fault {
        name: "fill a filesystem",
        make: Act::Inside("head -c 60M /dev/zero >/srv/full/fill 2>/dev/null || true; sync; rm -f /srv/full/room"),
        undo: Act::Inside("rm /srv/full/fill && sync"),
        check: "filesystem.space",
        subject: "/srv/full",
        severity: "crit",
    },
    Fault {
        name: "remount a filesystem read-only",
        make: Act::Inside("mount -o remount,ro /srv/readonly"),
        undo: Act::Inside("mount -o remount,rw /srv/readonly"),
        check: "filesystem.readonly",
        subject: "/srv/readonly",
        severity: "crit",
    },
    Fault {
        name: "fail a unit",
        make: Act::Inside("systemd-run --quiet --unit=lab-fails /bin/false"),
        undo: Act::Inside("systemctl reset-failed lab-fails.service"),
        check: "systemd.failed_unit",
        subject: "lab-fails.service",
        severity: "warn",
    },
    Fault {
        name: "stop the time service and set the clock by hand",
        // Setting the clock makes the kernel count it as unsynchronised at once; without it that takes 9 hours.
        make: Act::Inside("systemctl stop systemd-timesyncd && date -s '+3 seconds' >/dev/null"),
        undo: Act::Inside("systemctl start systemd-timesyncd"),
        check: "clock.sync",
        subject: "",
        severity: "crit",
    },
    Fault {
        name: "pull a disk",
        make: Act::Pull("pulled"),
        undo: Act::PutBack("pulled"),
        check: "disk.present",
        subject: "pulled",
        severity: "crit",
    },
    Fault {
        name: "pull a network cable",
        make: Act::Cable { place: 1, plugged: false },
        undo: Act::Cable { place: 1, plugged: true },
        check: "nic.link",
        subject: "",
        severity: "warn",
    },
    Fault {
        name: "half-configure a package",
        make: Act::Inside(package!(
            "mkdir -p $at/half/DEBIAN; printf '#!/bin/sh\\nexit 1\\n' >$at/half/DEBIAN/postinst; \
             chmod 755 $at/half/DEBIAN/postinst; package $at/half lab-half\n\
             ! dpkg -i $at/half.deb 2>/dev/null"
        )),
        undo: Act::Inside("dpkg --purge lab-half"),
        check: "packages.half_configured",
        subject: "",
        severity: "crit",
    },
    Fault {
        name: "install a newer kernel",
        // The running kernel under a newer name: what dpkg and the boot directory hold is real, it is never booted.
        make: Act::Inside(package!(
            "new=99.0.0-lab-amd64; old=$(uname -r); tree=$at/kernel\n\
             mkdir -p $tree/boot $tree/usr/lib/modules/$new\n\
             cp /boot/vmlinuz-$old $tree/boot/vmlinuz-$new\n\
             cp /boot/initrd.img-$old $tree/boot/initrd.img-$new\n\
             cp /usr/lib/modules/$old/modules.* $tree/usr/lib/modules/$new/\n\
             package $tree linux-image-$new\n\
             dpkg -i $at/kernel.deb"
        )),
        undo: Act::Inside("dpkg --purge linux-image-99.0.0-lab-amd64"),
        check: "kernel.reboot_needed",
        subject: "",
        severity: "warn",
    },
    Fault {
        name: "use up the inodes of a filesystem",
        make: Act::Inside(
            "mkdir -p /srv/inodes && mount -t tmpfs -o nr_inodes=100 lab /srv/inodes && touch /srv/inodes/{1..98}",
        ),
        undo: Act::Inside("umount /srv/inodes"),
        check: "filesystem.inodes",
        subject: "/srv/inodes",
        severity: "crit",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_faults_can_be_mistaken_for_each_other() {
        for (place, one) in FAULTS.iter().enumerate() {
            for other in &FAULTS[place + 1..] {
                assert!((one.check, one.subject) != (other.check, other.subject), "{}, {}", one.name, other.name);
            }
        }
    }
}
