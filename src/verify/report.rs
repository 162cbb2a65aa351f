//! What a comparison has found: for people as text, for programs as JSON.

use crate::{difference::Difference, query::audit::Parked, value::Time};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use time::format_description::well_known::Rfc3339;

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

    fn shown(mut self, most: usize, values: bool) -> Self {
        self.first.truncate(most);
        let first = self.first.into_iter().map(|difference| if values { difference } else { difference.masked() }).collect();
        Self { first, ..self }
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

    /// The same with at most so many differences of each kind, and, unless wanted, without the values of personal fields.
    #[must_use]
    pub fn shown(self, most: usize, values: bool) -> Self {
        Self { differences: self.differences.shown(most, values), unsettled: self.unsettled.shown(most, values), ..self }
    }

    /// Whether it ends in doubt: nothing is wrong, but not everything could be said.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled.total > 0 || self.outbox_overdue
    }

    fn outbox(&self) -> Option<String> {
        let since = self.outbox_since.filter(|_| self.outbox_overdue)?;
        Some(format!("outbox: {} events wait, since {}; is a relay running?", self.outbox_waiting, told(since)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "differs", &self.differences)?;
        list(f, "unsettled", &self.unsettled)?;
        writeln!(f, "{:<28} {:>12} {:>12} {:>12}", "", "compared", "differences", "unsettled")?;
        let columns = [&self.compared, &self.differences.by_place, &self.unsettled.by_place];
        let places: BTreeSet<_> = columns.iter().flat_map(|column| column.keys()).collect();
        for place in places {
            let [compared, differences, unsettled] = columns.map(|column| column.get(place).copied().unwrap_or(0));
            writeln!(f, "{place:<28} {compared:>12} {differences:>12} {unsettled:>12}")?;
        }
        for Parked { kind, streams, since } in &self.parked {
            let what = match kind.as_str() {
                "stock" => "stock levels".to_owned(),
                "unreadable" => "messages that nobody can read".to_owned(),
                kind => format!("{kind}s"),
            };
            writeln!(f, "parked: {streams} {what}, since {}", told(*since))?;
        }
        if let Some(outbox) = self.outbox() {
            writeln!(f, "{outbox}")?;
        }
        if let Some(seed) = self.seed {
            writeln!(f, "a sample: --seed {seed} chooses the same again")?;
        }
        let rows: u64 = self.compared.values().sum();
        let [rows_a_second, events_a_second] = [rows, self.events].map(|count| count as f64 / self.seconds.max(0.001));
        let (events, seconds) = (self.events, self.seconds);
        writeln!(
            f,
            "{rows} documents and rows ({rows_a_second:.0}/s) against {events} events ({events_a_second:.0}/s) in {seconds:.1} s"
        )
    }
}

fn told(at: Time) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

fn list(f: &mut fmt::Formatter<'_>, word: &str, findings: &Findings) -> fmt::Result {
    let told = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    for Difference { place, id, path, expected, found } in &findings.first {
        let path = if path.is_empty() { "(the whole)" } else { path };
        writeln!(f, "{word}: {place} {id} {path}: expected {}, found {}", told(expected), told(found))?;
    }
    let more = findings.total.saturating_sub(findings.first.len() as u64);
    if more > 0 { writeln!(f, "{word}: {more} more") } else { Ok(()) }
}
