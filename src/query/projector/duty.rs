//! What a projector has to do for a generation, and how it folds.

use crate::query::{
    store::{Store, StoreError},
    view::OrderView,
};
use std::time::Duration;

/// The most messages that may wait in the queues of a generation that is not live. One that has fallen further behind
/// is given up: its queues share the broker's disk with those that matter, and past their bound publishing is refused
/// for all.
pub const MOST_WAITING: u64 = 1_000_000;

/// The version of the code that makes documents of events. What two versions write differs, so each writes generations of
/// its own.
#[derive(Debug, Clone, Copy)]
pub struct Fold {
    /// Rises by one with every change of the fold that shows in a document. A process projects generations of its own version
    /// only; `orderflow rebuild` of the new version makes one.
    pub version: i32,
    /// The last step on every order. Here tests change the fold.
    pub finish: fn(&mut OrderView),
}

impl Fold {
    /// The fold of this code.
    pub const CURRENT: Self = Self { version: 1, finish: |_| {} };
}

/// What a projector believes about its generation. [`super::guard`] holds it to that.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    /// Whether people see this generation: the live one writes the change log, and nobody else does.
    pub live: bool,
    /// Whether others may write at the same time, and a switch may come. Not so for one that is being filled from the log.
    pub guarded: bool,
    pub fold: Fold,
}

impl Default for Duty {
    fn default() -> Self {
        Self { live: true, guarded: true, fold: Fold::CURRENT }
    }
}

/// Asks the registry what there is to do for this store's generation; nothing when it is there no more. After a switch it waits
/// until nobody answers from the one that was live before: till then both stand still at the same versions.
pub async fn learn(store: &Store, fold: Fold) -> Result<Option<Duty>, StoreError> {
    loop {
        let registry = store.look().await?;
        if !registry.projected_by(fold.version).any(|generation| generation.id == store.generation()) {
            return Ok(None);
        }
        if registry.settled {
            return Ok(Some(Duty { live: registry.live.id == store.generation(), guarded: true, fold }));
        }
        // A poll; it ends a second after the switch.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
