//! The log, in batches, into a generation. While one batch is written the next is read; no more than two are in memory.

use crate::{
    command::{Database, EventLog, Head, LogError, Stretch, pages},
    crash,
    event::{Envelope, Stream},
    query::rebuild::{Job, RebuildError, Unreadable, Works},
};
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// Streams asked for at once; no more than a batch has events.
const STREAMS: u32 = 2_000;

pub async fn all(database: &Database, works: &Works, generation: i32, job: &Job<'_>) -> Result<(), RebuildError> {
    let mut log = Batches::of(database, works.settings.replay);
    let mut next = log.next().await?;
    while let Some(batch) = next {
        let events = batch.len();
        let (read, written) = tokio::join!(log.next(), works.replay(generation, batch.events, batch.unreadable));
        written?;
        crash::point("rebuild-replaying");
        job.more(i64::try_from(events).unwrap_or_default());
        next = read?;
    }
    Ok(())
}

#[derive(Default)]
struct Batch {
    events: Vec<Envelope>,
    unreadable: Vec<Unreadable>,
}

impl Batch {
    fn len(&self) -> usize {
        self.events.len() + self.unreadable.len()
    }
}

struct Batches {
    log: EventLog,
    /// Events in a batch, give or take a page of the log. Each of the replay's lanes makes one transaction of its part.
    size: usize,
    place: Option<Head>,
    /// Pages of the streams at hand, and the keys of those.
    pages: VecDeque<Vec<Stretch>>,
    keys: HashMap<Stream, Uuid>,
    ended: bool,
}

impl Batches {
    fn of(database: &Database, size: usize) -> Self {
        let (pages, keys) = (VecDeque::new(), HashMap::new());
        Self { log: EventLog::new(database), size, place: None, pages, keys, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Batch>, RebuildError> {
        self.read().await.map_err(|error| RebuildError::Log(error.to_string()))
    }

    async fn read(&mut self) -> Result<Option<Batch>, LogError> {
        let mut batch = Batch::default();
        while batch.len() < self.size {
            let Some(page) = self.page().await? else { break };
            for recorded in self.log.read(&page).await? {
                match recorded.envelope {
                    Ok(envelope) => batch.events.push(envelope),
                    Err(error) => {
                        let partition_key = self.keys.get(&recorded.stream).copied().unwrap_or_default();
                        let (stream, version, message) = (recorded.stream, recorded.version, recorded.message);
                        batch.unreadable.push(Unreadable { partition_key, stream, version, error, message });
                    }
                }
            }
        }
        Ok((batch.len() > 0).then_some(batch))
    }

    async fn page(&mut self) -> Result<Option<Vec<Stretch>>, LogError> {
        while self.pages.is_empty() && !self.ended {
            let streams = u32::try_from(self.size).unwrap_or(STREAMS).clamp(1, STREAMS);
            let heads = self.log.page(self.place.as_ref(), streams).await?;
            self.ended = heads.len() < streams as usize;
            self.place = heads.last().copied();
            self.keys = heads.iter().map(|head| (head.stream, head.partition_key)).collect();
            let whole = heads.iter().map(|head| Stretch { stream: head.stream, after: 0, until: head.version });
            self.pages = pages(whole.collect::<Vec<_>>()).collect();
        }
        Ok(self.pages.pop_front())
    }
}
