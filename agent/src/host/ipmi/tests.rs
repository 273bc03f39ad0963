//! Tests of the controller's collector: what FreeIPMI's tools printed of a simulated controller (`tests/fixtures/README.md`),
//! and stand-ins for them that print it again.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::helper::captured_client;
use crate::host::{Scratch, feed_damaged};

const SICK: &str = include_str!("../../../tests/fixtures/ipmi/sensors-sick.csv");
const WELL: &str = include_str!("../../../tests/fixtures/ipmi/sensors-well.csv");
const SICK_EVENTS: &str = include_str!("../../../tests/fixtures/ipmi/events-sick.csv");
const SICK_LOG: &str = include_str!("../../../tests/fixtures/ipmi/log-sick.txt");

/// A board with a controller and stand-ins for the tools.
struct Board(Scratch);

impl Board {
    fn new() -> Self {
        let board = Self(Scratch::new());
        board.0.write("sys/class/ipmi/ipmi0/uevent", "");
        board.0.write("asked", "");
        for (name, text) in [("sensors", SICK), ("info", SICK_LOG), ("events", SICK_EVENTS)] {
            board.0.write(name, text);
        }
        let root = board.0.path("").display().to_string();
        board.program(SENSORS, &format!("cat {root}/sensors"));
        board.program(
            LOG,
            &format!(
                "case $* in *--info) cat {root}/info;; *) echo \"${{10}}\" >>{root}/asked; cat {root}/events;; esac"
            ),
        );
        board
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn asks(&self, last: &LastLog) -> Result<Option<Ipmi>, HostError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = captured_client(Host::at(self.0.path("")), self.0.path("bin"));
        runtime.block_on(probe_ipmi(&self.0, &client, last))
    }

    fn told(&self, last: &LastLog) -> IpmiTold {
        self.asks(last).unwrap().unwrap().told.known().unwrap().clone()
    }

    /// Which entries were asked for, one line each.
    fn asked(&self) -> String {
        self.0.read("asked").unwrap()
    }
}

#[test]
fn sensors_are_read_as_the_tool_takes_them() {
    let sick = parse_sensors(SICK).unwrap();
    assert_eq!(sick.len(), 10);
    let hot = &sick[1];
    assert_eq!(
        (hot.name.as_str(), hot.kind.as_str(), hot.state),
        ("Processor 2 CPU2 Temp", "Temperature", IpmiState::Critical)
    );
    assert_eq!((hot.reading, hot.unit.as_deref()), (Some(97.0), Some("C")));
    let supply = &sick[5];
    let events = ["Presence detected", "Power Supply Failure detected", "Power Supply input lost (AC/DC)"];
    assert_eq!((supply.state, supply.reading, supply.unit.as_deref()), (IpmiState::Critical, None, None));
    assert_eq!(supply.events, events);
    let told = |sensors| IpmiTold { sensors, log: IpmiLog::default() };
    assert_eq!(told(sick).psu_redundant(), Some(false));
    let well = parse_sensors(WELL).unwrap();
    assert!(well.iter().all(|sensor| sensor.state == IpmiState::Nominal), "{well:?}");
    assert_eq!(told(well).psu_redundant(), Some(true));
}

#[test]
fn odd_sensors_are_read_too_and_broken_ones_are_not_passed_over() {
    let odd = "1,Inlet, front,Temperature,N/A,N/A,N/A,N/A\n2,Status,Power Supply,Odd,N/A,N/A,'OK'\n3,Status,Power Supply,Nominal,N/A,N/A,'OK'\n";
    let odd = parse_sensors(odd).unwrap();
    let rows: Vec<_> = odd.iter().map(|sensor| (sensor.name.as_str(), sensor.state)).collect();
    let expected =
        [("Inlet, front", IpmiState::Unread), ("Status", IpmiState::Other), ("Status #3", IpmiState::Nominal)];
    assert_eq!(rows, expected);
    for (broken, line) in
        [("1,CPU,Temperature,Nominal,hot,C,'OK'", 1), ("1,A,Fan,Nominal,1.0,RPM,'OK'\nCaching SDR", 2)]
    {
        let error = parse_sensors(broken).unwrap_err().to_string();
        let told = broken.lines().last().unwrap();
        assert_eq!(error, format!("parsing the output of ipmi-sensors: line {line}: `{told}` is not a sensor"));
    }
}

