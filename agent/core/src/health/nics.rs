//! Is a link down, slower than it was, or losing packets?

use super::{Court, Gate, Severity};
use crate::observed::Nic;

/// Fewer packets than this say nothing about a share of errors.
const LEAST_PACKETS: u64 = 100;

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(nics) = seen.nics.reading.known() else { return };
    for nic in nics {
        if court.settings.nics.ignore.contains(&nic.name) {
            continue;
        }
        let required = court.settings.nics.required.contains(&nic.name);
        if nic.bond_active_of.is_some() {
            bond(court, nic);
        } else if nic.physical || required {
            link(court, nic, required);
        }
        if nic.physical {
            errors(court, nic);
            speed(court, nic);
        }
    }
    for name in &court.settings.nics.required {
        if !nics.iter().any(|nic| nic.name == *name) {
            let evidence =
                format!("{name} is required and there is no such interface; check the card, the driver and the name");
            court.find(("nic.link", name), Severity::Crit, Gate::Blocks, format!("{name} is not there"), evidence);
        }
    }
}

fn link(court: &mut Court<'_>, nic: &Nic, required: bool) {
    let name = ("nic.link", nic.name.as_str());
    let up = nic.carrier == Some(true);
    let had_link = court.history.best(&format!("link {}", nic.mac), u64::from(up)) > 0;
    let seen = match (nic.admin_up, nic.carrier) {
        (false, _) => "set down",
        (true, Some(true)) => "link up",
        (true, Some(false)) => "no carrier",
        (true, None) => "carrier unknown",
    };
    if up {
        court.ok(name, format!("{seen}, {} carrier changes", nic.carrier_changes));
    } else if required || had_link {
        let (severity, gate) = if required { (Severity::Crit, Gate::Blocks) } else { (Severity::Warn, Gate::Warns) };
        let evidence = format!(
            "{seen}{}; check cable and switch, or: ip link set {} up",
            if required { ", and required" } else { ", had a link before" },
            nic.name
        );
        court.find(name, severity, gate, format!("{} has no link", nic.name), evidence);
    } else {
        court.ok(name, format!("{seen}, never had a link: not in use"));
    }
}

fn bond(court: &mut Court<'_>, nic: &Nic) {
    let Some((active, members)) = nic.bond_active_of else { return };
    let name = ("nic.bond", nic.name.as_str());
    let seen = format!("{active} of {members} members up");
    // The bonding driver makes an empty one when it is loaded.
    if members == 0 && !nic.admin_up {
        return court.ok(name, "set down and without members: not in use");
    }
    if active == 0 {
        let evidence = format!("{seen}; check cables and switch of its members");
        court.find(name, Severity::Crit, Gate::Blocks, format!("bond {} is down", nic.name), evidence);
    } else if active < members {
        let evidence = format!("{seen}; one more failure may take it down");
        court.find(name, Severity::Crit, Gate::Blocks, format!("bond {} lost a member", nic.name), evidence);
    } else {
        court.ok(name, seen);
    }
}

fn errors(court: &mut Court<'_>, nic: &Nic) {
    let name = ("nic.errors", nic.name.as_str());
    let window = court.limits.sustained_secs as f64;
    let mut risen = |what: &str, value| court.history.risen(&format!("nic {} {what}", nic.mac), value, window, false);
    let packets = risen("packets", nic.receive[1].saturating_add(nic.transmit[1]));
    let errors = risen("errors", nic.receive[2].saturating_add(nic.transmit[2]));
    let share = if packets == 0 { 0.0 } else { errors as f64 * 100.0 / packets as f64 };
    let evidence = format!("{errors} errors in {packets} packets over the last {}", super::span(window));
    if packets >= LEAST_PACKETS && share > court.limits.nic_error_warn_percent {
        let evidence = format!("{evidence}; check cable, port and duplex: ethtool -S {}", nic.name);
        court.find(name, Severity::Warn, Gate::Warns, format!("{} has {share:.1} % errors", nic.name), evidence);
    } else {
        court.ok(name, evidence);
    }
}

fn speed(court: &mut Court<'_>, nic: &Nic) {
    let (Some(speed), Some(true)) = (nic.speed_bytes_per_second, nic.carrier) else { return };
    let name = ("nic.speed", nic.name.as_str());
    let best = court.history.best(&format!("speed {}", nic.mac), speed);
    let megabits = |bytes: u64| bytes / 125_000;
    if speed < best {
        let evidence =
            format!("{} Mbit/s, was {} Mbit/s; check cable and switch port", megabits(speed), megabits(best));
        court.find(name, Severity::Warn, Gate::Warns, format!("{} slower than it was", nic.name), evidence);
    } else {
        court.ok(name, format!("{} Mbit/s", megabits(speed)));
    }
}
