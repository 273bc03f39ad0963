//! What makes a machine of the fleet that machine: its name, its addresses, its files. All of it reaches the guest as
//! systemd credentials at its first boot.
//!
//! It must never put anything of it into an image.

use anyhow::{Result, ensure};

use crate::args::Credential;
use crate::network::{guest_address, guest_mac};

/// Written by `systemd-tmpfiles` once, when the file is not there yet.
const FILES: &str = "tmpfiles.extra";

/// Where etcd finds `ca.crt`, `member.crt` and `member.key`, when it speaks TLS.
pub(super) const ETCD_TLS: &str = "/etc/hardstand-lab/etcd";

/// A file that is there from the first boot on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeedFile {
    /// Where, absolute.
    pub path: String,
    /// Its mode, as in `0640`.
    pub mode: &'static str,
    /// Its user.
    pub user: &'static str,
    /// Its group.
    pub group: &'static str,
    /// What is in it.
    pub text: String,
}

impl SeedFile {
    /// A file of root's that everybody may read.
    pub(crate) fn plain(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), mode: "0644", user: "root", group: "root", text: text.into() }
    }
}

/// One machine before its first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seed {
    /// Host name and node name; letters and digits.
    pub name: String,
    /// Last number of its address.
    pub last: u8,
    /// Whether its disk forgets, at a power cut, what was not flushed.
    pub strict: bool,
    /// Serial numbers and bytes of its blank disks.
    pub disks: Vec<(&'static str, u64)>,
    /// Its own files.
    pub files: Vec<SeedFile>,
    /// What it is handed at its power-on besides.
    pub handed: Vec<Credential>,
}

impl Seed {
    /// A machine with the lab's configuration of an agent.
    pub(crate) fn new(name: &str, last: u8) -> Self {
        let node = format!("[node]\nname = \"{name}\"\nrole = \"debian\"\n");
        let files = vec![SeedFile::plain("/etc/hardstand/agent.toml.d/50-node.toml", node)];
        Self { name: name.to_owned(), last, strict: false, disks: Vec::new(), files, handed: Vec::new() }
    }

    /// Its interface on the lab's bridge.
    pub(crate) fn tap(&self) -> String {
        format!("tap-{}", self.name)
    }

    /// Its card's hardware address.
    pub(crate) fn mac(&self) -> String {
        guest_mac(self.last)
    }

    /// Its address.
    pub(crate) fn address(&self) -> std::net::Ipv4Addr {
        guest_address(self.last)
    }

    /// What makes it a member of an etcd of `all`. With `tls` members and clients show certificates (those of [`ETCD_TLS`])
    /// and believe none else; without, everybody on the lab's network may ask.
    pub(super) fn etcd(&self, all: &[Self], tls: bool) -> SeedFile {
        let (name, own) = (&self.name, self.address());
        let scheme = if tls { "https" } else { "http" };
        let members: Vec<String> =
            all.iter().map(|member| format!("{}={scheme}://{}:2380", member.name, member.address())).collect();
        let mut text = format!(
            "ETCD_NAME={name}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_CLUSTER_STATE=new\n\
             ETCD_INITIAL_CLUSTER_TOKEN=hardstand-lab\nETCD_LISTEN_PEER_URLS={scheme}://{own}:2380\n\
             ETCD_INITIAL_ADVERTISE_PEER_URLS={scheme}://{own}:2380\n\
             ETCD_LISTEN_CLIENT_URLS={scheme}://{own}:2379,{scheme}://127.0.0.1:2379\n\
             ETCD_ADVERTISE_CLIENT_URLS={scheme}://{own}:2379\n",
            members.join(",")
        );
        if tls {
            for (whom, ca) in [("", "ETCD_TRUSTED_CA_FILE"), ("PEER_", "ETCD_PEER_TRUSTED_CA_FILE")] {
                text += &format!(
                    "ETCD_{whom}CERT_FILE={ETCD_TLS}/member.crt\nETCD_{whom}KEY_FILE={ETCD_TLS}/member.key\n\
                     {ca}={ETCD_TLS}/ca.crt\nETCD_{whom}CLIENT_CERT_AUTH=true\n"
                );
            }
        }
        SeedFile::plain("/etc/hardstand-lab/etcd.env", text)
    }

