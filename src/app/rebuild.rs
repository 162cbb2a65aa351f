//! Rebuilds the read model: what comes after what. The log is the write side's, the rest the read side's, and only here both
//! are seen. `query::rebuild` says what holds, whatever is killed between two lines.
//!
//! 1. Prepare: collections and queues of a new generation. From here on everything that is published is there too.
//! 2. Replay: the log is folded into it. What commits behind the place where the walk is, is published later, and comes by 1.
//! 3. Catch up: its queues are projected; what was replayed already is known by its version.
//! 4. Compare, and take the places of orders in the change log over.
//! 5. Switch: nothing is published for a moment, both generations come to rest at the same versions, and one transaction
//!    makes the new one live. If they do not rest in time everything goes on as before, and it is tried again, three times
//!    in all.
//! 6. Wait until all who answer have seen it. Only then something new is published, so that nobody reads an order from the
//!    new generation and then an older one from the old.

mod replay;
pub mod requests;

use crate::{
    clock::{Clock, Ids},
    command::{self, Database, EventLog, LogError},
    crash,
    query::{
        Store,
        projector::Settings,
        rebuild::{Job, Kind, Positions, Progress, RebuildError, Step, Stuck, Suspects, Works},
    },
};
use std::time::Duration;

/// How long a switch may keep events from being published, but for the moment until all have seen it.
const FREEZE: Duration = Duration::from_secs(5);

/// How long what was committed may take to be published.
const PUBLISHED: Duration = Duration::from_secs(3);

/// How often a switch is tried.
const SWITCHES: usize = 3;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub kind: Kind,
    /// Whether a generation that differs from the live one must not become live.
    pub strict: bool,
}

/// Whoever can rebuild.
#[derive(Clone)]
pub struct Rebuilder {
    database: Database,
    works: Works,
    shards: u32,
    ids: Ids,
}

/// Hears how far a job is, at every step and whenever it has come further.
pub type Tell<'a> = &'a (dyn Fn(&Progress) + Send + Sync);

/// A switch that is planned.
#[derive(Clone, Copy)]
struct Move<'a> {
    live: i32,
    new: i32,
    strict: bool,
    /// Whether the live one gets everything that the new one has: then nothing is missing in the change log.
    whole: bool,
    suspects: &'a Suspects,
    /// What cannot be brought to where the live one has it.
    stuck: &'a Stuck,
}

impl Rebuilder {
    /// `shards` is the number of the relays'.
    pub fn new(database: &Database, store: &Store, settings: Settings, shards: u32, clock: &Clock, ids: &Ids) -> Self {
        let works = Works { store: store.clone(), settings, clock: clock.clone() };
        Self { database: database.clone(), works, shards, ids: ids.clone() }
    }

    pub fn fold(&self) -> i32 {
        self.works.settings.fold.version
    }

    /// Does what is wished for, or what of it somebody who died has left to do.
    ///
    /// # Errors
    /// [`RebuildError`]; the live generation is as it was.
    pub async fn run(&self, wish: Wish, tell: Tell<'_>) -> Result<Progress, RebuildError> {
        self.run_for(None, wish, tell).await
    }

    /// The same for an administrator who has asked for it, under this number, which is fulfilled once whoever tries.
    async fn run_for(&self, request: Option<i64>, wish: Wish, tell: Tell<'_>) -> Result<Progress, RebuildError> {
        let asked = (wish.kind, request);
        let (job, dead) = Job::claim(&self.works.store, &self.works.clock, self.ids.next(), asked, tell).await?;
        let done = tokio::select! {
            done = self.work(&job, wish, dead) => done,
            lost = job.keep() => Err(lost),
        };
        let failure = done.as_ref().err().map(ToString::to_string);
        let finished = job.finish(failure).await;
        done?;
        Ok(finished?)
    }

