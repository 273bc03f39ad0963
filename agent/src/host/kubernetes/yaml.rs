//! As much of YAML as a kubeconfig is written in by K3s and kubectl: block mappings and sequences, with one line to each
//! scalar. A crate that knows all of YAML would add more to the program than everything else here.
//!
//! It must never guess what a text means: what is beyond that is refused with its line, and no text of the file is shown,
//! for it holds keys.

use serde_json::{Map, Value};

/// Deeper than a kubeconfig is.
const DEPTH: usize = 12;
/// What begins something that is not known here: anchors, tags, block scalars, flow collections, directives.
const BEYOND: [char; 13] = ['&', '*', '!', '|', '>', '%', '@', '`', '{', '[', ',', '?', '#'];

/// Reads a text. All scalars are strings, but for `null`.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let content = line.trim_start_matches(' ');
        if content.is_empty() || content.starts_with('#') || (lines.is_empty() && line == "---") {
            continue;
        }
        if content.starts_with('\t') {
            return Err(format!("line {}: a tab where spaces should be", place + 1));
        }
        lines.push(Line { number: place + 1, indent: line.len() - content.len(), content });
    }
    let Some(first) = lines.first() else { return Err("it is empty".to_owned()) };
    let mut reader = Reader { indent_of_first: first.indent, lines, next: 0 };
    let value = reader.block(reader.indent_of_first, 0)?;
    match reader.peek() {
        Some(line) => Err(line.odd("it stands less deep than what it belongs to")),
        None => Ok(value),
    }
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    content: &'a str,
}

impl<'a> Line<'a> {
    fn odd(&self, why: &str) -> String {
        format!("line {}: {why}", self.number)
    }

    /// What follows `- `, as a line of its own.
    fn item(&self) -> Option<Self> {
        let rest = self.content.strip_prefix('-')?;
        let content = rest.trim_start_matches(' ');
        let is_item = rest.is_empty() || rest.len() > content.len();
        let indent = self.indent + self.content.len() - content.len();
        is_item.then_some(Self { number: self.number, indent, content })
    }

