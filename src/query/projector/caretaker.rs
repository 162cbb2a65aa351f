//! Looks after the queues of generations that are not live, so that they never hold up the one that is: an event counts as
//! published when the queues of all of them have it. One that has fallen too far behind is given up before its queues are full,
//! and so is one whose queues take nothing. (RabbitMQ 3.10.8 was seen to leave a quorum queue without a leader that had been made
//! seconds before its node was killed. It never recovers; an event that is sent there is never confirmed.)

use super::{Lost, Settings};
use crate::{
    bus::Queues,
    query::store::{Registry, Store},
    shutdown::Shutdown,
};
use std::{collections::BTreeSet, time::Duration};

/// Between two looks. For so long, twice, a queue that takes nothing can keep events from being published.
const LOOK: Duration = Duration::from_secs(5);

/// Looks after them until the drain.
pub async fn look_after_queues(store: Store, settings: Settings, shutdown: Shutdown) {
    let mut caretaker = Caretaker { store, settings, deaf: BTreeSet::new() };
    while !shutdown.is_draining() {
        let look = async {
            // Also at once: what nobody looked after has been left for how long nobody knows.
            if let Err(error) = caretaker.look().await {
                tracing::warn!(%error, "the queues of generations that are not live could not be looked after");
            }
            tokio::time::sleep(LOOK).await;
        };
        tokio::select! {
            () = look => {}
            () = shutdown.draining() => return,
        }
    }
}

struct Caretaker {
    store: Store,
    settings: Settings,
    /// The generations that had a queue at the last look which took nothing.
    deaf: BTreeSet<i32>,
}

impl Caretaker {
    async fn look(&mut self) -> Result<(), Lost> {
        let registry = self.store.look().await?;
        let others: Vec<i32> = registry.ids().into_iter().filter(|id| *id != registry.live.id).collect();
        if others.is_empty() && registry.dropped.is_empty() {
            return Ok(());
        }
        let queues = Queues::connect(&self.settings.bus).await?;
        let hearing = self.look_at(&queues, &registry, &others).await?;
        self.deaf.retain(|generation| others.contains(generation) && !hearing.contains(generation));
        // Somebody who did not know better may have made them again.
        for generation in &registry.dropped {
            queues.remove(*generation).await?;
        }
        queues.close().await;
        Ok(())
    }

    /// Gives up what must be, and says which of the others are well.
    async fn look_at(&mut self, queues: &Queues, registry: &Registry, others: &[i32]) -> Result<BTreeSet<i32>, Lost> {
        let mut hearing = BTreeSet::new();
        let live = queues.probe(registry.live.id).await?;
        if !live.deaf.is_empty() {
            let deaf = live.deaf.join(", ");
            tracing::error!(
                deaf,
                "queues of the live read model take nothing: full, or without a leader; see `orderflow doctor`"
            );
        }
        for generation in others {
            let behind = queues.backlog(*generation).await?.map_or(0, |backlog| backlog.messages);
            let deaf = queues.probe(*generation).await?.deaf;
            if behind > self.settings.behind {
                tracing::error!(generation, behind, "a generation that is not live has fallen too far behind and is given up");
                self.give_up(queues, *generation).await?;
            } else if deaf.is_empty() {
                hearing.insert(*generation);
            } else if live.deaf.is_empty() && !self.deaf.insert(*generation) {
                // For the second time, while those of the live one were well: this is no matter of the whole broker.
                let deaf = deaf.join(", ");
                tracing::error!(generation, deaf, "queues of a generation that is not live take nothing, and it is given up");
                self.give_up(queues, *generation).await?;
            }
        }
        Ok(hearing)
    }

    async fn give_up(&self, queues: &Queues, generation: i32) -> Result<(), Lost> {
        // It may have become live since we looked.
        if self.store.give_up(generation).await?.is_some() {
            queues.remove(generation).await?;
        }
        Ok(())
    }
}
