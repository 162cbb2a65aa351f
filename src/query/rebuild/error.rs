//! Why a read model was not rebuilt.

use super::{Comparison, Progress};
use crate::{bus::BusError, query::store::StoreError};

/// Why a read model was not rebuilt. The live one is as it was, and the command can be run again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("somebody else is at it{}", .0.as_ref().map(|p| told(p)).unwrap_or_default())]
    Running(Option<Box<Progress>>),
    #[error("this job was silent for so long that it was taken for dead; run the command again")]
    Lost,
    #[error("there is no previous read model: none was kept, or it was dropped")]
    NoPrevious,
    #[error("this wish has been fulfilled")]
    Fulfilled(Option<String>),
    #[error(
        "generation {0} was given up: it fell too far behind (ORDERFLOW_MAX_BEHIND), or its queues took nothing any more; \
         `orderflow rebuild` makes another"
    )]
    GivenUp(i32),
    #[error("generation {0} is projected by nobody: start processes of the version that wrote it, and run the command again")]
    NotProjected(i32),
    #[error(
        "events wait to be published, which only the read model that was built last has seen: run a relay (or, if one runs, \
         `orderflow doctor`), and the command again"
    )]
    Unpublished,
    #[error(
        "the live read model (generation {0}) has not got all that was published: nobody projects it, or one of its queues takes \
         nothing. It differs by that, so --strict allows no switch; without, it is replaced, and subscribers are told RESYNC"
    )]
    Behind(i32),
    #[error("the broker takes no messages now, for no read model; nothing has changed, try again when it does")]
    Silent,
    #[error("the projectors did not come to rest within the bound of a switch; nothing has changed, try again when less goes on")]
    Restless,
    #[error("{} of {} documents differ from the live ones, and --strict does not allow that", .0.differing, .0.compared)]
    Differs(Box<Comparison>),
    #[error("MongoDB: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Bus(#[from] BusError),
    #[error("{0}")]
    Log(String),
    #[error("what is to be stored cannot be written: {0}")]
    Bson(#[from] mongodb::bson::error::Error),
}

fn told(progress: &Progress) -> String {
    let Progress { kind, step, done, total, .. } = progress;
    let generation = progress.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
    format!(" ({kind:?}{generation}: {step:?}, {done} of {total}); `orderflow rebuild --status` tells how far")
}
