//! `hardstand ca`: the fleet's own certificate authority.
//!
//! It must never print a key, nor take one from the command line.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, Subcommand};
use hardstand_core::store::access::Role;

use crate::report::terminal;
use crate::trust::{Authority, Identity, Issued};

/// Where the authority is kept unless said otherwise.
const DIR: &str = "/etc/hardstand/ca";

/// `hardstand ca`
#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make an authority: its key, its certificate and an empty revocation list.
    ///
    /// Keep the directory where only operators come, best off line. Every node needs ca.crt and crl.pem of it.
    Init {
        /// Its directory.
        #[arg(value_name = "DIR", default_value = DIR)]
        dir: PathBuf,
    },
    /// Make a key and a certificate for a node or an operator.
    #[command(subcommand)]
    Issue(IssueCommand),
    /// Revoke certificates, and make a new revocation list.
    ///
    /// It takes effect where the new crl.pem is put, within a minute, for open connections too.
    Revoke {
        /// node/NAME, operator/NAME, or a serial as hardstand ca show prints it.
        whom: String,
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Make a new revocation list, before the old one is too old.
    Renew {
        #[command(flatten)]
        dir: DirArgs,
    },
    /// Show what was issued and revoked.
    Show {
        #[command(flatten)]
        dir: DirArgs,
    },
}

/// `hardstand ca issue`
#[derive(Debug, Subcommand)]
pub(super) enum IssueCommand {
    /// For the agent of a node.
    Node {
        #[command(flatten)]
        leaf: LeafArgs,
        /// A name or an address that others reach it by; may be given again.
        #[arg(long, value_name = "HOST", required = true)]
        address: Vec<String>,
    },
    /// For a person.
    Operator {
        #[command(flatten)]
        leaf: LeafArgs,
    },
}

/// Whose certificate.
#[derive(Debug, Args)]
pub(super) struct LeafArgs {
    /// Its name: lower case, digits, '-' and '.'.
    name: String,
    /// Where to put the key and the certificate, with ca.crt and crl.pem beside them: what goes to its owner as it is.
    /// issued/ below the authority when absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    dir: DirArgs,
}

/// Which authority.
#[derive(Debug, Args)]
pub(super) struct DirArgs {
    /// The authority's directory.
    #[arg(long = "ca", value_name = "DIR", default_value = DIR)]
    dir: PathBuf,
}

/// Does what is asked, and says which files to take where.
pub(super) fn run(command: &CaCommand) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("reading the clock: it is before 1970")?.as_secs();
    let told = match command {
        CaCommand::Init { dir } => {
            Authority::init(dir, now)?;
            let dir = dir.display();
            format!("made {dir}/ca.crt and {dir}/crl.pem, for every node; {dir}/ca.key stays here\n")
        }
        CaCommand::Issue(IssueCommand::Node { leaf, address }) => issue(Role::Node, leaf, address, now)?,
        CaCommand::Issue(IssueCommand::Operator { leaf }) => issue(Role::Operator, leaf, &[], now)?,
        CaCommand::Revoke { whom, dir } => {
            let revoked = Authority::open(&dir.dir)?.revoke(whom, now)?;
            format!("revoked {revoked}; put {}/crl.pem on every node\n", dir.dir.display())
        }
        CaCommand::Renew { dir } => {
            let path = Authority::open(&dir.dir)?.renew(now)?;
            format!("made {}; put it on every node\n", path.display())
        }
        CaCommand::Show { dir } => show(Authority::open(&dir.dir)?.issued(), now),
    };
    terminal::print(&told)?;
    Ok(())
}

fn issue(role: Role, leaf: &LeafArgs, addresses: &[String], now: u64) -> anyhow::Result<String> {
    let who = Identity::new(role, &leaf.name)?;
    let (certificate, key) = Authority::open(&leaf.dir.dir)?.issue(&who, addresses, leaf.out.as_deref(), now)?;
    Ok(format!("made {} and {}, for {who} alone\n", certificate.display(), key.display()))
}

fn show(issued: &[Issued], now: u64) -> String {
    let mut text = String::new();
    for one in issued {
        let left = Duration::from_secs(one.until_unix_seconds.saturating_sub(now));
        let state = match one.revoked_unix_seconds {
            Some(_) => "revoked".to_owned(),
            None if left.is_zero() => "expired".to_owned(),
            None => format!("{} days left", left.as_secs() / (24 * 3600)),
        };
        let who = format!("{}/{}", one.role, one.name);
        let line = format!("{who:<24} {state:<14} {} {}", one.serial, one.addresses.join(" "));
        writeln!(text, "{}", line.trim_end()).expect("writing to a string never fails");
    }
    if text.is_empty() {
        text.push_str("nothing was issued; see: hardstand ca issue --help\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_is_one_line_each() {
        let one = |name: &str, until: u64, revoked: Option<u64>| Issued {
            serial: "4a5b".to_owned(),
            role: "node".to_owned(),
            name: name.to_owned(),
            addresses: vec!["10.0.0.1".to_owned()],
            until_unix_seconds: until,
            revoked_unix_seconds: revoked,
        };
        let shown = show(&[one("a", 864_000, None), one("b", 864_000, Some(1)), one("c", 5, None)], 10);
        let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["node/a", "9", "days", "left", "4a5b", "10.0.0.1"]);
        assert_eq!(words[1], ["node/b", "revoked", "4a5b", "10.0.0.1"]);
        assert_eq!(words[2], ["node/c", "expired", "4a5b", "10.0.0.1"]);
    }
}
