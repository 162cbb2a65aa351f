//! How far a rebuild is, as the API shows it.

use super::int;
use crate::{
    graphql::scalars::DateTime,
    query::rebuild::{Kind, Seen, Step},
};
use async_graphql::{Enum, SimpleObject};

/// How far the read model has been rebuilt, or that it has.
#[derive(SimpleObject)]
pub struct RebuildProgress {
    /// What is done.
    kind: RebuildKind,
    /// The number of the read model that is built, made live or removed.
    generation: Option<i32>,
    /// Where it has come to.
    step: RebuildStep,
    /// Of the step: events of the log, or documents.
    done: i32,
    /// About how many there are; zero when the step does not count.
    total: i32,
    /// Seconds until the end of the step; null when nobody can say.
    estimated_seconds_left: Option<i32>,
    /// When it was begun.
    started_at: DateTime,
    /// Whether it has ended, well or not.
    finished: bool,
    /// Whether whoever does it is there, or it has ended. Otherwise the next who is asked goes on with it.
    alive: bool,
    /// Why it failed; the live read model is as it was.
    failure: Option<String>,
    /// Documents that were compared with the live ones.
    compared: Option<i32>,
    /// Those that differ.
    differing: Option<i32>,
}

impl From<Seen> for RebuildProgress {
    fn from(Seen { progress, alive }: Seen) -> Self {
        Self {
            kind: progress.kind.into(),
            generation: progress.generation,
            step: progress.step.into(),
            done: int(progress.done),
            total: int(progress.total),
            estimated_seconds_left: progress.seconds_left().map(int),
            started_at: DateTime(progress.started_at),
            finished: progress.finished,
            alive,
            compared: progress.comparison.as_ref().map(|comparison| int(comparison.compared)),
            differing: progress.comparison.as_ref().map(|comparison| int(comparison.differing)),
            failure: progress.failure,
        }
    }
}

/// What is done to the read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::query::rebuild::Kind")]
pub enum RebuildKind {
    /// A new one is built from the log and made live.
    Rebuild,
    /// The previous one is made live again.
    Undo,
    /// The previous one is removed.
    DropPrevious,
}

/// Where a rebuild has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::query::rebuild::Step")]
pub enum RebuildStep {
    /// What others left behind is removed; collections and queues are made.
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
    /// It has ended.
    Done,
}

const _: fn(RebuildKind) -> Kind = Into::into;
const _: fn(RebuildStep) -> Step = Into::into;
