//! Network interfaces from `/sys/class/net` and `/proc/net/dev`.
//!
//! It must never ask a driver more than once a pass: `speed` takes the kernel's network lock, so it is read only where
//! there is a link and a wire.

use std::collections::HashMap;

use hardstand_core::observed::{Nic, OperState};
use serde::Serialize;

use super::kernel_dir::{Identity, KernelDir, ProcFile, is_gone};
use super::{Host, HostError};

const NET: &str = "sys/class/net";
/// `IFF_UP` of `linux/if.h`.
const IFF_UP: u32 = 1;
/// Speeds are in megabits a second.
const BYTES_PER_MEGABIT: u64 = 125_000;

/// Interfaces whose files stay open between passes: six each, so that a host of a thousand taps stays below its limit of
/// open files. The files of others are opened in each pass.
const KEPT: usize = 32;

/// What cannot change while an interface is there, and the files that are read in each pass, kept between passes.
#[derive(Debug)]
pub(crate) struct KnownNics {
    counters: ProcFile,
    by_name: HashMap<String, KnownNic>,
}

/// One interface. Another one under the same name has another identity; one that was renamed keeps its own.
#[derive(Debug)]
struct KnownNic {
    identity: Identity,
    dir: KernelDir,
    physical: bool,
    kind: Option<String>,
}

impl Default for KnownNics {
    fn default() -> Self {
        Self { counters: ProcFile::new("proc/net/dev"), by_name: HashMap::new() }
    }
}

/// The counters of one interface in `/proc/net/dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counters {
    /// Bytes, packets, errors, drops received.
    pub(crate) receive: [u64; 4],
    /// Bytes, packets, errors, drops sent.
    pub(crate) transmit: [u64; 4],
}

impl KnownNics {
    /// Reads every interface of this network namespace, sorted by name. One that goes away meanwhile is left out.
    ///
    /// # Errors
    /// The list or the counters cannot be read, or an attribute every interface has is not of its form.
    pub(crate) fn probe(&mut self, host: &Host) -> Result<Vec<Nic>, HostError> {
        let class = KernelDir::open(host, NET)?;
        let names = class.names()?;
        self.by_name.retain(|name, _| names.binary_search(name).is_ok());
        let counters = parse_net_dev(self.counters.read(host)?)?;
        let mut nics = Vec::with_capacity(names.len());
        for name in names {
            let Some(counted) = counters.get(name.as_str()) else { continue };
            let Some(known) = known(&mut self.by_name, &class, &name) else { continue };
            let read = nic(&class, &known, name.clone(), *counted);
            if self.by_name.len() < KEPT && read.is_ok() {
                self.by_name.insert(name, known);
            }
            match read {
                Ok(nic) => nics.push(nic),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(nics)
    }
}

/// What is known of the interface that has this name now, taken out of what was kept; `None` when it is gone.
fn known(kept: &mut HashMap<String, KnownNic>, class: &KernelDir, name: &str) -> Option<KnownNic> {
    let identity = class.identity_of(name)?;
    if let Some(known) = kept.remove(name).filter(|known| known.identity == identity) {
        return Some(known);
    }
    // `bonding_masters` is a file of the bonding driver among the interfaces.
    let dir = class.below(name)?;
    let physical = dir.has("device");
    let kind = if physical { None } else { virtual_kind(&dir) };
    Some(KnownNic { identity, dir: dir.keeping(), physical, kind })
}

fn nic(class: &KernelDir, known: &KnownNic, name: String, counted: Counters) -> Result<Nic, HostError> {
    let (dir, physical, kind) = (&known.dir, known.physical, known.kind.clone());
    let flags = dir.required_as("flags", "a hexadecimal number", |bytes| {
        u32::from_str_radix(std::str::from_utf8(bytes).ok()?.strip_prefix("0x")?, 16).ok()
    })?;
    let admin_up = flags & IFF_UP != 0;
    // The kernel refuses to read `carrier` while the interface is down.
    let carrier = if admin_up { dir.number::<u8>("carrier").map(|carrier| carrier == 1) } else { None };
    let wired = physical || kind.as_deref() == Some("bond");
    let speed = if wired && carrier == Some(true) { dir.number::<i64>("speed") } else { None };
    Ok(Nic {
        mac: dir.text("address").unwrap_or_default(),
        physical,
        admin_up,
        oper_state: dir.required_as("operstate", "a state", |bytes| Some(oper_state(bytes)))?,
        carrier,
        carrier_changes: dir.required("carrier_changes")?,
        // -1 where the driver does not know.
        speed_bytes_per_second: speed
            .and_then(|megabits| u64::try_from(megabits).ok())
            .and_then(|megabits| megabits.checked_mul(BYTES_PER_MEGABIT)),
        mtu_bytes: dir.required("mtu")?,
        master: dir.link_name("master"),
        bond_active_of: if kind.as_deref() == Some("bond") { bond_members(class, dir) } else { None },
        receive: counted.receive,
        transmit: counted.transmit,
        name,
        kind,
    })
}

fn oper_state(bytes: &[u8]) -> OperState {
    match bytes {
        b"up" => OperState::Up,
        b"down" => OperState::Down,
        b"lowerlayerdown" => OperState::LowerLayerDown,
        b"dormant" => OperState::Dormant,
        b"unknown" => OperState::Unknown,
        _ => OperState::Other,
    }
}

fn virtual_kind(dir: &KernelDir) -> Option<String> {
    let uevent = dir.text("uevent")?;
    let named = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
    named.map(str::to_owned).or_else(|| dir.has("tun_flags").then(|| "tun".to_owned()))
}

/// Members whose MII status is up, and members in all.
fn bond_members(class: &KernelDir, dir: &KernelDir) -> Option<(u64, u64)> {
    // An empty bond has an empty list, which is not the same as no list.
    let members = if dir.has("bonding/slaves") { dir.text("bonding/slaves").unwrap_or_default() } else { return None };
    let mut count = (0, 0);
    for member in members.split_ascii_whitespace() {
        let status = class.below(member).and_then(|member| member.text("bonding_slave/mii_status"));
        count.0 += u64::from(status.as_deref() == Some("up"));
        count.1 += 1;
    }
    Some(count)
}

/// Parses `/proc/net/dev` into counters by interface.
pub(crate) fn parse_net_dev(text: &str) -> Result<HashMap<&str, Counters>, HostError> {
    let bad = |why: String| HostError::Parse { what: "/proc/net/dev".to_owned(), why };
    let mut lines = text.lines();
    let heading = lines.nth(1).unwrap_or_default();
    if !heading.trim_start().starts_with("face |bytes    packets errs drop") {
        return Err(bad("line 2 is not the known heading".to_owned()));
    }
    let mut interfaces = HashMap::new();
    for (index, line) in lines.enumerate() {
        let row = || bad(format!("line {}: not `NAME:` and 16 counts", index + 3));
        // A name may hold a colon of its own (an alias); no count does.
        let (name, counts) = line.rsplit_once(':').ok_or_else(row)?;
        let mut numbers = [0; 16];
        let mut words = counts.split_ascii_whitespace();
        for slot in &mut numbers {
            *slot = words.next().and_then(|word| word.parse().ok()).ok_or_else(row)?;
        }
        let [rx_bytes, rx_packets, rx_errors, rx_drops, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_drops, ..] =
            numbers;
        let receive = [rx_bytes, rx_packets, rx_errors, rx_drops];
        let transmit = [tx_bytes, tx_packets, tx_errors, tx_drops];
        interfaces.insert(name.trim(), Counters { receive, transmit });
    }
    Ok(interfaces)
}

#[cfg(test)]
mod tests;
