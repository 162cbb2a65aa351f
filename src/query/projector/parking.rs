//! Which streams stand still, and why: the collection `parked`, one document a stream, beside the events themselves in
//! `waiting`.
//!
//! - **One look tells.** Nearly always none of a batch's streams is in `parked`, and that is all that the projector reads of it.
//!   Of a stream that is, neither document nor waiting events are loaded while they cannot be used: a parked hot aggregate
//!   costs a few index keys a batch, not its whole tail.
//! - **Everybody who moves a parked stream writes its document here**: who lets an event wait behind it, and who lets the tail
//!   go. So of a projector and an operator's retry that meet, one loses the race for it, and looks again. Without that, an event
//!   could sit down behind a tail that has just left.
//! - **The room is bounded** by a number of events for each stream. What does not fit is not kept, only noted (`missing`): the
//!   event log has it, and `orderflow parked retry` has it sent again when its turn has come. Strays, which no log has, are
//!   bounded by the same number; beyond it they are counted and dropped, with an error in the log.

use super::{
    batch::{Task, Work},
    duty::Duty,
    load,
    room::{Head, WaitingRoom},
    skip::Discards,
    waiting::{Reason, Waiting, diagnosis},
    working_set::{Arrived, Verdict, WorkingSet},
};
use crate::{
    event::Stream,
    query::{
        store::{Store, StoreError, names},
        view::{Cause, Parked},
    },
    value::Time,
};
use mongodb::{ClientSession, bson::doc};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// An event in the waiting room.
#[derive(Debug)]
struct Row {
    /// Whether the room has it already.
    known: bool,
    /// Whether it must be written.
    fresh: bool,
    poison: bool,
    /// Left out while nothing can come of it.
    event: Option<Waiting>,
}

/// One stream of a batch, as far as it stands still.
#[derive(Debug, Default)]
pub struct Lane {
    head: Option<Head>,
    rows: BTreeMap<i64, Row>,
    missing: Option<(i64, i64)>,
    partition: i32,
    /// Whether something may come of it now, so that document and events are loaded.
    open: bool,
    /// The version of the document, where it is known without the document.
    have: Option<i64>,
}

/// All lanes of a batch.
#[derive(Debug, Default)]
pub struct Lanes {
    streams: BTreeMap<Stream, Lane>,
    /// Events kept for each stream at most.
    tail: usize,
    /// As far as they may come here.
    pub discards: Discards,
}

#[derive(Deserialize)]
struct Place {
    stream: Stream,
    version: i64,
    reason: Reason,
}

impl Lanes {
    pub async fn load(
        store: &Store,
        session: &mut ClientSession,
        duty: &Duty,
        work: &Work,
        tail: usize,
    ) -> Result<Self, StoreError> {
        let mut this = Self { tail, ..Self::default() };
        let which = doc! { "_id": { "$in": load::texts(&work.streams()) } };
        let heads = load::find::<Head>(store, session, names::PARKED, which, None).await?;
        for head in heads {
            let Ok(stream) = head.stream.parse::<Stream>() else { continue };
            let (partition, missing) = (head.partition, head.missing);
            this.streams.insert(stream, Lane { head: Some(head), missing, partition, ..Lane::default() });
        }
        // What was discarded is past in the live generation, unless something stands still there. Another may have it before it.
        if !duty.live || !this.streams.is_empty() {
            this.discards = Discards::load(store, session).await?;
        }
        if !this.streams.is_empty() {
            this.load_rows(store, session, work).await?;
        }
        if let Task::Condemn { .. } = &work.task {
            this.condemn(work);
        }
        Ok(this)
    }

