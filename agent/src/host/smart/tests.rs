//! Tests of the parser of smartctl's JSON: own captures, the optional samples folder, broken input.

use super::*;

const IDE: &str = include_str!("../../../tests/fixtures/smartctl/qemu-ide-hd.json");
const IDE_ALL: &str = include_str!("../../../tests/fixtures/smartctl/qemu-ide-hd-xall.json");
const NVME: &str = include_str!("../../../tests/fixtures/smartctl/qemu-nvme.json");
const SCSI: &str = include_str!("../../../tests/fixtures/smartctl/qemu-scsi-hd.json");
const USB: &str = include_str!("../../../tests/fixtures/smartctl/qemu-usb-storage.json");
const VIRTIO: &str = include_str!("../../../tests/fixtures/smartctl/qemu-virtio-blk.json");

fn detail(text: &str) -> SmartDetail {
    let smart = parse(text).unwrap().expect("the device has SMART");
    assert_eq!(smart.power, PowerState::Active);
    smart.detail.known().expect("the device was asked").clone()
}

fn why(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// A capture with one value changed.
fn changed(text: &str, pointer: &str, value: Value) -> String {
    let mut root: Value = serde_json::from_str(text).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = root.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        drop(parent.remove(name))
    } else {
        drop(parent.insert(name.to_owned(), value))
    }
    root.to_string()
}

#[test]
fn an_emulated_sata_disk_is_read() {
    let expected = SmartDetail {
        passed: Some(true),
        temperature_celsius: Some(31.0),
        power_on_hours: Some(1),
        error_log_count: Some(0),
        ata: Some(AtaSmart { reallocated_sectors: Some(0), ..AtaSmart::default() }),
        nvme: None,
        scsi: None,
    };
    assert_eq!(detail(IDE), expected);
    assert_eq!(detail(IDE_ALL), expected);
}

#[test]
fn an_emulated_nvme_disk_is_read() {
    let detail = detail(NVME);
    assert_eq!((detail.passed, detail.temperature_celsius, detail.power_on_hours), (Some(true), Some(50.0), Some(0)));
    assert_eq!(detail.error_log_count, Some(0));
    assert_eq!(detail.nvme, Some(NvmeSmart::default()));
    assert_eq!((detail.ata, detail.scsi), (None, None));
}

#[test]
fn devices_without_smart_have_none() {
    for text in [SCSI, USB, VIRTIO] {
        assert_eq!(parse(text).unwrap(), None, "{text}");
    }
}

#[test]
fn a_sleeping_disk_is_told_by_the_words_and_not_by_the_status() {
    let asleep = |words: &str| {
        format!(r#"{{"smartctl":{{"exit_status":2,"messages":[{{"string":"{words}","severity":"information"}}]}}}}"#)
    };
    for words in [
        "Device is in STANDBY mode, exit(2)",
        "Device is in SLEEP mode, exit(2)",
        "Device is in STANDBY (OS) mode, exit(2)",
        "Device is in STANDBY BY COMMAND mode, exit(2)",
    ] {
        let smart = parse(&asleep(words)).unwrap().unwrap();
        assert_eq!(smart.power, PowerState::Standby, "{words}");
        let why = "the disk sleeps and was not woken; it is asked again when it is awake";
        assert_eq!(smart.detail.why(), Some(why));
    }
    let mode = r#"{"smartctl":{"exit_status":2},"power_mode":{"ata_value":0,"name":"STANDBY"}}"#;
    assert_eq!(parse(mode).unwrap().unwrap().power, PowerState::Standby);
    let gone = asleep("Smartctl open device: /dev/sda failed: No such device");
    let expected = "parsing smartctl --json: exit status 2, the disk was not asked: Smartctl open device: /dev/sda failed: No such device";
    assert_eq!(why(&gone), expected);
}

#[test]
fn a_failing_disk_is_failing_however_it_says_so() {
    assert_eq!(detail(&changed(IDE, "/smart_status/passed", false.into())).passed, Some(false));
    assert_eq!(detail(&changed(IDE, "/smartctl/exit_status", 8.into())).passed, Some(false));
    assert_eq!(detail(&changed(IDE, "/smart_status", Value::Null)).passed, None);
}

#[test]
fn attributes_that_decide_are_read_by_number_and_wear_by_name() {
    let rows = |wear: &str| {
        let row = |id: u64, name: &str, value: u64, raw: u64| serde_json::json!({"id": id, "name": name, "value": value, "raw": {"value": raw}});
        let rows = [
            row(5, "Reallocated_Sector_Ct", 93, 304),
            row(197, "Current_Pending_Sector", 100, 8),
            row(198, "Offline_Uncorrectable", 100, 2),
            row(199, "UDMA_CRC_Error_Count", 200, 12),
            row(233, wear, 88, 979),
        ];
        changed(IDE, "/ata_smart_attributes/table", rows.to_vec().into())
    };
    let expected = AtaSmart {
        reallocated_sectors: Some(304),
        pending_sectors: Some(8),
        uncorrectable_sectors: Some(2),
        crc_errors: Some(12),
        used_percent: Some(12),
    };
    assert_eq!(detail(&rows("Media_Wearout_Indicator")).ata, Some(expected));
    assert_eq!(detail(&rows("Flash_Writes_GiB")).ata, Some(AtaSmart { used_percent: None, ..expected }));
    let newer = changed(&rows("Flash_Writes_GiB"), "/endurance_used", serde_json::json!({"current_percent": 7}));
    assert_eq!(detail(&newer).ata, Some(AtaSmart { used_percent: Some(7), ..expected }));
}

#[test]
fn a_sas_disk_adds_up_what_it_could_not_correct() {
    let text = r#"{"smartctl":{"exit_status":0},"device":{"name":"/dev/sdb","protocol":"SCSI"},
        "smart_support":{"available":true,"enabled":true},"smart_status":{"passed":true},
        "temperature":{"current":0},"scsi_grown_defect_list":260,"scsi_percentage_used_endurance_indicator":4,
        "scsi_error_counter_log":{"read":{"total_uncorrected_errors":1},"write":{"total_uncorrected_errors":535}}}"#;
    let detail = detail(text);
    let expected = ScsiSmart { grown_defects: Some(260), uncorrected_errors: Some(536), percentage_used: Some(4) };
    assert_eq!((detail.scsi, detail.temperature_celsius), (Some(expected), None));
}