    /// The credentials that make it this machine, among `all`. `key` is the public key of the repository.
    pub(super) fn credentials(&self, all: &[Self], key: &str) -> Result<Vec<Credential>> {
        let others = all.iter().filter(|other| other.name != self.name);
        let peers: String = others.map(|other| format!("{}\n", other.address())).collect();
        let hosts = all.iter().map(|seed| format!("{} {}\n", seed.address(), seed.name));
        let hosts = "127.0.0.1 localhost\n::1 localhost\n".to_owned() + &hosts.collect::<String>();
        let mut files = vec![
            SeedFile::plain("/etc/hosts", hosts),
            SeedFile::plain("/etc/hardstand-lab/peers", peers),
            SeedFile::plain("/etc/apt/keyrings/hardstand-lab.asc", key),
        ];
        files.extend(self.files.iter().cloned());
        let mut credentials = Vec::new();
        // The image has a name of its own, so this one file is written whether it is there or not.
        let name = SeedFile::plain("/etc/hostname", format!("{}\n", self.name));
        let mut lines = line("f+", &name, 0, &mut credentials)?;
        for (place, file) in (1..).zip(&files) {
            lines += &line("f", file, place, &mut credentials)?;
        }
        credentials.push(Credential { name: FILES.to_owned(), text: lines });
        Ok(credentials)
    }
}

/// One line of tmpfiles.d whose content is a credential of its own. `systemd-tmpfiles` is given those under its name.
fn line(kind: &str, file: &SeedFile, place: usize, credentials: &mut Vec<Credential>) -> Result<String> {
    let plain = |text: &str| !text.contains(|char: char| char.is_whitespace() || "%\"'\\".contains(char));
    ensure!(file.path.starts_with('/') && plain(&file.path), "{:?} is no plain absolute path", file.path);
    let name = format!("tmpfiles.lab-{place}");
    credentials.push(Credential { name: name.clone(), text: file.text.clone() });
    let SeedFile { path, mode, user, group, .. } = file;
    Ok(format!("{kind}^ {path} {mode} {user} {group} - {name}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_its_name_its_peers_and_its_files() {
        let all = [Seed::new("node1", 11), Seed::new("nas", 13)];
        let credentials = all[0].credentials(&all, "KEY").unwrap();
        let text = |name: &str| credentials.iter().find(|one| one.name == name).map(|one| one.text.as_str()).unwrap();
        assert_eq!(
            text("tmpfiles.extra"),
            "f+^ /etc/hostname 0644 root root - tmpfiles.lab-0\n\
             f^ /etc/hosts 0644 root root - tmpfiles.lab-1\n\
             f^ /etc/hardstand-lab/peers 0644 root root - tmpfiles.lab-2\n\
             f^ /etc/apt/keyrings/hardstand-lab.asc 0644 root root - tmpfiles.lab-3\n\
             f^ /etc/hardstand/agent.toml.d/50-node.toml 0644 root root - tmpfiles.lab-4\n"
        );
        assert_eq!(text("tmpfiles.lab-0"), "node1\n");
        assert_eq!(text("tmpfiles.lab-2"), "10.77.0.13\n");
        assert_eq!(text("tmpfiles.lab-4"), "[node]\nname = \"node1\"\nrole = \"debian\"\n");
    }

    #[test]
    fn a_path_that_would_be_read_otherwise_is_refused() {
        let seed = Seed { files: vec![SeedFile::plain("/etc/a b", "")], ..Seed::new("n", 9) };
        assert!(seed.credentials(&[], "").is_err());
    }
}
