//! Services that still run code which was replaced on the disk (`/proc/PID/maps`, `/proc/PID/cgroup`).
//!
//! It must never name a unit whose restart takes the machine or a person's session down.

use std::collections::BTreeSet;

use super::Host;

/// Units whose restart breaks what hangs on them; a new boot renews them.
const NEVER: [&str; 10] = [
    "dbus",
    "dbus-broker",
    "display-manager",
    "elogind",
    "getty@",
    "hardstand-",
    "serial-getty@",
    "systemd-",
    "user@",
    "virtlockd",
];
/// Where packages put code.
const CODE: [&str; 5] = ["/usr/", "/lib/", "/bin/", "/sbin/", "/opt/"];

/// Names of the services to restart, sorted. A process that ends meanwhile, or cannot be read, is passed over.
pub(crate) fn stale_services(host: &Host, keep: &[String]) -> Vec<String> {
    let pids = host.names("proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut units = BTreeSet::new();
    for pid in pids {
        let Ok(maps) = host.read_lossy(format!("proc/{pid}/maps")) else { continue };
        if !maps.lines().any(is_replaced_code) {
            continue;
        }
        let Ok(groups) = host.read_lossy(format!("proc/{pid}/cgroup")) else { continue };
        units.extend(service(&groups).filter(|unit| !keep.contains(unit) && !is_kept(unit)));
    }
    units.into_iter().collect()
}

fn is_kept(unit: &str) -> bool {
    let stem = unit.trim_end_matches(".service");
    NEVER.iter().any(|name| if name.ends_with(['@', '-']) { stem.starts_with(name) } else { stem == *name })
}

/// `7f00-7f01 r-xp 00000000 fe:00 1234   /usr/lib/libssl.so.3 (deleted)`
fn is_replaced_code(line: &str) -> bool {
    let Some(line) = line.strip_suffix(" (deleted)") else { return false };
    let mut words = line.split_whitespace();
    let runs = words.nth(1).is_some_and(|rights| rights.contains('x'));
    runs && words.nth(3).is_some_and(|path| CODE.iter().any(|code| path.starts_with(code)))
}

/// The system's service that a process belongs to, in either version of control groups.
fn service(groups: &str) -> Option<String> {
    let of_systemd = |line: &&str| line.starts_with("0::") || line.split(':').nth(1) == Some("name=systemd");
    let path = groups
        .lines()
        .filter(of_systemd)
        .find_map(|line| line.splitn(3, ':').nth(2)?.strip_prefix("/system.slice/"))?;
    let unit = path.split('/').find(|part| part.ends_with(".service"))?;
    Some(unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Scratch;

    #[test]
    fn services_with_replaced_code_are_named_and_no_others() {
        let host = Scratch::new();
        let deleted = "7f00-7f01 r-xp 00000000 fe:00 12    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n";
        let data = "7f00-7f01 r--p 00000000 fe:00 12    /usr/lib/locale/C.utf8 (deleted)\n";
        let memory = "7f00-7f01 r-xp 00000000 00:01 12    /memfd:jit (deleted)\n";
        let whole = "7f00-7f01 r-xp 00000000 fe:00 12    /usr/lib/x86_64-linux-gnu/libc.so.6\n";
        for (pid, maps, group) in [
            (10, deleted, "0::/system.slice/nginx.service\n"),
            (11, deleted, "12:cpu:/\n1:name=systemd:/system.slice/system-openvpn.slice/openvpn@a.service/sub\n"),
            (12, data, "0::/system.slice/data.service\n"),
            (13, memory, "0::/system.slice/jit.service\n"),
            (14, whole, "0::/system.slice/whole.service\n"),
            (15, deleted, "0::/system.slice/dbus.service\n"),
            (16, deleted, "0::/system.slice/systemd-logind.service\n"),
            (17, deleted, "0::/user.slice/user-1000.slice/session-1.scope\n"),
            (18, deleted, "0::/init.scope\n"),
            (19, deleted, "0::/system.slice/mine.service\n"),
            (20, deleted, "0::/system.slice/system-getty.slice/getty@tty1.service\n"),
        ] {
            host.write(&format!("proc/{pid}/maps"), maps);
            host.write(&format!("proc/{pid}/cgroup"), group);
        }
        host.write("proc/21/cgroup", "0::/system.slice/gone.service\n");
        let found = stale_services(&host, &["mine.service".to_owned()]);
        assert_eq!(found, ["nginx.service", "openvpn@a.service"]);
    }
}