    fn pair(&self) -> Result<(&'a str, &'a str), String> {
        let (key, rest) = match self.content.split_once(": ") {
            Some((key, rest)) => (key, rest.trim_start_matches(' ')),
            None => (self.content.strip_suffix(':').ok_or_else(|| self.odd("neither `key: value` nor `- item`"))?, ""),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if key.is_empty() || !key.chars().all(is_plain) {
            return Err(self.odd("a key that is no plain word"));
        }
        Ok((key, rest))
    }

    fn scalar(&self, text: &str) -> Result<Value, String> {
        let string = |text: &str| Ok(Value::String(text.to_owned()));
        for quote in ['"', '\''] {
            let Some(quoted) = text.strip_prefix(quote) else { continue };
            let inner = quoted.strip_suffix(quote).ok_or_else(|| self.odd("a quotation that does not end"))?;
            return match inner.contains([quote, '\\']) {
                true => Err(self.odd("a quotation with escapes in it")),
                false => string(inner),
            };
        }
        match text {
            "{}" => Ok(Value::Object(Map::new())),
            "[]" => Ok(Value::Array(Vec::new())),
            "null" | "~" => Ok(Value::Null),
            _ if text.starts_with(BEYOND) || text.starts_with("- ") => {
                Err(self.odd("more of YAML than is understood here"))
            }
            _ if text.contains(": ") || text.contains(" #") || text.ends_with(':') => {
                Err(self.odd("a value that wants quotation marks"))
            }
            _ => string(text),
        }
    }
}

struct Reader<'a> {
    indent_of_first: usize,
    lines: Vec<Line<'a>>,
    next: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.next).copied()
    }

    /// What begins at the next line and stands as deep as `indent`.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let Some(line) = self.peek() else { return Ok(Value::Null) };
        if depth > DEPTH {
            return Err(line.odd("deeper than a kubeconfig is"));
        }
        if line.item().is_some() { self.sequence(indent, depth) } else { self.mapping(indent, depth) }
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent == indent)
            && let Some(item) = line.item()
        {
            if item.content.is_empty() {
                return Err(line.odd("an item that begins on the next line"));
            }
            if item.pair().is_ok() || item.item().is_some() {
                self.lines[self.next] = item;
                items.push(self.block(item.indent, depth + 1)?);
            } else {
                items.push(item.scalar(item.content)?);
                self.next += 1;
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        while let Some(line) = self.peek().filter(|line| line.indent == indent && line.item().is_none()) {
            let (key, rest) = line.pair()?;
            self.next += 1;
            let value = if rest.is_empty() { self.below(indent, depth)? } else { line.scalar(rest)? };
            if map.insert(key.to_owned(), value).is_some() {
                return Err(line.odd("a key that was there before"));
            }
        }
        match self.peek() {
            Some(line) if line.indent > indent => Err(line.odd("it stands deeper than what is before it")),
            _ => Ok(Value::Object(map)),
        }
    }

    /// The value of a key that has none on its line. A sequence may stand as deep as the key.
    fn below(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        match self.peek() {
            Some(line) if line.indent > indent || (line.indent == indent && line.item().is_some()) => {
                self.block(line.indent, depth + 1)
            }
            _ => Ok(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_k3s_and_kubectl_write_is_read() {
        let text = "# of k3s\n---\napiVersion: v1\nclusters:\n- cluster:\n    server: https://127.0.0.1:6443\n  name: \
                    default\nusers:\n  - name: 'a b'\n    user:\n      token: \"x:y #z\"\n\npreferences: {}\nnone:\n\
                    empty: null\nlist:\n- one\n- - two\n  - three\nlast: http://x\n";
        let expected = json!({
            "apiVersion": "v1",
            "clusters": [{"cluster": {"server": "https://127.0.0.1:6443"}, "name": "default"}],
            "users": [{"name": "a b", "user": {"token": "x:y #z"}}],
            "preferences": {}, "none": null, "empty": null, "list": ["one", ["two", "three"]], "last": "http://x",
        });
        assert_eq!(parse(text), Ok(expected));
        crate::host::feed_damaged(text, |text| drop(parse(text)));
        assert_eq!(parse("- a\n- b: c\n  d: e\n"), Ok(json!(["a", {"b": "c", "d": "e"}])));
    }

    #[test]
    fn what_is_beyond_it_is_refused_with_its_line() {
        for (text, why) in [
            ("", "it is empty"),
            ("a: b\n\tc: d", "line 2: a tab where spaces should be"),
            ("a: &x b", "line 1: more of YAML than is understood here"),
            ("a: |\n  b", "line 1: more of YAML than is understood here"),
            ("a: {b: c}", "line 1: more of YAML than is understood here"),
            ("a: {b}", "line 1: more of YAML than is understood here"),
            ("a: !!str b", "line 1: more of YAML than is understood here"),
            ("a: b # c", "line 1: a value that wants quotation marks"),
            ("a: b: c", "line 1: a value that wants quotation marks"),
            ("a: \"b", "line 1: a quotation that does not end"),
            ("a: \"b\\n\"", "line 1: a quotation with escapes in it"),
            ("a: 'it''s'", "line 1: a quotation with escapes in it"),
            ("a: b\nc", "line 2: neither `key: value` nor `- item`"),
            ("a: b\n  c: d", "line 2: it stands deeper than what is before it"),
            ("a:\n  b: c\n d: e", "line 3: it stands deeper than what is before it"),
            ("a: b\na: c", "line 2: a key that was there before"),
            ("a\" b: c", "line 1: a key that is no plain word"),
            ("- a\nb: c", "line 2: it stands less deep than what it belongs to"),
            ("-\n  a: b", "line 1: an item that begins on the next line"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()), "{text:?}");
        }
        let deep: String = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&deep).unwrap_err().ends_with("deeper than a kubeconfig is"));
    }
}
