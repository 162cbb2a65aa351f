//! Does in one generation what an operator has decided in another. What they decide is about an event, and every generation has
//! that event: it must not matter in which of them somebody was told about it first.
//!
//! A discard is on record for all generations, so it is enough to try again what it is about (`parking` skips it then). A message
//! that belongs to no stream is on record as well; it is thrown away here if the live generation has it no more. If it has come
//! there again, after somebody threw it away, it is news in both.

use super::{
    batch::{Task, Work},
    hands::Hands,
    skip::{self, Discarded},
    waiting::{self, STRAYS},
};
use crate::query::store::{Store, StoreError, answer, names};
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Records compared with the waiting room in one piece.
const CHUNK: usize = 1_000;

impl Hands {
    /// Goes on with every stream here that waits for an event which has been discarded, and throws away strays that were.
    ///
    /// # Errors
    /// The driver's.
    pub async fn honour(&self) -> Result<(), StoreError> {
        let places: Vec<String> =
            skip::discarded(&self.store).await?.into_iter().map(|(stream, version)| waiting::key(stream, version)).collect();
        let mut streams = BTreeSet::new();
        for ids in places.chunks(CHUNK) {
            streams.extend(rows(&self.store, ids).await?.into_iter().map(|row| row.stream));
        }
        for stream in streams {
            self.retry(&stream).await?;
        }
        self.throw_strays_away().await
    }

    async fn throw_strays_away(&self) -> Result<(), StoreError> {
        let records = self.store.collection::<Discarded>(names::DISCARDS);
        let thrown = doc! { "skips": false, "stream": STRAYS };
        let thrown: Vec<Discarded> = answer(async { records.find(thrown).await?.try_collect().await }).await?;
        let ids: Vec<String> = thrown.into_iter().filter_map(|record| Some(record.id.strip_suffix("/message")?.into())).collect();
        let live = self.store.of(self.store.look().await?.live.id);
        for ids in ids.chunks(CHUNK) {
            let here = rows(&self.store, ids).await?;
            if here.is_empty() {
                continue;
            }
            let there: BTreeSet<String> = rows(&live, ids).await?.into_iter().map(|row| row.id).collect();
            let ids: Vec<String> = here.into_iter().map(|row| row.id).filter(|id| !there.contains(id)).collect();
            if !ids.is_empty() {
                self.patiently(Work { task: Task::Strays { ids, discard: None }, ..Work::default() }).await?;
            }
        }
        Ok(())
    }
}

/// What waits here under these ids: ids and streams, without the messages.
async fn rows(store: &Store, ids: &[String]) -> Result<Vec<Row>, StoreError> {
    let waiting = store.collection::<Row>(names::WAITING);
    let find = waiting.find(doc! { "_id": { "$in": ids } }).projection(doc! { "stream": 1 });
    answer(async { find.await?.try_collect().await }).await
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    id: String,
    stream: String,
}
