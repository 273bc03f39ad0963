//! Rust source as the checkers see it: the paths it names, the words it uses and the strings it holds, with lines.
//!
//! Comments are not code and never count. Items under `#[cfg(test)]` are left out unless asked for. It resolves
//! imports within one file (`use std::time::Instant; Instant::now()`), nothing further.

use std::collections::BTreeMap;
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One thing found at a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Line, from 1.
    pub line: usize,
    /// A path (`std::fs::read`), an identifier or a string.
    pub text: String,
}

/// What a source file names.
#[derive(Debug, Default)]
pub struct Source {
    /// Every path, imports resolved and groups spread; a glob ends in `::*`.
    pub paths: Vec<Found>,
    /// Every identifier, keywords included.
    pub words: Vec<Found>,
    /// The text of every string literal (as written between its quotes).
    pub strings: Vec<Found>,
    /// Modules in files of their own that are declared under `#[cfg(test)]`. Empty when looking at all.
    pub test_modules: Vec<String>,
}

/// Whether items under `#[cfg(test)]` are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is shipped.
    Shipped,
    /// Unit tests too.
    All,
}

/// Reads a source file. Fails on text that is not Rust.
pub fn parse(text: &str, scope: Scope) -> Result<Source, proc_macro2::LexError> {
    let stream = TokenStream::from_str(text)?;
    let mut source = Source::default();
    let mut imports = BTreeMap::new();
    walk(stream, scope, &mut source, &mut imports);
    for path in &mut source.paths {
        let (head, rest) = path.text.split_once("::").unwrap_or((&path.text, ""));
        if let Some(full) = imports.get(head) {
            path.text = if rest.is_empty() { full.clone() } else { format!("{full}::{rest}") };
        }
    }
    Ok(source)
}

fn walk(stream: TokenStream, scope: Scope, source: &mut Source, imports: &mut BTreeMap<String, String>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let inner = is_punct(tokens.get(at + 1), '!');
                let attribute = tokens.get(at + 1 + usize::from(inner));
                if let Some(TokenTree::Group(group)) = attribute {
                    at += 2 + usize::from(inner);
                    if scope == Scope::Shipped && !inner && is_cfg_test(group) {
                        let end = end_of_item(&tokens, at);
                        source.test_modules.extend(module_elsewhere(&tokens[at..end]));
                        at = end;
                    } else if !group.stream().to_string().starts_with("doc ") {
                        walk(group.stream(), scope, source, imports);
                    }
                    continue;
                }
                at += 1;
            }
            TokenTree::Ident(word) if *word == "use" => {
                let end = (at..tokens.len()).find(|&i| is_punct(tokens.get(i), ';')).unwrap_or(tokens.len());
                spread(&tokens[at + 1..end], "", source, imports);
                at = end;
            }
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                let mut text = word.to_string();
                source.words.push(Found { line, text: text.clone() });
                while let (true, Some(TokenTree::Ident(next))) = (is_path_sep(&tokens, at + 1), tokens.get(at + 3)) {
                    let next = next.to_string();
                    source.words.push(Found { line, text: next.clone() });
                    text = format!("{text}::{next}");
                    at += 3;
                }
                source.paths.push(Found { line, text });
                at += 1;
            }
            TokenTree::Literal(literal) => {
                let shown = literal.to_string();
                // A character literal may be a quote: it has one, a string has two.
                if let (Some(from), Some(to)) = (shown.find('"'), shown.rfind('"'))
                    && from < to
                {
                    let text = shown[from + 1..to].to_owned();
                    source.strings.push(Found { line: literal.span().start().line, text });
                }
                at += 1;
            }
            TokenTree::Group(group) => {
                walk(group.stream(), scope, source, imports);
                at += 1;
            }
            TokenTree::Punct(_) => at += 1,
        }
    }
}

