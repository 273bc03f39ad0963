//! A time server for the guests (SNTP, RFC 4330): the host's clock on UDP port 123. It is the one server of the lab
//! that is simulated: the answer is right, the precision it claims is not measured.
//!
//! It must never serve outside the lab's namespace.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tokio::net::UdpSocket;

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;
/// Length of a packet without extensions.
const PACKET: usize = 48;

/// Answers time requests on `address` until the runtime ends.
pub(crate) async fn serve(address: Ipv4Addr) -> Result<()> {
    let socket = UdpSocket::bind((address, 123)).await.with_context(|| format!("serving the time on {address}"))?;
    tokio::spawn(async move {
        let mut request = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut request).await {
            if let (Some(request), Ok(now)) =
                (request[..length].first_chunk(), SystemTime::now().duration_since(UNIX_EPOCH))
            {
                // A lost answer is asked for again.
                let _ = socket.send_to(&answer(request, now), from).await;
            }
        }
    });
    Ok(())
}

fn answer(request: &[u8; PACKET], now: Duration) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    let version = request[0] & 0b0011_1000;
    packet[0] = version | 4; // mode 4: server; leap indicator 0: no warning
    packet[1] = 2; // stratum: a server that follows another
    packet[2] = request[2]; // poll interval as asked
    packet[3] = 0xec; // precision 2^-20 s
    packet[12..16].copy_from_slice(b"HOST");
    let stamp = timestamp(now);
    packet[16..24].copy_from_slice(&stamp); // last set
    packet[24..32].copy_from_slice(&request[40..48]); // the client's own transmit time
    packet[32..40].copy_from_slice(&stamp); // received
    packet[40..48].copy_from_slice(&stamp); // sent
    packet
}

fn timestamp(now: Duration) -> [u8; 8] {
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    // NTP's seconds wrap in 2036 and clients know it; the mask is that wrap.
    let seconds = (now.as_secs() + NTP_TO_UNIX_SECS) & 0xffff_ffff;
    ((seconds << 32) | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_carries_the_clients_stamp_and_our_time() {
        let mut request = [0; PACKET];
        request[0] = 0x23; // version 4, client
        request[40..48].copy_from_slice(b"clientts");
        let packet = answer(&request, Duration::new(1, 500_000_000));
        assert_eq!(packet[0], 0x24);
        assert_eq!(&packet[24..32], b"clientts");
        assert_eq!(packet[40..48], [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0]);
    }
}