#[test]
fn the_log_is_read_with_its_room_and_its_entries() {
    let log = parse_log(SICK_LOG).unwrap();
    assert_eq!((log.entries, log.free_bytes, log.dropped), (8, Some(15_872), false));
    let full = SICK_LOG.replace("space    : No", "space    : Yes").replace("15872 bytes", "64 bytes");
    let log = parse_log(&full).unwrap();
    assert_eq!((log.free_bytes, log.dropped), (Some(64), true));
    assert_eq!(parse_log("").unwrap_err().to_string(), "parsing ipmi-sel --info: no line `Number of log entries`");

    let events = parse_events(SICK_EVENTS).unwrap();
    let critical: Vec<u64> =
        events.iter().filter(|event| event.state == IpmiState::Critical).map(|event| event.id).collect();
    assert_eq!((events.len(), critical), (8, vec![3, 4, 5, 7]));
    assert_eq!(events[1].event, "Upper Non-critical - going high ; Sensor Reading = 96.00 C ; Threshold = 95.00 C");
    let odd = "9,Nov-26-2026,10:00:00,Slot 1, riser,Module/Board,Odd,Event, of a kind";
    assert_eq!(parse_events(odd).unwrap()[0].state, IpmiState::Other);
    let odd = "9,Nov-26-2026,10:00:00,Slot 1, riser,Module/Board,Critical,Event, of a kind";
    let event = &parse_events(odd).unwrap()[0];
    let words = [&event.at, &event.name, &event.kind, &event.event].map(String::as_str);
    assert_eq!(words, ["Nov-26-2026 10:00:00", "Slot 1, riser", "Module/Board", "Event, of a kind"]);
}

#[test]
fn damaged_output_is_read_or_refused() {
    feed_damaged(SICK, |text| drop(parse_sensors(text)));
    feed_damaged(SICK_LOG, |text| drop(parse_log(text)));
    feed_damaged(SICK_EVENTS, |text| drop(parse_events(text)));
}

#[test]
fn entries_are_asked_for_once_and_then_only_new_ones() {
    let (board, last) = (Board::new(), LastLog::default());
    for _ in 0..2 {
        let told = board.told(&last);
        assert_eq!((told.sensors.len(), told.log.entries, told.log.events.len()), (10, 8, 8));
    }
    assert_eq!(board.asked(), "--tail=50\n", "the second time nothing was new");
    board.0.write("info", SICK_LOG.replace(": 8", ": 9").replace("771 s", "800 s"));
    board.0.write("events", "9,PostInit,PostInit,Fan,Fan,Critical,Lower Critical - going low\n");
    assert_eq!(board.told(&last).log.events.len(), 9);
    assert_eq!(board.asked(), "--tail=50\n--display-range=9-65534\n");
    // Cleared: what was in it is gone.
    board.0.write("info", SICK_LOG.replace("Post-Init 0 s", "Post-Init 900 s"));
    assert_eq!(board.told(&last).log.events.len(), 1);
    assert_eq!(board.asked().lines().last(), Some("--tail=50"));
    assert_eq!(which_events(Some(u16::MAX)), "--display-range=65534-65534");
}

