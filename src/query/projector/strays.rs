//! Messages that do not even say which stream they belong to. They hold up nobody, and nobody may lose them unseen: each waits
//! under a digest of itself, all under one heading, until an operator has looked at it or a newer binary can read it.

use super::{
    batch::{Task, Work},
    load,
    room::{Head, WaitingRoom},
    skip::Discarded,
    waiting::{STRAYS, Waiting},
};
use crate::{
    query::{
        store::{Store, StoreError, names},
        view::Cause,
    },
    value::Time,
};
use mongodb::{ClientSession, bson::doc};
use std::collections::BTreeSet;

/// The heading, and those of this batch that wait already.
#[derive(Debug, Default)]
pub struct Strays {
    head: Option<Head>,
    known: Vec<Waiting>,
    tail: usize,
}

impl Strays {
    pub async fn load(store: &Store, session: &mut ClientSession, work: &Work, tail: usize) -> Result<Self, StoreError> {
        let ids: BTreeSet<&str> = work.strays().map(|stray| stray.id.as_str()).chain(work.found()).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let head = load::find::<Head>(store, session, names::PARKED, doc! { "_id": STRAYS }, None).await?.pop();
        let known = load::find(store, session, names::WAITING, doc! { "_id": { "$in": load::texts(&ids) } }, None).await?;
        Ok(Self { head, known, tail })
    }

    /// Takes in those that are new, and lets go of those that were found to be something.
    pub fn settle(self, work: &Work, room: &mut WaitingRoom, now: Time) {
        let mut head = self.head.clone().unwrap_or_else(|| Head {
            stream: STRAYS.to_owned(),
            cause: Cause::Unreadable,
            detail: "messages that are no events of ours".to_owned(),
            next: 0,
            kind: None,
            partition: 0,
            since: now,
            waiting: 0,
            missing: None,
        });
        let mut seen: BTreeSet<&str> = self.known.iter().map(|waiting| waiting.id.as_str()).collect();
        for stray in work.strays() {
            if !seen.insert(&stray.id) {
                continue;
            }
            if usize::try_from(head.waiting).is_ok_and(|waiting| waiting < self.tail) {
                head.waiting += 1;
                room.entered.push(stray.clone());
            } else {
                tracing::error!(id = stray.id, cause = stray.cause, "too many unreadable messages wait; this one is dropped");
                metrics::counter!("orderflow_parked_dropped_total").increment(1);
                head.missing = Some((1, head.missing.map_or(0, |(_, upto)| upto) + 1));
            }
        }
        let gone: BTreeSet<&str> = work.found().collect();
        for waiting in self.known.iter().filter(|waiting| gone.contains(waiting.id.as_str())) {
            head.waiting -= 1;
            room.left.push(waiting.id.clone());
            if let Task::Strays { discard: Some(wish), .. } = &work.task {
                room.discards.push(Discarded::new(waiting, false, wish, now));
            }
        }
        if head.waiting <= 0 {
            room.gone.extend(self.head.map(|head| head.stream));
        } else if self.head.as_ref() != Some(&head) {
            room.heads.push(head);
        }
    }
}
