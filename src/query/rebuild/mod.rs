//! Builds a whole read model anew beside the live one, and switches. The parts only: what comes after what, and the log
//! that it is built from, is the business of `app::rebuild`, which sees both sides.
//!
//! What must hold, whatever is killed between two lines:
//!
//! - One generation is live, and it is whole. The switch is one transaction (`projector::guard`).
//! - When it happens both generations are at the same versions, so nobody who reads goes back, and the change log, which only the
//!   live one writes, has every version of every order once.
//! - What somebody who died has left behind is found and removed by the next.

mod apart;
mod compare;
mod error;
mod fulfilled;
mod job;
mod places;
mod remove;
mod state;
mod watch;

pub use apart::{Apart, Stuck};
pub use compare::{Comparison, Difference, Suspects};
pub use error::RebuildError;
pub use job::{Job, Kind, Progress, Seen, Step};
pub use places::Positions;

use super::{
    projector::{self, Settings, replay},
    store::{GOOD_FOR, Registry, Store},
};
use crate::{bus::Queues, clock::Clock, crash, event::Envelope, health::Beat, shutdown::Shutdown};
use futures_util::future::{join_all, pending};
use state::State;
use std::time::{Duration, Instant};

pub use replay::Unreadable;

/// Makes, fills, compares, switches and removes generations. Whoever uses it has a [`Job`].
#[derive(Clone)]
pub struct Works {
    pub store: Store,
    pub settings: Settings,
    pub clock: Clock,
}

/// How long nobody may work on a queue before a wait for it is in vain.
const NOBODY: Duration = Duration::from_secs(10);

/// Between looks at guards. They have no news of their own.
const LOOK: Duration = Duration::from_millis(10);

impl Works {
    fn fold(&self) -> i32 {
        self.settings.fold.version
    }

    /// A generation that somebody has filled and not made live, if this version can go on with it and its queues are well.
    pub async fn left_ready(&self, registry: &Registry) -> Result<Option<i32>, RebuildError> {
        let left = registry.building.as_ref().filter(|left| left.ready && left.fold == self.fold());
        let Some(left) = left else { return Ok(None) };
        let queues = Queues::connect(&self.settings.bus).await?;
        // A whole read model is not thrown away because the broker says nothing for a moment.
        let state = state::of(left.id, registry.live.id, &queues).await?;
        queues.close().await;
        Ok((state == State::Well).then_some(left.id))
    }

    /// Removes what is not live and what others left behind, and makes a new generation: its collections and its queues.
    /// From now on everything that is published is there too.
    pub async fn begin(&self) -> Result<i32, RebuildError> {
        let registry = self.store.look().await?;
        for generation in registry.ids().into_iter().filter(|id| *id != registry.live.id) {
            self.drop(generation).await?;
        }
        self.sweep(&registry.dropped).await?;
        let registered = self.store.register_building(self.fold(), self.clock.now()).await?;
        // Ours is the only job, so nobody else builds.
        let building = registered.and_then(|registry| registry.building).ok_or(RebuildError::Lost)?;
        crash::point("rebuild-registered");
        self.store.of(building.id).make_bare_views().await?;
        crash::point("rebuild-collections");
        let queues = Queues::connect(&self.settings.bus).await?;
        queues.open(building.id).await?;
        queues.close().await;
        crash::point("rebuild-queues");
        Ok(building.id)
    }

    /// Folds a part of the log into a generation.
    pub async fn replay(&self, generation: i32, events: Vec<Envelope>, unreadable: Vec<Unreadable>) -> Result<(), RebuildError> {
        let store = self.store.of(generation);
        Ok(replay::replay(&store, &self.settings, events, unreadable, &self.clock).await?)
    }

    /// Makes the indexes of a generation that has the whole log, and says so: projectors follow its queues from now on.
    pub async fn ready(&self, generation: i32) -> Result<(), RebuildError> {
        crash::point("rebuild-replayed");
        self.store.of(generation).make_views().await?;
        crash::point("rebuild-indexed");
        self.store.register_ready(generation).await?.ok_or(RebuildError::GivenUp(generation))?;
        crash::point("rebuild-ready");
        Ok(())
    }

    /// Projects these generations, where they are of this fold, for as long as it is polled: a job needs no other process to be
    /// there. Whoever else projects them takes turns with it.
    pub async fn follow(&self, generations: Vec<i32>) {
        // Nobody drains it: whoever polls this simply stops.
        let (beat, shutdown) = (Beat::default(), Shutdown::new());
        let one = |id: i32| {
            let (settings, clock) = (self.settings.clone(), self.clock.clone());
            projector::run_one(self.store.of(id), settings, clock, beat.clone(), shutdown.clone())
        };
        join_all(generations.into_iter().map(one)).await;
        pending::<()>().await;
    }

