//! What one subscriber has been told, and whether it fits: every version once, in order, or a word about what was left out.

use super::Ends;
use crate::book::{Book, add, count};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

pub struct Track {
    name: String,
    /// A list tells of orders from their first version, one order from the state at the beginning.
    list: bool,
    /// The newest version told of each order.
    newest: BTreeMap<String, i64>,
    /// Events told, also those that are no version.
    events: HashSet<String>,
    /// Orders whose beginning is not expected: they were there before, or a list was told to read again.
    unknown_beginnings: bool,
}

impl Track {
    pub fn of_a_list(name: String) -> Self {
        Self { name, list: true, newest: BTreeMap::new(), events: HashSet::new(), unknown_beginnings: false }
    }

    pub fn of_one(name: String) -> Self {
        Self { list: false, ..Self::of_a_list(name) }
    }

    pub fn hear(&mut self, change: &Value, book: &Book) {
        let order = change["order"]["id"].as_str().unwrap_or_default().to_owned();
        let version = change["order"]["version"].as_i64().unwrap_or_default();
        match change["kind"].as_str() {
            Some("SNAPSHOT") => {
                if self.newest.insert(order, version).is_some() {
                    self.finds(book, "a second beginning");
                }
            }
            Some("RESYNC") => self.resync(order, version, change, book),
            Some("CHANGE" | "LEFT") => self.change(order, version, &change["event"], book),
            _ => self.finds(book, &format!("what is this? {change}")),
        }
    }

    fn change(&mut self, order: String, version: i64, event: &Value, book: &Book) {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        if !self.events.insert(id.clone()) {
            count(&book.duplicated);
            self.finds(book, &format!("{order} version {version}, event {id}: told twice"));
            return;
        }
        let before = self.newest.get(&order).copied();
        let renaming = event["type"] == "CUSTOMER_RENAMED";
        match before {
            // A new name is no version of the order, and may be what is heard of it first.
            Some(newest) if renaming && version == newest => {}
            Some(newest) if !renaming && version == newest + 1 => {}
            None if renaming || version == 1 || self.unknown_beginnings || !self.list => {}
            _ if version > before.unwrap_or_default() => {
                add(&book.lost, (version - before.unwrap_or_default() - 1).max(1) as u64);
                self.finds(book, &format!("{order} version {version} came after {before:?}: something is missing"));
            }
            _ => {
                count(&book.reordered);
                self.finds(book, &format!("{order} version {version} came after {before:?}: out of order"));
            }
        }
        self.newest.insert(order, version);
    }

    fn resync(&mut self, order: String, version: i64, change: &Value, book: &Book) {
        count(&book.resyncs);
        if self.list {
            // The list is to be read again, so nothing is known of any order.
            self.newest.clear();
            self.unknown_beginnings = true;
            return;
        }
        let before = self.newest.insert(order, version);
        let skipped = change["skippedVersions"].as_i64();
        if skipped != before.map(|before| version - before) {
            self.finds(book, &format!("from {before:?} to {version} it was told that {skipped:?} versions were left out"));
        }
    }

    fn finds(&self, book: &Book, what: &str) {
        book.finds(format!("{}: {what}", self.name));
    }

    /// The ends that concern this subscriber.
    fn expected<'a>(&'a self, ends: &'a Ends, customer: Option<&'a str>) -> impl Iterator<Item = (&'a String, i64)> {
        ends.iter()
            .filter(move |(order, (of, _))| {
                let ours = customer.is_none_or(|customer| customer == of);
                // After a RESYNC, and with one order, only what was told at all.
                ours && ((self.list && !self.unknown_beginnings) || self.newest.contains_key(*order))
            })
            .map(|(order, (_, version))| (order, *version))
    }

    pub fn at_the_end(&self, ends: &Ends, customer: Option<&str>) -> bool {
        self.expected(ends, customer).all(|(order, version)| self.newest.get(order) == Some(&version))
    }

    pub fn missing(&self, ends: &Ends, customer: Option<&str>) -> Vec<String> {
        self.expected(ends, customer)
            .filter(|(order, version)| self.newest.get(*order) != Some(version))
            .map(|(order, version)| {
                format!("{}: {order} is in version {version}, and {:?} was told last", self.name, self.newest.get(order))
            })
            .collect()
    }
}
