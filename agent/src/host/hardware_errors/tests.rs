//! Tests of the log's lines, in the forms in which the kernel's sources write them (`mce/core.c`, `mce_amd.c`, `cper.c`,
//! `ghes.c`, `bert.c`).

use super::*;
use crate::host::feed_damaged;

fn read(text: &str) -> Vec<HardwareError> {
    // Processor 64 is the first of the second socket.
    parse(&numbered(text), |cpu| (cpu < 128).then_some(cpu / 64))
}

fn numbered(text: &str) -> Vec<(u64, String)> {
    (100..).zip(text.lines().map(str::to_owned)).collect()
}

fn check(sequence: u64, socket: Option<u32>, bank: u32, severity: ErrorSeverity) -> HardwareError {
    HardwareError { sequence, origin: ErrorOrigin::Processor { socket, bank }, severity }
}

fn report(sequence: u64, fru: &str, section: &str, severity: ErrorSeverity) -> HardwareError {
    let origin = ErrorOrigin::Firmware { fru: fru.to_owned(), section: section.to_owned() };
    HardwareError { sequence, origin, severity }
}

const RAW: &str = "mce: [Hardware Error]: Machine check events logged
mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 5: be00000000800400
mce: [Hardware Error]: TSC 0 ADDR fef1a540 MISC 38a0000086 
mce: [Hardware Error]: PROCESSOR 0:306a9 TIME 1795395600 SOCKET 1 APIC 0 microcode 17
EDAC skx MC1: CPU 70: Machine Check Event: 0x0 Bank 7: 0x8c00004000010090
mce: [Hardware Error]: CPU 500: Machine Check Exception: 5 Bank 0: 8800000000000000";

const AMD: &str = "mce: [Hardware Error]: Machine check events logged
[Hardware Error]: Corrected error, no action required.
[Hardware Error]: CPU:2 (17:31:0) MC17_STATUS[Over|CE|MiscV|AddrV|-|-|SyndV|CECC|-|-|-]: 0xdc2040000000011b
[Hardware Error]: Error Addr: 0x0000000084bc0b00
[Hardware Error]: IPID: 0x0000009600050f00, Syndrome: 0x112201010a800301
[Hardware Error]: Unified Memory Controller Ext. Error Code: 0, DRAM ECC error.
[Hardware Error]: Deferred error, no action required.
[Hardware Error]: CPU:64 (19:50:0) MC14_STATUS[-|-|-|AddrV|PCC|-|-|Deferred|-|-]: 0x8700900800000000
[Hardware Error]: Uncorrected, software restartable error.
[Hardware Error]: CPU:65 (19:1:1) MC1_STATUS[-|UE|MiscV|AddrV|-|-|-|-|-|-|-]: 0xbc00080001010135";

const GHES: &str = "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 4
{1}[Hardware Error]: It has been corrected by h/w and requires no further action
{1}[Hardware Error]: event severity: corrected
{1}[Hardware Error]:  Error 0, type: corrected
{1}[Hardware Error]:  fru_text: A1
{1}[Hardware Error]:   section_type: memory error
{1}[Hardware Error]:   error_status: 0x0000000000000400
{1}[Hardware Error]:   physical_address: 0x0000000037805200
{1}[Hardware Error]:   error_type: 2, single-bit ECC
{2}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1
{2}[Hardware Error]: event severity: recoverable
{2}[Hardware Error]:  Error 0, type: recoverable
{2}[Hardware Error]:   section_type: memory error
{2}[Hardware Error]:   node: 0 card: 0 module: 0 rank: 0 bank: 3 DIMM location: CPU1 DIMM_B2 
{3}[Hardware Error]: event severity: corrected
{3}[Hardware Error]:   section_type: PCIe error
{3}[Hardware Error]:   node: 0 DIMM location: not present. DMI handle: 0x0000
[Hardware Error]: event severity: fatal
[Hardware Error]:  Error 0, type: fatal
[Hardware Error]:   section_type: general processor error
{4}[Hardware Error]: event severity: lukewarm";

#[test]
fn a_raw_machine_check_counts_once_with_its_socket() {
    let expected = [
        check(101, Some(1), 5, ErrorSeverity::Uncorrected),
        check(104, Some(1), 7, ErrorSeverity::Corrected),
        check(105, None, 0, ErrorSeverity::Corrected),
    ];
    assert_eq!(read(RAW), expected);
}

#[test]
fn a_machine_check_that_amd_decodes_counts_once() {
    let expected = [
        check(102, Some(0), 17, ErrorSeverity::Corrected),
        check(107, Some(1), 14, ErrorSeverity::Deferred),
        check(109, Some(1), 1, ErrorSeverity::Uncorrected),
    ];
    assert_eq!(read(AMD), expected);
}

#[test]
fn a_report_of_the_firmware_counts_once_with_its_part() {
    let expected = [
        report(102, "A1", "memory error", ErrorSeverity::Corrected),
        report(110, "CPU1 DIMM_B2", "memory error", ErrorSeverity::Uncorrected),
        report(114, "", "PCIe error", ErrorSeverity::Corrected),
        report(117, "", "general processor error", ErrorSeverity::Fatal),
        report(120, "", "", ErrorSeverity::Other),
    ];
    assert_eq!(read(GHES), expected);
}

#[test]
fn lines_of_two_reports_may_alternate() {
    let text = "{7}[Hardware Error]: event severity: corrected\n{8}[Hardware Error]: event severity: fatal\n\
                {7}[Hardware Error]:  fru_text: A1\n{8}[Hardware Error]:  fru_text: B1";
    let expected = [report(100, "A1", "", ErrorSeverity::Corrected), report(101, "B1", "", ErrorSeverity::Fatal)];
    assert_eq!(read(text), expected);
}

#[test]
fn a_line_that_only_goes_with_an_error_is_none() {
    let text = "mce: [Hardware Error]: Machine check events logged\nmce: CPU0: Thermal monitoring enabled (TM1)\n\
                mce: [Hardware Error]: PROCESSOR 0:306a9 TIME 1 SOCKET 1 APIC 0 microcode 17\n\
                {1}[Hardware Error]:  fru_text: A1\nMachine Check: 0 Bank 5\nCPU x: Machine Check: 0 Bank 5: be";
    assert_eq!(read(text), []);
    for all in [RAW, AMD, GHES] {
        assert!(all.lines().all(tells_of_hardware));
    }
    assert!(!tells_of_hardware("mce: CPU0: Thermal monitoring enabled (TM1)"));
}

#[test]
fn damaged_lines_are_read_or_left() {
    for good in [RAW, AMD, GHES] {
        feed_damaged(good, |text| drop(read(text)));
    }
}