    async fn work(&self, job: &Job<'_>, wish: Wish, dead: Option<Progress>) -> Result<(), RebuildError> {
        job.step(Step::Preparing).await?;
        let registry = self.works.store.look().await?;
        let live = registry.live.id;
        let died_dropping = dead.as_ref().is_some_and(|dead| dead.kind == Kind::DropPrevious);
        // Whoever was here before us died between the switch and the end; the switch was theirs, and it holds. Unless we are
        // asked for another one.
        let request = job.progress().request;
        let switched = dead.filter(|dead| {
            let same = dead.kind == wish.kind && (request.is_none() || dead.request == request);
            same && dead.step >= Step::Switching && dead.generation == Some(live)
        });
        if let Some(dead) = switched.filter(|_| wish.kind != Kind::DropPrevious) {
            job.inherit(dead.request);
            job.generation(live);
            job.step(Step::Switched).await?;
            self.works.seen_by_all().await;
            return Ok(());
        }
        match wish.kind {
            Kind::DropPrevious => match registry.previous {
                Some(previous) => {
                    job.generation(previous.id);
                    self.works.drop(previous.id).await
                }
                // Whoever was here before us may have come halfway, or it was given up.
                None if self.works.tidy().await? || died_dropping => Ok(()),
                None => Err(RebuildError::NoPrevious),
            },
            Kind::Undo => {
                let gone = || registry.given_up.map_or(RebuildError::NoPrevious, RebuildError::GivenUp);
                let previous = registry.previous.as_ref().ok_or_else(gone)?.id;
                job.generation(previous);
                self.attended(live, previous, Box::pin(self.put_live(job, live, previous, false))).await
            }
            Kind::Rebuild => {
                let left = self.works.left_ready(&registry).await?;
                let generation = match left {
                    Some(left) => left,
                    None => self.build(job).await?,
                };
                job.generation(generation);
                let done = self.attended(live, generation, Box::pin(self.put_live(job, live, generation, wish.strict))).await;
                if matches!(done, Err(RebuildError::Differs(_))) {
                    // Nobody wants it, and its queues would fill.
                    self.works.drop(generation).await?;
                }
                done
            }
        }
    }

    async fn build(&self, job: &Job<'_>) -> Result<i32, RebuildError> {
        let generation = self.works.begin().await?;
        job.generation(generation);
        job.step(Step::Replaying).await?;
        let size = EventLog::new(&self.database).size().await;
        job.of(size.map_err(|error| RebuildError::Log(error.to_string()))?);
        replay::all(&self.database, &self.works, generation, job).await?;
        self.works.ready(generation).await?;
        Ok(generation)
    }

    /// Works while both generations are projected, if only by this process.
    async fn attended<T>(
        &self,
        live: i32,
        new: i32,
        work: impl Future<Output = Result<T, RebuildError>>,
    ) -> Result<T, RebuildError> {
        tokio::select! {
            done = work => done,
            () = self.works.follow(vec![live, new]) => Err(RebuildError::Lost),
        }
    }

    async fn put_live(&self, job: &Job<'_>, live: i32, new: i32, strict: bool) -> Result<(), RebuildError> {
        job.step(Step::CatchingUp).await?;
        // In this order: when the new one has caught up it has all orders that changed up to here.
        let mut places = self.works.positions().await?;
        let whole = self.published().await?;
        if !whole && (strict || job.progress().kind == Kind::Undo) {
            // The one that was built from the log may have them; going back would be going back in time. And it would differ from
            // the live one by nothing but these.
            return Err(RebuildError::Unpublished);
        }
        self.catch_up(job, new).await?;
        crash::point("switch-caught-up");
        let mut stuck = Stuck::new();
        self.works.align(live, new, &mut stuck).await?;
        job.step(Step::Comparing).await?;
        let suspects = self.works.compare(live, new, |documents| job.more(documents)).await?;
        crash::point("switch-compared");
        self.works.take_places(live, new).await?;
        crash::point("switch-places");
        for _ in 0..SWITCHES {
            // What changed while all were copied: the next time there are few, which the switch can take with it.
            let upto = self.works.positions().await?;
            self.catch_up(job, new).await?;
            self.works.align(live, new, &mut stuck).await?;
            self.works.take_late_places(new, &mut places, &upto).await?;
            job.step(Step::Switching).await?;
            if self.switch(job, Move { live, new, strict, whole, suspects: &suspects, stuck: &stuck }, &mut places).await? {
                return Ok(());
            }
        }
        Err(RebuildError::Restless)
    }