/// Spreads one use tree: `a::{b, c as d}` names `a::b` and `a::c`, and binds `b` and `d`.
fn spread(tokens: &[TokenTree], prefix: &str, source: &mut Source, imports: &mut BTreeMap<String, String>) {
    let mut path = prefix.to_owned();
    let mut bound: Option<String> = None;
    let mut line = 0;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(word) if *word == "as" => {
                bound = tokens.get(at + 1).map(ToString::to_string);
                at += 1;
            }
            TokenTree::Ident(word) => {
                line = word.span().start().line;
                // `self` in a group is the group's own path.
                if *word != "self" || path.is_empty() {
                    path = join(&path, &word.to_string());
                }
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                for tree in inside.split(|token| is_punct(Some(token), ',')) {
                    spread(tree, &path, source, imports);
                }
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => {
                source.paths.push(Found { line: punct.span().start().line, text: format!("{path}::*") });
                return;
            }
            _ => {}
        }
        at += 1;
    }
    if line > 0 {
        let last = path.rsplit("::").next().unwrap_or(&path).to_owned();
        imports.insert(bound.unwrap_or(last), path.clone());
        source.paths.push(Found { line, text: path });
    }
}

fn join(path: &str, word: &str) -> String {
    if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_path_sep(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

fn is_cfg_test(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// The name in `mod name;`, whatever stands before it.
fn module_elsewhere(item: &[TokenTree]) -> Option<String> {
    let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), last] = item else { return None };
    (*keyword == "mod" && is_punct(Some(last), ';')).then(|| name.to_string())
}

/// One past the item that starts at `at`: its body in braces, or its semicolon.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| {
        is_punct(Some(token), ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[at..].iter().position(ends).map_or(tokens.len(), |offset| at + offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, scope: Scope) -> Vec<String> {
        parse(text, scope).unwrap().paths.into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn groups_renames_and_later_uses_are_resolved() {
        let text =
            "use std::{fs::{self, File as F}, time};\nfn a() { fs::read(1); F::create(2); time::Instant::now(); }";
        let seen = paths(text, Scope::Shipped);
        for wanted in ["std::fs", "std::fs::File", "std::fs::read", "std::fs::File::create", "std::time::Instant::now"]
        {
            assert!(seen.iter().any(|path| path == wanted), "{wanted} not in {seen:?}");
        }
    }

    #[test]
    fn comments_and_docs_are_not_code() {
        let text = "//! std::fs\n/// std::net\n// std::process\nfn a() {} /* std::env */";
        let seen = paths(text, Scope::All);
        assert!(!seen.iter().any(|path| path.starts_with("std")), "{seen:?}");
    }

    #[test]
    fn unit_tests_are_left_out_unless_asked_for() {
        let text = "#[cfg(test)]\nmod tests { fn a() { std::env::var(1); } }\n#[cfg(test)]\nuse std::net::TcpStream;\nfn b() { std::fs::read(1); }";
        let shipped = paths(text, Scope::Shipped);
        assert!(shipped.iter().any(|path| path == "std::fs::read"), "{shipped:?}");
        assert!(
            !shipped.iter().any(|path| path.starts_with("std::env") || path.starts_with("std::net")),
            "{shipped:?}"
        );
        assert!(paths(text, Scope::All).iter().any(|path| path == "std::env::var"));
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_named() {
        let text =
            "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod samples;\nmod real;\n#[cfg(test)] mod here {}";
        assert_eq!(parse(text, Scope::Shipped).unwrap().test_modules, ["tests", "samples"]);
    }

    #[test]
    fn macros_strings_and_lines_are_seen() {
        let source =
            parse("fn a() {\n println!(\"{}\", std::env::args().len());\n let b = r#\"/dev/sda\"#; }", Scope::All)
                .unwrap();
        assert!(source.paths.contains(&Found { line: 2, text: "std::env::args".to_owned() }), "{:?}", source.paths);
        assert!(source.strings.contains(&Found { line: 3, text: "/dev/sda".to_owned() }), "{:?}", source.strings);
    }

    #[test]
    fn a_glob_is_a_path() {
        assert!(paths("use std::io::{self, prelude::*};", Scope::All).contains(&"std::io::prelude::*".to_owned()));
    }
}
