//! What a comparison has found: for people as text, for programs as JSON.

use crate::{difference::Difference, query::audit::Parked, value::Time};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

/// The most differences that are remembered; all are counted.
const KEPT: usize = 1_000;

/// Differences: all counted, the first of them kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    pub total: u64,
    pub by_place: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub first: Vec<Difference>,
    #[serde(skip)]
    most: usize,
}

impl Default for Findings {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Findings {
    /// None yet, and room for so many.
    pub fn keeping(most: usize) -> Self {
        Self { total: 0, by_place: BTreeMap::new(), first: Vec::new(), most }
    }

    pub fn add(&mut self, difference: Difference) {
        self.total += 1;
        *self.by_place.entry(difference.place).or_default() += 1;
        if self.first.len() < self.most {
            self.first.push(difference);
        }
    }

    pub fn extend(&mut self, differences: impl IntoIterator<Item = Difference>) {
        differences.into_iter().for_each(|difference| self.add(difference));
    }

    /// Puts what was found elsewhere with these.
    pub fn merge(&mut self, others: Self) {
        self.total += others.total;
        for (place, count) in others.by_place {
            *self.by_place.entry(place).or_default() += count;
        }
        let room = self.most.saturating_sub(self.first.len());
        self.first.extend(others.first.into_iter().take(room));
    }

    fn masked(self) -> Self {
        Self { first: self.first.into_iter().map(Difference::masked).collect(), ..self }
    }
}

/// The whole account.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of a sample: the seed that chooses the same again.
    pub seed: Option<u64>,
    /// Documents and rows that were compared, by collection and table.
    pub compared: BTreeMap<&'static str, u64>,
    /// Events read from the log.
    pub events: u64,
    pub differences: Findings,
    /// What was still behind the log when the wait was over, with something on its way.
    pub unsettled: Findings,
    /// What waits for an operator. It is no difference: it is known to be behind.
    pub parked: Vec<Parked>,
    pub outbox_waiting: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    pub outbox_since: Option<Time>,
    /// The oldest event in the outbox has waited for more than a minute.
    pub outbox_overdue: bool,
    pub seconds: f64,
}

impl Report {
    pub(super) fn compared(&mut self, place: &'static str, more: u64) {
        *self.compared.entry(place).or_default() += more;
    }

    /// The same without the values of personal fields.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { differences: self.differences.masked(), unsettled: self.unsettled.masked(), ..self }
    }

    /// Whether it ends in doubt: nothing is wrong, but not everything could be said.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled.total > 0 || self.outbox_overdue
    }

    /// What to tell a person, with at most so many differences of each kind.
    pub fn text(&self, most: usize) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = self.write(&mut text, most);
        text
    }

    fn write(&self, out: &mut String, most: usize) -> fmt::Result {
        list(out, "differs", &self.differences, most)?;
        list(out, "unsettled", &self.unsettled, most)?;
        writeln!(out, "{:<34} {:>12} {:>12} {:>12}", "", "compared", "differences", "unsettled")?;
        let count = |map: &BTreeMap<&'static str, u64>, place| map.get(place).copied().unwrap_or(0);
        let mut places: Vec<_> = self.compared.keys().chain(self.differences.by_place.keys()).collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            let counts = [&self.compared, &self.differences.by_place, &self.unsettled.by_place].map(|map| count(map, *place));
            writeln!(out, "{place:<34} {:>12} {:>12} {:>12}", counts[0], counts[1], counts[2])?;
        }
        for parked in &self.parked {
            writeln!(out, "parked: {} of kind {}, since {}", parked.streams, parked.kind, parked.since)?;
        }
        if let Some(since) = self.outbox_since.filter(|_| self.outbox_overdue) {
            writeln!(out, "outbox: {} events wait, since {since}; is a relay running?", self.outbox_waiting)?;
        }
        if let Some(seed) = self.seed {
            writeln!(out, "a sample; --seed {seed} chooses the same again")?;
        }
        let rows: u64 = self.compared.values().sum();
        let pace = |count: u64| count as f64 / self.seconds.max(0.001);
        writeln!(
            out,
            "{rows} documents and rows and {} events in {:.1} s ({:.0} and {:.0} a second)",
            self.events,
            self.seconds,
            pace(rows),
            pace(self.events)
        )
    }
}

fn list(out: &mut String, word: &str, findings: &Findings, most: usize) -> fmt::Result {
    for difference in findings.first.iter().take(most) {
        let Difference { place, id, path, expected, found } = difference;
        let value = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let path = if path.is_empty() { "(the whole)" } else { path };
        writeln!(out, "{word}: {place} {id} {path}: expected {}, found {}", value(expected), value(found))?;
    }
    let more = findings.total.saturating_sub(findings.first.len().min(most) as u64);
    if more > 0 { writeln!(out, "{word}: {more} more") } else { Ok(()) }
}
