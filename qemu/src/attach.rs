//! A person at a machine's serial console: keys in, text out, until they leave.
//!
//! It must never leave their terminal in raw mode, however it ends.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::machine::Running;
use crate::qmp;

/// Ctrl-]: what telnet and `virsh console` use.
const LEAVE: u8 = 0x1d;
/// What to tell a person before they are attached.
pub(crate) const HOW_TO_LEAVE: &str = "attached to the console; leave with Ctrl-] (the machine then goes off)";

/// Relays between this terminal and the machine's console until the person leaves or the machine ends.
pub(crate) async fn attach(running: &mut Running) -> Result<()> {
    let (mut console_out, mut console_in) = qmp::connect(&running.machine().console_socket()).await?.into_split();
    let _raw = RawTerminal::enter()?;
    let (mut keys, mut screen) = (tokio::io::stdin(), tokio::io::stdout());
    let (mut typed, mut shown) = ([0; 256], [0; 4096]);
    let mut keyboard = true;
    loop {
        tokio::select! {
            read = keys.read(&mut typed), if keyboard => {
                let read = read.context("reading the terminal")?;
                // The end of a pipe is not a wish to leave: what was asked for in it may still run.
                keyboard = read > 0;
                let leave = typed[..read].iter().position(|key| *key == LEAVE);
                console_in.write_all(&typed[..leave.unwrap_or(read)]).await.context("writing to the console")?;
                if leave.is_some() {
                    return Ok(());
                }
            }
            read = console_out.read(&mut shown) => {
                let read = read.context("reading the console")?;
                if read == 0 {
                    return Ok(());
                }
                screen.write_all(&shown[..read]).await.context("writing to the terminal")?;
                screen.flush().await.context("writing to the terminal")?;
            }
        }
    }
}

/// The terminal in raw mode for as long as this lives.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let before = tcgetattr(&stdin).context("reading the terminal's mode")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).context("setting the terminal's mode")?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing is left to do about a terminal that is gone.
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
            println!();
        }
    }
}
