//! Reads Rust sources just well enough for the rules: comments, texts and unit tests blanked out, imports unfolded. It is no
//! parser; what it must see is tested below, and paths that only a macro could spell it does not see.

use std::{fs, path::Path};

/// One file, as written and as the rules see it. Lines are the same in all three texts.
#[derive(Debug)]
pub struct Source {
    /// From the root of the repository: `src/command/bus.rs`.
    pub path: String,
    pub raw: String,
    /// Without comments and the contents of texts.
    pub code: String,
    /// `code` without unit tests.
    pub shipped: String,
}

/// A path in the code, from the root of the crate (`crate`, `event`, `Envelope`) or with the name of another crate first.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub line: usize,
    pub path: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// Every Rust file in these folders of the repository, in the order of their paths.
pub fn all(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in folders {
        gather(root, &root.join(folder), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn gather(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                gather(root, &path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let raw = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let relative = path.strip_prefix(root).unwrap_or(&path);
            sources.push(Source::new(&relative.to_string_lossy(), &raw));
        }
    }
}

impl Source {
    pub fn new(path: &str, raw: &str) -> Self {
        let code = without_comments_and_texts(raw);
        // A file of unit tests of its own: `#[cfg(test)] mod tests;`.
        let only_tests = path.starts_with("src/") && path.ends_with("/tests.rs");
        let shipped = if only_tests { "\n".repeat(code.matches('\n').count()) } else { without_unit_tests(&code) };
        Self { path: path.to_owned(), raw: raw.to_owned(), code, shipped }
    }

    /// Every path of the shipped code that starts with `crate`, `self`, `super` or the name of a crate or module, each import for
    /// itself.
    pub fn references(&self) -> Vec<Reference> {
        let tokens = tokens(&self.shipped);
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let (mut found, mut at, mut depth, mut inline) = (Vec::new(), 0, 0_usize, Vec::new());
        while at < tokens.len() {
            let begins = at == 0 || !matches!(text(at - 1), "::" | ".");
            let mut here = Vec::new();
            match text(at) {
                // `use<'a>` in a signature imports nothing.
                "use" if text(at + 1) != "<" => at = unfold(&tokens, at + 1, &[], &mut here),
                "mod" if text(at + 2) == "{" => {
                    inline.push(depth);
                    depth += 1;
                    at += 3;
                }
                "{" => {
                    depth += 1;
                    at += 1;
                }
                "}" => {
                    depth = depth.saturating_sub(1);
                    inline.pop_if(|opened| *opened == depth);
                    at += 1;
                }
                word if begins && is_word(word) && text(at + 1) == "::" => {
                    let mut path = vec![word.to_owned()];
                    let line = tokens[at].line;
                    at += 1;
                    while text(at) == "::" && is_word(text(at + 1)) {
                        path.push(text(at + 1).to_owned());
                        at += 2;
                    }
                    here.push(Reference { line, path });
                }
                _ => at += 1,
            }
            found.extend(here.into_iter().map(|reference| self.spelled_out(reference, inline.len())));
        }
        found
    }

    /// Spells `self` and `super` out, seen from `inline` modules deep in this file.
    fn spelled_out(&self, Reference { line, path }: Reference, inline: usize) -> Reference {
        let file = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let file = file.strip_suffix("/mod").unwrap_or(file);
        let mut module: Vec<String> =
            if matches!(file, "lib" | "main" | "mod") { Vec::new() } else { file.split('/').map(str::to_owned).collect() };
        module.extend(std::iter::repeat_n("(inline)".to_owned(), inline));
        let supers = path.iter().take_while(|part| *part == "super").count();
        let relative = supers.max(usize::from(path.first().is_some_and(|part| part == "self")));
        if relative == 0 {
            return Reference { line, path };
        }
        module.truncate(module.len().saturating_sub(supers));
        let path = std::iter::once("crate".to_owned()).chain(module).chain(path.into_iter().skip(relative)).collect();
        Reference { line, path }
    }

    /// Every function of the shipped code, from its first line to its closing brace.
    pub fn functions(&self) -> Vec<Function> {
        let tokens = tokens(&self.shipped);
        let mut found = Vec::new();
        for (at, pair) in tokens.windows(2).enumerate() {
            if pair[0].text != "fn" || !is_word(pair[1].text) {
                continue;
            }
            let mut depth = 0_i32;
            for token in &tokens[at..] {
                match token.text {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" => depth -= 1,
                    "}" if depth == 1 => {
                        let lines = token.line + 1 - pair[0].line;
                        found.push(Function { name: pair[1].text.to_owned(), line: pair[0].line, lines });
                        break;
                    }
                    "}" => depth -= 1,
                    // A signature without a body.
                    ";" if depth == 0 => break,
                    _ => {}
                }
            }
        }
        found
    }
}

/// The lines of `code` on which `text` stands, not as a part of a longer word.
pub fn lines_with(code: &str, text: &str) -> Vec<usize> {
    let word_at = |at: Option<usize>| at.and_then(|at| code.as_bytes().get(at)).is_some_and(|byte| is_word_byte(*byte));
    let starts_as_word = text.bytes().next().is_some_and(is_word_byte);
    let ends_as_word = text.bytes().next_back().is_some_and(is_word_byte);
    code.match_indices(text)
        .map(|(at, _)| at)
        .filter(|at| {
            let goes_on_before = starts_as_word && word_at(at.checked_sub(1));
            let goes_on_behind = ends_as_word && word_at(Some(at + text.len()));
            !goes_on_before && !goes_on_behind
        })
        .map(|at| 1 + code[..at].matches('\n').count())
        .collect()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_word(text: &str) -> bool {
    text.bytes().next().is_some_and(is_word_byte)
}

/// The same text with blanks for comments, texts and characters, and in ASCII: names of another alphabet are of no interest here.
fn without_comments_and_texts(raw: &str) -> String {
    let chars: Vec<char> = raw.chars().collect();
    let mut code = String::with_capacity(raw.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_dead_text(&chars, at);
        if end == at {
            code.push(if chars[at].is_ascii() { chars[at] } else { '_' });
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment, text or character that begins at `at` ends; `at` when none does.
fn end_of_dead_text(chars: &[char], at: usize) -> usize {
    let from = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let find = |start: usize, end: &[char]| {
        let found = (start..chars.len()).find(|at| chars[*at..].starts_with(end));
        found.map_or(chars.len(), |at| at + end.len())
    };
    match (from(at), from(at + 1)) {
        ('/', '/') => (at..chars.len()).find(|at| chars[*at] == '\n').unwrap_or(chars.len()),
        ('/', '*') => end_of_block_comment(chars, at),
        ('\'', '\\') => find(at + 3, &['\'']),
        ('\'', c) if c != '\'' && from(at + 2) == '\'' => at + 3,
        ('"', _) => {
            let hashes = chars[..at].iter().rev().take_while(|c| **c == '#').count();
            if at > hashes && chars[at - hashes - 1] == 'r' {
                let mut end = vec!['"'];
                end.resize(hashes + 1, '#');
                find(at + 1, &end)
            } else {
                end_of_text(chars, at)
            }
        }
        _ => at,
    }
}

fn end_of_text(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Block comments nest.
fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The same code with blanks for everything that only tests compile.
fn without_unit_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for mark in ["#[cfg(test)", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(mark) {
            let end = end_of_item(code.as_bytes(), start + code[start..].find(']').map_or(0, |bracket| bracket + 1));
            for byte in bytes[start..end].iter_mut().filter(|byte| **byte != b'\n') {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).expect("blanks are text")
}

/// Where the item that begins at `start` ends: at its semicolon, or with its braces.
fn end_of_item(code: &[u8], start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth <= 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Words, `::`, and everything else one by one.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        let length = match bytes[at] {
            byte if is_word_byte(byte) => bytes[at..].iter().take_while(|byte| is_word_byte(**byte)).count(),
            b':' if bytes.get(at + 1) == Some(&b':') => 2,
            _ => 1,
        };
        if bytes[at] == b'\n' {
            line += 1;
        } else if !bytes[at].is_ascii_whitespace() {
            tokens.push(Token { text: &code[at..at + length], line });
        }
        at += length;
    }
    tokens
}

/// Unfolds the import that begins at `at` into one path for each thing imported, and says where it ends.
fn unfold(tokens: &[Token<'_>], mut at: usize, prefix: &[String], found: &mut Vec<Reference>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "as" => at += 2,
            "," | "}" | ";" => {
                found.push(Reference { line: tokens[at - 1].line, path });
                return at;
            }
            "{" => {
                at += 1;
                while let Some(token) = tokens.get(at) {
                    match token.text {
                        "}" => return at + 1,
                        // Not an import after all, but something of a macro's.
                        ";" => return at,
                        "," => at += 1,
                        _ => at = unfold(tokens, at, &path, found),
                    }
                }
            }
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{Function, Source, lines_with};

    fn paths(path: &str, raw: &str) -> Vec<String> {
        Source::new(path, raw).references().iter().map(|reference| reference.path.join("::")).collect()
    }

    #[test]
    fn imports_are_unfolded_and_paths_in_code_are_seen() {
        let raw = "use crate::{event::{self, Event as E}, value::*};
            pub(crate) use std::fmt;
            fn f() -> a::B { x.y::<c::D>(); g::h!() }";
        let seen = ["crate::event::self", "crate::event::Event", "crate::value::*", "std::fmt", "a::B", "c::D", "g::h"];
        assert_eq!(paths("src/command/bus.rs", raw), seen);
    }

    #[test]
    fn relative_paths_are_spelled_out() {
        let raw = "use super::{store, work::Work};\nmod inner { use super::*; use super::super::Face; }\nuse self::own::Thing;";
        let seen = [
            "crate::command::store",
            "crate::command::work::Work",
            "crate::command::bus::*",
            "crate::command::Face",
            "crate::command::bus::own::Thing",
        ];
        assert_eq!(paths("src/command/bus.rs", raw), seen);
        assert_eq!(paths("src/command/mod.rs", "use super::clock::Clock;"), ["crate::clock::Clock"]);
        assert_eq!(paths("src/clock.rs", "use super::value;"), ["crate::value"]);
    }

    #[test]
    fn comments_texts_and_unit_tests_are_not_code() {
        let raw = r####"
// a::b
/* a::b /* nested */ a::b */
const A: &str = "a::b \" a::b";
const B: &str = r#"a::b " a::b"#;
const C: (char, char, char) = ('"', '\'', '\u{1F600}');
fn f<'a>(_: &'a str) -> d::E { "…"; e::F }
#[cfg(test)]
mod tests { fn g() { a::b() } }
#[cfg(all(test, feature = "command"))]
use a::b;
fn last() { z::Z }
"####;
        let source = Source::new("src/x.rs", raw);
        assert_eq!(paths("src/x.rs", raw), ["d::E", "e::F", "z::Z"]);
        assert_eq!(source.shipped.lines().count(), raw.lines().count());
        assert_eq!(source.references().last().map(|reference| reference.line), Some(12));
        assert_eq!(paths("src/x/tests.rs", "use a::b;"), [""; 0]);
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let raw = "trait T { fn no_body(&self) -> [u8; 2]; }\nfn one() { if x { y() } }\nfn four(\n    f: fn(u8),\n) {\n}\n";
        let function = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
        assert_eq!(Source::new("src/x.rs", raw).functions(), [function("one", 2, 1), function("four", 3, 4)]);
    }

    #[test]
    fn a_word_is_found_as_a_whole() {
        assert_eq!(lines_with("sleep(a)\noversleep(b)\nx::sleep(c)", "sleep("), [1, 3]);
        assert_eq!(lines_with("async fn\nasynchronous\n.await", "async"), [1]);
        assert_eq!(lines_with("a.unwrap();\na.unwrap_or(b)", ".unwrap()"), [1]);
    }
}