    async fn load_rows(&mut self, store: &Store, session: &mut ClientSession, work: &Work) -> Result<(), StoreError> {
        let behind = |streams: &BTreeSet<Stream>| doc! { "stream": { "$in": load::texts(streams) } };
        let all: BTreeSet<Stream> = self.streams.keys().copied().collect();
        // Exactly what the index has, so that no event is read.
        let fields = doc! { "_id": 0, "stream": 1, "version": 1, "reason": 1 };
        for place in load::find::<Place>(store, session, names::WAITING, behind(&all), Some(fields)).await? {
            let row = Row { known: true, fresh: false, poison: place.reason == Reason::Poison, event: None };
            self.streams.entry(place.stream).or_default().rows.insert(place.version, row);
        }
        for (stream, lane) in &mut self.streams {
            let next = lane.head.as_ref().map_or(1, |head| head.next);
            lane.open = lane.may_move(*stream, work) || self.discards.has(*stream, next);
            lane.have = (!lane.open).then_some(next - 1);
        }
        let open: BTreeSet<Stream> = self.streams.iter().filter(|(_, lane)| lane.open).map(|(stream, _)| *stream).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut which = behind(&open);
        if let Task::Reopen { stream, most, .. } = &work.task
            && let Some(beyond) = self.streams.get(stream).and_then(|lane| lane.rows.keys().nth(*most))
        {
            which.insert("version", doc! { "$lt": *beyond });
        }
        for mut event in load::find::<Waiting>(store, session, names::WAITING, which, None).await? {
            let Ok(stream) = event.stream.parse::<Stream>() else { continue };
            if event.partition < 0 {
                // Left by a replay, see `partition`.
                event.partition = work.partition_of(stream).unwrap_or(event.partition);
            }
            if let Some(row) = self.streams.get_mut(&stream).and_then(|lane| lane.rows.get_mut(&event.version)) {
                row.event = Some(event);
            }
        }
        Ok(())
    }

    /// Nothing is loaded of a stream whose event has failed again and again: that may be what fails.
    fn condemn(&mut self, work: &Work) {
        let Some(message) = work.messages.first() else { return };
        let meta = &message.arrived.envelope.meta;
        let lane = self.streams.entry(meta.stream).or_default();
        lane.open = false;
        lane.have = Some(lane.head.as_ref().map_or(meta.version, |head| head.next) - 1);
    }

    /// The version that a stream waits for, if it stands still whatever this batch brings.
    pub fn closed(&self, stream: Stream) -> Option<i64> {
        self.streams.get(&stream)?.have.map(|have| have + 1)
    }

    /// The waiting events that may be applied.
    pub fn loaded(&self) -> impl Iterator<Item = Arrived> + '_ {
        let open = self.streams.values().filter(|lane| lane.open);
        open.flat_map(|lane| lane.rows.values()).filter_map(|row| row.event.as_ref()?.arrived())
    }

    /// Lets an event wait. One that waits already stays as it is, unless it was no good and this one is.
    pub fn enter(&mut self, stream: Stream, waiting: Waiting, have: i64) {
        let (tail, version, poison) = (self.tail, waiting.version, waiting.reason == Reason::Poison);
        let lane = self.streams.entry(stream).or_default();
        lane.partition = waiting.partition;
        let known = match lane.rows.get(&version) {
            Some(row) if poison || !row.poison => return,
            Some(row) => row.known,
            // The one that is next is always kept: it says why all the others wait.
            None if lane.rows.len() >= tail && version != have + 1 => {
                let (from, upto) = lane.missing.unwrap_or((version, version));
                lane.missing = Some((from.min(version), upto.max(version)));
                return;
            }
            None => false,
        };
        lane.rows.insert(version, Row { known, fresh: true, poison, event: Some(waiting) });
    }

    /// Says of an event that is next, and waits or comes now, that it cannot be applied.
    pub fn blame(&mut self, stream: Stream, waiting: Waiting, have: i64) {
        match self.streams.get_mut(&stream).and_then(|lane| lane.rows.get_mut(&waiting.version)) {
            Some(row) if row.poison => {}
            Some(row) => *row = Row { fresh: true, poison: true, event: Some(waiting), ..*row },
            None => self.enter(stream, waiting, have),
        }
    }

    /// Applies what has waited and can be applied now, in order; says how much that was.
    pub fn drain(&mut self, stream: Stream, set: &mut WorkingSet, now: Time) -> u64 {
        let Some(lane) = self.streams.get_mut(&stream) else { return 0 };
        let mut applied = 0;
        while let Some(row) = lane.blocker(stream, set.version(stream)) {
            let Some(event) = &mut row.event else { break };
            if self.discards.skip(stream, event, set, now) {
                applied += 1;
                continue;
            }
            let verdict = event.read().map(|early| set.apply(&early, now));
            let (cause, why) = match verdict {
                Ok(Verdict::Applied) => {
                    applied += 1;
                    continue;
                }
                Ok(Verdict::Refused(why)) => (Cause::Refused, why),
                Ok(Verdict::Gap | Verdict::Duplicate) => break,
                Err(error) => diagnosis(&error),
            };
            row.poison = true;
            row.fresh |= event.blame(cause, why);
            break;
        }
        applied
    }

    /// A waiting event, if it is loaded.
    pub fn event(&self, stream: Stream, version: i64) -> Option<&Waiting> {
        self.streams.get(&stream)?.rows.get(&version)?.event.as_ref()
    }

    /// Takes a message out of the room whose version has not come.
    pub fn drop_row(&mut self, stream: Stream, version: i64, room: &mut WaitingRoom) {
        let row = self.streams.get_mut(&stream).and_then(|lane| lane.rows.remove(&version));
        room.left.extend(row.map(|_| super::waiting::key(stream, version)));
    }

    /// Says what the batch has made of all lanes.
    pub fn settle(self, set: &WorkingSet, room: &mut WaitingRoom, now: Time) {
        for (stream, lane) in self.streams {
            let have = lane.have.unwrap_or_else(|| set.version(stream));
            lane.settle(stream, have, room, now);
        }
    }
}

