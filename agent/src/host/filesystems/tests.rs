//! The fixtures are tables of a made-up machine in a mount namespace: as its PID 1 sees it, after `mount -o remount,ro
//! /home`, and as a service sees it whose sandbox hides `/home` and has its own `/tmp`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use hardstand_core::observed::Space;

use super::*;
use crate::crew::Crew;
use crate::hang::{LIMIT, run};
use crate::host::{Scratch, feed_damaged};

const HOST: &str = include_str!("../../../tests/fixtures/mounts/host.mountinfo");
const REMOUNTED: &str = include_str!("../../../tests/fixtures/mounts/remounted.mountinfo");
const SANDBOXED: &str = include_str!("../../../tests/fixtures/mounts/sandboxed.mountinfo");
/// A limit short enough to be waited out in a test.
const SHORT: Duration = Duration::from_secs(2);
const SPACE: Space = Space { size_bytes: 100, free_bytes: 50, available_bytes: 40, inodes: 10, inodes_free: 5 };

/// Lists a made-up machine; every filesystem has the same space.
fn probed(host: &Host, ignore: &[&str]) -> Vec<Filesystem> {
    let gauges = Gauges::with(host.clone(), Arc::new(Crew::new()), Arc::new(|_| Ok(SPACE)));
    let ignore: Vec<String> = ignore.iter().map(|point| (*point).to_owned()).collect();
    run(probe_filesystems(&gauges, &ignore, LIMIT)).unwrap()
}

fn points(rows: &[Filesystem]) -> Vec<&str> {
    rows.iter().map(|row| row.mount_point.as_str()).collect()
}

fn find<'a>(rows: &'a [Filesystem], point: &str) -> &'a Filesystem {
    rows.iter().find(|row| row.mount_point == point).unwrap()
}

#[test]
fn what_stores_something_is_listed_once() {
    let host = Scratch::new();
    host.write("proc/1/mountinfo", HOST);
    let rows = probed(&host, &["/run"]);
    assert_eq!(points(&rows), ["/", "/tmp", "/home", "/mnt/with space", "/mnt/under", "/snap/x"]);
    let upper = find(&rows, "/mnt/under");
    assert_eq!((upper.device.as_str(), &upper.space), ("upper", &Reading::Known(SPACE)), "the one on top");
    assert_eq!(find(&rows, "/mnt/with space").device, "we#ird dev");
    let writable: Vec<&str> = points(&rows).into_iter().filter(|point| !find(&rows, point).read_only).collect();
    assert_eq!(writable, ["/", "/tmp", "/home", "/mnt/with space", "/mnt/under"]);
    assert!(find(&rows, "/snap/x").read_only_by_design);
}

#[test]
fn a_remounted_filesystem_is_seen_from_within_the_sandbox() {
    let host = Scratch::new();
    host.write("proc/1/mountinfo", REMOUNTED);
    host.write("proc/self/mountinfo", SANDBOXED);
    let rows = probed(&host, &[]);
    assert_eq!(points(&rows), ["/", "/run", "/tmp", "/home", "/mnt/with space", "/mnt/under", "/snap/x"]);
    assert!(!find(&rows, "/").read_only, "read-only in our namespace alone");
    let home = find(&rows, "/home");
    assert_eq!((home.read_only, home.read_only_by_design, home.stuck), (true, false, false));
    let why = "hidden from this process by its unit's sandbox; loosen ProtectHome=, PrivateTmp= or \
               InaccessiblePaths= there, or list the mount point in [filesystems] ignore";
    assert_eq!(home.space.why(), Some(why));
    assert_eq!(find(&rows, "/tmp").space, Reading::Known(SPACE), "our /tmp is another directory of the same tmpfs");
}

#[test]
fn without_the_hosts_table_only_the_superblock_counts() {
    let host = Scratch::new();
    host.write("proc/self/mountinfo", SANDBOXED);
    let rows = probed(&host, &[]);
    assert!(!find(&rows, "/").read_only, "its superblock is writable");
    assert!(find(&rows, "/srv/data").read_only, "the same superblock as the hidden /home");
    assert!(!points(&rows).contains(&"/home"));
    let error = run(probe_filesystems(&Gauges::new(Host::at("/nonexistent"), Arc::new(Crew::new())), &[], LIMIT));
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "reading /nonexistent/proc/1/mountinfo: No such file or directory (os error 2)");
}

#[test]
fn options_fstab_and_counted_errors_are_told() {
    let host = Scratch::new();
    let gave_up = HOST.replace("ext4 /dev/loop0 rw,", "ext4 /dev/loop0 rw,emergency_ro,");
    host.write("proc/1/mountinfo", gave_up);
    host.write(
        "etc/fstab",
        "# /dev/x /tmp ext4 ro 0 0\nUUID=1 /home ext4 noatime,ro 0 2\nx /mnt/with\\040space t ro\nbad\n",
    );
    host.write("sys/fs/ext4/loop0/errors_count", "3\n");
    host.write("sys/dev/block/x", "");
    std::os::unix::fs::symlink("../../devices/virtual/block/loop0", host.path("sys/dev/block/7:0")).unwrap();
    let rows = probed(&host, &[]);
    let root = find(&rows, "/");
    assert_eq!((root.read_only, root.read_only_by_design, root.errors), (true, false, Some(3)));
    assert_eq!((find(&rows, "/home").read_only_by_design, find(&rows, "/home").errors), (true, None));
    assert!(find(&rows, "/mnt/with space").read_only_by_design && !find(&rows, "/tmp").read_only_by_design);
}