    /// Waits until a generation has projected all that has been published so far.
    pub async fn catch_up(&self, generation: i32, mark: &str, waiting: impl Fn(u64)) -> Result<(), RebuildError> {
        let queues = Queues::connect(&self.settings.bus).await?;
        if let Err(error) = queues.mark(generation, mark).await {
            let there = self.store.look().await?.ids().contains(&generation);
            return Err(if there { error.into() } else { RebuildError::GivenUp(generation) });
        }
        let (mut looked, mut attended) = (Instant::now(), Instant::now());
        while !self.marked(generation, mark, false).await? {
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                let backlog = queues.backlog(generation).await?.ok_or(RebuildError::GivenUp(generation))?;
                waiting(backlog.messages);
                if backlog.consumed {
                    attended = looked;
                } else if attended.elapsed() > NOBODY {
                    return Err(RebuildError::NotProjected(generation));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        queues.close().await;
        Ok(())
    }

    async fn marked(&self, generation: i32, mark: &str, clean: bool) -> Result<bool, RebuildError> {
        let marked = projector::marked(&self.store.of(generation), mark, clean).await?;
        Ok(marked >= u64::from(self.settings.bus.partitions))
    }

    /// Walks through both; what differs is only suspected while they move.
    pub async fn compare(&self, live: i32, new: i32, walked: impl Fn(i64)) -> Result<Suspects, RebuildError> {
        Ok(compare::walk(&self.store.of(live), &self.store.of(new), walked).await?)
    }

    /// What of the suspects really differs, when both stand still.
    pub async fn settle(&self, live: i32, new: i32, suspects: &Suspects) -> Result<Comparison, RebuildError> {
        Ok(compare::settle(&self.store.of(live), &self.store.of(new), suspects).await?)
    }

    /// Whether somebody works on the live generation's queues, and how much waits there. On those of this fold we do ourselves
    /// (see [`Self::follow`]), also while we are between two connections. Where a queue takes nothing, nobody can, and what could
    /// not be put there counts as waiting.
    pub async fn attended(&self, live: i32, new: i32) -> Result<(bool, u64), RebuildError> {
        let ours = self.store.look().await?.projected_by(self.fold()).any(|projected| projected.id == live);
        let queues = Queues::connect(&self.settings.bus).await?;
        let state = state::of(live, new, &queues).await?;
        let backlog = queues.backlog(live).await?;
        queues.close().await;
        match state {
            State::Well => Ok(backlog.map_or((false, 0), |backlog| (ours || backlog.consumed, backlog.messages))),
            State::Broken => Ok((false, u64::MAX)),
            State::Unknown => Err(RebuildError::Silent),
        }
    }

    /// How far the change log goes.
    pub async fn positions(&self) -> Result<Positions, RebuildError> {
        Ok(places::positions(&self.store).await?)
    }

    /// Takes the places of all orders in the change log over. `to` has every order that `from` has had for some time.
    pub async fn take_places(&self, from: i32, to: i32) -> Result<(), RebuildError> {
        Ok(places::copy_all(&self.store.of(from), &self.store.of(to), None).await?)
    }

    /// Takes over those that changed after `since`, up to `upto`; `to` has caught up with that.
    pub async fn take_late_places(&self, to: i32, since: &mut Positions, upto: &Positions) -> Result<(), RebuildError> {
        Ok(places::copy_late(&self.store.of(to), since, upto).await?)
    }

    /// For a live generation that has not seen all that the new one has: tells everybody who follows orders that something
    /// is missing in the log, since it was never written there.
    pub async fn tell_of_missing(&self, from: i32, to: i32) -> Result<(), RebuildError> {
        let holes = places::leave_a_hole(&self.store, None).await?;
        Ok(places::copy_all(&self.store.of(from), &self.store.of(to), Some(&holes)).await?)
    }

    /// Waits until these generations have come to a mark and to nothing after it.
    pub async fn rest(&self, generations: &[i32], mark: &str) -> Result<(), RebuildError> {
        let queues = Queues::connect(&self.settings.bus).await?;
        for generation in generations {
            queues.mark(*generation, mark).await?;
        }
        for generation in generations {
            while !self.marked(*generation, mark, true).await? {
                tokio::time::sleep(LOOK).await;
            }
        }
        queues.close().await;
        Ok(())
    }

    /// Says of a generation that nobody projects that it has come to a mark.
    pub async fn rest_idle(&self, generation: i32, mark: &str) -> Result<(), RebuildError> {
        Ok(projector::mark_idle(&self.store.of(generation), mark, self.settings.bus.partitions).await?)
    }

    /// Makes `to` live, if both are still at rest; says whether it did.
    pub async fn switch(&self, from: i32, to: i32, mark: &str) -> Result<bool, RebuildError> {
        let switched = projector::switch(&self.store, from, to, mark, self.settings.bus.partitions).await;
        match switched {
            Ok(switched) => Ok(switched),
            // It may have committed all the same; the registry knows.
            Err(error) => match self.store.look().await {
                Ok(registry) => Ok(registry.live.id == to),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// Waits until nobody answers from the generation that was live before.
    pub async fn seen_by_all(&self) {
        tokio::time::sleep(GOOD_FOR + Duration::from_millis(100)).await;
    }
}
