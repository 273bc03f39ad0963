//! Plans as people read them, and what keeps one from being made.

use super::{Local, PlanError, inputs, make};
use crate::lock::{Lock, Package, SCHEMA};
use crate::recipe::{Recipe, parse, resolve};

fn recipe(text: &str) -> Recipe {
    let text = format!("suite = \"trixie\"\nkernel = \"cloud\"\nlocal_packages = [\"hardstand\"]\n{text}");
    resolve("node", "node.toml", vec![parse("node.toml", &text).unwrap()]).unwrap()
}

fn lock() -> Lock {
    let package = |name: &str, size| Package {
        name: name.to_owned(),
        version: "1".to_owned(),
        architecture: "amd64".to_owned(),
        size,
        sha256: "ab".repeat(32),
        archive: "main".to_owned(),
        path: format!("pool/{name}.deb"),
    };
    Lock {
        schema: SCHEMA.to_owned(),
        recipe: "node".to_owned(),
        clock: 1_763_201_335,
        suite: "trixie".to_owned(),
        components: vec!["main".to_owned()],
        asked: Vec::new(),
        archives: Vec::new(),
        packages: vec![package("libc6", 2_800_000), package("systemd", 3_000_000)],
        build: Vec::new(),
    }
}

fn agent(depends: &str) -> Local {
    Local {
        file: "out/hardstand.deb".to_owned(),
        name: "hardstand".to_owned(),
        version: "0.1.0".to_owned(),
        architecture: "amd64".to_owned(),
        sha256: "cd".repeat(32),
        size: 4_000_000,
        depends: depends.to_owned(),
    }
}

const DIGEST: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = at as u8 * 7;
        at += 1;
    }
    bytes
};

#[test]
fn the_plan_of_an_installed_node_reads_like_this() {
    let text = "root = \"disk\"\noutputs = [\"netboot\", \"disk\"]\ncmdline = [\"rw\"]\noverlays = [\"base\"]\n\
                remove = [\"/usr/share/doc/**\"]\nsize_budget = \"60 MB\"\n[disk]\nroot = \"2 GiB\"";
    let plan = make(&recipe(text), &lock(), &[agent("libc6 (>= 2.36), systemd")], &[], &DIGEST).unwrap();
    assert_eq!(
        plan.to_string(),
        "\
plan for node at clock 1763201335
  install   3 packages, 9.8 MB; tree 00070e151c23
            hardstand 0.1.0 from a file
  scrub     /etc/hostname /etc/resolv.conf /etc/nvme/hostid /etc/nvme/hostnqn /etc/iscsi/initiatorname.iscsi /var/lib/dbus/machine-id /var/lib/systemd/random-seed /etc/hostid and the content of /etc/machine-id
  modules   all
  remove    1 patterns, keeping 0
  overlays  base
  gate      no host identity may be left
  initrd    the one the tree made
  uki       root=PARTUUID=939aa1a8-afb6-8dc4-8bd2-d900070e151c rw
            at most 60.0 MB
  netboot   uki.efi, vmlinuz, initrd, boot.ipxe
  disk      00070e15-1c23-8a31-b83f-464d545b6269
            esp 4d545b62-6970-877e-858c-939aa1a8afb6 of at least 67.1 MB
            root 939aa1a8-afb6-8dc4-8bd2-d900070e151c of 2.1 GB, label hardstand
  seal      manifest, SBOM, checksums, signature
"
    );
}

#[test]
fn the_plan_of_a_live_image_keeps_the_tree_in_memory() {
    let plan = make(&recipe("microcode = true\nmodules = [\"ext4\"]"), &lock(), &[agent("")], &[], &DIGEST).unwrap();
    let text = plan.to_string();
    assert!(text.contains("initrd    microcode, then the tree in layers, zstd 19, 0 patterns first"), "{text}");
    assert!(text.contains("modules   1 patterns and what they need"), "{text}");
    assert!(plan.drop_boot && !plan.make_initrd && plan.disk.is_none());
}

#[test]
fn local_packages_must_be_named_given_and_satisfied() {
    let refused = |local: &[Local]| make(&recipe(""), &lock(), local, &[], &DIGEST).unwrap_err();
    assert_eq!(
        refused(&[]).to_string(),
        "the recipe names local package hardstand; give its file with --package hardstand_VERSION_amd64.deb"
    );
    let other = Local { name: "other".to_owned(), ..agent("") };
    assert!(matches!(refused(&[agent(""), other]), PlanError::NotNamed { .. }));
    let error = refused(&[agent("libc6, default-mta | mail-transport-agent, systemd:any")]);
    assert_eq!(
        error.to_string(),
        "local package hardstand needs `default-mta | mail-transport-agent`, which the lock does not hold; add it to the packages of the recipe and run `hardstand-image lock` again"
    );
    let needs = [agent("libc6, default-mta | mail-transport-agent")];
    assert!(make(&recipe(""), &lock(), &needs, &["mail-transport-agent".to_owned()], &DIGEST).is_ok());
}

#[test]
fn whatever_changes_the_tree_changes_its_inputs() {
    let base = inputs(&recipe(""), &lock(), &[agent("")]);
    let mut later = lock();
    later.clock += 1;
    let rebuilt = Local { sha256: "ef".repeat(32), ..agent("") };
    for other in [
        inputs(&recipe(""), &later, &[agent("")]),
        inputs(&recipe(""), &lock(), &[rebuilt]),
        inputs(&recipe("root = \"disk\""), &lock(), &[agent("")]),
    ] {
        assert_ne!(base, other);
    }
    assert_eq!(base, inputs(&recipe("cmdline = [\"quiet\"]"), &lock(), &[agent("")]));
}
