//! Which mirror this machine uses: its own package sources, read, never changed.

use std::fs;
use std::path::Path;

use hardstand_recipe::sources::{self, Mirrors, Source};

use crate::files;
use crate::problem::{Doing, Problem};

const LIST: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";

/// The mirrors given on the command line, or else those of the machine's package sources.
pub(crate) fn find(main: Option<&str>, security: Option<&str>) -> Result<Mirrors, Problem> {
    if let Some(main) = main {
        let trim = |uri: &str| uri.trim_end_matches('/').to_owned();
        return Ok(Mirrors { main: trim(main), security: security.map(trim) });
    }
    let mut mirrors = sources::choose(&read_sources()?).ok_or_else(|| {
        Problem::Refused(format!(
            "no Debian mirror in {LIST} or {PARTS}; name one with --mirror URL (and --security-mirror URL)"
        ))
    })?;
    if let Some(security) = security {
        mirrors.security = Some(security.trim_end_matches('/').to_owned());
    }
    Ok(mirrors)
}

fn read_sources() -> Result<Vec<Source>, Problem> {
    let mut all = Vec::new();
    if Path::new(LIST).is_file() {
        all.extend(sources::parse_list(&files::read_text(Path::new(LIST))?));
    }
    if Path::new(PARTS).is_dir() {
        let doing = || format!("listing {PARTS}");
        let mut paths = Vec::new();
        for entry in fs::read_dir(PARTS).doing(doing)? {
            paths.push(entry.doing(doing)?.path());
        }
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("list") => all.extend(sources::parse_list(&files::read_text(&path)?)),
                Some("sources") => all.extend(sources::parse_deb822(&files::read_text(&path)?)),
                _ => {}
            }
        }
    }
    Ok(all)
}
