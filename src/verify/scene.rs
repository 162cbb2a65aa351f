//! What is looked at in one step: some customers and products, with all of their streams.

use super::{Findings, Verifier, VerifyError};
use crate::{
    command::{BookFold, Entry, Head, Recorded, Stretch, differences, pages},
    difference::Difference,
    event::{Envelope, Stream},
    query::audit::{CustomerFold, Glance, places},
    value::UserId,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The most differences that are remembered of one customer or product; all are counted.
const KEPT: usize = 50;

/// What was found about one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// What is wrong, whatever comes next.
    pub wrong: Findings,
    /// The streams that the read model has not got as far as the log had them: how far, and how far the log goes.
    pub behind: BTreeMap<Stream, (i64, i64)>,
}

impl Default for Found {
    fn default() -> Self {
        Self { wrong: Findings::keeping(KEPT), behind: BTreeMap::new() }
    }
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.wrong.total == 0 && self.behind.is_empty()
    }

    /// What is behind, said as differences.
    pub fn missing(&self) -> impl Iterator<Item = Difference> + '_ {
        self.behind.iter().map(|(stream, (have, head))| {
            let (place, path) = match stream {
                Stream::User(_) => (places::USERS, "version"),
                Stream::Product(_) => (places::PRODUCTS, "version"),
                Stream::Stock(_) => (places::PRODUCTS, "stockVersion"),
                Stream::Order(_) => (places::ORDERS, "version"),
            };
            match have {
                0 => Difference::new(place, stream.id(), "", Some(json!({ path: head })), None),
                have => Difference::new(place, stream.id(), path, Some((*head).into()), Some((*have).into())),
            }
        })
    }
}

/// One step.
pub(super) struct Scene {
    /// The streams with the heads that they had when the step began.
    pub heads: HashMap<Stream, i64>,
    /// Whose queue their events travel through.
    pub keys: HashMap<Stream, Uuid>,
    /// How far the log is known to go: no less than that.
    known: HashMap<Stream, i64>,
    pub glance: Glance,
    pub customers: HashMap<UserId, CustomerFold>,
    found: BTreeMap<Uuid, Found>,
}

impl Scene {
    pub fn new(heads: &[Head], glance: Glance) -> Self {
        let keys = heads.iter().map(|head| (head.stream, head.partition_key)).collect();
        let heads: HashMap<Stream, i64> = heads.iter().map(|head| (head.stream, head.version)).collect();
        Self { known: heads.clone(), heads, keys, glance, customers: HashMap::new(), found: BTreeMap::new() }
    }

    pub fn head(&self, stream: Stream) -> i64 {
        self.heads.get(&stream).copied().unwrap_or(0)
    }

    pub fn known(&self, stream: Stream) -> i64 {
        self.known.get(&stream).copied().unwrap_or(0)
    }

    pub fn wrong(&mut self, key: Uuid, differences: impl IntoIterator<Item = Difference>) {
        let mut differences = differences.into_iter().peekable();
        if differences.peek().is_some() {
            self.found.entry(key).or_default().wrong.extend(differences);
        }
    }

    /// Notes that a document has a stream only so far, unless it is parked there.
    pub fn expect(&mut self, key: Uuid, stream: Stream, have: i64) {
        let head = self.head(stream);
        if have < head && !self.glance.is_parked(stream, have) {
            self.found.entry(key).or_default().behind.insert(stream, (have, head));
        }
    }

    /// Compares a row of the write side with the fold of its stream.
    pub fn compare_row(&mut self, key: Uuid, stream: Stream, track: &BookTrack) {
        match &track.unreadable {
            // That it waits for an operator is told already.
            Some((version, _)) if self.glance.is_parked(stream, version - 1) => {}
            Some((version, why)) => {
                let path = format!("version {version}");
                self.wrong(key, [Difference::new("postgresql.event_log", stream, &path, None, Some(why.as_str().into()))]);
            }
            None => self.wrong(key, differences(stream, track.entry.as_ref(), track.row.as_ref())),
        }
    }

    pub fn into_found(self) -> BTreeMap<Uuid, Found> {
        self.found
    }
}

/// A row of the write side, and the fold of its stream up to the row's version.
pub(super) struct BookTrack {
    pub fold: BookFold,
    pub entry: Option<Entry>,
    row: Option<Value>,
    unreadable: Option<(i64, String)>,
}

impl BookTrack {
    pub fn new(stream: Stream, entry: Option<Entry>) -> Self {
        Self { fold: BookFold::new(stream), entry, row: None, unreadable: None }
    }

    /// The next event; gives it in the form that the read side's folds take.
    pub fn step<'a>(
        &mut self,
        recorded: &'a Recorded,
        balance: Option<&mut crate::command::Balance>,
    ) -> Result<&'a Envelope, String> {
        let envelope = match &recorded.envelope {
            Ok(envelope) => {
                self.fold.step(envelope, balance);
                Ok(envelope)
            }
            Err(why) => {
                self.unreadable.get_or_insert_with(|| (recorded.version, why.to_string()));
                Err(why.to_string())
            }
        };
        if self.entry.as_ref().is_some_and(|entry| entry.version == recorded.version) {
            self.row = self.fold.row();
        }
        envelope
    }
}

/// How far streams must be folded, and their rows.
pub(super) struct Staged {
    pub rows: HashMap<Stream, Entry>,
    targets: Vec<(Stream, i64)>,
}

impl Staged {
    /// Everything from the beginning up to the targets.
    pub fn stretches(&self) -> Vec<Stretch> {
        self.targets.iter().map(|(stream, until)| Stretch { stream: *stream, after: 0, until: *until }).collect()
    }
}

impl Verifier {
    /// Reads the rows of these streams, and how far to fold: as far as anybody has come, and no farther than the log. Call it
    /// when the documents have been read: what they have seen is then in the log.
    pub(super) async fn stage(
        &self,
        scene: &mut Scene,
        streams: &[Stream],
        document: impl Fn(Stream) -> i64,
    ) -> Result<Staged, VerifyError> {
        let rows = self.books.entries(streams).await?;
        let seen = |scene: &Scene, stream: Stream| {
            let row = rows.get(&stream).map_or(0, |row| row.version);
            document(stream).max(scene.glance.version(stream)).max(row)
        };
        let ahead: Vec<Stream> = streams.iter().copied().filter(|stream| seen(scene, *stream) > scene.known(*stream)).collect();
        if !ahead.is_empty() {
            scene.known.extend(self.log.heads(&ahead).await?);
        }
        let target = |stream: &Stream| (*stream, seen(scene, *stream).min(scene.known(*stream)).max(scene.head(*stream)));
        let targets = streams.iter().map(target).collect();
        Ok(Staged { rows, targets })
    }

    /// Reads stretches of the log, page by page.
    pub(super) async fn each(&self, stretches: Vec<Stretch>, mut take: impl FnMut(&Recorded)) -> Result<u64, VerifyError> {
        let mut events = 0;
        for page in pages(stretches) {
            let recorded = self.log.read(&page).await?;
            events += recorded.len() as u64;
            recorded.iter().for_each(&mut take);
        }
        Ok(events)
    }
}
