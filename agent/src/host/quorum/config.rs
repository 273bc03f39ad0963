//! The reader of `corosync.conf` (corosync.conf(5)): who has a voice, and whether there is a quorum device.
//!
//! It must never fail: what it does not know it leaves out, as the live answers decide what is there.

use hardstand_core::observed::{CorosyncConfig, CorosyncNode};

use super::super::excerpt;

/// Nodes at most: more than corosync can have.
const MOST_NODES: usize = 256;

/// One `key: value`, with the sections around it from the outside in.
struct Entry<'a> {
    /// Which section it stands in: sections of one name are told apart by this.
    section: usize,
    path: Vec<&'a str>,
    key: &'a str,
    value: &'a str,
}

/// What the text says.
pub(super) fn read(text: &str) -> CorosyncConfig {
    let mut config = CorosyncConfig::default();
    let mut nodes: Vec<(usize, Draft)> = Vec::new();
    for entry in entries(text) {
        match (entry.path.as_slice(), entry.key) {
            (["totem"], "cluster_name") => config.cluster = Some(excerpt(entry.value)),
            (["nodelist", "node"], key) => {
                if nodes.last().is_none_or(|(section, _)| *section != entry.section) && nodes.len() < MOST_NODES {
                    nodes.push((entry.section, Draft::default()));
                }
                if let Some((_, node)) = nodes.last_mut() {
                    node.take(key, entry.value);
                }
            }
            (["quorum", "device", "net"], "host") => {
                config.device.get_or_insert_default().host = Some(excerpt(entry.value));
            }
            (["quorum", "device", ..], _) => drop(config.device.get_or_insert_default()),
            _ => {}
        }
    }
    config.nodes = nodes.into_iter().filter_map(|(_, node)| node.finish()).collect();
    config
}

/// A node that is being read.
#[derive(Default)]
struct Draft {
    node_id: Option<u64>,
    name: Option<String>,
    address: Option<String>,
    votes: Option<u64>,
}

impl Draft {
    fn take(&mut self, key: &str, value: &str) {
        match key {
            "nodeid" => self.node_id = value.parse().ok(),
            "name" => self.name = Some(excerpt(value)),
            "ring0_addr" => self.address = Some(excerpt(value)),
            "quorum_votes" => self.votes = value.parse().ok(),
            _ => {}
        }
    }

    fn finish(self) -> Option<CorosyncNode> {
        // Without a number or a name it cannot be told who of those that answer it is.
        Some(CorosyncNode { node_id: self.node_id?, name: self.name.or(self.address)?, votes: self.votes.unwrap_or(1) })
    }
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let (mut path, mut opened, mut sections, mut entries) = (Vec::new(), Vec::new(), 0, Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_suffix('{') {
            sections += 1;
            path.push(name.trim_end());
            opened.push(sections);
        } else if line == "}" {
            path.pop();
            opened.pop();
        } else if let Some((key, value)) = line.split_once(':') {
            let section = opened.last().copied().unwrap_or(0);
            entries.push(Entry { section, path: path.clone(), key: key.trim(), value: value.trim() });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use hardstand_core::observed::CorosyncDevice;

    use super::*;
    use crate::host::feed_damaged;

    const TWO: &str = "# made by hand
totem {
  version: 2
  cluster_name: home
  interface {
    linknumber: 0
  }
}
nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 192.0.2.11
  }
  node {
    nodeid: 2
    ring0_addr: pve2.example
  }
  node {
    ring0_addr: 192.0.2.13
  }
}
quorum {
  provider: corosync_votequorum
  device {
    model: net
    votes: 1
    net {
      host: nas
      algorithm: ffsplit
    }
  }
}
";

    #[test]
    fn who_has_a_voice_is_read() {
        let config = read(TWO);
        let node = |node_id, name: &str| CorosyncNode { node_id, name: name.to_owned(), votes: 1 };
        assert_eq!(config.cluster.as_deref(), Some("home"));
        assert_eq!(config.nodes, [node(1, "pve1"), node(2, "pve2.example")], "one without a number is nobody");
        assert_eq!(config.device, Some(CorosyncDevice { host: Some("nas".to_owned()) }));
        feed_damaged(TWO, |text| drop(read(text)));
    }

    #[test]
    fn a_device_is_one_without_its_host_and_a_comment_is_none() {
        let of = |text: &str| read(text).device;
        assert_eq!(of("quorum{\ndevice{\nmodel: net\n}\n}"), Some(CorosyncDevice::default()));
        assert_eq!(of("quorum {\n# device {\n}\n"), None);
        assert_eq!(of("device {\nmodel: net\n}\n"), None, "in another place it is another thing");
        assert_eq!(read("}\n}\nnodelist {\nnode {\n"), CorosyncConfig::default());
    }
}
