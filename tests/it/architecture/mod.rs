//! The rules of the house, as data. A rule that nobody checks is none; a rule without a reason is a habit.

mod peers;
mod source;

use source::{Source, lines_with};
use std::{fs, path::Path};

/// What a file may refer to: nothing but these, or everything but these.
enum May {
    Only(&'static [&'static str]),
    AnyBut(&'static [&'static str]),
}
use May::{AnyBut, Only};

/// A row of the import table.
struct Wall {
    /// Files of `src` that begin like this ...
    of: &'static str,
    /// ... but not like these.
    but: &'static [&'static str],
    /// Modules of this crate that they may refer to, or paths into them.
    ours: May,
    /// Other crates that they may refer to.
    crates: May,
    why: &'static str,
}

/// The import table of the design. `domain` speaks in events by a documented change of it (see `src/domain/mod.rs`).
#[rustfmt::skip]
const WALLS: &[Wall] = &[
    Wall { of: "value/", but: &[],
        ours: Only(&["value"]),
        crates: Only(&[
            "std", "serde", "time", "uuid", "thiserror", "rust_decimal", "iso_currency", "isocountry", "email_address",
        ]),
        why: "values are plain and known to all, so they know nobody: no module of ours, no driver" },
    Wall { of: "domain/", but: &[],
        ours: Only(&["domain", "event", "value"]),
        crates: Only(&["std", "serde", "time"]),
        why: "the rules are pure: no clock, no I/O, no driver, or they could not be tried again after a lost race" },
    Wall { of: "event/", but: &[],
        ours: Only(&["event", "value"]),
        crates: Only(&["std", "serde", "serde_json", "base64", "time", "uuid", "thiserror"]),
        why: "events are what both sides share, so they belong to neither" },
    Wall { of: "bus/", but: &[],
        ours: AnyBut(&["domain", "command", "query", "graphql"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations", "mongodb", "bson", "async_graphql"]),
        why: "the bus carries bytes and envelopes and knows nothing of orders" },
    Wall { of: "command/", but: &[],
        ours: AnyBut(&["query", "graphql"]),
        crates: AnyBut(&["mongodb", "bson"]),
        why: "the write side decides from PostgreSQL alone and answers to anybody, not to GraphQL" },
    Wall { of: "query/", but: &[],
        ours: AnyBut(&["command", "domain", "graphql"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations"]),
        why: "the read side has no way to change anything, and no rules" },
    Wall { of: "graphql/mutation", but: &[],
        ours: AnyBut(&["query"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations", "mongodb", "bson", "lapin"]),
        why: "a mutation translates for the write side and returns no data" },
    Wall { of: "graphql/", but: &["graphql/mutation"],
        ours: AnyBut(&["command"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations", "mongodb", "bson", "lapin"]),
        why: "queries and subscriptions translate for the read side and change nothing" },
    Wall { of: "demo", but: &[],
        ours: Only(&["demo", "command", "domain", "event", "value", "clock"]),
        crates: AnyBut(&[]),
        why: "the demo shop is loaded through the command bus, like everything else" },
    Wall { of: "import/", but: &[],
        ours: Only(&["import", "command", "domain", "event", "value", "clock"]),
        crates: AnyBut(&[]),
        why: "an import is one more client of the command bus, with no way round it" },
    Wall { of: "verify/", but: &[],
        ours: Only(&["verify", "command", "query", "bus", "difference", "event", "value", "clock"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations", "mongodb", "bson", "lapin", "async_graphql"]),
        why: "a comparison hands what one side says to the other, and reaches no store itself" },
    Wall { of: "difference.rs", but: &[],
        ours: Only(&["difference"]),
        crates: Only(&["std", "serde", "serde_json"]),
        why: "both sides say what differs in the same words, so the words know neither side" },
    Wall { of: "http/", but: &["http/health.rs"],
        ours: Only(&["http", "graphql", "auth", "config", "health", "shutdown", "clock", "value", "demo::people"]),
        crates: AnyBut(&[]),
        why: "HTTP carries GraphQL and knows neither side; of the demo it knows who its people are" },
    Wall { of: "http/health.rs", but: &[],
        ours: Only(&[
            "http", "graphql", "auth", "config", "health", "shutdown", "clock", "value", "demo::people", "command", "query",
        ]),
        crates: AnyBut(&[]),
        why: "readiness asks both sides whether they move, and nobody else" },
    Wall { of: "config/", but: &[],
        ours: Only(&[
            "config", "bus", "command::Settings", "graphql::Documents", "graphql::Limits", "graphql::PayloadWait",
            "auth::JwksUrl", "auth::Rules", "auth::Settings", "auth::look_at_file",
        ]),
        crates: AnyBut(&[]),
        why: "settings are read into the types of those they are for, and do nothing" },
    Wall { of: "auth/", but: &[],
        ours: Only(&["auth", "clock", "shutdown", "value"]),
        crates: AnyBut(&["sea_orm", "sqlx", "migrations", "mongodb", "bson", "lapin", "async_graphql"]),
        why: "identity comes from a token and from nothing else, so nothing that is stored or asked for is looked at" },
    Wall { of: "health.rs", but: &[],
        ours: Only(&["health", "value"]),
        crates: AnyBut(&[]),
        why: "everything that moves beats, so the pulse knows nobody" },
    Wall { of: "clock.rs", but: &[],
        ours: Only(&["clock", "value"]),
        crates: AnyBut(&[]),
        why: "everybody asks for the time, so the clock knows nobody" },
    Wall { of: "crash.rs", but: &[],
        ours: Only(&["crash"]),
        crates: Only(&["std", "rand"]),
        why: "everything that can die has a crash point, so they know nobody" },
    Wall { of: "", but: &["main.rs", "cli", "app"],
        ours: AnyBut(&["app", "cli"]),
        crates: AnyBut(&[]),
        why: "the composition root sees all, so nobody but main, its command line and tests may see it" },
];

/// Words that have no place in some files.
struct Ban {
    words: &'static [&'static str],
    /// Files that begin like these ...
    of: &'static [&'static str],
    /// ... but not like these.
    but: &'static [&'static str],
    /// A remark that excuses the line on which it stands.
    unless: Option<&'static str>,
    /// Whether unit tests are held to it too.
    in_unit_tests: bool,
    why: &'static str,
}

#[rustfmt::skip]
const BANS: &[Ban] = &[
    Ban { words: &[".unwrap()", ".expect("], of: &["src/"], but: &[], unless: None, in_unit_tests: false,
        why: "a server that panics takes its neighbours down; say in a type why it cannot fail, or answer with a fault" },
    Ban { words: &["unbounded_channel"], of: &["src/"], but: &[], unless: None, in_unit_tests: false,
        why: "every queue has a bound, and the bound says what happens when it is hit" },
    Ban { words: &["todo!", "unimplemented!", "dbg!"], of: &["src/"], but: &[], unless: None, in_unit_tests: true,
        why: "this is not finished" },
    Ban { words: &["#[ignore"], of: &["src/", "tests/"], but: &[], unless: None, in_unit_tests: true,
        why: "a test that does not run says nothing; assert what is true today" },
    Ban { words: &["tokio::spawn(", "tokio::task::spawn("], of: &["src/"], but: &["src/shutdown.rs"], unless: None,
        in_unit_tests: false,
        why: "every task is supervised: one that dies unseen leaves a server that only looks alive" },
    // A wait for what never comes is a sleep by another name. Chaos has one place to pause, because how long a fault lasts is a
    // part of its story.
    Ban { words: &["sleep(", "sleep_until(", ", pending())", "pending::<()>())"], of: &["tests/"], but: &["tests/chaos/main.rs"],
        unless: Some("// bounded poll"), in_unit_tests: true,
        why: "tests wait for a state, not for a time; a poll with an end says so: `// bounded poll`" },
    Ban { words: &["SystemTime::now", "UtcDateTime::now", "now_utc", "now_local", "now_v7"], of: &["src/"],
        but: &["src/clock.rs"], unless: Some("// decides nothing"), in_unit_tests: false,
        why: "time and ids are handed in by `Clock` and `Ids`, so that tests can choose them; `Instant::now` may measure, and an \
              id that nothing depends on says so: `// decides nothing`" },
    Ban { words: &["async", "await"], of: &["src/value/", "src/domain/", "src/event/"], but: &[], unless: None,
        in_unit_tests: true,
        why: "the centre is synchronous; what a decision needs is looked up before and handed in" },
    Ban { words: &["pub mod store", "pub(crate) mod store"], of: &["src/"], but: &[], unless: None, in_unit_tests: false,
        why: "a store is private to its side" },
];

/// Soft limits of the design, kept until a file gives a reason for more.
const LINES_A_FILE: usize = 300;
const LINES_A_FUNCTION: usize = 70;
const COLUMNS: usize = 130;

fn begins(path: &str, like: &[&str]) -> bool {
    like.iter().any(|start| path.starts_with(start))
}

fn breaches_of_wall(wall: &Wall, source: &Source, dependencies: &[String]) -> Vec<String> {
    let file = source.path.strip_prefix("src/").unwrap_or(&source.path);
    if !file.starts_with(wall.of) || begins(file, wall.but) {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for reference in source.references() {
        let (judged, may) = match reference.path.as_slice() {
            [root, inside @ ..] if root == "crate" && !inside.is_empty() => (inside, &wall.ours),
            outside @ [name, ..] if dependencies.contains(name) => (outside, &wall.crates),
            _ => continue,
        };
        let within = |entry: &&str| entry.split("::").enumerate().all(|(at, part)| judged.get(at).is_some_and(|it| it == part));
        let allowed = match may {
            Only(these) => these.iter().any(within),
            AnyBut(these) => !these.iter().any(within),
        };
        if !allowed {
            let path = reference.path.join("::");
            breaches.push(format!("{}:{}: `{path}` is behind a wall: {}", source.path, reference.line, wall.why));
        }
    }
    breaches
}

fn breaches_of_ban(ban: &Ban, source: &Source) -> Vec<String> {
    if !begins(&source.path, ban.of) || begins(&source.path, ban.but) {
        return Vec::new();
    }
    let code = if ban.in_unit_tests { &source.code } else { &source.shipped };
    let excused =
        |line: usize| ban.unless.is_some_and(|remark| source.raw.lines().nth(line - 1).is_some_and(|text| text.contains(remark)));
    let mut breaches = Vec::new();
    for word in ban.words {
        for line in lines_with(code, word).into_iter().filter(|line| !excused(*line)) {
            breaches.push(format!("{}:{line}: `{word}` is banned here: {}", source.path, ban.why));
        }
    }
    breaches
}

fn breaches_of_size(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, line) in source.raw.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS {
            let why = "no line needs a sideways glance (rustfmt leaves comments and texts alone)";
            breaches.push(format!("{}:{}: {columns} columns, of at most {COLUMNS}: {why}", source.path, index + 1));
        }
    }
    if source.path.starts_with("src/") {
        let lines = source.raw.lines().count();
        if lines > LINES_A_FILE {
            let why = "a file is read without scrolling twice; it holds two things by now";
            breaches.push(format!("{}:1: {lines} lines, of at most {LINES_A_FILE}: {why}", source.path));
        }
        for function in source.functions().into_iter().filter(|function| function.lines > LINES_A_FUNCTION) {
            let (name, lines, why) = (function.name, function.lines, "a function fits on a screen; name a part of it");
            breaches.push(format!(
                "{}:{}: `{name}` has {lines} lines, of at most {LINES_A_FUNCTION}: {why}",
                source.path, function.line
            ));
        }
    }
    breaches
}

/// Other crates by their names in code: what Cargo.toml names, what comes with the language, and drivers that others re-export.
fn dependencies() -> Vec<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("there is a Cargo.toml");
    let table = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
    let named = table.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_"));
    named.chain(["std", "core", "alloc", "sqlx", "bson"].map(str::to_owned)).collect()
}

fn expect_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} places break a rule of the house:\n{}\n", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_wall_has_something_behind_it() {
    let sources = source::all(&["src"]);
    for wall in WALLS {
        let start = format!("src/{}", wall.of);
        assert!(sources.iter().any(|source| source.path.starts_with(&start)), "{start} is missing: its wall holds for nothing");
    }
}

#[test]
fn every_module_stays_within_its_walls() {
    let dependencies = dependencies();
    let mut breaches = Vec::new();
    for source in source::all(&["src"]) {
        for wall in WALLS {
            breaches.extend(breaches_of_wall(wall, &source, &dependencies));
        }
    }
    expect_none(&breaches);
}

#[test]
fn no_banned_word_is_used() {
    let sources = source::all(&["src", "tests"]);
    let breaches = BANS.iter().flat_map(|ban| sources.iter().flat_map(move |source| breaches_of_ban(ban, source)));
    expect_none(&breaches.collect::<Vec<_>>());
}

#[test]
fn files_functions_and_lines_are_short() {
    let sources = source::all(&["src", "migrations/src", "tests", "benches"]);
    expect_none(&sources.iter().flat_map(breaches_of_size).collect::<Vec<_>>());
}

#[test]
fn a_breach_of_any_wall_is_seen() {
    let dependencies = dependencies();
    for wall in WALLS {
        // For those who may only: whatever lies beside a path into a module, and somebody else.
        let strangers = |may: &May, others: &[&'static str]| match may {
            Only(these) => {
                let mut strangers: Vec<_> = these.iter().filter_map(|entry| Some(entry.split_once("::")?.0)).collect();
                strangers
                    .extend(others.iter().find(|other| !these.iter().any(|entry| entry.split("::").next() == Some(**other))));
                strangers
            }
            AnyBut(these) => these.to_vec(),
        };
        let mut planted = Vec::new();
        let modules = strangers(&wall.ours, &["command", "query", "app"]);
        planted.extend(modules.iter().map(|module| format!("use crate::{{{module}::Thing}};")));
        planted.extend(strangers(&wall.crates, &["tokio"]).iter().map(|name| format!("fn f() {{ {name}::thing() }}")));
        for raw in planted {
            let source = Source::new(&format!("src/{}x.rs", wall.of), &raw);
            assert_eq!(breaches_of_wall(wall, &source, &dependencies).len(), 1, "{raw} in {} goes unseen", source.path);
        }
    }
}

#[test]
fn a_breach_of_any_ban_is_seen() {
    for ban in BANS {
        for (word, folder) in ban.words.iter().flat_map(|word| ban.of.iter().map(move |folder| (word, folder))) {
            let source = Source::new(&format!("{folder}x.rs"), &format!("// {word}\n{word}\n"));
            let breaches = breaches_of_ban(ban, &source);
            assert_eq!(breaches.len(), 1, "{word} in {folder} goes unseen");
            assert!(breaches[0].starts_with(&format!("{folder}x.rs:2: ")), "{breaches:?}");
        }
    }
}

#[test]
fn only_a_remark_on_the_same_line_excuses() {
    let seen = |raw: &str| BANS.iter().flat_map(|ban| breaches_of_ban(ban, &Source::new("tests/it/x.rs", raw))).count();
    assert_eq!(seen("tokio::time::sleep(PAUSE).await; // bounded poll"), 0);
    assert_eq!(seen("// bounded poll\ntokio::time::sleep(PAUSE).await;"), 1);
}

#[test]
fn what_is_too_long_is_seen() {
    let body = "    step();\n".repeat(LINES_A_FUNCTION);
    let raw = format!("fn long() {{\n{body}}}\n//{}\n", "-".repeat(COLUMNS));
    let breaches = breaches_of_size(&Source::new("src/x.rs", &raw));
    assert_eq!(breaches.len(), 2, "{breaches:?}");
    assert_eq!(breaches_of_size(&Source::new("src/x.rs", &"\n".repeat(LINES_A_FILE + 1))).len(), 1);
    assert_eq!(breaches_of_size(&Source::new("tests/it/x.rs", &"\n".repeat(LINES_A_FILE + 1))).len(), 0);
}
