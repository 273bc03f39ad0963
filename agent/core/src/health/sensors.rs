//! Is something hot, or a fan still?

use super::{Court, Gate, Severity};
use crate::observed::{Sensor, SensorKind};

pub(super) fn judge(court: &mut Court<'_>) {
    let seen = court.seen;
    let Some(sensors) = seen.sensors.reading.known() else { return };
    for sensor in sensors {
        let subject = match &sensor.label {
            Some(label) => format!("{} {label}", sensor.chip),
            None => format!("{} {}", sensor.chip, sensor.sensor),
        };
        match sensor.kind {
            SensorKind::Temperature => temperature(court, &subject, sensor),
            SensorKind::Fan => fan(court, &subject, sensor),
            SensorKind::Voltage => voltage(court, &subject, sensor),
        }
    }
}

fn temperature(court: &mut Court<'_>, subject: &str, sensor: &Sensor) {
    let name = ("sensor.temperature", subject);
    let seen = format!("{:.0} °C", sensor.value);
    let critical = sensor.critical.is_some_and(|limit| limit > 0.0 && sensor.value >= limit);
    if critical || sensor.alarm {
        let evidence = format!("{seen}, the chip calls that critical; check cooling now");
        court.find(name, Severity::Crit, Gate::Blocks, format!("{subject} at {seen}"), evidence);
    } else if sensor.max.is_some_and(|limit| limit > 0.0 && sensor.value >= limit) {
        let evidence = format!("{seen}, at or above the chip's own maximum; check cooling");
        court.find(name, Severity::Warn, Gate::Warns, format!("{subject} at {seen}"), evidence);
    } else {
        court.ok(name, seen);
    }
}

fn fan(court: &mut Court<'_>, subject: &str, sensor: &Sensor) {
    let turned = court.history.best(&format!("fan {subject}"), sensor.value.max(0.0) as u64);
    let name = ("sensor.fan", subject);
    if sensor.alarm || (turned > 0 && sensor.value <= 0.0) {
        let evidence = format!("{:.0} rpm, has turned at {turned} rpm; replace the fan", sensor.value);
        court.find(name, Severity::Crit, Gate::Blocks, format!("{subject} stands still"), evidence);
    } else {
        court.ok(name, format!("{:.0} rpm", sensor.value));
    }
}

fn voltage(court: &mut Court<'_>, subject: &str, sensor: &Sensor) {
    let name = ("sensor.voltage", subject);
    if sensor.alarm {
        let evidence = format!("{:.2} V, the chip raises its alarm; check the power supply", sensor.value);
        court.find(name, Severity::Crit, Gate::Blocks, format!("{subject} at {:.2} V", sensor.value), evidence);
    } else {
        court.ok(name, format!("{:.2} V", sensor.value));
    }
}
