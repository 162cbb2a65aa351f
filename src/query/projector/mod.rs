//! The projector: takes a batch of events, folds it per document in memory, writes it in one transaction, and only then
//! acknowledges.
//!
//! A crash anywhere delivers the batch again, and versions tell what has been applied. Within a batch, partitions and streams do
//! not wait for each other: what cannot be applied goes to the waiting room and the rest goes on. The rules for what waits are
//! told in [`parking`], those for single events that spoil a batch in [`isolate`], and those for discarded ones in [`skip`].

mod batch;
mod caretaker;
mod duty;
pub(in crate::query) mod fold_catalogue;
pub(in crate::query) mod fold_order;
mod generations;
mod guard;
mod hands;
mod honour;
mod isolate;
mod load;
mod operator;
mod parking;
mod partition;
mod rename;
pub(super) mod replay;
mod room;
mod signs;
mod skip;
mod strays;
mod waiting;
mod watch;
pub(in crate::query) mod working_set;
mod write;

pub use caretaker::look_after_queues;
pub use duty::Fold;
pub use generations::{keep_known, run};
pub(super) use guard::{mark_idle, marked, remove as remove_guards, switch};
pub(super) use hands::heads;
pub use operator::{Group, Operator, Retried, SetAside, stream_named};
pub use room::Head;
pub use skip::{Discard, Discarded, Skipped, discarded};
pub use waiting::{Reason, STRAYS, Waiting};
pub use watch::watch;

use super::{
    store::{Store, StoreError},
    view::date,
};
use crate::{
    bus::{self, Backoff, Batch, Consumer, Received},
    clock::Clock,
    crash,
    event::Envelope,
    health::{Beat, PULSE},
    shutdown::Shutdown,
    value::Time,
};
use batch::{Message, Tally, Work};
use duty::Duty;
use signs::Signs;
use std::sync::Arc;
use working_set::Arrived;

/// Bounds of the projector.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bus: bus::Settings,
    /// The most events in one transaction.
    pub batch: u16,
    /// The most events that wait behind a parked one; what comes beyond is taken from the log when its turn has come.
    pub tail: usize,
    /// The most messages that may wait in the queues of a generation that is not live. One that has fallen further behind is
    /// given up: its queues share the broker's disk with those that matter, and past their bound publishing is refused for all.
    pub behind: u64,
    /// The events of the log that a rebuild folds in one batch, give or take a few. It has two such batches in memory.
    pub replay: usize,
    /// How this process folds; it projects the generations of this fold.
    pub fold: Fold,
}

/// Projects one generation until the drain or until it is dropped, connecting anew whenever something is lost.
pub(super) async fn run_one(store: Store, settings: Settings, clock: Clock, beat: Beat, shutdown: Shutdown) {
    let (mut backoff, mut signs) = (Backoff::default(), Signs::new(beat, clock.clone()));
    while !shutdown.is_draining() {
        let lost = project_until_lost(&store, &settings, &clock, &mut signs, &mut backoff, &shutdown).await;
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
    signs: &mut Signs,
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
        let mut batch = tokio::select! {
            batch = consumer.next() => batch?,
            // Idle, or cut off: only the broker can tell.
            () = tokio::time::sleep(PULSE) => {
                consumer.ask().await?;
                // Without events nobody would tell us that another generation is live.
                let Some(now) = duty::learn(store, settings.fold).await? else { return Ok(()) };
                duty = now;
                signs.idle(duty.live);
                continue;
            }
            () = shutdown.draining() => {
                consumer.leave().await;
                return Ok(());
            }
        };
        if batch.0.iter().all(Received::is_probe) {
            consumer.ack(&batch).await?;
            continue;
        }
        crash::point("batch-taken");
        if crash::planted("ack-before-effect") {
            consumer.ack(&batch).await?;
        }
        let work = Arc::new(read(&mut batch, clock.now()));
        let projected = project(store, settings, &mut duty, &work, clock).await.inspect_err(|_| signs.failed());
        let Some(tally) = projected? else { return Ok(()) };
        // What nobody sees yet, or any more, is no work of the shop's, and late by nature.
        if duty.live {
            let oldest = work.messages.iter().map(|message| message.arrived.envelope.meta.recorded_at).min();
            report(&tally, batch.0.len(), oldest, clock);
        }
        crash::point("before-ack");
        if !crash::planted("ack-before-effect") {
            consumer.ack(&batch).await?;
        }
        crash::point("after-ack");
        signs.done(duty.live);
        backoff.reset();
    }
}

/// Projects a batch, also when another generation is live than we thought; nothing when this one is there no more.
async fn project(
    store: &Store,
    settings: &Settings,
    duty: &mut Duty,
    work: &Arc<Work>,
    clock: &Clock,
) -> Result<Option<Tally>, StoreError> {
    loop {
        match isolate::project(store, duty, work, settings.tail, clock).await {
            // What of the batch was projected before is known by its version.
            Err(error) if guard::is_stale(&error) => {
                let Some(now) = duty::learn(store, settings.fold).await? else { return Ok(None) };
                if now.live == duty.live {
                    // We were right, and the guards are missing or wrong: somebody has had a hand in the database.
                    guard::make(store, settings.bus.partitions).await?;
                }
                *duty = now;
            }
            done => return done.map(Some),
        }
    }
}

/// Parses a batch; what cannot be read goes to the waiting room, and marks of a switch to the guards.
fn read(batch: &mut Batch, now: Time) -> Work {
    let mut work = Work { messages: Vec::with_capacity(batch.0.len()), marks: guard::marks(batch), ..Work::default() };
    for message in batch.0.iter_mut().filter(|message| message.mark.is_none()) {
        let body = std::mem::take(&mut message.body);
        let partition = i32::from(message.partition);
        let published_at = message.published_at.map_or(now, |ms| date::from_bson(mongodb::bson::DateTime::from_millis(ms)));
        match Envelope::from_json(&body) {
            Ok(envelope) => {
                let arrived = Arrived { envelope, partition, published_at };
                work.messages.push(Message { arrived, body });
            }
            Err(error) => {
                let waiting = Waiting::unreadable(&body, &error, partition, published_at, now);
                tracing::error!(id = waiting.id, cause = waiting.cause, partition, "an event cannot be read and is parked");
                work.unreadable.push(waiting);
            }
        }
    }
    work
}

/// Says in the metrics what became of a batch.
fn report(tally: &Tally, size: usize, oldest: Option<Time>, clock: &Clock) {
    metrics::counter!("orderflow_projector_events_total", "verdict" => "applied").increment(tally.applied);
    metrics::counter!("orderflow_projector_events_total", "verdict" => "duplicate").increment(tally.duplicate);
    metrics::counter!("orderflow_projector_events_total", "verdict" => "waiting").increment(tally.waiting);
    metrics::histogram!("orderflow_projector_batch_size").record(size as f64);
    if let Some(oldest) = oldest {
        metrics::histogram!("orderflow_projector_lag_seconds").record((clock.now() - oldest).as_seconds_f64().max(0.0));
    }
}
