//! Keeps an eye on what stands still: tells it to the metrics, lets go after an upgrade what could not be read before
//! it, and does in the generations that are not live what was decided in the live one.

use super::{
    duty::Fold,
    hands::{self, Hands},
    operator::{Operator, Retried},
    waiting::STRAYS,
};
use crate::{
    clock::Clock,
    query::{
        store::{Store, StoreError},
        view::Cause,
    },
    shutdown::Shutdown,
};
use std::time::Duration;

/// Between two looks. A gauge needs no more.
const LOOK: Duration = Duration::from_secs(5);
/// Heads read at once.
const PAGE: i64 = 100;

/// Retries after an upgrade what can be read now, and reports what stands still as metrics, until the drain.
pub async fn watch(store: Store, fold: Fold, clock: Clock, shutdown: Shutdown) {
    let operator = Operator::new(store, fold, clock.clone());
    let mut tick = tokio::time::interval(LOOK);
    let mut upgraded = false;
    while !shutdown.is_draining() {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.draining() => return,
        }
        if !upgraded {
            let retried = tokio::select! {
                retried = operator.after_upgrade() => retried,
                () = shutdown.draining() => return,
            };
            match retried {
                Ok(0) => upgraded = true,
                Ok(moved) => {
                    upgraded = true;
                    tracing::info!(moved, "parked aggregates could be read by this version and go on");
                }
                Err(error) => tracing::warn!(%error, "parked events could not be looked at and are tried again"),
            }
        }
        if let Err(error) = operator.honour_in_others().await {
            tracing::debug!(%error, "what an operator has decided is carried over at the next look");
        }
        let Ok(groups) = operator.groups().await else { continue };
        let now = clock.now();
        for cause in Cause::ALL {
            let group = groups.iter().find(|group| group.cause == cause);
            let age = group.map_or(0.0, |group| (now - group.oldest).as_seconds_f64().max(0.0));
            let (aggregates, events) = group.map_or((0, 0), |group| (group.aggregates, group.events));
            metrics::gauge!("orderflow_parked_aggregates", "cause" => cause.code()).set(aggregates as f64);
            metrics::gauge!("orderflow_parked_events", "cause" => cause.code()).set(events as f64);
            metrics::gauge!("orderflow_parked_oldest_seconds", "cause" => cause.code()).set(age);
        }
    }
}

impl Operator {
    /// Retries what an older binary could not read and this one can, in every generation that this version projects; says how
    /// many aggregates go on.
    async fn after_upgrade(&self) -> Result<u64, StoreError> {
        let mut moved = 0;
        for hands in self.all().await? {
            moved += hands.after_upgrade().await?;
        }
        Ok(moved)
    }

    /// Carries over what was decided in the live generation, for an operator who was killed before they did it themselves.
    async fn honour_in_others(&self) -> Result<(), StoreError> {
        for hands in self.all().await?.into_iter().filter(|hands| !hands.duty.live) {
            hands.honour().await?;
        }
        Ok(())
    }
}

impl Hands {
    async fn after_upgrade(&self) -> Result<u64, StoreError> {
        let mut moved = 0;
        for cause in [Cause::UnknownType, Cause::Unreadable] {
            let mut after = String::new();
            loop {
                let heads = hands::heads(&self.store, Some(cause), Some(&after), PAGE).await?;
                let Some(last) = heads.last() else { break };
                after.clone_from(&last.stream);
                for head in heads {
                    let next = hands::look(&self.store, &head.stream, 1).await?.and_then(|(_, events)| events.into_iter().next());
                    let readable = head.stream == STRAYS || next.is_some_and(|event| event.arrived().is_some());
                    if readable && matches!(self.retry(&head.stream).await?, Retried::Current(_)) {
                        moved += 1;
                    }
                }
            }
        }
        Ok(moved)
    }
}
