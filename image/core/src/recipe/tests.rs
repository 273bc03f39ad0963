//! What a recipe means, and the exact words of each refusal.

use super::{Kernel, Output, RecipeError, Root, parse, resolve};

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let error = parse("live.toml", "extends = \"base\"\n\npakages = [\"dbus\"]\n").unwrap_err();
    assert_eq!(error.to_string(), "live.toml:3: unknown key `pakages`; did you mean `packages`?");
    let error = parse("live.toml", "[disk]\nezp = \"1 MB\"\n").unwrap_err();
    assert_eq!(error.to_string(), "live.toml:2: unknown key `ezp`; did you mean `esp`?");
    let error = parse("live.toml", "kernel = \"hurd\"\n").unwrap_err();
    assert_eq!(error.to_string(), "live.toml:1: unknown variant `hurd`, expected `cloud` or `metal`");
    let error = parse("live.toml", "packages = \n").unwrap_err();
    assert!(matches!(error, RecipeError::Text { line: 1, .. }), "{error}");
}

#[test]
fn children_append_to_lists_and_replace_values() {
    let base = parse(
        "base.toml",
        "suite = \"trixie\"\nkernel = \"metal\"\npackages = [\"udev\", \"dbus\"]\ncmdline = [\"a\"]\noverlays = [\"base\"]",
    )
    .unwrap();
    let child = parse(
        "x.toml",
        "extends = \"base\"\nkernel = \"cloud\"\npackages = [\"apt\", \"dbus\"]\ncmdline = [\"b=1\"]\noverlays = [\"x\"]\nsize_budget = \"80 MB\"\nroot = \"disk\"\noutputs = [\"disk\"]",
    )
    .unwrap();
    let recipe = resolve("x", "x.toml", vec![base, child]).unwrap();
    assert_eq!(recipe.packages, ["apt", "dbus", "linux-image-cloud-amd64", "systemd-boot-efi", "udev"]);
    assert_eq!(recipe.cmdline, "a b=1");
    assert_eq!(recipe.overlays, ["base", "x"]);
    assert_eq!((recipe.kernel, recipe.root), (Kernel::Cloud, Root::Disk));
    assert_eq!(recipe.size_budget, Some(80_000_000));
    assert_eq!(recipe.outputs.into_iter().collect::<Vec<_>>(), [Output::Uki, Output::Disk]);
}

#[test]
fn switches_bring_their_packages_and_components() {
    let file = parse("m.toml", "suite = \"trixie\"\nkernel = \"metal\"\nmicrocode = true").unwrap();
    let recipe = resolve("m", "m.toml", vec![file]).unwrap();
    assert_eq!(recipe.components, ["main", "non-free-firmware"]);
    assert!(recipe.packages.contains(&"intel-microcode".to_owned()));
    let file = parse("z.toml", "suite = \"trixie\"\nkernel = \"cloud\"\nzfs = true").unwrap();
    let recipe = resolve("z", "z.toml", vec![file]).unwrap();
    assert_eq!(recipe.components, ["main", "contrib"]);
    assert_eq!(
        recipe.packages,
        ["linux-image-cloud-amd64", "systemd-boot-efi", "zfs-zed", "zfsutils-linux"],
        "the module's source and the compiler are no packages of the image"
    );
}

#[test]
fn what_cannot_be_built_is_refused_with_a_way_out() {
    let refused = |text: &str| resolve("x", "x.toml", vec![parse("x.toml", text).unwrap()]).unwrap_err().to_string();
    assert_eq!(refused("suite = \"trixie\""), "x.toml: no kernel; say kernel = \"cloud\" or kernel = \"metal\"");
    assert_eq!(refused("kernel = \"cloud\""), "x.toml: no suite; say suite = \"trixie\"");
    let base = "suite = \"trixie\"\nkernel = \"cloud\"\n";
    assert_eq!(
        refused(&format!("{base}compression = 22")),
        "x.toml: compression = 22 is not a zstd level the kernel unpacks; use 1 to 19"
    );
    assert_eq!(
        refused(&format!("{base}[disk]\nesp = \"many\"")),
        "x.toml: disk.esp: `many` is not a unit; write kB, MB, GB, KiB, MiB or GiB, as in \"80 MB\""
    );
}
