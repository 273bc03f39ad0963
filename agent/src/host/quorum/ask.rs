//! Asking corosync, by its own two tools. They speak with it over its sockets, which take root and whom
//! `/etc/corosync/uidgid.d` names.
//!
//! It must never wait without a limit (corosync's tools do), never run `pvecm`, which waits for more than corosync, and
//! never change anything: who may ask corosync may also command it.

use std::time::Duration;

use hardstand_core::Reading;
use hardstand_core::observed::{Corosync, CorosyncLink, Quorum};
use hardstand_exec::{ExecError, Finished, Run};

use super::super::{Host, HostError, excerpt};
use super::{config, links, parse};

const CONFIG: &str = "etc/corosync/corosync.conf";
const PERMISSIONS: &str = "etc/corosync/uidgid.d";
/// What each program may take. They answer within 20 ms.
const LIMIT: Duration = Duration::from_secs(4);
/// Most that is taken of an answer: a line for each of a few dozen nodes and links.
const ANSWER_LIMIT: usize = 1 << 20;
/// How the permission is given; corosync reads it again when it is told to.
const ALLOW: &str = "allow it: install -m 644 /usr/share/hardstand/corosync-uidgid /etc/corosync/uidgid.d/hardstand && \
                     corosync-cfgtool -R";

/// Corosync of this node; `None` where it is neither configured nor running.
///
/// # Errors
/// It is there and cannot be asked, does not answer, or its answer cannot be read.
pub(crate) async fn probe(host: &Host) -> Result<Option<Corosync>, HostError> {
    let path = host.path(CONFIG);
    let is_configured = path.try_exists().map_err(|source| HostError::Read { path, source })?;
    if !is_configured && !listens(host) {
        return Ok(None);
    }
    let quorum = votes(host).await?;
    let links = Reading::from(ask_links(host).await);
    Ok(Some(Corosync { quorum, links, config: host.read_lossy(CONFIG).ok().map(|text| config::read(&text)) }))
}

async fn votes(host: &Host) -> Result<Quorum, HostError> {
    // Nobody is named, so it would only refuse, and write so into its log each time.
    if !nix::unistd::geteuid().is_root() && !names_anybody(host) {
        return Err(silent(format!("it takes no questions from this user; {ALLOW}")));
    }
    // Addresses, not names: a resolver may be what is broken.
    let said = ask(host, "corosync-quorumtool", "-si").await?;
    // 2: no quorum, and a whole report.
    match said.code {
        Some(0 | 2) => parse(&String::from_utf8_lossy(&said.stdout)),
        _ => Err(refused(host, &said)),
    }
}

async fn ask_links(host: &Host) -> Result<Vec<CorosyncLink>, HostError> {
    let said = ask(host, "corosync-cfgtool", "-s").await?;
    let text = String::from_utf8_lossy(&said.stdout);
    // Some releases end with another status when a link is down; what they print decides.
    links::parse(if text.trim().is_empty() { &said.stderr } else { &text })
}

async fn ask(host: &Host, name: &str, word: &str) -> Result<Finished, HostError> {
    let Some(tool) = host.program(name) else {
        return Err(silent(format!("{name} is missing; install the package corosync")));
    };
    let run = Run::new(tool, LIMIT).arg(word).stdout_limit(ANSWER_LIMIT);
    run.output().await.map_err(|error| match error {
        ExecError::Deadline { .. } => {
            silent(format!("no answer to {name} {word} within {} s; see: systemctl status corosync", LIMIT.as_secs()))
        }
        other => silent(format!("{other:#}")),
    })
}

fn refused(host: &Host, said: &Finished) -> HostError {
    let words = excerpt(said.stderr.trim());
    silent(match listens(host) {
        false => "it is configured and does not run; see: systemctl status corosync".to_owned(),
        true if nix::unistd::geteuid().is_root() => {
            format!("it runs and says: {words}; see: systemctl status corosync")
        }
        true => format!("it runs and says: {words}; where this user is not named in /{PERMISSIONS}, {ALLOW}"),
    })
}

fn silent(why: String) -> HostError {
    HostError::Bus { service: "corosync", why }
}

/// Whether corosync listens: its sockets have names in the kernel, filled up with zeros.
fn listens(host: &Host) -> bool {
    let sockets = host.read_lossy("proc/net/unix").unwrap_or_default();
    sockets.lines().filter_map(|line| line.rsplit(' ').next()).any(|name| name == "@cmap" || name.starts_with("@cmap@"))
}