    async fn catch_up(&self, job: &Job<'_>, new: i32) -> Result<(), RebuildError> {
        self.works.catch_up(new, &self.mark(), |messages| job.of(i64::try_from(messages).unwrap_or(i64::MAX))).await
    }

    /// Waits until all that the log had, and so perhaps the replay, has been published, which brings it to the live
    /// generation and to those who follow it. False when that takes too long: no relay runs, or the broker takes no events.
    async fn published(&self) -> Result<bool, RebuildError> {
        let unavailable = |error: LogError| RebuildError::Log(error.to_string());
        let log = EventLog::new(&self.database);
        let upto = log.size().await.map_err(unavailable)?;
        let until = tokio::time::Instant::now() + PUBLISHED;
        while !log.published(upto).await.map_err(unavailable)? {
            if tokio::time::Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(true)
    }

    fn mark(&self) -> String {
        self.ids.next().simple().to_string()
    }

    /// One try; false when it was taken back because the projectors did not come to rest.
    async fn switch(&self, job: &Job<'_>, planned: Move<'_>, places: &mut Positions) -> Result<bool, RebuildError> {
        let Move { live, new, strict, whole, suspects, stuck } = planned;
        let (attended, waits) = self.works.attended(live, new).await?;
        if strict && !attended && waits > 0 {
            return Err(RebuildError::Behind(live));
        }
        let mark = self.mark();
        let Ok(paused) = command::pause(&self.database, self.shards).await else { return Ok(false) };
        crash::point("switch-paused");
        let resting = async {
            if attended {
                self.works.rest(&[live, new], &mark).await?;
            } else {
                // One that nobody projects comes to no mark by itself, and does not move either.
                self.works.rest(&[new], &mark).await?;
                self.works.rest_idle(live, &mark).await?;
            }
            crash::point("switch-at-rest");
            // From here on, whoever does anything to either of them keeps the switch from happening.
            let apart = self.works.apart(live, new).await?;
            if apart.iter().any(|apart| apart.has_moved(stuck)) {
                return Ok(None);
            }
            let comparison = self.works.settle(live, new, suspects).await?;
            let upto = self.works.positions().await?;
            self.works.take_late_places(new, places, &upto).await?;
            Ok::<_, RebuildError>(Some((comparison, apart)))
        };
        let switched = match tokio::time::timeout(FREEZE, resting).await {
            Err(_) | Ok(Ok(None)) => Ok(false),
            Ok(Err(error)) => Err(error),
            Ok(Ok(Some((comparison, apart)))) => {
                job.compared(comparison.clone());
                if strict && comparison.differing > 0 {
                    Err(RebuildError::Differs(Box::new(comparison)))
                } else {
                    if !whole || (!attended && waits > 0) {
                        self.works.tell_of_missing(live, new).await?;
                        crash::point("switch-told");
                    }
                    self.works.tell_apart(new, &apart).await?;
                    self.works.switch(live, new, &mark).await
                }
            }
        };
        if matches!(switched, Ok(true)) {
            crash::point("switch-committed");
            // It has happened, whether that can be written down or not.
            let _ = job.step(Step::Switched).await;
            self.works.seen_by_all().await;
            crash::point("switch-seen");
        }
        // If the connection is lost they go on by themselves; projectors rest for as long as it takes in any case.
        let _ = paused.resume().await;
        switched
    }
}