#[test]
fn the_live_image_shows_its_root() {
    let host = Scratch::new();
    let table = "1 1 0:2 / / rw - rootfs rootfs rw,size=1k\n20 1 0:30 / /run rw - tmpfs tmpfs rw\n\
                 21 1 0:31 / /var/lib/docker/x rw - overlay overlay rw\n22 1 0:32 / /fat rw - fuse.lxcfs lxcfs rw\n\
                 23 1 0:33 / /auto rw - autofs systemd-1 rw\n24 1 0:34 / /data//deleted rw - ext4 /dev/sdb rw\n";
    host.write("proc/1/mountinfo", table);
    assert_eq!(points(&probed(&host, &[])), ["/", "/run"]);
    let nothing = Space { size_bytes: 0, ..SPACE };
    let gauges = Gauges::with(host.clone(), Arc::new(Crew::new()), Arc::new(move |_| Ok(nothing)));
    assert_eq!(points(&run(probe_filesystems(&gauges, &[], LIMIT)).unwrap()), ["/"], "even without a size");
}

#[test]
fn broken_tables_are_told_with_their_line() {
    let good = "1 1 0:2 / / rw - rootfs rootfs rw";
    for (broken, why) in [
        ("1 1 0:2 / / rw rootfs rootfs rw", "no ` - ` before the filesystem type"),
        ("1 1 0:2 / - rootfs rootfs rw", "fewer than six fields before ` - `"),
        ("x 1 0:2 / / rw - rootfs rootfs rw", "the mount's number is not a number"),
        ("1 -1 0:2 / / rw - rootfs rootfs rw", "the parent's number is not a number"),
        ("1 1 0-2 / / rw - rootfs rootfs rw", "the device is not of the form major:minor"),
        ("1 1 0:2 / / rw - ", "no filesystem type"),
        ("1 1 0:2 / / rw - rootfs", "no source"),
    ] {
        let error = parse_mountinfo(&format!("{good}\n\n{broken}\n")).unwrap_err().to_string();
        assert_eq!(error, format!("parsing mountinfo: line 3: {why}: {broken:?}"));
    }
    feed_damaged(HOST, |text| {
        if let Ok(mounts) = parse_mountinfo(text) {
            chosen(&Table::new(&mounts), &[]);
        }
    });
    feed_damaged("UUID=1 /home ext4 noatime,ro 0 2\nx /mnt/with\\040space t ro\n", |text| drop(fstab_read_only(text)));
}

/// Keeps whoever asks for `/home` until it is opened, and counts who asked.
#[derive(Clone, Default)]
struct DeadServer(Arc<(Mutex<bool>, Condvar, AtomicUsize)>);

impl DeadServer {
    fn space(&self, path: &Path, hangs: &Path) -> Result<Space, String> {
        if path == hangs {
            self.0.2.fetch_add(1, Ordering::SeqCst);
            let mut back = self.0.0.lock().unwrap();
            while !*back {
                back = self.0.1.wait(back).unwrap();
            }
        }
        Ok(SPACE)
    }

    fn come_back(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

#[test]
fn a_stuck_mount_is_stuck_for_itself_alone_and_asked_once() {
    let host = Scratch::new();
    host.write("proc/1/mountinfo", HOST);
    let server = DeadServer::default();
    let (asked, hangs): (DeadServer, PathBuf) = (server.clone(), host.path("home"));
    let measure = Arc::new(move |path: &Path| asked.space(path, &hangs));
    let gauges = Gauges::with(host.clone(), Arc::new(Crew::new()), measure);
    run(async {
        for pass in 0..3 {
            // Only the first pass waits; the limit of the others would not be kept if they did.
            let limit = if pass == 0 { SHORT } else { LIMIT * 100 };
            let rows = probe_filesystems(&gauges, &[], limit).await.unwrap();
            let stuck: Vec<&str> = points(&rows).into_iter().filter(|point| find(&rows, point).stuck).collect();
            assert_eq!(stuck, ["/home"]);
            let why = find(&rows, "/home").space.why().unwrap();
            assert!(why.starts_with("statvfs has not come back for ") && why.ends_with(" umount -f -l"), "{why}");
            assert!(rows.iter().all(|row| row.stuck || row.space == Reading::Known(SPACE)));
            assert_eq!(server.0.2.load(Ordering::SeqCst), 1, "asked once");
        }
        server.come_back();
        loop {
            let rows = probe_filesystems(&gauges, &[], LIMIT).await.unwrap();
            if !find(&rows, "/home").stuck {
                assert_eq!(find(&rows, "/home").space, Reading::Known(SPACE));
                break;
            }
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_dead_server_with_many_mounts_takes_few_threads() {
    let host = Scratch::new();
    let rows = (2..60).map(|id| format!("{id} 1 0:{id} / /m{id} rw - nfs4 nas:/{id} rw\n"));
    host.write("proc/1/mountinfo", rows.collect::<String>());
    let (server, asked) = (DeadServer::default(), Arc::new(AtomicUsize::new(0)));
    let (behind, count) = (server.clone(), Arc::clone(&asked));
    let measure = Arc::new(move |path: &Path| {
        count.fetch_add(1, Ordering::SeqCst);
        behind.space(path, path)
    });
    let gauges = Gauges::with(host.clone(), Arc::new(Crew::new()), measure);
    run(async {
        let rows = probe_filesystems(&gauges, &[], Duration::from_secs(6)).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 16);
        assert_eq!(rows.iter().filter(|row| row.stuck).count(), 16);
        let why = "not measured: 16 other mounts hang; bring their server or disk back";
        assert_eq!(rows.iter().filter(|row| row.space.why() == Some(why)).count(), 42);
    });
    server.come_back();
}
