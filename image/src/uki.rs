//! What goes into the UKI: the stub of the tree itself, the tree's os-release, the command line, kernel and initrd.

use hardstand_recipe::pe;
use hardstand_recipe::tree::{Kind, Tree};

use crate::problem::Problem;

/// Where Debian's systemd-boot-efi puts the stub.
const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// The parts a UKI is made of, taken from the tree before anything is trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) stub: Vec<u8>,
    pub(crate) os_release: Vec<u8>,
    pub(crate) release: String,
    pub(crate) kernel: Vec<u8>,
}

/// Takes the parts out of the tree.
pub(crate) fn parts(tree: &Tree) -> Result<Parts, Problem> {
    let release = crate::kernel::release(tree)?;
    let get = |path: &str, package: &str| {
        tree.file(path)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Problem::Refused(format!("the tree holds no /{path}; add {package} to the packages")))
    };
    Ok(Parts {
        stub: get(STUB, "systemd-boot-efi")?,
        os_release: get("usr/lib/os-release", "base-files")?,
        kernel: crate::kernel::image(tree, &release)?.to_vec(),
        release,
    })
}

/// Puts the UKI together.
pub(crate) fn assemble(parts: &Parts, cmdline: &str, initrd: &[u8]) -> Result<Vec<u8>, Problem> {
    let uname = parts.release.as_bytes();
    let sections: [(&str, &[u8]); 5] = [
        (".osrel", &parts.os_release),
        (".cmdline", cmdline.as_bytes()),
        (".uname", uname),
        (".linux", &parts.kernel),
        (".initrd", initrd),
    ];
    Ok(pe::append(&parts.stub, &sections)?)
}

/// Early microcode as the kernel looks for it: an uncompressed archive in front of the initrd.
pub(crate) fn microcode(tree: &Tree, clock: u64) -> Result<Vec<u8>, Problem> {
    use hardstand_recipe::tree::{Node, Origin};
    let vendors =
        [("usr/lib/firmware/amd-ucode/", "AuthenticAMD.bin"), ("usr/lib/firmware/intel-ucode/", "GenuineIntel.bin")];
    let mut early = Tree::default();
    for (dir, name) in vendors {
        let all: Vec<u8> = tree
            .below(dir)
            .filter_map(|(path, node)| match &node.kind {
                Kind::File { bytes, .. } if !path.ends_with(".asc") && !path.ends_with("README") => Some(bytes.get()),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        if !all.is_empty() {
            early.insert(&format!("kernel/x86/microcode/{name}"), Node::file(all, clock, Origin::Build));
        }
    }
    if early.is_empty() {
        return Err(Problem::Refused(
            "microcode = true, but the tree holds no microcode; run `hardstand-image lock` again".to_owned(),
        ));
    }
    Ok(hardstand_recipe::cpio::archive(&early))
}

#[cfg(test)]
mod tests {
    use super::microcode;
    use hardstand_recipe::tree::{Node, Origin, Tree};

    #[test]
    fn microcode_of_both_vendors_goes_where_the_kernel_looks() {
        let mut tree = Tree::default();
        for (path, content) in [
            ("usr/lib/firmware/amd-ucode/microcode_amd.bin", "AMD1"),
            ("usr/lib/firmware/amd-ucode/microcode_amd.bin.asc", "signature"),
            ("usr/lib/firmware/intel-ucode/06-8f-07", "INTEL1"),
            ("usr/lib/firmware/intel-ucode/06-8f-08", "INTEL2"),
        ] {
            tree.insert(path, Node::file(content.as_bytes().to_vec(), 0, Origin::Packages));
        }
        let archive = microcode(&tree, 7).unwrap();
        let text = String::from_utf8_lossy(&archive);
        assert!(text.starts_with("070701"), "the kernel finds early microcode in an uncompressed archive only");
        assert!(text.contains("kernel/x86/microcode/AuthenticAMD.bin\0") && text.contains("AMD1"));
        assert!(text.contains("kernel/x86/microcode/GenuineIntel.bin\0") && text.contains("INTEL1INTEL2"));
        assert!(!text.contains("signature"));
    }

    #[test]
    fn microcode_that_was_asked_for_and_is_missing_is_an_error() {
        let error = microcode(&Tree::default(), 7).unwrap_err().to_string();
        assert!(error.starts_with("microcode = true, but the tree holds no microcode"), "{error}");
    }
}
