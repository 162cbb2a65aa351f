//! The projector: takes a batch of events, folds it per document in memory, writes it in one transaction, and only then
//! acknowledges.
//!
//! A crash anywhere delivers the batch again, and versions tell what has been applied. Within a batch, partitions and streams do
//! not wait for each other: what cannot be applied goes to the waiting room and the rest goes on.

mod duty;
mod fold_catalogue;
mod fold_order;
mod generations;
mod guard;
mod load;
mod rename;
pub(super) mod replay;
mod waiting;
mod working_set;
mod write;

pub use duty::{Fold, MOST_WAITING};
pub use generations::{keep_known, run};
pub(super) use guard::{marked, remove as remove_guards, switch};
pub use waiting::{Reason, Waiting};

use super::{
    store::{Store, StoreError},
    view::date,
};
use crate::{
    bus::{self, Backoff, Batch, Consumer},
    clock::Clock,
    event::Envelope,
    health::Beat,
    shutdown::Shutdown,
    value::Time,
};
use duty::Duty;
use guard::Marks;
use load::Touched;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use working_set::{Arrived, Verdict, WorkingSet};
use write::WaitingRoom;

/// Bounds of the projector.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bus: bus::Settings,
    /// The most events in one transaction.
    pub batch: u16,
    /// How this process folds; it projects the generations of this fold.
    pub fold: Fold,
}

/// Projects one generation until the drain or until it is dropped, connecting anew whenever something is lost.
pub(super) async fn run_one(store: Store, settings: Settings, clock: Clock, beat: Beat, shutdown: Shutdown) {
    let mut backoff = Backoff::default();
    while !shutdown.is_draining() {
        let lost = project_until_lost(&store, &settings, &clock, &beat, &mut backoff, &shutdown).await;
        let Err(error) = lost else { return };
        let wait = backoff.pause();
        tracing::warn!(%error, retry_in_ms = wait.as_millis(), "the projector lost its way and starts anew");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.draining() => return,
        }
    }
}

type Lost = Box<dyn std::error::Error + Send + Sync>;

async fn project_until_lost(
    store: &Store,
    settings: &Settings,
    clock: &Clock,
    beat: &Beat,
    backoff: &mut Backoff,
    shutdown: &Shutdown,
) -> Result<(), Lost> {
    // Found out before the broker gives us events that we could not project.
    let Some(mut duty) = duty::learn(store, settings.fold).await? else { return Ok(()) };
    let mut consumer = Consumer::connect(&settings.bus, store.generation(), settings.batch).await?;
    if guard::ready(store, settings.bus.partitions).await? == guard::Ready::Dropped {
        // While we connected, which has made its queues again.
        generations::remove_queues(&settings.bus, store.generation()).await?;
        return Ok(());
    }
    loop {
        // Readiness asks for the view that people see.
        if duty.live {
            beat.beat(clock.now());
        }
        let batch = tokio::select! {
            batch = consumer.next() => batch?,
            // Idle: the link lives, or its heartbeat would have ended it.
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                // Without events nobody would tell us that another generation is live.
                let Some(now) = duty::learn(store, settings.fold).await? else { return Ok(()) };
                duty = now;
                continue;
            }
            () = shutdown.draining() => {
                consumer.leave().await;
                return Ok(());
            }
        };
        let (events, unreadable) = read(&batch, clock.now());
        let (events, unreadable, marks) = (Arc::new(events), Arc::new(unreadable), Arc::new(guard::marks(&batch)));
        while let Err(error) = work(store, &duty, &events, &unreadable, &marks, clock).await {
            // Another generation is live than we thought. Nothing was written.
            if error.get_custom::<guard::Stale>().is_none() {
                return Err(error.into());
            }
            let Some(now) = duty::learn(store, settings.fold).await? else { return Ok(()) };
            if now.live == duty.live {
                // We were right, and the guards are missing or wrong: somebody has had a hand in the database.
                guard::make(store, settings.bus.partitions).await?;
            }
            duty = now;
        }
        consumer.ack(&batch).await?;
        backoff.reset();
    }
}

/// Parses a batch; what cannot be read goes to the waiting room.
fn read(batch: &Batch, now: Time) -> (Vec<Arrived>, Vec<Waiting>) {
    let mut events = Vec::with_capacity(batch.0.len());
    let mut unreadable = Vec::new();
    for message in batch.0.iter().filter(|message| message.mark.is_none()) {
        let partition = i32::from(message.partition);
        let published_at = message.published_at.map_or(now, |ms| date::from_bson(mongodb::bson::DateTime::from_millis(ms)));
        match Envelope::from_json(&message.body) {
            Ok(envelope) => events.push(Arrived { envelope, partition, published_at }),
            Err(error) => {
                tracing::error!(%error, partition, "an event cannot be read and is parked");
                unreadable.push(Waiting::unreadable(&message.body, error.to_string(), partition, published_at, now));
            }
        }
    }
    (events, unreadable)
}

