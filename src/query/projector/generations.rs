//! Projects every generation that this process can: the live one, the one before it, and one that is being built, each
//! from queues of its own and apart from the others. Generations of another fold are left to processes of that version.

use super::{Settings, run_one};
use crate::{
    bus::{self, BusError, Queues},
    clock::Clock,
    health::Beat,
    query::store::Store,
    shutdown::Shutdown,
};
use std::{collections::BTreeSet, time::Duration};

/// How often to look for new generations. Well within the time for which what was seen is good (`store::GOOD_FOR`).
const LOOK: Duration = Duration::from_millis(250);

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
    let mut warned = false;
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
                    if !std::mem::replace(&mut warned, true) {
                        let (live, ours) = (registry.live.fold, settings.fold.version);
                        tracing::warn!(
                            live,
                            ours,
                            "the live read model is of another fold; processes of that version project it until `orderflow \
                             rebuild` of this one has made its own"
                        );
                    }
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

/// Removes the queues of a generation.
pub async fn remove_queues(bus: &bus::Settings, generation: i32) -> Result<(), BusError> {
    let queues = Queues::connect(bus).await?;
    queues.remove(generation).await?;
    queues.close().await;
    Ok(())
}
