//! What the switches of a recipe bring, with planted packages: the archive's firmware is not free and not everywhere, and
//! a source of ZFS that does not compile is nowhere.

use std::collections::BTreeSet;
use std::fs;

use hardstand_exec::{Run, find};
use hardstand_recipe::lock::{self, Lock};
use hardstand_recipe::zfs;

use crate::lab::{LIMIT, Lab, lab};
use crate::planted::{Mirror, Package, deb, sha256};

/// A module of the small kernel that asks for one file, and is kept.
const KEPT_MODULE: &str = "me4000";
/// What it asks for.
const ASKED: &str = "usr/lib/firmware/me4000_firmware.bin";
/// How one frame of zstd begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What `firmware = true` and `microcode = true` ask for by name, and what one of them needs.
const FIRMWARE: [Package<'static>; 7] = [
    Package { name: "firmware-linux", depends: "firmware-misc-nonfree", files: &[] },
    Package {
        name: "firmware-misc-nonfree",
        depends: "",
        files: &[
            (ASKED, "for a module that is kept"),
            ("usr/lib/firmware/me2600_firmware.bin", "for a module of this kernel that is left out"),
            ("usr/lib/firmware/vendor/nobody.bin", "for no module of this kernel"),
        ],
    },
    Package { name: "firmware-bnx2", depends: "", files: &[("usr/lib/firmware/bnx2/a.fw", "other")] },
    Package { name: "firmware-bnx2x", depends: "", files: &[("usr/lib/firmware/bnx2x/a.fw", "other")] },
    Package { name: "firmware-realtek", depends: "", files: &[("usr/lib/firmware/rtl_nic/a.fw", "other")] },
    Package {
        name: "amd64-microcode",
        depends: "",
        files: &[
            ("usr/lib/firmware/amd-ucode/microcode_amd.bin", "for the one"),
            ("usr/lib/firmware/amd-ucode/microcode_amd.bin.asc", "a signature"),
        ],
    },
    Package {
        name: "intel-microcode",
        depends: "",
        files: &[
            ("usr/lib/firmware/intel-ucode/06-8f-07", "for the other, "),
            ("usr/lib/firmware/intel-ucode/06-8f-08", "in two files"),
        ],
    },
];

/// A source of ZFS whose configure step is content and whose only file does not compile.
const BROKEN: Package<'static> = Package {
    name: zfs::SOURCE,
    depends: "",
    files: &[
        ("usr/src/zfs-1/configure", "#!/bin/sh\necho checking nothing\n"),
        ("usr/src/zfs-1/Makefile", "all:\n\tgcc -c -o broken.o module/broken.c\n"),
        ("usr/src/zfs-1/module/broken.c", "int\nbroken = no_such_name;\n"),
    ],
};

#[tokio::test]
async fn firmware_and_microcode_bring_what_the_kept_modules_and_the_processor_ask_for() {
    let lab = lab().await;
    let mirror = Mirror::start(lab, "mirror", "non-free-firmware", &FIRMWARE).await;
    let recipe = format!("extends = \"tiny\"\nfirmware = true\nmicrocode = true\nmodules = [\"{KEPT_MODULE}\"]\n");
    fs::write(lab.path("firmware.toml"), recipe).unwrap();
    mirror.believed(lab, "lock firmware.toml --store store").success().await.unwrap();
    let locked = read_lock(lab, "firmware.lock");
    assert_eq!(locked.components, ["main", "non-free-firmware"]);
    for package in FIRMWARE {
        assert!(locked.packages.iter().any(|one| one.name == package.name), "{} is not locked", package.name);
    }

    let args = ["build", "firmware.toml", "--store", "store", "--out", "firmware-image"];
    let built = lab.run(&args).success().await.unwrap();
    let left_out = "firmware: 9 files that no kept module asks for are left out";
    assert!(built.stderr.contains(left_out), "{}", built.stderr);
    let initrd = fs::read(lab.path("firmware-image/initrd")).unwrap();

    // In front of all else, as it is: the kernel looks for it before it can unpack anything.
    assert!(initrd.starts_with(b"070701"), "the initrd does not begin with an uncompressed archive");
    let early = names(&initrd).await;
    let vendors = ["AuthenticAMD.bin", "GenuineIntel.bin"].map(|name| format!("kernel/x86/microcode/{name}"));
    let dirs = ["kernel", "kernel/x86", "kernel/x86/microcode"].map(str::to_owned);
    assert_eq!(early, dirs.into_iter().chain(vendors.clone()).collect());
    assert_eq!(content(&initrd, &vendors[0]).await, "for the one");
    assert_eq!(content(&initrd, &vendors[1]).await, "for the other, in two files");

    // Of the firmware and the microcode that the packages brought, one file stays in the tree.
    let mut tree = BTreeSet::new();
    for layer in layers(&initrd) {
        tree.extend(names(&layer).await);
    }
    let firmware: Vec<_> = tree.iter().filter(|path| path.starts_with("usr/lib/firmware/")).collect();
    assert_eq!(firmware, [ASKED]);
    let has_module = |name: &str| tree.iter().any(|path| path.ends_with(&format!("/{name}.ko.xz")));
    assert!(has_module(KEPT_MODULE) && !has_module("me_daq"), "the planted files are for these modules");
}