async fn work(
    store: &Store,
    duty: &Duty,
    events: &Arc<Vec<Arrived>>,
    unreadable: &Arc<Vec<Waiting>>,
    marks: &Arc<Marks>,
    clock: &Clock,
) -> Result<(), StoreError> {
    rename::ahead(store, duty, events, clock).await?;
    project(store, duty, events, unreadable, marks, clock).await
}

/// One transaction: load, fold, write.
async fn project(
    store: &Store,
    duty: &Duty,
    events: &Arc<Vec<Arrived>>,
    unreadable: &Arc<Vec<Waiting>>,
    marks: &Arc<Marks>,
    clock: &Clock,
) -> Result<(), StoreError> {
    let tally = super::store::transact(store, |session| {
        let (store, events, unreadable, now) = (store.clone(), Arc::clone(events), Arc::clone(unreadable), clock.now());
        let (duty, marks) = (*duty, Arc::clone(marks));
        Box::pin(async move {
            guard::take(&store, session, &duty, &marks).await?;
            let streams = Touched::by(events.iter().cloned()).streams;
            let held = load::waiting(&store, session, &streams).await?;
            let touched = Touched::by(events.iter().cloned().chain(held.iter().filter_map(Waiting::arrived)));
            let mut set = load::load(&store, session, &touched, &duty).await?;
            let mut room = WaitingRoom { entered: unreadable.as_ref().clone(), left: Vec::new() };
            let tally = fold(&mut set, &mut room, &events, held, now);
            write::write(&store, session, &set, &room).await?;
            Ok(tally)
        })
    })
    .await?;
    if !duty.live {
        return Ok(());
    }
    metrics::counter!("orderflow_projector_events_total", "verdict" => "applied").increment(tally.applied);
    metrics::counter!("orderflow_projector_events_total", "verdict" => "duplicate").increment(tally.duplicate);
    metrics::counter!("orderflow_projector_events_total", "verdict" => "waiting").increment(tally.waiting);
    metrics::histogram!("orderflow_projector_batch_size").record(events.len() as f64);
    let now = clock.now();
    if let Some(oldest) = events.iter().map(|e| e.envelope.meta.recorded_at).min() {
        metrics::histogram!("orderflow_projector_lag_seconds").record((now - oldest).as_seconds_f64().max(0.0));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    applied: u64,
    duplicate: u64,
    waiting: u64,
}

/// Applies events in the order of their arrival, and after each what has waited for it.
fn fold(set: &mut WorkingSet, room: &mut WaitingRoom, events: &[Arrived], held: Vec<Waiting>, now: Time) -> Tally {
    let mut tally = Tally::default();
    let mut held: BTreeMap<(String, i64), Waiting> = held.into_iter().map(|w| ((w.stream.clone(), w.version), w)).collect();
    for arrived in events {
        let meta = &arrived.envelope.meta;
        match set.apply(arrived, now) {
            Verdict::Applied => {
                tally.applied += 1;
                let (stream, mut next) = (meta.stream.to_string(), meta.version + 1);
                // It may have been parked before, unreadable or too early; it has come whole now.
                room.left.extend(held.remove(&(stream.clone(), meta.version)).map(|waited| waited.id));
                while let Some(waited) = held.remove(&(stream.clone(), next)) {
                    let applied = waited.arrived().is_some_and(|early| set.apply(&early, now) == Verdict::Applied);
                    if !applied {
                        break;
                    }
                    room.left.push(waited.id);
                    tally.applied += 1;
                    next += 1;
                }
            }
            Verdict::Duplicate => tally.duplicate += 1,
            Verdict::Gap => {
                tally.waiting += 1;
                let cause = format!("version {} came while the view has {}", meta.version, set.version(meta.stream));
                tracing::warn!(stream = %meta.stream, cause, "an event came early and waits");
                let waiting = Waiting::event(arrived, Reason::Gap, cause, now);
                held.insert((waiting.stream.clone(), waiting.version), waiting.clone());
                room.entered.push(waiting);
            }
            Verdict::Refused(why) => {
                tally.waiting += 1;
                tracing::error!(stream = %meta.stream, version = meta.version, why, "an event cannot be folded and is parked");
                room.entered.push(Waiting::event(arrived, Reason::Poison, why, now));
            }
        }
    }
    // What came early and was reached within the same batch never needs the room.
    room.entered.retain(|waiting| !room.left.contains(&waiting.id));
    tally
}
