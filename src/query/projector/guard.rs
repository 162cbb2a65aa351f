//! Holds projectors to the registry. Each generation has one guard a partition, a document in `guards`, that every transaction of
//! its projector changes and that every switch changes: of a batch and a switch that come together only one can commit, and the
//! batch that comes second finds that its generation is not what it thought.
//!
//! A guard also says how far its queue has come. A switch marks the queues (see `bus::Queues`); the guard has the mark when
//! everything before it has been projected, and is `clean` until something else has been.

use super::duty::Duty;
use crate::{
    bus::Batch,
    crash,
    query::store::{Store, StoreError, names, transact},
};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use std::collections::BTreeMap;

/// The partitions that a batch touches, and the mark that was in it, if one was.
pub type Marks = BTreeMap<i32, Option<Mark>>;

/// A mark of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    id: String,
    /// Nothing came after it in the same batch.
    clean: bool,
}

/// The generation is not what its projector believes. Nothing was written.
#[derive(Debug, Clone, Copy)]
pub struct Stale;

/// Whether a generation can be projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    Ready,
    Dropped,
}

/// What a batch says to the guards.
pub fn marks(batch: &Batch) -> Marks {
    let mut marks = Marks::new();
    for message in batch.0.iter().filter(|message| !message.is_probe()) {
        let here = marks.entry(i32::from(message.partition)).or_default();
        match (&message.mark, here) {
            (Some(id), here) => *here = Some(Mark { id: id.clone(), clean: true }),
            (None, Some(mark)) => mark.clean = false,
            (None, None) => {}
        }
    }
    marks
}

/// A part of a batch that says nothing of marks. What a replay has left waiting came from no partition of the broker; any guard
/// is good to hold a switch off.
pub fn of(partitions: impl IntoIterator<Item = i32>) -> Marks {
    partitions.into_iter().map(|partition| (partition.max(0), None)).collect()
}

/// Whether nothing was done because the generation is not what was believed of it.
pub fn is_stale(error: &StoreError) -> bool {
    error.get_custom::<Stale>().is_some()
}

fn id(generation: i32, partition: i32) -> String {
    format!("{generation}:{partition}")
}

/// Changes the guards of a batch, in its transaction.
///
/// # Errors
/// [`Stale`] in an error of the driver, when the generation is live and should not be, or the other way round.
pub async fn take(store: &Store, session: &mut ClientSession, duty: &Duty, marks: &Marks) -> Result<(), StoreError> {
    if !duty.guarded || marks.is_empty() {
        return Ok(());
    }
    let update = |(partition, mark): (&i32, &Option<Mark>)| {
        let mut set = doc! { "clean": mark.as_ref().is_some_and(|mark| mark.clean) };
        if let Some(mark) = mark {
            set.insert("mark", &mark.id);
        }
        let guard = doc! { "_id": id(store.generation(), *partition), "live": duty.live };
        // The count makes it a write whatever was there before, and so a conflict with whoever writes here too.
        doc! { "q": guard, "u": { "$inc": { "batches": 1_i64 }, "$set": set } }
    };
    let updates: Vec<Document> = marks.iter().map(update).collect();
    let command = doc! { "update": names::GUARDS, "updates": updates };
    let answer = store.database.run_command(command).session(session).await?;
    let found = answer.get_i32("n").unwrap_or_default();
    if usize::try_from(found).is_ok_and(|found| found == marks.len()) { Ok(()) } else { Err(StoreError::custom(Stale)) }
}

/// Makes the guards of this store's generation that are not there, unless it has been dropped.
pub async fn ready(store: &Store, partitions: u16) -> Result<Ready, StoreError> {
    let generation = store.generation();
    if !store.look().await?.ids().contains(&generation) {
        return Ok(Ready::Dropped);
    }
    let guards = store.collection::<Document>(names::GUARDS);
    if guards.count_documents(doc! { "generation": generation }).await? >= u64::from(partitions) {
        return Ok(Ready::Ready);
    }
    make(store, partitions).await?;
    Ok(Ready::Ready)
}

