//! Projects every generation that this process can: the live one, the one before it, and one that is being built, each
//! from queues of its own and apart from the others. Generations of another fold are left to processes of that version.

use super::{Settings, duty::MOST_WAITING, run_one};
use crate::{
    bus::{self, BusError, Queues},
    clock::Clock,
    health::Beat,
    query::store::{Registry, Store},
    shutdown::Shutdown,
};
use std::{collections::BTreeSet, time::Duration};

/// How often to look for new generations. Well within the time for which what was seen is good (`store::GOOD_FOR`).
const LOOK: Duration = Duration::from_millis(250);

/// How often to look after the queues of generations that are not live, in looks.
const SWEEP: u32 = 120;

/// Keeps what this process knows of the registry fresh until the drain, for those who answer and for the links to the broker. A
/// look that fails is made again; whoever answers looks for themselves meanwhile.
pub async fn keep_known(store: Store, known: bus::Generations, shutdown: Shutdown) {
    while !shutdown.is_draining() {
        if let Ok(registry) = store.look().await {
            known.set(registry.ids());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.draining() => return,
        }
    }
}

/// Projects until the drain.
pub async fn run(store: Store, settings: Settings, clock: Clock, beat: Beat, shutdown: Shutdown) {
    // Ids are never used again, so each is begun once; its projector ends by itself when it is dropped.
    let mut begun = BTreeSet::new();
    let mut looks = 0_u32;
    while !shutdown.is_draining() {
        match store.look().await {
            Ok(registry) => {
                for generation in registry.projected_by(settings.fold.version) {
                    if begun.insert(generation.id) {
                        let store = store.of(generation.id);
                        let one = run_one(store, settings.clone(), clock.clone(), beat.clone(), shutdown.clone());
                        shutdown.supervise_last("projector", one);
                    }
                }
                if registry.live.fold != settings.fold.version {
                    // There is nothing to do for it here, which is no reason to be unready.
                    beat.beat(clock.now());
                    if looks == 0 {
                        let (live, ours) = (registry.live.fold, settings.fold.version);
                        tracing::warn!(
                            live,
                            ours,
                            "the live read model is of another fold; processes of that version project it until `orderflow \
                             rebuild` of this one has made its own"
                        );
                    }
                }
                looks += 1;
                if looks.is_multiple_of(SWEEP)
                    && let Err(error) = sweep(&store, &settings.bus, &registry).await
                {
                    tracing::warn!(%error, "the queues of generations that are not live could not be looked after");
                }
            }
            Err(error) => tracing::debug!(%error, "the generations are not known"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.draining() => return,
        }
    }
}

/// Gives up generations that have fallen too far behind, and removes queues that somebody has made again who did not know better.
async fn sweep(store: &Store, bus: &bus::Settings, registry: &Registry) -> Result<(), super::Lost> {
    let others: Vec<i32> = registry.ids().into_iter().filter(|id| *id != registry.live.id).collect();
    if others.is_empty() && registry.dropped.is_empty() {
        return Ok(());
    }
    let queues = Queues::connect(bus).await?;
    for generation in others {
        let behind = queues.backlog(generation).await?.map_or(0, |backlog| backlog.messages);
        if behind > MOST_WAITING && store.strike(generation).await?.is_some() {
            tracing::error!(generation, behind, "a generation that is not live has fallen too far behind and is given up");
            queues.remove(generation).await?;
        }
    }
    for generation in &registry.dropped {
        queues.remove(*generation).await?;
    }
    queues.close().await;
    Ok(())
}

/// Removes the queues of a generation.
pub async fn remove_queues(bus: &bus::Settings, generation: i32) -> Result<(), BusError> {
    let queues = Queues::connect(bus).await?;
    queues.remove(generation).await?;
    queues.close().await;
    Ok(())
}
