//! The lab's own network: a namespace nothing outside can see, a bridge, a tap per card, and the servers a machine
//! needs to boot over it (dnsmasq for DHCP and TFTP, `http` for the rest, `clock` for the time).
//!
//! It must never put an address or a server into the host's own namespace. The namespace has no name: it is gone
//! when the harness is.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hardstand_exec::{Run, Started, find};
use nix::sched::{CloneFlags, unshare};

use crate::wait::until;
use crate::{clock, http};

/// The harness on the bridge; the only address guests can reach besides each other.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Cards with these last numbers always get the address with the same last number.
const FIXED: std::ops::RangeInclusive<u8> = 11..=19;
/// `ip` only talks to the kernel.
const IP_LIMIT: Duration = Duration::from_secs(20);
/// dnsmasq reads one small file before it serves.
const DNSMASQ_LIMIT: Duration = Duration::from_secs(20);

/// The address a card with this hardware address gets.
pub(crate) fn guest_address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

/// The hardware address of the card with this number.
pub(crate) fn guest_mac(last: u8) -> String {
    format!("52:54:00:68:73:{last}")
}

/// What the network offers to a machine that boots from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offer {
    /// An address and the time, nothing to boot.
    Nothing,
    /// The files of this directory: by TFTP to a UEFI's own PXE, by HTTP to iPXE and to UEFI HTTP boot.
    Boot(Served),
}

/// What is served to machines that boot over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// Directory served whole over TFTP and HTTP.
    pub dir: PathBuf,
    /// Script for iPXE, as a path under `dir`.
    pub ipxe_script: String,
    /// UEFI program for the firmware's own PXE, as a path under `dir`.
    pub uefi_program: String,
}

/// The network while it is up. Ends with this value.
pub(crate) struct Network {
    _dnsmasq: Started,
}

/// Puts this process into a network namespace of its own; as another user than root into a user namespace as well.
/// Must be called while the process has one thread.
pub(crate) fn enter() -> Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if uid.is_root() {
        return unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace; are namespaces allowed here?");
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .context("making a user and a network namespace; run as root where the host does not allow this")?;
    for (file, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
    {
        let path = format!("/proc/self/{file}");
        std::fs::write(&path, text).with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}

impl Network {
    /// Brings up the bridge with `taps` and the servers. `dir` keeps their logs.
    pub(crate) async fn up(taps: &[impl AsRef<str>], offer: &Offer, dir: &Path) -> Result<Self> {
        bridge(taps).await?;
        clock::serve(HOST).await?;
        if let Offer::Boot(served) = offer {
            for file in [&served.ipxe_script, &served.uefi_program] {
                let path = served.dir.join(file);
                ensure!(path.is_file(), "{} is missing; build the image again", path.display());
            }
            http::serve(HOST, served.dir.clone(), dir.join("http.log")).await?;
        }
        Ok(Self { _dnsmasq: dnsmasq(offer, dir).await? })
    }
}

/// Bytes the host has sent to the guest behind `tap` so far: how far a download is.
pub(crate) fn sent_to(tap: &str) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/dev").ok()?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix(tap)?.strip_prefix(':'))?;
    // Receive has eight columns; the ninth is what this side has sent.
    line.split_whitespace().nth(8)?.parse().ok()
}

/// The bridge alone, with the harness on it and these taps.
pub(crate) async fn bridge<T: AsRef<str>>(taps: &[T]) -> Result<()> {
    let mut batch = String::from("link set lo up\nlink add br0 type bridge forward_delay 0\n");
    let _ = writeln!(batch, "addr add {HOST}/24 dev br0\nlink set br0 up");
    for tap in taps.iter().map(AsRef::as_ref) {
        let _ = writeln!(batch, "tuntap add {tap} mode tap\nlink set {tap} master br0 up");
    }
    let ip = find("ip").context("finding ip; install iproute2, or start through qemu/lab")?;
    Run::new(ip, IP_LIMIT)
        .args(["-batch", "-"])
        .stdin(batch)
        .success()
        .await
        .context("making the bridge and its taps; taps need write access to /dev/net/tun, which root has")?;
    Ok(())
}

async fn dnsmasq(offer: &Offer, dir: &Path) -> Result<Started> {
    let program = find("dnsmasq").context("finding dnsmasq; install dnsmasq-base, or start through qemu/lab")?;
    let (config, log) = (dir.join("dnsmasq.conf"), dir.join("dnsmasq.log"));
    std::fs::write(&config, dnsmasq_config(offer, dir)).with_context(|| format!("writing {}", config.display()))?;
    let file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut started = Run::new(program, Duration::ZERO)
        .args(["--keep-in-foreground", "--log-facility=-"])
        .arg(format!("--conf-file={}", config.display()))
        .args(["--user=root", "--group=root"])
        .start(file)?;
    until("dnsmasq to serve DHCP", DNSMASQ_LIMIT, async || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(status) = started.ended()? {
            anyhow::bail!("dnsmasq ended with {status}: {said}");
        }
        Ok(said.contains("DHCP, IP range").then_some(()))
    })
    .await?;
    Ok(started)
}

fn dnsmasq_config(offer: &Offer, dir: &Path) -> String {
    let mut config = format!(
        "port=0\ninterface=br0\nbind-interfaces\ndhcp-authoritative\nlog-dhcp\n\
         dhcp-range=10.77.0.20,10.77.0.99,1h\ndhcp-option=option:ntp-server,{HOST}\ndhcp-leasefile={}\n",
        dir.join("dnsmasq.leases").display(),
    );
    for last in FIXED {
        let _ = writeln!(config, "dhcp-host={},{}", guest_mac(last), guest_address(last));
    }
    if let Offer::Boot(served) = offer {
        let (script, program) = (&served.ipxe_script, &served.uefi_program);
        let _ = write!(
            config,
            "enable-tftp\ntftp-root={}\ntftp-no-fail\n\
             dhcp-match=set:ipxe,175\n\
             dhcp-match=set:uefi,option:client-arch,7\ndhcp-match=set:uefi,option:client-arch,9\n\
             dhcp-match=set:uefihttp,option:client-arch,16\ndhcp-option-force=tag:uefihttp,60,HTTPClient\n\
             dhcp-boot=tag:ipxe,http://{HOST}/{script}\n\
             dhcp-boot=tag:uefi,tag:!ipxe,{program}\n\
             dhcp-boot=tag:uefihttp,http://{HOST}/{program}\n",
            served.dir.display(),
        );
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_firmware_is_offered_what_it_can_boot() {
        let served =
            Served { dir: "/i".into(), ipxe_script: "netboot/boot.ipxe".into(), uefi_program: "uki.efi".into() };
        let config = dnsmasq_config(&Offer::Boot(served), Path::new("/o"));
        let boots: Vec<&str> = config.lines().filter(|line| line.starts_with("dhcp-boot")).collect();
        assert_eq!(
            boots,
            [
                "dhcp-boot=tag:ipxe,http://10.77.0.1/netboot/boot.ipxe",
                "dhcp-boot=tag:uefi,tag:!ipxe,uki.efi",
                "dhcp-boot=tag:uefihttp,http://10.77.0.1/uki.efi",
            ]
        );
        assert!(!dnsmasq_config(&Offer::Nothing, Path::new("/o")).contains("dhcp-boot"));
    }
}