impl Lane {
    /// Whether something can come of this stream in this batch.
    fn may_move(&self, stream: Stream, work: &Work) -> bool {
        let Some(head) = &self.head else { return true };
        let asked = matches!(&work.task, Task::Reopen { stream: asked, .. } if *asked == stream);
        // Left over by a retry that was killed between two chunks.
        let left_over = self.rows.get(&head.next).is_some_and(|row| !row.poison);
        let absolute = matches!(stream, Stream::Stock(_));
        asked || left_over || work.versions_of(stream).any(|version| version == head.next || (absolute && version > head.next))
    }

    /// The event that is next: of stock, whose levels are absolute, the first that is newer.
    fn blocker(&mut self, stream: Stream, have: i64) -> Option<&mut Row> {
        match stream {
            Stream::Stock(_) => self.rows.range_mut(have + 1..).next().map(|(_, row)| row),
            _ => self.rows.get_mut(&(have + 1)),
        }
    }

    fn settle(mut self, stream: Stream, have: i64, room: &mut WaitingRoom, now: Time) {
        let rest = self.rows.split_off(&(have + 1));
        // What has been reached needs no room.
        let reached = std::mem::replace(&mut self.rows, rest);
        let known = reached.into_iter().filter(|(_, row)| row.known);
        room.left.extend(known.map(|(version, _)| super::waiting::key(stream, version)));
        let missing = self.missing.filter(|(_, upto)| *upto > have);
        self.missing = missing.map(|(from, upto)| (from.max(have + 1), upto));

        let was = self.head.take();
        let now_is = (!self.rows.is_empty() || self.missing.is_some()).then(|| self.describe(stream, have, was.as_ref(), now));
        room.entered.extend(self.rows.into_values().filter(|row| row.fresh).filter_map(|row| row.event));
        let mark = |head: &Option<Head>| {
            let head = head.as_ref().filter(|head| head.cause.is_poison());
            head.map(|head| Parked { since: head.since, cause: head.cause })
        };
        if mark(&was) != mark(&now_is) {
            room.marks.push((stream, mark(&now_is)));
        }
        match now_is {
            None => room.gone.extend(was.map(|head| head.stream)),
            Some(head) if was.as_ref() != Some(&head) => room.heads.push(head),
            Some(_) => {}
        }
    }

    fn describe(&mut self, stream: Stream, have: i64, was: Option<&Head>, now: Time) -> Head {
        let (missing, waiting, partition) = (self.missing, self.rows.len() as i64, self.partition);
        let same = was.filter(|head| head.next == have + 1);
        let (cause, detail, kind) = match (self.blocker(stream, have), same) {
            (Some(Row { event: Some(event), .. }), _) => (event.code, event.cause.clone(), event.kind()),
            // It was not looked at, so nothing is new about it.
            (Some(_), Some(head)) => (head.cause, head.detail.clone(), head.kind.clone()),
            (None, _) if missing.is_some_and(|(from, _)| from == have + 1) => {
                (Cause::Missing, format!("version {} was not kept here; the event log has it", have + 1), None)
            }
            (Some(_), None) => (Cause::Early, "what waits can go on, and does with the next event or a retry".into(), None),
            (None, _) => (Cause::Early, format!("version {} has not come yet", have + 1), None),
        };
        let since = same.filter(|head| head.cause.is_poison() == cause.is_poison()).map_or(now, |head| head.since);
        Head { stream: stream.to_string(), cause, detail, next: have + 1, kind, partition, since, waiting, missing }
    }
}
