//! The helper as a process: started with a socket passed to it as systemd passes one, and refusing to start without.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest the helper may take to answer or to end; a loaded machine needs a second or two.
const SOON: Duration = Duration::from_secs(30);

/// Starts the helper with `listener` as descriptor 3, the way of `sd_listen_fds(3)`.
fn start(listener: UnixListener, state: &std::path::Path) -> Child {
    let uid = nix::unistd::geteuid().as_raw().to_string();
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    Command::new("/bin/sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_hardstand"), "helper", "--allow-uid", &uid, "--state"])
        .arg(state)
        // No bus of this machine is touched: what is admitted ends there.
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .spawn()
        .unwrap()
}

fn ask(socket: &std::path::Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).unwrap();
    reply
}

#[test]
fn a_passed_socket_is_served_until_the_helper_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("helper.sock");
    let mut helper = start(UnixListener::bind(&socket).unwrap(), dir.path());
    for _ in 0..2 {
        let reply = ask(&socket, "{\"version\":1,\"verb\":{\"dmi_serials\":{}}}\n");
        assert!(reply.starts_with("{\"version\":1,\"outcome\":{\"done\":{\"dmi_serials\":"), "{reply}");
    }
    let reply = ask(&socket, "{\"version\":1,\"verb\":{\"reboot\":{}}}\n");
    assert!(reply.starts_with("{\"version\":1,\"outcome\":{\"refused\":"), "{reply}");
    let status = end(&mut helper, nix::sys::signal::Signal::SIGTERM);
    assert!(status.success(), "{status}");
    assert!(socket.exists(), "a socket that was passed is not the helper's to remove");
}

fn end(helper: &mut Child, signal: nix::sys::signal::Signal) -> std::process::ExitStatus {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(helper.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
    let asked = Instant::now();
    loop {
        if let Some(status) = helper.try_wait().unwrap() {
            return status;
        }
        assert!(asked.elapsed() < SOON, "the helper did not end after {signal}");
        std::thread::yield_now();
    }
}

/// A request for a reboot under this token, whose permit was answered `age_ms` ago in this boot.
fn reboot(revision: u64, attempt: u32, age_ms: u64) -> String {
    let now: Duration = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap().into();
    let answered_ms = u64::try_from(now.as_millis()).unwrap() - age_ms;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    format!(
        "{{\"version\":1,\"verb\":{{\"open\":{{\"step\":\"reboot\",\"errand\":{{\"plan\":\"{}\",\"token\":{{\"incarnation\":\"life\",\
         \"revision\":{revision}}},\"attempt\":{attempt}}},\"permit\":{{\"boot_id\":\"{}\",\"answered_ms\":{answered_ms}}}}}}}}}\n",
        "a".repeat(64),
        boot_id.trim()
    )
}

#[test]
fn a_replay_an_old_token_and_an_old_permit_are_refused_by_a_helper_that_was_killed_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("helper.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let refused = |why: &str| format!("{{\"version\":1,\"outcome\":{{\"refused\":{{\"why\":\"{why}\"}}}}}}\n");
    let begun = "{\"version\":1,\"outcome\":{\"done\":{\"begun\":{}}}}\n";
    let mut helper = start(listener.try_clone().unwrap(), dir.path());
    assert_eq!(ask(&socket, &reboot(7, 1, 0)), begun);
    let replay = refused("reboot, attempt 1, is a replay: open was run already");
    assert_eq!(ask(&socket, &reboot(7, 1, 0)), replay);
    assert!(!end(&mut helper, nix::sys::signal::Signal::SIGKILL).success());
    let mut helper = start(listener, dir.path());
    assert_eq!(ask(&socket, &reboot(7, 1, 0)), replay, "what was run is on the disk");
    let older = "token life:6 is older than one seen before (7); its lease is no longer ours";
    assert_eq!(ask(&socket, &reboot(6, 1, 0)), refused(older));
    let late = ask(&socket, &reboot(7, 2, 6_000));
    assert!(late.contains(" ms old, at most 5 s; fence again"), "{late}");
    assert_eq!(ask(&socket, &reboot(7, 2, 0)), begun, "a refused one may come again with a fresh permit");
    assert!(end(&mut helper, nix::sys::signal::Signal::SIGTERM).success());
}

#[test]
fn without_a_socket_it_says_how_it_is_started() {
    let output = Command::new(env!("CARGO_BIN_EXE_hardstand")).arg("helper").env_remove("LISTEN_FDS").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "no socket was passed; the helper is started by hardstand-helper.socket (systemctl start \
                    hardstand-helper.socket), or in the foreground with --socket PATH";
    assert!(said.contains(expected), "{said}");
}