/// Whether its configuration names anybody but root who may ask.
fn names_anybody(host: &Host) -> bool {
    let in_config = host.read_lossy(CONFIG).is_ok_and(|text| section(&text, "uidgid"));
    in_config || !host.names(PERMISSIONS).is_empty()
}

/// Whether a section of this name opens in a configuration.
fn section(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.trim().strip_suffix('{').is_some_and(|line| line.trim_end() == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    const LISTENS: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                           0000: 00000002 00000000 00010000 0001 01 169091 @cmap@@@@@@@@@@@@@@\n";

    /// A machine whose corosync is these two programs.
    fn machine(quorumtool: &str, cfgtool: &str) -> Scratch {
        let scratch = Scratch::new();
        scratch.write(CONFIG, "quorum {\n\tprovider: corosync_votequorum\n\tdevice {\n\t\tmodel: net\n\t}\n}\n");
        scratch.write(&format!("{PERMISSIONS}/hardstand"), "uidgid {\n\tuid: hardstand\n}\n");
        for (name, script) in [("corosync-quorumtool", quorumtool), ("corosync-cfgtool", cfgtool)] {
            // A program that was just written may still be open in a child of another test, and does not start then.
            scratch.write(&format!("usr/sbin/{name}.sh"), script);
            let runs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/runs-its-script");
            std::os::unix::fs::symlink(runs, scratch.path(format!("usr/sbin/{name}"))).unwrap();
        }
        scratch
    }

    fn fixture(name: &str) -> String {
        format!("cat {}/tests/fixtures/lab/quorum/{name}.txt", env!("CARGO_MANIFEST_DIR"))
    }

    fn asked(host: &Host) -> Result<Option<Corosync>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(probe(host)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_tools_say_is_read() {
        let host = machine(&fixture("well-quorum"), &fixture("well-links"));
        let corosync = asked(&host).unwrap().unwrap();
        assert_eq!(corosync.quorum.margin, Some(1));
        assert!(corosync.config.is_some_and(|config| config.device.is_some()));
        assert_eq!(corosync.links.known().map(Vec::len), Some(2));
    }

    #[test]
    fn no_quorum_is_a_report_and_links_that_are_not_told_are_unknown() {
        let script = format!("{}; exit 2", fixture("no-quorum-quorum"));
        let corosync = asked(&machine(&script, "echo no >&2; exit 1")).unwrap().unwrap();
        assert_eq!(corosync.quorum.quorate, Some(false));
        assert_eq!(corosync.links.why(), Some("parsing corosync-cfgtool -s: it begins with \"no\""));
    }

    #[test]
    fn where_there_is_no_corosync_there_is_nothing() {
        assert_eq!(asked(&Scratch::new()), Ok(None));
        let host = machine("exit 1", "exit 1");
        std::fs::remove_file(host.path(CONFIG)).unwrap();
        assert_eq!(asked(&host), Ok(None), "the tools alone are no cluster");
        host.write("proc/net/unix", LISTENS);
        assert!(asked(&host).is_err(), "it runs all the same");
    }

    #[test]
    fn why_it_cannot_be_asked_is_told_with_the_way_out() {
        let host = machine("echo 'Cannot initialize CMAP service' >&2; exit 1", "exit 1");
        let stopped = "asking corosync: it is configured and does not run; see: systemctl status corosync";
        assert_eq!(asked(&host).unwrap_err(), stopped);
        host.write("proc/net/unix", LISTENS);
        let refused = asked(&host).unwrap_err();
        assert!(
            refused.starts_with("asking corosync: it runs and says: Cannot initialize CMAP service; "),
            "{refused}"
        );
        std::fs::remove_file(host.path("usr/sbin/corosync-quorumtool")).unwrap();
        let missing = "asking corosync: corosync-quorumtool is missing; install the package corosync";
        assert_eq!(asked(&host).unwrap_err(), missing);
    }

    #[test]
    fn a_permission_is_looked_for_before_anybody_is_asked() {
        let host = machine("exit 1", "exit 1");
        assert!(names_anybody(&host));
        std::fs::remove_dir_all(host.path(PERMISSIONS)).unwrap();
        assert!(!names_anybody(&host));
        host.write(CONFIG, "uidgid {\n  uid: 990\n}\n");
        assert!(names_anybody(&host));
        assert!(section(" uidgid{", "uidgid") && !section("# uidgid {", "uidgid"));
    }
}
