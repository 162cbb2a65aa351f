//! The outbox relay: publishes committed events with confirms, in order per partition key.
//!
//! A batch is one transaction: take the shard's turn, read, publish, wait for the confirms, delete what was confirmed, commit.
//! Dying anywhere in it publishes some events again and loses none; readers know duplicates by their version. Any number of
//! relays may run, and the turn goes to whoever is free, unless somebody holds all of them for a moment (`pause`). All must be
//! configured with the same number of shards: another number means other turns, and two relays could then publish one key's
//! events at once.
//!
//! Events go in the order of their positions, the oldest first. After an outage a fresh event waits for all that waits before it,
//! and for no more: the backlog is bounded, what is committed meanwhile comes behind, and the projector takes from all partitions
//! in turn, so that one long queue does not hold up the others. While the broker refuses (a queue is full: the read side is away)
//! the oldest are tried again after a pause, and what comes behind more than a batch of refused ones waits with them. The hash
//! fills the queues alike, so a refusal means that nearly all are full.

use super::{
    Database,
    store::{self, Pending},
};
use crate::{
    bus::{self, Backoff, Outgoing, Publisher},
    clock::Clock,
    crash,
    health::{Beat, PULSE},
    shutdown::Shutdown,
    value::Time,
};
use sea_orm::TransactionTrait;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long a batch may take; the broker's confirms alone may take half of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bounds of the relay.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bus: bus::Settings,
    /// Parts of the outbox that can be relayed at the same time.
    pub shards: u32,
    /// The most events in one transaction.
    pub batch: u32,
    /// How often to look without having been woken: the net under lost notifications, and the turn of a relay that waits for its.
    pub sweep: Duration,
}

/// Starts one supervised task a shard, and one that hears of the commits of other processes.
pub fn start(database: &Database, settings: &Settings, clock: &Clock, wake: &Arc<Notify>, beat: &Beat, shutdown: &Shutdown) {
    for shard in 0..settings.shards.max(1) {
        let relay = Relay {
            database: database.clone(),
            settings: settings.clone(),
            clock: clock.clone(),
            wake: Arc::clone(wake),
            beat: beat.clone(),
            shard,
        };
        let draining = shutdown.clone();
        shutdown.supervise("relay", relay.run(draining));
    }
    shutdown.supervise("relay listener", listen(database.clone(), Arc::clone(wake), shutdown.clone()));
}

struct Relay {
    database: Database,
    settings: Settings,
    clock: Clock,
    wake: Arc<Notify>,
    beat: Beat,
    shard: u32,
}