#[test]
fn a_board_without_a_controller_is_not_asked_and_one_without_means_says_what_to_do() {
    let last = LastLog::default();
    let board = Board::new();
    std::fs::remove_dir_all(board.0.path("sys/class/ipmi")).unwrap();
    assert_eq!(board.asks(&last).unwrap(), None);
    board.0.write("sys/bus/platform/drivers/ipmi_si/bind", "");
    assert_eq!(board.asks(&last).unwrap(), None, "the driver is loaded and has found nothing");
    board.0.write("sys/bus/platform/drivers/ipmi_si/IPI0001:00/uevent", "");
    let why = |board: &Board| board.asks(&LastLog::default()).unwrap().unwrap().told.why().unwrap().to_owned();
    assert!(why(&board).contains("modprobe ipmi_devintf"));
    board.0.write("sys/class/ipmi/ipmi0/uevent", "");
    std::fs::remove_file(board.0.path("bin/ipmi-sel")).unwrap();
    let expected = "the board has a controller (/dev/ipmi0) and ipmi-sel is not installed; install freeipmi-tools";
    assert_eq!(why(&board), expected);
}

#[test]
fn a_controller_that_does_not_answer_is_an_error_and_asked_again_from_the_start() {
    let (board, last) = (Board::new(), LastLog::default());
    board.told(&last);
    board.program(SENSORS, "echo 'ipmi-sensors: driver timeout' >&2; exit 1");
    let error = board.asks(&last).unwrap_err().to_string();
    assert!(error.ends_with("ended with exit status 1: ipmi-sensors: driver timeout"), "{error}");
}

/// Ends with the test, whatever becomes of it.
struct Simulator(std::process::Child);

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Simulator {
    /// OpenIPMI's simulated controller, on a port of this machine that was free a moment ago.
    fn start(board: &Board) -> (Self, u16) {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (commands, configuration) = (
            include_str!("../../../tests/fixtures/ipmi/board.cmds"),
            include_str!("../../../tests/fixtures/ipmi/ipmi_sim.conf"),
        );
        let commands = board.0.write("simulator/board.cmds", commands);
        let configuration = board.0.write("simulator/lan.conf", configuration.replace("PORT", &port.to_string()));
        let mut run = std::process::Command::new("/usr/bin/ipmi_sim");
        run.arg("-n").arg("-c").arg(configuration).arg("-f").arg(commands).arg("-s").arg(board.0.path("simulator"));
        run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        (Self(run.spawn().expect("ipmi_sim is needed: apt-get install openipmi")), port)
    }
}

/// The real tools over the network, for there is no `/dev/ipmi0` here: the way is put in the place of the one they are
/// told, all else goes on as it is.
#[test]
fn freeipmis_tools_are_asked_as_they_want_to_be_and_a_simulated_controller_is_read() {
    let (board, last) = (Board::new(), LastLog::default());
    let (_simulator, port) = Simulator::start(&board);
    for name in [SENSORS, LOG] {
        let program = std::path::Path::new("/usr/sbin").join(name);
        assert!(program.exists(), "{name} is needed: apt-get install freeipmi-tools");
        let way = format!("-h 127.0.0.1:{port} -u board -p board --driver-type=LAN --session-timeout=5000");
        board.program(name, &format!("shift; exec {} {way} \"$@\"", program.display()));
    }
    let begun = std::time::Instant::now();
    let told = loop {
        match board.asks(&last) {
            Ok(ipmi) => break ipmi.unwrap().told.known().unwrap().clone(),
            // It needs a moment until it listens; each question waits for its answer by itself.
            Err(error) => assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{error}"),
        }
    };
    assert_eq!(told.sensors, parse_sensors(SICK).unwrap());
    assert_eq!((told.psu_redundant(), told.log.entries, told.log.events.len()), (Some(false), 8, 8));
    assert_eq!(board.told(&last), told, "nothing new");
    // Only what is new: the tool itself says which entries that are.
    let before = Known { info: kept_info(&last), events: told.log.events[..6].to_vec() };
    *last.0.lock().unwrap() = Some(before);
    let again = board.told(&last);
    assert_eq!(again.log.events.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// What is kept of the log, as if it had been told before another entry came.
fn kept_info(last: &LastLog) -> String {
    let kept = last.0.lock().unwrap();
    kept.as_ref().unwrap().info.replace("Number of log entries                  : 8", "Number of log entries : 6")
}
