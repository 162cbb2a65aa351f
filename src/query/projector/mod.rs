//! The projector: takes a batch of events, folds it per document in memory, writes it in one transaction, and only then
//! acknowledges.
//!
//! A crash anywhere delivers the batch again, and versions tell what has been applied. Within a batch, partitions and streams do
//! not wait for each other: what cannot be applied goes to the waiting room and the rest goes on.

pub(in crate::query) mod fold_catalogue;
pub(in crate::query) mod fold_order;
mod load;
mod rename;
mod waiting;
pub(in crate::query) mod working_set;
mod write;

pub use waiting::{Reason, Waiting};

use super::{store::Store, view::date};
use crate::{
    bus::{self, Backoff, Batch, Consumer},
    clock::Clock,
    crash,
    event::Envelope,
    health::{Beat, PULSE},
    shutdown::Shutdown,
    value::Time,
};
use load::Touched;
use std::{collections::BTreeMap, sync::Arc};
use working_set::{Arrived, Verdict, WorkingSet};
use write::WaitingRoom;

/// Bounds of the projector.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bus: bus::Settings,
    /// The most events in one transaction.
    pub batch: u16,
}

/// Projects until the drain, connecting anew whenever something is lost.
pub async fn run(store: Store, settings: Settings, clock: Clock, beat: Beat, shutdown: Shutdown) {
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
    store.ping().await?;
    let mut consumer = Consumer::connect(&settings.bus, settings.batch).await?;
    loop {
        beat.beat(clock.now());
        let batch = tokio::select! {
            batch = consumer.next() => batch?,
            // Idle, or cut off: only the broker can tell.
            () = tokio::time::sleep(PULSE) => {
                consumer.ask().await?;
                continue;
            }
            () = shutdown.draining() => {
                consumer.leave().await;
                return Ok(());
            }
        };
        crash::point("batch-taken");
        if crash::planted("ack-before-effect") {
            consumer.ack(&batch).await?;
        }
        let (events, unreadable) = read(&batch, clock.now());
        rename::ahead(store, &events, clock).await?;
        project(store, Arc::new(events), Arc::new(unreadable), clock).await?;
        crash::point("before-ack");
        if !crash::planted("ack-before-effect") {
            consumer.ack(&batch).await?;
        }
        crash::point("after-ack");
        backoff.reset();
    }
}

/// Parses a batch; what cannot be read goes to the waiting room.
fn read(batch: &Batch, now: Time) -> (Vec<Arrived>, Vec<Waiting>) {
    let mut events = Vec::with_capacity(batch.0.len());
    let mut unreadable = Vec::new();
    for message in &batch.0 {
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

/// One transaction: load, fold, write.
async fn project(store: &Store, events: Arc<Vec<Arrived>>, unreadable: Arc<Vec<Waiting>>, clock: &Clock) -> Result<(), Lost> {
    let tally = super::store::transact(store, |session| {
        let (store, events, unreadable, now) = (store.clone(), Arc::clone(&events), Arc::clone(&unreadable), clock.now());
        Box::pin(async move {
            let streams = Touched::by(events.iter().cloned()).streams;
            let held = load::waiting(&store, session, &streams).await?;
            let touched = Touched::by(events.iter().cloned().chain(held.iter().filter_map(Waiting::arrived)));
            let mut set = load::load(&store, session, &touched).await?;
            let mut room = WaitingRoom { entered: unreadable.as_ref().clone(), left: Vec::new() };
            let tally = fold(&mut set, &mut room, &events, held, now);
            write::write(&store, session, &set, &room).await?;
            Ok(tally)
        })
    })
    .await?;
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
