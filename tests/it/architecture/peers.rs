//! The list of what others suffered names tests, and a list of tests that are not there would be worse than none.

use super::source::{self, Source, lines_with};
use std::{fs, path::Path};

/// Where the list stands.
const LIST: &str = "tests/README.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every test that a text names: what stands in backquotes and has a path.
fn named(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

/// Whether a test is there: `chaos::Fault`, `clients::suite::title`, or a function of `tests/it` with the path of its module.
fn exists(name: &str, sources: &[Source]) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    if module == "chaos" {
        let chaos = sources.iter().filter(|source| source.path.starts_with("tests/chaos/"));
        return chaos.into_iter().any(|source| !lines_with(&source.code, &format!("{test},")).is_empty());
    }
    if let Some(suite) = module.strip_prefix("clients::") {
        let suite = format!("tests/clients/suites/{suite}.test.mjs");
        return Path::new(env!("CARGO_MANIFEST_DIR")).join(&suite).exists() && read(&suite).contains(&format!("test('{test}'"));
    }
    let path = module.replace("::", "/");
    let files = [format!("tests/it/{path}.rs"), format!("tests/it/{path}/mod.rs")];
    let file = sources.iter().find(|source| files.contains(&source.path));
    // As a function, or as one that a macro makes of a name and what to try.
    file.is_some_and(|source| {
        [format!("fn {test}()"), format!("{test}: ")].iter().any(|text| !lines_with(&source.code, text).is_empty())
    })
}

/// The numbered rows of the list: number, whether it applies here, and what catches it.
fn rows(list: &str) -> Vec<(usize, &str, &str)> {
    let cells = list.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| match cells[..] {
            ["", number, _, _, here, caught, ""] => Some((number.parse().ok()?, here, caught)),
            _ => None,
        })
        .collect()
}

#[test]
fn every_test_that_the_list_of_what_others_suffered_names_is_there() {
    let (list, sources) = (read(LIST), source::all(&["tests"]));
    let gone: Vec<_> = named(&list).into_iter().filter(|name| !exists(name, &sources)).collect();
    assert!(gone.is_empty(), "{LIST} names tests that are not there:\n{}\n", gone.join("\n"));
}

#[test]
fn whatever_can_happen_here_has_a_test_or_a_reason() {
    let list = read(LIST);
    let rows = rows(&list);
    assert_eq!(rows.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
    for (number, here, caught) in rows {
        match here {
            "yes" | "in part" => assert!(!named(caught).is_empty(), "no. {number} can happen here, and no test is named"),
            "no" | "not done" => assert!(caught.len() > 20, "no. {number} has no test and no reason"),
            _ => panic!("no. {number}: {here:?}"),
        }
    }
}

#[test]
fn a_test_that_is_not_there_is_seen() {
    let sources = source::all(&["tests"]);
    let text = "see `architecture::peers::a_test_that_is_not_there_is_seen`, `make test` and `chaos::KillProcess`";
    assert_eq!(named(text).len(), 2);
    assert!(named(text).iter().all(|name| exists(name, &sources)), "both are there");
    for wrong in [
        "architecture::peers::a_test_that_is_not_there",
        "architecture::a_test_that_is_not_there_is_seen",
        "nowhere::at_all",
        "chaos::FullMoon",
        "chaos::KillProces",
        "clients::ws-tokens::a token",
        "clients::nobody::asks",
        "exists",
    ] {
        assert!(!exists(wrong, &sources), "{wrong}");
    }
}
