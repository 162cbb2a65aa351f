//! Reads the event log for whoever folds it anew: streams by streams, each from its beginning, a page at a time.
//!
//! Positions in the log are handed out before commit, so nothing here goes by "position greater than the last". Streams are
//! walked in the order of their keys, and a stream is read by its versions, which have no gaps: a version that has committed has
//! all before it. A stream that begins behind the place where one is, while one walks, is not seen by that walk. Whoever needs it
//! learns of it elsewhere (from the outbox and the queues, or by walking again).

use super::{Database, store};
use crate::event::{Envelope, Stream, Unreadable};
use sea_orm::DbErr;
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// The most streams in one page; more are asked for in several.
const STREAMS: u32 = 2_000;

/// The most events in one page: an event has a few hundred bytes, a very large order some hundred kilobytes.
const EVENTS: i64 = 2_000;

/// A stream and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Whose queue its events travel through: the customer for users and orders, else the product.
    pub partition_key: Uuid,
    pub stream: Stream,
    /// The newest version that has committed.
    pub version: i64,
}

/// A part of a stream: the versions after `after`, up to and with `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub stream: Stream,
    pub after: i64,
    pub until: i64,
}

/// An event of the log.
#[derive(Debug)]
pub struct Recorded {
    pub stream: Stream,
    pub version: i64,
    /// The event, or why this version of orderflow cannot read it. The projector parks such a one.
    pub envelope: Result<Envelope, Unreadable>,
    /// The message as the relay sends it, if the event cannot be read; else nothing.
    pub message: Vec<u8>,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// PostgreSQL cannot be reached, or did not answer in time.
    #[error("the event log cannot be read: {0}")]
    Unavailable(DbErr),
    /// The log is not what it must be: a hole, or a row that names no stream. Nothing of ours can do that.
    #[error("the event log is damaged: {0}")]
    Damaged(String),
}

impl From<DbErr> for LogError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Custom(why) => Self::Damaged(why),
            other => Self::Unavailable(other),
        }
    }
}

/// The log, to be read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog(Database);

impl EventLog {
    pub fn new(database: &Database) -> Self {
        Self(database.clone())
    }

    /// The next streams after a place, by partition key, then kind, then id, with their present heads: at most `limit`, and at
    /// most 2,000. Fewer than that means the end.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn page(&self, after: Option<&Head>, limit: u32) -> Result<Vec<Head>, LogError> {
        Ok(store::heads_page(&self.0.0, after, None, limit.min(STREAMS)).await?)
    }

    /// The same within one partition key: a user and their orders, or a product and its stock.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn page_of(&self, partition_key: Uuid, after: Option<&Head>, limit: u32) -> Result<Vec<Head>, LogError> {
        Ok(store::heads_page(&self.0.0, after, Some(partition_key), limit.min(STREAMS)).await?)
    }

    /// About how many events there are: positions that were handed out and never used count too.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn size(&self) -> Result<i64, LogError> {
        Ok(store::log_size(&self.0).await?)
    }

    /// Whether nothing up to this position waits to be published.
    ///
    /// # Errors
    /// The outbox cannot be read.
    pub async fn published(&self, upto: i64) -> Result<bool, LogError> {
        Ok(store::published(&self.0, upto).await?)
    }

    /// How many streams there are.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn count(&self) -> Result<u64, LogError> {
        Ok(u64::try_from(store::count_streams(&self.0.0).await?).unwrap_or_default())
    }

    /// The first partition key, at or after `from`, of a stream of this kind.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn key_from(&self, kind: &str, from: Uuid) -> Result<Option<Uuid>, LogError> {
        Ok(store::key_from(&self.0.0, kind, from).await?)
    }

    /// The last partition key of a stream of this kind.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn last_key(&self, kind: &str) -> Result<Option<Uuid>, LogError> {
        Ok(store::last_key(&self.0.0, kind).await?)
    }

    /// The present heads of these streams; one that has no events is left out.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn heads(&self, streams: &[Stream]) -> Result<HashMap<Stream, i64>, LogError> {
        let mut heads = HashMap::with_capacity(streams.len());
        for streams in streams.chunks(STREAMS as usize) {
            heads.extend(store::heads(&self.0.0, streams).await?);
        }
        Ok(heads)
    }

    /// The events of a page of [`pages`]: stretch by stretch as given, in the order of versions, every version once.
    ///
    /// # Errors
    /// The log cannot be read, or has a hole.
    pub async fn read(&self, page: &[Stretch]) -> Result<Vec<Recorded>, LogError> {
        let recorded = store::stretches(&self.0.0, page).await?;
        let mut wanted = page.iter().flat_map(|part| (part.after + 1..=part.until).map(|version| (part.stream, version)));
        let whole = recorded.iter().all(|event| wanted.next() == Some((event.stream, event.version)));
        match wanted.next() {
            None if whole => Ok(recorded),
            next => {
                let near = next.or_else(|| recorded.last().map(|event| (event.stream, event.version)));
                let near = near.map_or_else(String::new, |(stream, version)| format!(" near version {version} of {stream}"));
                Err(LogError::Damaged(format!("a version is missing or there twice{near}")))
            }
        }
    }
}

/// Cuts streams into pages for [`EventLog::read`], each of at most 2,000 events: many short streams share one, a long one has
/// several. A stream's parts follow each other.
pub fn pages(streams: impl IntoIterator<Item = Stretch>) -> impl Iterator<Item = Vec<Stretch>> {
    let mut rest: VecDeque<Stretch> = streams.into_iter().filter(|part| part.after < part.until).collect();
    std::iter::from_fn(move || {
        let (mut page, mut room) = (Vec::new(), EVENTS);
        while room > 0 {
            let Some(part) = rest.front_mut() else { break };
            let until = part.until.min(part.after + room);
            page.push(Stretch { until, ..*part });
            room -= until - part.after;
            if until == part.until {
                rest.pop_front();
            } else {
                part.after = until;
            }
        }
        (!page.is_empty()).then_some(page)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::OrderId;

    fn order(id: u128) -> Stream {
        Stream::Order(OrderId(Uuid::from_u128(id)))
    }

    #[test]
    fn short_streams_share_a_page_and_a_long_one_has_several() {
        let whole = [(1, 3), (2, 4_500), (3, 0), (4, 5)].map(|(id, until)| Stretch { stream: order(id), after: 0, until });
        let cut: Vec<Vec<_>> =
            pages(whole).map(|page| page.into_iter().map(|part| (part.stream, part.after, part.until)).collect()).collect();
        assert_eq!(
            cut,
            [
                vec![(order(1), 0, 3), (order(2), 0, 1_997)],
                vec![(order(2), 1_997, 3_997)],
                vec![(order(2), 3_997, 4_500), (order(4), 0, 5)],
            ]
        );
    }
}
