//! What the operating system calls itself (`/etc/os-release`, os-release(5)).
//!
//! It must never run the file as a shell would: assignments with or without quotes, and nothing else.

use std::collections::BTreeMap;

use super::HostError;

/// Parses `NAME=value` lines, quotes and escapes undone.
pub(crate) fn parse_os_release(text: &str) -> Result<BTreeMap<String, String>, HostError> {
    let mut fields = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = parse_line(line).map_err(|why| HostError::Parse {
            what: "os-release".to_owned(),
            why: format!("line {}: {why}: {line:?}", index + 1),
        })?;
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

fn parse_line(line: &str) -> Result<(&str, String), &'static str> {
    let (name, value) = line.split_once('=').ok_or("no `NAME=value`")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err("the name is not of letters, digits and `_`");
    }
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let blank = value.contains(char::is_whitespace);
        return if blank { Err("a value with blanks needs quotes") } else { Ok((name, value.to_owned())) };
    };
    let mut out = String::with_capacity(value.len());
    let mut rest = value.chars().skip(1);
    while let Some(sign) = rest.next() {
        match sign {
            end if end == quote => {
                return if rest.next().is_none() { Ok((name, out)) } else { Err("text after the quotes") };
            }
            '\\' if quote == '"' => out.push(rest.next().ok_or("the quotes are not closed")?),
            sign => out.push(sign),
        }
    }
    Err("the quotes are not closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::feed_damaged;

    const GOOD: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n# a comment\n\nID=debian\nVERSION_ID='13'\n\
                        NAME=\"Say \\\"hi\\\" for \\$5\"\n";

    #[test]
    fn quotes_are_undone_and_broken_lines_told() {
        let fields = parse_os_release(GOOD).unwrap();
        let shown: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let name = ("NAME", "Say \"hi\" for $5");
        let pretty = ("PRETTY_NAME", "Debian GNU/Linux 13 (trixie)");
        assert_eq!(shown, [("ID", "debian"), name, pretty, ("VERSION_ID", "13")]);
        for (broken, why) in [
            ("rubbish", "no `NAME=value`"),
            ("A B=1", "the name is not of letters, digits and `_`"),
            ("A=b c", "a value with blanks needs quotes"),
            ("A=\"b", "the quotes are not closed"),
            ("A='b' c", "text after the quotes"),
        ] {
            let error = parse_os_release(&format!("ID=x\n{broken}\n")).unwrap_err().to_string();
            assert_eq!(error, format!("parsing os-release: line 2: {why}: {broken:?}"));
        }
        feed_damaged(GOOD, |text| drop(parse_os_release(text)));
    }
}
