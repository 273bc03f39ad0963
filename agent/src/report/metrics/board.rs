//! The board: what its controller tells over IPMI, and watchdogs, these under node_exporter's names.
//!
//! It must never give a number for what no sensor tells.

use hardstand_core::Observed;
use hardstand_core::observed::{IpmiState, IpmiTold, Watchdog};

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page, observed: &Observed) {
    let told = observed.ipmi.shown().and_then(Option::as_ref).and_then(|ipmi| ipmi.told.known());
    write_ipmi(page, told);
    write_watchdogs(page, observed.watchdogs.shown().map_or(&[], Vec::as_slice));
}

fn write_ipmi(page: &mut Page, told: Option<&IpmiTold>) {
    let sensors = told.map_or(&[][..], |told| told.sensors.as_slice());
    let mut states = page.family("hardstand_ipmi_sensor_state", Kind::Gauge, "How each sensor of the board is taken.");
    for sensor in sensors {
        states.states(&[("sensor", &sensor.name)], "state", &IpmiState::WORDS, sensor.state.word());
    }
    let mut values = page.family("hardstand_ipmi_sensor_value", Kind::Gauge, "What a sensor of the board measures.");
    for sensor in sensors {
        let labels =
            [("sensor", &*sensor.name), ("type", &sensor.kind), ("unit", sensor.unit.as_deref().unwrap_or_default())];
        values.optional(&labels, sensor.reading);
    }
    page.family(
        "hardstand_ipmi_psu_redundant",
        Kind::Gauge,
        "Whether one power supply may fail, where a sensor tells.",
    )
    .optional(&[], told.and_then(IpmiTold::psu_redundant).map(|yes| f64::from(u8::from(yes))));
    page.family("hardstand_ipmi_sel_entries", Kind::Gauge, "Entries in the event log of the board's controller.")
        .optional(&[], told.map(|told| told.log.entries as f64));
    page.family("hardstand_ipmi_sel_free_bytes", Kind::Gauge, "Room for more of them.")
        .optional(&[], told.and_then(|told| told.log.free_bytes).map(|bytes| bytes as f64));
}

fn write_watchdogs(page: &mut Page, watchdogs: &[Watchdog]) {
    let mut info = page.family("node_watchdog_info", Kind::Info, "Watchdogs.");
    for one in watchdogs {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        info.sample(&[("name", &one.name), ("identity", &of(&one.identity)), ("state", &of(&one.state))], 1.0);
    }
    type Pick = fn(&Watchdog) -> Option<f64>;
    let rows: [(&str, &str, Pick); 3] = [
        ("node_watchdog_timeout_seconds", "After how long without food it resets the machine.", |one| {
            one.timeout_seconds.map(|seconds| seconds as f64)
        }),
        ("node_watchdog_nowayout", "Whether it cannot be stopped once it runs.", |one| {
            one.no_way_out.map(|yes| f64::from(u8::from(yes)))
        }),
        ("node_watchdog_bootstatus", "What it tells of the last reset.", |one| {
            one.boot_status.map(|status| status as f64)
        }),
    ];
    for (name, help, pick) in rows {
        let mut family = page.family(name, Kind::Gauge, help);
        for one in watchdogs {
            family.optional(&[("name", &one.name)], pick(one));
        }
    }
    let mut armed = page.family("hardstand_watchdog_armed", Kind::Gauge, "Whether a watchdog runs.");
    for one in watchdogs {
        armed.flag(&[("name", &one.name)], one.is_armed());
    }
}
