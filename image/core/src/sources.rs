//! The build machine's package sources, read to learn which mirror it uses. It must never invent an address: a machine
//! without a fitting source gets an error that asks for `--mirror`.

/// One source line or stanza, reduced to what matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Address of the archive.
    pub uri: String,
    /// Suites it serves.
    pub suites: Vec<String>,
    /// Whether it is signed by the distribution's archive key (or by whatever is trusted by default).
    pub archive_key: bool,
}

/// The addresses a build uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The main archive.
    pub main: String,
    /// The security archive, if one is known.
    pub security: Option<String>,
}

/// Reads the deb822 format (`*.sources`).
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            stanza.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.as_str())
        };
        if field("Enabled").eq_ignore_ascii_case("no") || !field("Types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        let archive_key = is_archive_key(field("Signed-By"));
        for uri in field("URIs").split_whitespace() {
            let suites = field("Suites").split_whitespace().map(str::to_owned).collect();
            sources.push(Source { uri: uri.trim_end_matches('/').to_owned(), suites, archive_key });
        }
    }
    sources
}

/// Reads the one-line format (`sources.list`, `*.list`).
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

/// Chooses the addresses: the main archive is the one that serves a plain codename with the archive's own key, the
/// security archive one whose suite ends in `-security`.
pub fn choose(sources: &[Source]) -> Option<Mirrors> {
    let ours = || sources.iter().filter(|source| source.archive_key);
    let plain = |source: &&Source| source.suites.iter().any(|suite| !suite.contains(['-', '/']));
    let secure = |source: &&Source| source.suites.iter().any(|suite| suite.ends_with("-security"));
    let main = ours().find(plain)?;
    Some(Mirrors { main: main.uri.clone(), security: ours().find(secure).map(|source| source.uri.clone()) })
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let (options, rest) = match rest.trim_start().strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?.trim_end_matches('/').to_owned();
    let suite = words.next()?.to_owned();
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).unwrap_or("");
    Some(Source { uri, suites: vec![suite], archive_key: is_archive_key(key) })
}

fn is_archive_key(signed_by: &str) -> bool {
    let name = signed_by.trim().rsplit('/').next().unwrap_or("");
    name.is_empty() || name.starts_with("debian-archive-")
}

fn stanzas(text: &str) -> Vec<Vec<(String, String)>> {
    let mut all = vec![Vec::<(String, String)>::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            all.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = all.last_mut().and_then(|stanza| stanza.last_mut()) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let (Some((key, value)), Some(stanza)) = (line.split_once(':'), all.last_mut()) {
            stanza.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    all.retain(|stanza| !stanza.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::{Mirrors, choose, parse_deb822, parse_list};

    const DEB822: &str = "\
# the installer wrote this
Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://vendor.example/node
Suites: nodistro
Signed-By: /usr/share/keyrings/vendor.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
";

    #[test]
    fn mirrors_come_from_deb822_sources() {
        let mirrors = choose(&parse_deb822(DEB822)).unwrap();
        assert_eq!(mirrors.main, "http://mirror.example/debian");
        assert_eq!(mirrors.security.as_deref(), Some("http://mirror.example/debian-security"));
    }

    #[test]
    fn mirrors_come_from_one_line_sources() {
        let text = "deb-src http://no.example/debian trixie main\n\
                    deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example stable main\n\
                    deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://bp.example/debian bookworm-backports main\n\
                    deb http://a.example/debian trixie main # local\n";
        assert_eq!(
            choose(&parse_list(text)),
            Some(Mirrors { main: "http://a.example/debian".to_owned(), security: None })
        );
    }

    #[test]
    fn a_machine_with_foreign_sources_only_has_no_mirror() {
        assert_eq!(choose(&parse_list("deb [signed-by=/k/vendor.gpg] https://vendor.example stable main")), None);
    }
}
