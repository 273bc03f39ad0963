//! The verb that reads what the kernel's log tells of errors of the hardware.
//!
//! It must never pass on another line (the log holds addresses and names of all sorts), and never wait for the next one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;

use super::wire::KernelLog;
use crate::host::hardware_errors::tells_of_hardware;
use crate::host::{Host, HostError};

const KMSG: &str = "dev/kmsg";
/// Longest record that the kernel gives in one piece.
const RECORD: usize = 8 << 10;
/// Records read at most: the largest ring that can be set (2 GiB) holds more, and nobody has one.
const MOST_RECORDS: usize = 1 << 20;
/// The lowest priority of a line that a program wrote: eight levels are the kernel's own.
const OF_PROGRAMS: u64 = 8;
/// Lines passed on at most, the newest, and how much of each: together less than a reply may hold.
const MOST_LINES: usize = 2_000;
const MOST_OF_LINE: usize = 400;

/// What the ring holds now.
///
/// # Errors
/// It cannot be opened or read.
pub(super) fn read(host: &Host) -> Result<KernelLog, HostError> {
    let path = host.path(KMSG);
    let failed = |source| HostError::Read { path: path.clone(), source };
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let mut file = File::options().read(true).custom_flags(flags).open(&path).map_err(failed)?;
    let (mut ring, mut buffer, mut rest) = (Ring::default(), vec![0; RECORD], Vec::new());
    for _ in 0..MOST_RECORDS {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => ring.take(&mut rest, &buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The next record was overwritten meanwhile, or we were interrupted.
            Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EPIPE | Errno::EINTR)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(ring.log())
}

/// What was read so far.
#[derive(Default)]
struct Ring {
    first: Option<u64>,
    next: u64,
    lines: VecDeque<(u64, String)>,
}

impl Ring {
    /// The kernel gives one record with its end; a captured log comes in pieces.
    fn take(&mut self, rest: &mut Vec<u8>, bytes: &[u8]) {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.record(&rest[..end]);
            rest.drain(..=end);
        }
    }

    /// `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT`. Lines of its own dictionary begin with a blank.
    fn record(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let Some((head, message)) = text.split_once(';') else { return };
        let mut fields = head.split(',').map(|field| field.parse::<u64>().ok());
        let (Some(Some(priority)), Some(Some(number))) = (fields.next(), fields.next()) else { return };
        self.first.get_or_insert(number);
        self.next = number.saturating_add(1);
        // What a program wrote there is marked with another facility, and tells of nothing.
        if priority >= OF_PROGRAMS || !tells_of_hardware(message) {
            return;
        }
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((number, message.chars().take(MOST_OF_LINE).collect()));
    }

    fn log(self) -> KernelLog {
        KernelLog { first: self.first.unwrap_or_default(), next: self.next, lines: self.lines.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    #[test]
    fn only_lines_of_the_hardware_are_passed_on_with_their_numbers() {
        let host = Scratch::new();
        let log = "6,700,1,-;Linux version 6.12\n SUBSYSTEM=none\n0,701,2,-;mce: [Hardware Error]: CPU 0: Machine Check: 0 \
                   Bank 5: be00000000800400\n6,702,3,-;secret of nobody\n\
                   12,703,4,-;mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 1: be00000000800400\n";
        host.write(KMSG, log);
        let line = "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 5: be00000000800400".to_owned();
        assert_eq!(read(&host).unwrap(), KernelLog { first: 700, next: 704, lines: vec![(701, line)] });
    }

    #[test]
    fn it_has_an_end_and_keeps_the_newest() {
        let host = Scratch::new();
        let line = format!("{}[Hardware Error]: {}", "x".repeat(200), "y".repeat(500));
        let log: String = (0..2_500).map(|number| format!("0,{number},1,-;{line}\n")).collect();
        host.write(KMSG, log);
        let read = read(&host).unwrap();
        assert_eq!((read.first, read.next, read.lines.len(), read.lines[0].0), (0, 2_500, MOST_LINES, 500));
        assert!(read.lines.iter().all(|(_, line)| line.len() == MOST_OF_LINE));
    }

    #[test]
    fn a_log_that_is_not_there_is_an_error_and_an_empty_one_is_not() {
        let host = Scratch::new();
        assert!(matches!(read(&host), Err(HostError::Read { .. })));
        host.write(KMSG, "");
        assert_eq!(read(&host).unwrap(), KernelLog::default());
    }

    #[test]
    fn this_machines_own_log_is_read_where_it_may_be() {
        // Without the right (a build in a container) there is nothing to see.
        if let Ok(log) = read(&Host::this()) {
            assert!(log.next >= log.first && log.lines.iter().all(|(_, line)| tells_of_hardware(line)), "{log:?}");
        }
    }
}
