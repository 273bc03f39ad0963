//! Asking multipathd for its maps, over its own socket; without root it answers what only lists.
//!
//! It must never wait without a limit, and never take a daemon that does not answer for a node without maps.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use hardstand_core::observed::MultipathMap;

use super::parse;
use crate::host::{Host, HostError};

/// Where multipathd listens: a name in the kernel, not a file.
const SOCKET: &str = "/org/kernel/linux/storage/multipathd";
/// What it is asked, ended as its own tool ends it.
const QUESTION: &[u8] = b"show maps json\0";
/// What each turn of the talk may take; a daemon that scans answers late.
const LIMIT: Duration = Duration::from_secs(4);
/// Most that is taken: about 1 kB a path.
const ANSWER_LIMIT: usize = 8 << 20;

/// The maps of this node, as multipathd tells them; `None` where the kernel has none, and nobody is asked.
///
/// # Errors
/// There are maps and multipathd does not answer, or its answer cannot be read.
pub(crate) fn probe_maps(host: &Host) -> Result<Option<Vec<MultipathMap>>, HostError> {
    let is_map = |name: &String| {
        let uuid = host.attribute(format!("sys/block/{name}/dm/uuid"));
        uuid.is_some_and(|uuid| uuid.starts_with("mpath-"))
    };
    if !host.names("sys/block").iter().any(is_map) {
        return Ok(None);
    }
    let address = SocketAddr::from_abstract_name(SOCKET).map_err(silent)?;
    parse(&ask(&address).map_err(silent)?).map(Some)
}

fn silent(error: std::io::Error) -> HostError {
    let why = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nobody listens; see: systemctl status multipathd".to_owned(),
        std::io::ErrorKind::WouldBlock => format!("no answer within {} s", LIMIT.as_secs()),
        _ => error.to_string(),
    };
    HostError::Bus { service: "multipathd", why }
}

/// One question: its length as the machine writes it, then itself; the answer comes the same way.
fn ask(address: &SocketAddr) -> std::io::Result<String> {
    let mut stream = UnixStream::connect_addr(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(&QUESTION.len().to_ne_bytes())?;
    stream.write_all(QUESTION)?;
    let mut length = 0_usize.to_ne_bytes();
    stream.read_exact(&mut length)?;
    let length = usize::from_ne_bytes(length);
    if length > ANSWER_LIMIT {
        return Err(std::io::Error::other(format!("an answer of {length} bytes is announced")));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::host::Scratch;

    /// Somebody who answers one question with these bytes.
    fn daemon(name: &str, answer: Vec<u8>) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
        let name = format!("hardstand-test-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = vec![0; size_of::<usize>() + QUESTION.len()];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&answer).unwrap();
            question
        });
        (address, heard)
    }

    #[test]
    fn a_question_is_asked_as_the_daemons_own_tool_asks_it() {
        let maps = br#"{"major_version":0,"minor_version":1,"maps":[]}"#;
        let mut answer = (maps.len() + 1).to_ne_bytes().to_vec();
        answer.extend_from_slice(maps);
        answer.push(0);
        let (address, heard) = daemon("whole", answer);
        assert_eq!(parse(&ask(&address).unwrap()).unwrap(), []);
        let mut question = 15_usize.to_ne_bytes().to_vec();
        question.extend_from_slice(b"show maps json\0");
        assert_eq!(heard.join().unwrap(), question);
    }

    #[test]
    fn what_is_cut_or_too_long_is_an_error() {
        let mut cut = 100_usize.to_ne_bytes().to_vec();
        cut.extend_from_slice(b"{\"maps\":[]}");
        let (address, heard) = daemon("cut", cut);
        assert!(ask(&address).is_err());
        heard.join().unwrap();
        let (address, heard) = daemon("long", usize::MAX.to_ne_bytes().to_vec());
        assert_eq!(ask(&address).unwrap_err().to_string(), format!("an answer of {} bytes is announced", usize::MAX));
        heard.join().unwrap();
    }

    #[test]
    fn without_maps_nobody_is_asked_and_with_maps_silence_is_an_error() {
        let scratch = Scratch::new();
        assert_eq!(probe_maps(&scratch).unwrap(), None);
        scratch.write("sys/block/dm-0/dm/uuid", "LVM-abc\n");
        assert_eq!(probe_maps(&scratch).unwrap(), None);
        scratch.write("sys/block/dm-1/dm/uuid", "mpath-3600\n");
        let why = probe_maps(&scratch).unwrap_err().to_string();
        assert_eq!(why, "asking multipathd: nobody listens; see: systemctl status multipathd");
    }
}