#[tokio::test]
async fn a_zfs_that_does_not_compile_is_one_error_and_nothing_is_kept_of_it() {
    let lab = lab().await;
    fs::write(lab.path("compiler.toml"), "extends = \"tiny\"\npackages = [\"gcc\", \"make\"]\n").unwrap();
    lab.run(&["lock", "compiler.toml", "--store", "store"]).success().await.unwrap();
    fs::write(lab.path("broken.toml"), "extends = \"compiler\"\nzfs = true\n").unwrap();
    let lock = broken_lock(lab).await;
    fs::write(lab.path("broken.lock"), lock.text()).unwrap();
    lab.fresh_store("broken-store");
    fs::create_dir_all(lab.path("broken-tmp")).unwrap();

    let build = lab.run(&["build", "broken.toml", "--store", "broken-store", "--out", "broken-image"]);
    let finished = build.env("TMPDIR", lab.path("broken-tmp")).output().await.unwrap();
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let release = lock::kernel_release(&lock.packages).unwrap();
    let log = lab.path("broken-store/logs").join(format!("{}-{release}.log", zfs::PROVIDES));
    let said = finished.stderr.lines().last().unwrap_or_default();
    let why = format!(
        "compiling ZFS for kernel {release} failed (module/broken.c:2:10: error: 'no_such_name' undeclared here (not in a function)); the whole log is {}. ",
        log.display()
    );
    assert!(said.contains(&why), "{}", finished.stderr);
    assert!(said.contains("or take zfs = true out of the recipe"), "{said}");
    assert!(fs::read_to_string(&log).unwrap().contains("broken = no_such_name;"), "the log holds what gcc showed");

    assert!(!lab.path("broken-image").exists());
    for place in ["broken-store/derived", "broken-tmp"] {
        let left: Vec<_> = fs::read_dir(lab.path(place)).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// The compiler's lock as one of the ZFS recipe, with the source that does not compile in the store.
async fn broken_lock(lab: &Lab) -> Lock {
    let file = deb(&lab.dir, &BROKEN).await;
    let bytes = fs::read(file).unwrap();
    let source = lock::Package {
        name: BROKEN.name.to_owned(),
        version: "1".to_owned(),
        architecture: "all".to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        archive: "main".to_owned(),
        path: format!("pool/{}.deb", BROKEN.name),
    };
    fs::write(lab.path("store/packages").join(&source.sha256), bytes).unwrap();
    let mut lock = read_lock(lab, "compiler.lock");
    lock.components.push("contrib".to_owned());
    lock.asked.extend(zfs::TOOLS.map(str::to_owned));
    // A kernel is 35 MB and not needed to fail.
    lock.build = lock.packages.iter().filter(|one| !one.name.starts_with("linux-image-")).cloned().collect();
    lock.build.push(source);
    lock
}

fn read_lock(lab: &Lab, name: &str) -> Lock {
    Lock::parse(name, &fs::read_to_string(lab.path(name)).unwrap()).unwrap()
}

/// The names in the first archive of these bytes, read by cpio.
async fn names(archive: &[u8]) -> BTreeSet<String> {
    let list = Run::new(find("cpio").unwrap(), LIMIT).args(["--quiet", "-it"]).stdin(archive);
    let list = list.success().await.unwrap().stdout;
    String::from_utf8(list).unwrap().lines().map(str::to_owned).collect()
}

/// What a file of the first archive holds.
async fn content(archive: &[u8], path: &str) -> String {
    let print = Run::new(find("cpio").unwrap(), LIMIT).args(["--quiet", "-i", "--to-stdout", path]).stdin(archive);
    String::from_utf8(print.success().await.unwrap().stdout).unwrap()
}

/// The packed archives behind the first one, unpacked. Zeros may stand between them.
fn layers(initrd: &[u8]) -> Vec<Vec<u8>> {
    let first = initrd.windows(ZSTD_MAGIC.len()).position(|bytes| bytes == ZSTD_MAGIC).unwrap();
    let mut rest = &initrd[first..];
    let mut layers = Vec::new();
    while !rest.is_empty() {
        let mut layer = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&mut rest).unwrap().single_frame();
        std::io::Read::read_to_end(&mut decoder, &mut layer).unwrap();
        drop(decoder);
        layers.push(layer);
        rest = &rest[rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len())..];
    }
    layers
}
