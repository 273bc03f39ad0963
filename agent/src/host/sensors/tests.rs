//! Tests of the sensor collector.

use super::*;
use crate::host::captured::{Captured, Q35};

#[test]
fn an_nvme_thermometer_is_named_as_node_exporter_names_it() {
    let sensors = probe_sensors(&Captured::unpack(Q35).host()).unwrap();
    let expected = Sensor {
        chip: "nvme_nvme0".to_owned(),
        sensor: "temp1".to_owned(),
        label: Some("Composite".to_owned()),
        kind: SensorKind::Temperature,
        value: 49.85,
        max: Some(69.85),
        critical: Some(99.85),
        alarm: false,
    };
    assert_eq!(sensors, [expected]);
}

#[test]
fn fans_voltages_and_alarms_are_read_and_disks_are_not_woken() {
    let tree = Captured::empty();
    let board = "sys/devices/platform/nct6775.656/hwmon/hwmon1";
    for (file, text) in [
        ("name", "nct6776"),
        ("fan1_input", "1180"),
        ("in0_input", "1016"),
        ("temp2_input", "-5000"),
        ("temp2_crit_alarm", "1"),
        ("temp3_label", "no input"),
        ("temp10_input", "none"),
        ("pwm1", "120"),
    ] {
        tree.write(&format!("{board}/{file}"), format!("{text}\n").as_bytes());
    }
    tree.link("sys/class/hwmon/hwmon1", "../../devices/platform/nct6775.656/hwmon/hwmon1");
    tree.link(&format!("{board}/device"), "../../../nct6775.656");
    tree.write("sys/class/hwmon/hwmon2/name", b"drivetemp\n");
    tree.write("sys/class/hwmon/hwmon2/temp1_input", b"30000\n");
    tree.write("sys/class/hwmon/hwmon3/name", b"Acme Chip\n");
    tree.write("sys/class/hwmon/hwmon3/fan2_input", b"0\n");
    let sensors = probe_sensors(&tree.host()).unwrap();
    let short: Vec<_> =
        sensors.iter().map(|one| (one.chip.as_str(), one.sensor.as_str(), one.value, one.alarm)).collect();
    assert_eq!(
        short,
        [
            ("platform_nct6775_656", "fan1", 1180.0, false),
            ("platform_nct6775_656", "in0", 1.016, false),
            ("platform_nct6775_656", "temp2", -5.0, true),
            ("acme_chip", "fan2", 0.0, false),
        ]
    );
}

#[test]
fn a_machine_without_chips_has_no_sensors() {
    assert_eq!(probe_sensors(&Captured::empty().host()).unwrap(), []);
}
