//! Who rebuilds, and how far they are: one document, so there is one at a time. Whoever has not been heard of for five seconds is
//! dead, and the next takes over.

use super::{Comparison, RebuildError, fulfilled};
use crate::{
    clock::Clock,
    query::{
        store::{Store, StoreError, names},
        view::date,
    },
    value::Time,
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc, serialize_to_bson};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

pub(super) const ID: &str = "job";

/// Silence after which a job is dead, by the server's clock.
const DEAD_AFTER_MS: i64 = 5_000;

/// How long a job goes on without having been able to say that it lives: less than until others take it for dead.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// How often it says so.
const BEAT: Duration = Duration::from_millis(500);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// A new generation is built and made live.
    Rebuild,
    /// The previous generation is made live again.
    Undo,
    /// The previous generation is removed.
    DropPrevious,
}

/// Where it has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Step {
    /// What others left behind is removed; collections, indexes and queues are made.
    Preparing,
    /// The log is folded into them.
    Replaying,
    /// What was published meanwhile is projected.
    CatchingUp,
    /// Its documents are compared with the live ones.
    Comparing,
    /// Nothing is published for a moment, both come to the same versions, and the new one becomes live.
    Switching,
    /// It is live; nothing is published until all who answer have seen it.
    Switched,
    Done,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub kind: Kind,
    /// The generation that is built, made live or removed.
    #[serde(default)]
    pub generation: Option<i32>,
    pub step: Step,
    /// Of the step: events of the log, messages of the queues, documents.
    pub done: i64,
    /// About how many there are; zero when the step does not count.
    pub total: i64,
    #[serde(with = "date")]
    pub started_at: Time,
    /// When the step began.
    #[serde(with = "date")]
    pub step_at: Time,
    #[serde(with = "date")]
    pub updated_at: Time,
    pub finished: bool,
    /// Why it failed, if it did. The live generation is as it was.
    #[serde(default)]
    pub failure: Option<String>,
    /// How the new generation differs from the one before it.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// The number of the administrator's wish that it fulfils; none when it is done by hand.
    #[serde(default)]
    pub request: Option<i64>,
}

impl Progress {
    /// Seconds until the end of the step, if it counts and has gone on for a second.
    pub fn seconds_left(&self) -> Option<i64> {
        let elapsed = (self.updated_at - self.step_at).as_seconds_f64();
        if self.finished || self.done <= 0 || self.total <= 0 || elapsed < 1.0 {
            return None;
        }
        let rest = (self.total - self.done).max(0) as f64;
        // Far below 2^52 seconds.
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        Some((elapsed * rest / self.done as f64).ceil() as i64)
    }
}

/// The right to rebuild.
pub struct Job<'a> {
    store: Store,
    clock: Clock,
    owner: String,
    progress: Mutex<Progress>,
    tell: &'a (dyn Fn(&Progress) + Send + Sync),
}

/// A job as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub progress: Progress,
    /// Whether whoever does it is alive, or it is finished.
    pub alive: bool,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    progress: Option<Progress>,
    #[serde(default)]
    alive: bool,
}

impl Store {
    /// The last job, or the one that is being done.
    ///
    /// # Errors
    /// The driver's.
    pub async fn job(&self) -> Result<Option<Seen>, StoreError> {
        let young = doc! { "$gte": ["$at", { "$subtract": ["$$NOW", DEAD_AFTER_MS] }] };
        let pipeline = [doc! { "$match": { "_id": ID } }, doc! { "$set": { "alive": { "$or": ["$finished", young] } } }];
        let found = self.collection::<Document>(names::GENERATIONS).aggregate(pipeline).with_type::<Found>().await?;
        let found = found.try_collect::<Vec<_>>().await?.pop();
        Ok(found.and_then(|found| Some(Seen { progress: found.progress?, alive: found.alive })))
    }
}

