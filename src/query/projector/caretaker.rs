//! Looks after the queues of generations that are not live, so that they do not hold up the one that is: an event counts as
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

/// Between two looks. For two of them, and as long as it takes the broker twice to say nothing, a queue that takes nothing can
/// keep events from being published.
const LOOK: Duration = Duration::from_secs(5);

/// How often to look how far generations are behind, in looks.
const SWEEP: u32 = 6;

/// Looks after them until the drain. `held_up` says whether something waits to be published for longer than it should: only then
/// queues are tried.
pub async fn look_after_queues<F, Told>(store: Store, settings: Settings, held_up: F, shutdown: Shutdown)
where
    F: Fn() -> Told + Send + Sync,
    Told: Future<Output = bool> + Send,
{
    let mut caretaker = Caretaker { store, settings, deaf: BTreeSet::new() };
    let mut looks = 0_u32;
    while !shutdown.is_draining() {
        let look = async {
            // Also at once: what nobody looked after has been left for how long nobody knows.
            let swept = if looks.is_multiple_of(SWEEP) { caretaker.sweep().await } else { Ok(()) };
            let held_up = held_up().await;
            let tried = if held_up { caretaker.try_queues().await } else { Ok(()) };
            if !held_up {
                caretaker.deaf.clear();
            }
            if let Err(error) = swept.and(tried) {
                caretaker.deaf.clear();
                tracing::warn!(%error, "the queues of generations that are not live could not be looked after");
            }
            tokio::time::sleep(LOOK).await;
        };
        tokio::select! {
            () = look => {}
            () = shutdown.draining() => return,
        }
        looks = looks.wrapping_add(1);
    }
}

struct Caretaker {
    store: Store,
    settings: Settings,
    /// The generations that had a queue at the last look which took nothing.
    deaf: BTreeSet<i32>,
}

impl Caretaker {
    /// Gives up generations that have fallen too far behind, and removes queues that somebody has made again who did not know
    /// better.
    async fn sweep(&self) -> Result<(), Lost> {
        let registry = self.store.look().await?;
        let others = not_live(&registry);
        if others.is_empty() && registry.dropped.is_empty() {
            return Ok(());
        }
        let queues = Queues::connect(&self.settings.bus).await?;
        for generation in others {
            let behind = queues.backlog(generation).await?.map_or(0, |backlog| backlog.messages);
            if behind > self.settings.behind {
                tracing::error!(generation, behind, "a generation that is not live has fallen too far behind and is given up");
                self.give_up(&queues, generation).await?;
            }
        }
        for generation in &registry.dropped {
            queues.remove(*generation).await?;
        }
        queues.close().await;
        Ok(())
    }

    /// Gives up generations that had a queue twice in a row which took nothing, while those of the live one did: then it is no
    /// matter of the whole broker.
    async fn try_queues(&mut self) -> Result<(), Lost> {
        let registry = self.store.look().await?;
        let queues = Queues::connect(&self.settings.bus).await?;
        let mut deaf = Vec::new();
        for generation in not_live(&registry) {
            let probe = queues.probe(generation).await?;
            deaf.extend((!probe.deaf.is_empty()).then(|| (generation, probe.deaf.join(", "))));
        }
        // After them: a broker that has come to a standstill meanwhile says nothing against them.
        let live = queues.probe(registry.live.id).await?;
        let before = std::mem::take(&mut self.deaf);
        if !live.deaf.is_empty() {
            let deaf = live.deaf.join(", ");
            tracing::error!(
                deaf,
                "queues of the live read model take nothing: full, or without a leader; see `orderflow doctor`"
            );
            return Ok(());
        }
        for (generation, names) in deaf {
            if before.contains(&generation) {
                tracing::error!(generation, names, "queues of a generation that is not live take nothing, and it is given up");
                self.give_up(&queues, generation).await?;
            } else {
                self.deaf.insert(generation);
            }
        }
        queues.close().await;
        Ok(())
    }

    async fn give_up(&self, queues: &Queues, generation: i32) -> Result<(), Lost> {
        // It may have become live since we looked.
        if self.store.give_up(generation).await?.is_some() {
            queues.remove(generation).await?;
        }
        Ok(())
    }
}

fn not_live(registry: &Registry) -> Vec<i32> {
    registry.ids().into_iter().filter(|id| *id != registry.live.id).collect()
}