/// Makes the guards of this store's generation say what the registry says, whatever was there.
pub async fn make(store: &Store, partitions: u16) -> Result<(), StoreError> {
    let generation = store.generation();
    transact(store, |session| {
        let store = store.clone();
        Box::pin(async move {
            let live = store.is_live_in(session).await?;
            let guards = store.collection::<Document>(names::GUARDS);
            for partition in 0..i32::from(partitions) {
                let guard = doc! { "generation": generation, "partition": partition, "live": live, "clean": false };
                let update = doc! { "$set": guard, "$inc": { "batches": 1_i64 } };
                let filter = doc! { "_id": id(generation, partition) };
                guards.update_one(filter, update).upsert(true).session(&mut *session).await?;
            }
            Ok(())
        })
    })
    .await
}

/// How many partitions of a generation have come to a mark, and to nothing after it if they must be clean.
pub async fn marked(store: &Store, mark: &str, clean: bool) -> Result<u64, StoreError> {
    let mut filter = doc! { "generation": store.generation(), "mark": mark };
    if clean {
        filter.insert("clean", true);
    }
    store.collection::<Document>(names::GUARDS).count_documents(filter).await
}

/// Says of a generation on whose queues nobody works that it is at a mark. Whoever does anything to it afterwards, an operator or
/// a projector that has just been started, takes that back.
pub async fn mark_idle(store: &Store, mark: &str, partitions: u16) -> Result<(), StoreError> {
    ready(store, partitions).await?;
    let update = doc! { "$inc": { "batches": 1_i64 }, "$set": { "mark": mark, "clean": true } };
    let guards = store.collection::<Document>(names::GUARDS);
    let these = doc! { "generation": store.generation(), "partition": { "$lt": i32::from(partitions) } };
    guards.update_many(these, update).await.map(|_| ())
}

/// Makes `to` live in place of `from`, if all partitions of both are still at the mark and have come to nothing else. From the
/// commit on, no projector or operator that believed otherwise can commit.
pub async fn switch(store: &Store, from: i32, to: i32, mark: &str, partitions: u16) -> Result<bool, StoreError> {
    transact(store, |session| {
        let (store, mark) = (store.clone(), mark.to_owned());
        Box::pin(async move {
            let guards = store.collection::<Document>(names::GUARDS);
            let wanted = 2 * u64::from(partitions);
            let filter = doc! { "generation": { "$in": [from, to] }, "mark": &mark, "clean": true };
            if guards.count_documents(filter).session(&mut *session).await? != wanted {
                return Ok(false);
            }
            if !store.register_switch(session, from, to).await? {
                return Ok(false);
            }
            for (generation, live) in [(from, false), (to, true)] {
                let update = doc! { "$inc": { "batches": 1_i64 }, "$set": { "live": live, "clean": false } };
                guards.update_many(doc! { "generation": generation }, update).session(&mut *session).await?;
            }
            crash::point("switch-before-commit");
            Ok(true)
        })
    })
    .await
}

/// Removes the guards of a generation.
pub(in crate::query) async fn remove(store: &Store) -> Result<(), StoreError> {
    let guards = store.collection::<Document>(names::GUARDS);
    guards.delete_many(doc! { "generation": store.generation() }).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Received;

    #[test]
    fn a_part_of_a_batch_has_no_marks_and_only_partitions_of_the_broker() {
        assert_eq!(of([3, -2, 3]), Marks::from([(0, None), (3, None)]));
    }

    #[test]
    fn a_mark_is_clean_until_something_comes_after_it() {
        let message = |partition, mark: Option<&str>| Received::of(partition, mark);
        let probe = || message(0, Some("probe"));
        let batch = [message(0, None), message(0, Some("m")), message(1, Some("m")), message(1, None), message(2, None), probe()];
        let mark = |clean| Some(Mark { id: "m".into(), clean });
        assert_eq!(marks(&Batch(batch.into())), Marks::from([(0, mark(true)), (1, mark(false)), (2, None)]));
    }
}
