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
fn start(listener: UnixListener) -> Child {
    let uid = nix::unistd::geteuid().as_raw().to_string();
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    Command::new("/bin/sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_hardstand"), "helper", "--allow-uid", &uid])
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
    let mut helper = start(UnixListener::bind(&socket).unwrap());
    for _ in 0..2 {
        let reply = ask(&socket, "{\"version\":1,\"verb\":{\"dmi_serials\":{}}}\n");
        assert!(reply.starts_with("{\"version\":1,\"outcome\":{\"done\":{\"dmi_serials\":"), "{reply}");
    }
    let reply = ask(&socket, "{\"version\":1,\"verb\":{\"reboot\":{}}}\n");
    assert!(reply.starts_with("{\"version\":1,\"outcome\":{\"refused\":"), "{reply}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(helper.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = helper.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < SOON, "the helper did not end after SIGTERM");
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
    assert!(socket.exists(), "a socket that was passed is not the helper's to remove");
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