impl<'a> Job<'a> {
    /// Takes the right, and gives the dead job that it was taken from, if there was one.
    ///
    /// # Errors
    /// [`RebuildError::Running`] with how far the other is; [`RebuildError::Fulfilled`] when the wish is no longer one.
    pub async fn claim(
        store: &Store,
        clock: &Clock,
        owner: Uuid,
        (kind, request): (Kind, Option<i64>),
        tell: &'a (dyn Fn(&Progress) + Send + Sync),
    ) -> Result<(Self, Option<Progress>), RebuildError> {
        let now = clock.now();
        let progress = Progress {
            kind,
            generation: None,
            step: Step::Preparing,
            done: 0,
            total: 0,
            started_at: now,
            step_at: now,
            updated_at: now,
            finished: false,
            failure: None,
            comparison: None,
            request,
        };
        let jobs = store.collection::<Document>(names::GENERATIONS);
        let nobody = doc! { "$setOnInsert": { "finished": true } };
        if let Err(error) = jobs.update_one(doc! { "_id": ID }, nobody).upsert(true).await
            && !error.to_string().contains("E11000")
        {
            return Err(error.into());
        }
        let owner = owner.simple().to_string();
        let dead = doc! { "$lt": ["$at", { "$subtract": ["$$NOW", DEAD_AFTER_MS] }] };
        let mut free = doc! { "_id": ID, "$or": [{ "finished": true }, { "$expr": dead }] };
        free.extend(request.map(fulfilled::not_yet).unwrap_or_default());
        let mine = doc! {
            "owner": &owner, "at": "$$NOW", "finished": false, "progress": { "$literal": serialize_to_bson(&progress)? },
        };
        let before = store.collection::<Found>(names::GENERATIONS).find_one_and_update(free, vec![doc! { "$set": mine }]).await?;
        let Some(before) = before else {
            if let Some(request) = request
                && let Some(done) = store.fulfilled(request).await?
            {
                return Err(RebuildError::Fulfilled(done.failure));
            }
            return Err(RebuildError::Running(store.job().await?.map(|seen| Box::new(seen.progress))));
        };
        let job = Self { store: store.clone(), clock: clock.clone(), owner, progress: Mutex::new(progress), tell };
        Ok((job, before.progress.filter(|progress| !progress.finished)))
    }

    /// Held for a few assignments, never over an await.
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let changed = {
            let mut progress = self.lock();
            change(&mut progress);
            progress.updated_at = self.clock.now();
            progress.clone()
        };
        (self.tell)(&changed);
    }

    /// Begins a step. It is written down before anything of it is done, so that whoever comes after a death knows how far it was,
    /// and whoever listens can act.
    ///
    /// # Errors
    /// [`RebuildError::Lost`], or the driver's.
    pub async fn step(&self, step: Step) -> Result<(), RebuildError> {
        let now = self.clock.now();
        self.change(|progress| (progress.step, progress.step_at, progress.done, progress.total) = (step, now, 0, 0));
        tokio::task::yield_now().await;
        if self.write(false).await? { Ok(()) } else { Err(RebuildError::Lost) }
    }

    /// Goes on with what somebody who died was asked for.
    pub fn inherit(&self, request: Option<i64>) {
        self.change(|progress| progress.request = progress.request.or(request));
    }

    pub fn generation(&self, generation: i32) {
        self.change(|progress| progress.generation = Some(generation));
    }

    pub fn of(&self, total: i64) {
        self.change(|progress| progress.total = total);
    }

    pub fn more(&self, done: i64) {
        self.change(|progress| progress.done += done);
    }

    pub fn compared(&self, comparison: Comparison) {
        self.change(|progress| progress.comparison = Some(comparison));
    }

    /// Says that it lives, and how far it is, for ever.
    pub async fn keep(&self) -> RebuildError {
        let mut heard = Instant::now();
        loop {
            match self.write(false).await {
                Ok(true) => heard = Instant::now(),
                Ok(false) => return RebuildError::Lost,
                Err(error) if heard.elapsed() > LOST_AFTER => return error.into(),
                Err(_) => {}
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Lets go of the right.
    ///
    /// # Errors
    /// The driver's; others take the job for dead in five seconds.
    pub async fn finish(self, failure: Option<String>) -> Result<Progress, StoreError> {
        self.change(|progress| {
            progress.finished = true;
            progress.failure = failure;
            if progress.failure.is_none() {
                progress.step = Step::Done;
            }
        });
        self.write(true).await?;
        Ok(self.progress())
    }

    /// False when somebody else has taken the job.
    async fn write(&self, finished: bool) -> Result<bool, StoreError> {
        let progress = self.progress();
        let mut set = doc! {
            "at": "$$NOW", "finished": finished, "progress": { "$literal": serialize_to_bson(&progress)? },
        };
        if let (true, Some(request)) = (finished, progress.request) {
            let done = fulfilled::Fulfilled { request, failure: progress.failure };
            set.insert("fulfilled", doc! { "$literal": serialize_to_bson(&done)? });
        }
        let mine = doc! { "_id": ID, "owner": &self.owner };
        let jobs = self.store.collection::<Document>(names::GENERATIONS);
        Ok(jobs.update_one(mine, vec![doc! { "$set": set }]).await?.matched_count == 1)
    }
}
