//! One transaction of the projector: load what a piece of work touches, fold it in memory, write all of it or nothing. What
//! projectors do with a batch and operators with a parked event is the same transaction, so the same guards hold.

use super::{
    duty::Duty,
    guard::{self, Marks},
    load::{self, Touched},
    parking::Lanes,
    room::WaitingRoom,
    skip::{Discard, Discarded, Skipped},
    strays::Strays,
    waiting::{STRAYS, Waiting},
    working_set::{Arrived, Verdict, WorkingSet},
    write,
};
use crate::{
    clock::Clock,
    event::Stream,
    query::{
        store::{Spoilt, Store, StoreError, transact},
        view::Cause,
    },
    value::Time,
};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// An event with the message that it came in.
#[derive(Debug, Clone)]
pub struct Message {
    pub arrived: Arrived,
    pub body: Vec<u8>,
}

/// What one transaction is to do.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// In the order of their arrival.
    pub messages: Vec<Message>,
    /// What came and cannot be read.
    pub unreadable: Vec<Waiting>,
    /// What it says to the guards of the partitions that it touches; nothing where there are none.
    pub marks: Marks,
    pub task: Task,
}

/// What it is for.
#[derive(Debug, Clone, Default)]
pub enum Task {
    /// Apply what has come.
    #[default]
    Project,
    /// Park the one message, which has failed alone again and again. `mark`: whether the document can be written at all.
    Condemn { why: String, mark: bool },
    /// Apply what waits of a stream, the first `most` events as far as it goes; after having set the given version aside, if one
    /// is given.
    Reopen { stream: Stream, partition: i32, most: usize, discard: Option<(i64, Discard)> },
    /// Apply these messages, which were strays under these ids; or throw the strays away.
    Strays { ids: Vec<String>, discard: Option<Discard> },
}

impl Work {
    /// Every stream of it.
    pub fn streams(&self) -> BTreeSet<Stream> {
        let events = self.messages.iter().map(|message| message.arrived.envelope.meta.stream);
        let asked = if let Task::Reopen { stream, .. } = &self.task { Some(*stream) } else { None };
        events.chain(self.unreadable.iter().filter_map(|waiting| waiting.stream.parse().ok())).chain(asked).collect()
    }

    /// Every partition that it comes from.
    pub fn partitions(&self) -> impl Iterator<Item = i32> + '_ {
        let events = self.messages.iter().map(|message| message.arrived.partition);
        let asked = if let Task::Reopen { partition, .. } = &self.task { Some(*partition) } else { None };
        events.chain(self.unreadable.iter().map(|waiting| waiting.partition)).chain(asked)
    }

    /// The partition of a stream of it: a key is always in the same one.
    pub fn partition_of(&self, stream: Stream) -> Option<i32> {
        let asked = match &self.task {
            Task::Reopen { stream: asked, partition, .. } if *asked == stream => Some(*partition),
            _ => None,
        };
        let events = self.messages.iter().map(|message| &message.arrived).filter(|event| event.envelope.meta.stream == stream);
        let name = stream.to_string();
        let unreadable = self.unreadable.iter().filter(|waiting| waiting.stream == name).map(|waiting| waiting.partition);
        asked.or_else(|| events.map(|event| event.partition).chain(unreadable).next())
    }

    /// The versions of a stream that have come and can be read.
    pub fn versions_of(&self, stream: Stream) -> impl Iterator<Item = i64> + '_ {
        let metas = self.messages.iter().map(|message| &message.arrived.envelope.meta);
        metas.filter(move |meta| meta.stream == stream).map(|meta| meta.version)
    }

    /// What belongs to no stream.
    pub fn strays(&self) -> impl Iterator<Item = &Waiting> {
        self.unreadable.iter().filter(|waiting| waiting.stream == STRAYS)
    }

    /// The ids of strays that stay no longer.
    pub fn found(&self) -> impl Iterator<Item = &str> {
        let ids = if let Task::Strays { ids, .. } = &self.task { ids.as_slice() } else { &[] };
        ids.iter().map(String::as_str)
    }
}

/// What became of it.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub applied: u64,
    pub duplicate: u64,
    pub waiting: u64,
    /// Whether a wished discard was carried out.
    pub discarded: bool,
}

