//! Path patterns of recipes: `?` and `*` stay inside one path part, `**` crosses parts. Nothing else is special.

/// Whether `path` (no leading slash) matches `pattern` (a leading slash is allowed and ignored).
/// `a/**` matches everything below `a`, not `a` itself.
pub fn matches(pattern: &str, path: &str) -> bool {
    walk(pattern.trim_start_matches('/').as_bytes(), path.trim_start_matches('/').as_bytes())
}

/// The part of a pattern before its first wildcard: what every match starts with.
pub fn literal_prefix(pattern: &str) -> &str {
    let pattern = pattern.trim_start_matches('/');
    &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())]
}

fn walk(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| walk(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let part = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
            (0..=part).any(|at| walk(rest, &path[at..]))
        }
        [b'?', rest @ ..] => path.first().is_some_and(|&byte| byte != b'/') && walk(rest, &path[1..]),
        [byte, rest @ ..] => path.first() == Some(byte) && walk(rest, &path[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::{literal_prefix, matches};

    #[test]
    fn stars_know_where_a_path_part_ends() {
        assert!(matches("/usr/share/doc/**", "usr/share/doc/apt/copyright"));
        assert!(!matches("/usr/share/doc/**", "usr/share/doc"));
        assert!(matches("usr/share/doc/*/copyright", "usr/share/doc/apt/copyright"));
        assert!(!matches("usr/share/doc/*", "usr/share/doc/apt/copyright"));
        assert!(matches("**/virtio_*.ko.xz", "kernel/drivers/net/virtio_net.ko.xz"));
        assert!(matches("etc/ssh/ssh_host_*", "etc/ssh/ssh_host_rsa_key"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "a/c"));
        assert_eq!(literal_prefix("/usr/lib/*/x"), "usr/lib/");
    }
}
