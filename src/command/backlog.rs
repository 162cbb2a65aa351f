//! How many committed events wait to be published, and whether there is room for more.
//!
//! While the broker is away events wait in the outbox, and it must not grow for ever: PostgreSQL shares its disk with everything
//! that has been acknowledged. At the bound new commands are refused with [`Fault::Backlog`](super::Fault::Backlog), which says
//! that nothing was done; what became of earlier ones is still told.
//!
//! It is a count and not an age: how long the broker has been away says nothing about how much more there is room for, and a
//! single event that is stuck is no reason to close the shop. Its age is what readiness and a gauge are for.

use super::{Database, store};
use crate::shutdown::Shutdown;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often the outbox is counted. In between this process adds what it commits, so the bound can be overrun by what other
/// processes commit in this time, and by nothing else.
const LOOK: Duration = Duration::from_millis(500);

/// How long counting may take; silence on the wire ends it as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The backlog as this process knows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backlog(Arc<Known>);

#[derive(Debug)]
struct Known {
    waiting: AtomicU64,
    most: u64,
}

impl Backlog {
    /// With room for `most` events. Somebody must [`watch`](Self::watch) it, or it only grows.
    pub fn bounded(most: u64) -> Self {
        Self(Arc::new(Known { waiting: AtomicU64::new(0), most }))
    }

    /// Without a bound, for commands of the command line: whoever loads a shop sees its disk, and may start the relay afterwards.
    pub fn unbounded() -> Self {
        Self::bounded(u64::MAX)
    }

    /// How many events wait, if there is no room for more.
    pub fn full(&self) -> Option<u64> {
        let waiting = self.0.waiting.load(Ordering::Relaxed);
        (waiting >= self.0.most).then_some(waiting)
    }

    /// Adds what was just committed.
    pub(super) fn grew(&self, events: usize) {
        self.0.waiting.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Counts again and again until the drain. While PostgreSQL does not answer the last count stands; commands fail then anyway.
    pub async fn watch(self, database: Database, shutdown: Shutdown) {
        // A count need not go further than the bound.
        let most = i64::try_from(self.0.most).unwrap_or(i64::MAX);
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !shutdown.is_draining() {
            tokio::select! {
                _ = tick.tick() => {}
                () = shutdown.draining() => return,
            }
            if let Ok(Ok(waiting)) = tokio::time::timeout(PATIENCE, store::waiting(&database, most)).await {
                self.0.waiting.store(u64::try_from(waiting).unwrap_or_default(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;

    #[test]
    fn it_is_full_at_the_bound_and_not_before() {
        let backlog = Backlog::bounded(10);
        backlog.grew(9);
        assert_eq!(backlog.full(), None);
        backlog.grew(2);
        assert_eq!(backlog.full(), Some(11));
        let endless = Backlog::unbounded();
        endless.grew(1_000_000);
        assert_eq!(endless.full(), None);
    }
}