/// Runs the work in one transaction. `tail` bounds what waits of each stream.
///
/// The guards come first, before anything is read. Every batch of a partition writes its guard, so of an operator and a projector
/// one loses the race now and waits a moment, and not its whole transaction at its end, again and again under load.
///
/// # Errors
/// The driver's, that the fold panicked, or that the generation is not what was believed of it (`guard::is_stale`). Nothing has
/// happened then.
pub async fn attempt(store: &Store, duty: &Duty, work: &Arc<Work>, tail: usize, clock: &Clock) -> Result<Tally, StoreError> {
    transact(store, |session| {
        let (store, duty, work, now) = (store.clone(), *duty, Arc::clone(work), clock.now());
        Box::pin(async move {
            guard::take(&store, session, &duty, &work.marks).await?;
            let mut lanes = Lanes::load(&store, session, &duty, &work, tail).await?;
            let strays = Strays::load(&store, session, &work, tail).await?;
            let mut set = load::load(&store, session, &touched(&work, &lanes), &duty).await?;
            let mut room = WaitingRoom::default();
            // A panic is a bug that one event has found. It must not take down all the others, again after each restart.
            let folded = catch_unwind(AssertUnwindSafe(|| fold(&mut set, &mut lanes, &mut room, &work, now)));
            let tally =
                folded.map_err(|_| StoreError::custom(Spoilt("the fold of this event panicked, which is a bug".into())))?;
            lanes.settle(&set, &mut room, now);
            strays.settle(&work, &mut room, now);
            if matches!(work.task, Task::Condemn { mark: false, .. }) {
                room.marks.clear();
            }
            write::write(&store, session, &set, &room).await?;
            Ok(tally)
        })
    })
    .await
}

fn touched(work: &Work, lanes: &Lanes) -> Touched {
    let come = work.messages.iter().map(|message| &message.arrived);
    let come = come.filter(|arrived| lanes.closed(arrived.envelope.meta.stream).is_none()).cloned();
    let mut touched = Touched::by(come.chain(lanes.loaded()));
    for waiting in &work.unreadable {
        if let Some(stream) = waiting.stream.parse().ok().filter(|stream| lanes.closed(*stream).is_none()) {
            touched.stream(stream, waiting.partition);
        }
    }
    if let Task::Reopen { stream, partition, .. } = &work.task {
        touched.stream(*stream, *partition);
    }
    touched
}

/// Applies events in the order of their arrival, and after each what has waited for it.
fn fold(set: &mut WorkingSet, lanes: &mut Lanes, room: &mut WaitingRoom, work: &Work, now: Time) -> Tally {
    let mut tally = Tally::default();
    if let Task::Reopen { stream, discard: Some((version, wish)), .. } = &work.task {
        tally.discarded = discard(set, lanes, room, (*stream, *version), wish, now);
    }
    for stream in work.streams() {
        // Nothing is loaded of a closed lane, so nothing of it is applied.
        tally.applied += lanes.drain(stream, set, now);
    }
    for Message { arrived, body } in &work.messages {
        let meta = &arrived.envelope.meta;
        let (stream, version) = (meta.stream, meta.version);
        let closed = lanes.closed(stream);
        let have = closed.map_or_else(|| set.version(stream), |next| next - 1);
        let verdict = match (&work.task, closed) {
            (Task::Condemn { why, .. }, _) => {
                lanes.blame(stream, Waiting::event(arrived, body, Cause::Unwritable, why.clone(), now), have);
                tally.waiting += 1;
                continue;
            }
            (_, Some(next)) if version < next => Verdict::Duplicate,
            (_, Some(_)) => Verdict::Gap,
            (_, None) => lanes.discards.apply(arrived, set, now),
        };
        match verdict {
            Verdict::Applied => tally.applied += 1 + lanes.drain(stream, set, now),
            Verdict::Duplicate => tally.duplicate += 1,
            Verdict::Gap => {
                tally.waiting += 1;
                let cause = format!("version {version} came while the view has {have}");
                tracing::warn!(%stream, cause, "an event came early and waits");
                lanes.enter(stream, Waiting::event(arrived, body, Cause::Early, cause, now), have);
            }
            Verdict::Refused(why) => {
                tally.waiting += 1;
                tracing::error!(%stream, version, why, "an event cannot be folded and is parked");
                lanes.blame(stream, Waiting::event(arrived, body, Cause::Refused, why, now), have);
            }
        }
    }
    for waiting in &work.unreadable {
        tally.waiting += 1;
        let Ok(stream) = waiting.stream.parse::<Stream>() else { continue };
        let have = lanes.closed(stream).map_or_else(|| set.version(stream), |next| next - 1);
        // Its version may have been reached long ago, by the same event whole: then nothing is missing.
        if waiting.version > have {
            lanes.enter(stream, waiting.clone(), have);
            if lanes.closed(stream).is_none() && lanes.discards.has(stream, waiting.version) {
                tally.applied += lanes.drain(stream, set, now);
            }
        }
    }
    tally
}

fn discard(
    set: &mut WorkingSet,
    lanes: &mut Lanes,
    room: &mut WaitingRoom,
    (stream, version): (Stream, i64),
    wish: &Discard,
    now: Time,
) -> bool {
    let Some(waiting) = lanes.event(stream, version).cloned() else { return false };
    let is_next = matches!(stream, Stream::Stock(_)) || version == set.version(stream) + 1;
    if is_next {
        let skipped = Skipped::waiting(stream, &waiting);
        if !skipped.is_some_and(|skipped| set.skip(&skipped, now)) {
            return false;
        }
    } else {
        lanes.drop_row(stream, version, room);
    }
    room.discards.push(Discarded::new(&waiting, is_next, wish, now));
    true
}