#[test]
fn an_nvme_log_without_a_value_is_an_error_and_not_a_healthy_zero() {
    let text = changed(NVME, "/nvme_smart_health_information_log/critical_warning", Value::Null);
    let missing = "parsing smartctl --json: nvme_smart_health_information_log has no number `critical_warning`";
    assert_eq!(why(&text), missing);
    let large = changed(NVME, "/nvme_smart_health_information_log/media_errors", serde_json::json!(1e30));
    assert_eq!(detail(&large).nvme.unwrap().media_errors, u64::MAX);
    let text = changed(NVME, "/nvme_smart_health_information_log/percentage_used", 300.into());
    assert_eq!(detail(&text).nvme.unwrap().percentage_used, 255);
}

#[test]
fn smart_that_is_switched_off_is_unknown_with_the_way_out() {
    let smart = parse(&changed(IDE, "/smart_support/enabled", false.into())).unwrap().unwrap();
    let why = "SMART is switched off on the disk; switch it on with: smartctl --smart=on /dev/sda";
    assert_eq!(smart.detail.why(), Some(why));
}

#[test]
fn broken_output_says_what_is_wrong() {
    assert_eq!(why(""), "parsing smartctl --json: EOF while parsing a value at line 1 column 0");
    let cut = &IDE[..IDE.find("\"device\"").unwrap()];
    let column = cut.len();
    assert_eq!(why(cut), format!("parsing smartctl --json: EOF while parsing a value at line 1 column {column}"));
    let other = "parsing smartctl --json: no `smartctl.exit_status`; is this the output of smartctl --json?";
    assert_eq!(why("{\"pools\":{}}"), other);
    let nothing = r#"{"smartctl":{"exit_status":4,"messages":[{"string":"Read NVMe Identify failed"}]}}"#;
    let expected = "parsing smartctl --json: exit status 4, no health in it: Read NVMe Identify failed";
    assert_eq!(why(nothing), expected);
    let silent = "parsing smartctl --json: exit status 2, the disk was not asked: it gave no reason";
    assert_eq!(why(r#"{"smartctl":{"exit_status":2}}"#), silent);
}

/// Captures of real disks that may lie beside the checkout; they are not ours to ship.
#[test]
fn samples_of_real_disks_are_read() {
    let dir =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/interfaces/samples/smart/smartctl-json");
    let Ok(entries) = std::fs::read_dir(&dir) else {
        eprintln!("no samples of real disks at {}; only our own captures were read", dir.display());
        return;
    };
    let mut failing = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let detail = detail(&text);
        let root: Value = serde_json::from_str(&text).unwrap();
        let device = root["device"]["protocol"].as_str().unwrap();
        let kinds = (detail.ata.is_some(), detail.nvme.is_some(), detail.scsi.is_some());
        let expected = (device == "ATA", device == "NVMe", device == "SCSI");
        assert_eq!(kinds, expected, "{}", path.display());
        assert_eq!(detail.passed, root["smart_status"]["passed"].as_bool(), "{}", path.display());
        assert_eq!(detail.power_on_hours, root["power_on_time"]["hours"].as_u64(), "{}", path.display());
        assert_eq!(detail.temperature_celsius, root["temperature"]["current"].as_f64(), "{}", path.display());
        failing += usize::from(detail.passed == Some(false));
    }
    assert_eq!(failing, 1, "one disk of the samples says that it fails");
}