impl Relay {
    async fn run(self, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        while !shutdown.is_draining() {
            let lost = tokio::select! {
                lost = self.relay_until_lost(&mut backoff, &shutdown) => lost,
                () = shutdown.draining() => return,
            };
            let Err(error) = lost else { return };
            let wait = backoff.pause();
            tracing::warn!(%error, shard = self.shard, retry_in_ms = wait.as_millis(), "the relay lost its way and starts anew");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.draining() => return,
            }
        }
    }

    async fn relay_until_lost(
        &self,
        backoff: &mut Backoff,
        shutdown: &Shutdown,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let publisher = Publisher::connect(&self.settings.bus).await?;
        let mut asked = Instant::now();
        loop {
            // Registered before looking, so that a commit between looking and waiting still wakes.
            let mut woken = std::pin::pin!(self.wake.notified());
            let looked = Instant::now();
            // Silence on the wire is no state to stay in: everything begins anew, with other connections.
            let done = tokio::time::timeout(PATIENCE, self.pump(&publisher)).await.map_err(|_| "nothing came for too long")??;
            if let Pumped::Refused(refused) = done {
                // No beat, for nothing moves as it should; and the queues need time, not more of the same.
                backoff.reset();
                let wait = backoff.pause();
                let retry_in_ms = wait.as_millis();
                // Many times a second; the counter and the age of the outbox are what operators look at.
                tracing::debug!(refused, shard = self.shard, retry_in_ms, "the broker refused events: a queue is full");
                tokio::time::sleep(wait).await;
                continue;
            }
            // An outbox that is empty, or another's turn, says nothing about the broker.
            if asked.elapsed() > PULSE {
                publisher.ask().await?;
                asked = Instant::now();
            }
            backoff.reset();
            self.beat.beat(self.clock.now());
            if done == Pumped::Full && !shutdown.is_draining() {
                continue;
            }
            if shutdown.is_draining() {
                return Ok(());
            }
            while looked.elapsed() < self.settings.sweep {
                tokio::select! {
                    () = &mut woken => break,
                    () = tokio::time::sleep(self.settings.sweep.saturating_sub(looked.elapsed()).min(PULSE)) => {}
                    () = shutdown.draining() => return Ok(()),
                }
                if asked.elapsed() >= PULSE {
                    publisher.ask().await?;
                    asked = Instant::now();
                    self.beat.beat(self.clock.now());
                }
            }
        }
    }

    async fn pump(&self, publisher: &Publisher) -> Result<Pumped, Box<dyn std::error::Error + Send + Sync>> {
        let tx = self.database.0.begin().await?;
        if !store::try_shard(&tx, self.shard, self.settings.shards.max(1)).await? {
            tx.rollback().await?;
            return Ok(Pumped::NotMine);
        }
        let mut pending = store::read_shard(&tx, self.shard, self.settings.shards.max(1), self.settings.batch).await?;
        if crash::planted("cursor-that-skips") {
            let behind = crash::behind_cursor(pending.iter().map(|event| event.position));
            pending.retain(|event| !behind.contains(&event.position));
            store::remove(&tx, behind).await?;
        }
        if pending.is_empty() {
            tx.rollback().await?;
            return Ok(Pumped::Some);
        }
        let full = pending.len() >= self.settings.batch as usize;
        crash::point("before-publish");
        if crash::planted("mark-before-confirm") {
            store::remove(&tx, pending.iter().map(|event| event.position).collect()).await?;
            tx.commit().await?;
            publisher.publish(messages(&pending, &self.clock)).await?;
            return Ok(if full { Pumped::Full } else { Pumped::Some });
        }
        let taken = publisher.publish(messages(&pending, &self.clock)).await?;
        crash::point("after-confirm");
        let (confirmed, refused) = in_order(&pending, &taken);
        metrics::counter!("orderflow_relay_published_total").increment(confirmed.len() as u64);
        crash::move_cursor(confirmed.iter().copied());
        store::remove(&tx, confirmed).await?;
        crash::point("before-outbox-commit");
        tx.commit().await?;
        crash::point("after-outbox-commit");
        if refused > 0 {
            metrics::counter!("orderflow_relay_refused_total").increment(refused as u64);
            if refused == pending.len() {
                // Connecting anew also makes queues that somebody has deleted.
                return Err(format!("the broker refused all of {refused} events: the queues are full or missing").into());
            }
            return Ok(Pumped::Refused(refused));
        }
        Ok(if full { Pumped::Full } else { Pumped::Some })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pumped {
    /// Another relay has the turn.
    NotMine,
    Some,
    /// There may be more.
    Full,
    /// The broker took some, and not so many, because a queue is full.
    Refused(usize),
}

fn messages(pending: &[Pending], clock: &Clock) -> Vec<Outgoing> {
    let published_at = i64::try_from(clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let message = |p: &Pending| Outgoing {
        id: p.meta.id.to_string(),
        kind: p.kind.clone().into(),
        partition_key: p.meta.partition_key,
        traceparent: p.meta.traceparent.clone(),
        published_at,
        body: p.body.clone(),
    };
    pending.iter().map(message).collect()
}

/// The positions that may be forgotten. After a refusal nothing later of the same key counts, though it was taken: it must follow
/// the refused one once more, and readers will know it.
fn in_order(pending: &[Pending], taken: &[bool]) -> (Vec<i64>, usize) {
    let mut held = HashSet::new();
    let mut confirmed = Vec::with_capacity(pending.len());
    let mut refused = 0;
    for (event, taken) in pending.iter().zip(taken) {
        let key = event.meta.partition_key;
        if !taken {
            refused += 1;
            held.insert(key);
        } else if !held.contains(&key) {
            confirmed.push(event.position);
        }
    }
    (confirmed, refused)
}

/// Turns notifications of PostgreSQL into wake-ups. Losing some is harmless: the relay sweeps.
async fn listen(database: Database, wake: Arc<Notify>, shutdown: Shutdown) {
    let mut backoff = Backoff::default();
    while !shutdown.is_draining() {
        let hearing = async {
            let mut listener = store::listener(&database).await?;
            backoff.reset();
            loop {
                listener.recv().await?;
                wake.notify_waiters();
                wake.notify_one();
            }
        };
        let lost: Result<(), sea_orm::SqlxError> = tokio::select! {
            lost = hearing => lost,
            () = shutdown.draining() => return,
        };
        if let Err(error) = lost {
            tracing::warn!(%error, "the relay hears no notifications and relies on its sweep");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = shutdown.draining() => return,
        }
    }
}

/// Reports the backlog as metrics, and to `readyz`, until the drain.
pub async fn watch_backlog(database: Database, clock: Clock, shutdown: Shutdown) {
    // A gauge needs no more.
    let mut tick = tokio::time::interval(Duration::from_secs(2));
    while !shutdown.is_draining() {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.draining() => return,
        }
        if let Ok((waiting, since)) = store::backlog(&database).await {
            metrics::gauge!("orderflow_outbox_waiting").set(waiting as f64);
            let age = since.map_or(0.0, |since| (clock.now() - since).as_seconds_f64());
            metrics::gauge!("orderflow_outbox_oldest_seconds").set(age.max(0.0));
        }
        if let Ok(open) = store::oldest_transaction(&database).await {
            let age = open.map_or(0.0, |open| open.open_for.as_secs_f64());
            metrics::gauge!("orderflow_postgresql_oldest_transaction_seconds").set(age);
        }
    }
}

/// Since when the oldest unpublished event waits; nothing when the database does not answer.
pub async fn oldest_unpublished(database: &Database) -> Option<Option<Time>> {
    store::backlog(database).await.ok().map(|(_, since)| since)
}
