//! Which generation questions are answered from.
//!
//! A process may answer from the generation that it has seen live for a moment after it began to look, and no longer: then it
//! looks again before it answers. Whoever switches keeps both generations at the same versions until that moment is over, so it
//! does not matter which of them anybody answers from, and nobody needs to be asked whether they have heard.

use super::{Registry, Store, StoreError, names};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long what a process has seen of the registry is good for.
pub const GOOD_FOR: Duration = Duration::from_millis(600);

/// What a process has seen.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Before anything was seen, and before there were generations: the first.
    live: Option<i32>,
    /// When the look began.
    at: Option<Instant>,
}

impl Known {
    /// Held for a few assignments, never over an await.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> i32 {
        self.seen().live.unwrap_or(Registry::FIRST)
    }

    /// The generation to answer from, if that is still good.
    fn fresh(&self) -> Option<i32> {
        let seen = self.seen();
        seen.live.filter(|_| seen.at.is_some_and(|at| at.elapsed() < GOOD_FOR))
    }

    /// Of two looks the one counts that began later.
    pub(super) fn saw(&self, live: i32, began: Instant) {
        let mut seen = self.seen();
        if seen.at.is_none_or(|at| at <= began) {
            *seen = Seen { live: Some(live), at: Some(began) };
        }
    }
}

impl Store {
    /// The views of one generation, whichever is live.
    #[must_use]
    pub fn of(&self, generation: i32) -> Self {
        Self { generation: Some(generation), known: Arc::clone(&self.known), ..self.clone() }
    }

    /// The views that questions are answered from now. Costs nothing while the process looks by itself (`projector::keep_known`).
    ///
    /// # Errors
    /// The driver's.
    pub async fn live(&self) -> Result<Self, StoreError> {
        if self.generation.is_some() {
            return Ok(self.clone());
        }
        let id = match self.known.fresh() {
            Some(id) => id,
            None => self.look().await?.live.id,
        };
        Ok(self.of(id))
    }

    /// The generation whose views these are; of a store of none in particular, the one last seen live.
    pub(in crate::query) fn generation(&self) -> i32 {
        self.generation.unwrap_or_else(|| self.known.live())
    }

    pub(super) fn saw(&self, live: i32, began: Instant) {
        self.known.saw(live, began);
    }

    /// The name that a collection has here. The first generation has the names from before there were several.
    pub(in crate::query) fn named(&self, name: &str) -> String {
        match self.generation() {
            later if later > Registry::FIRST && names::VIEWS.contains(&name) => format!("{name}.generation.{later}"),
            _ => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_looks_the_later_counts_and_none_for_ever() {
        let known = Known::default();
        assert_eq!((known.fresh(), known.live()), (None, Registry::FIRST));
        let early = Instant::now();
        let late = early + Duration::from_millis(1);
        known.saw(2, late);
        known.saw(1, early);
        assert_eq!((known.fresh(), known.live()), (Some(2), 2));
        let known = Known::default();
        known.saw(3, early.checked_sub(GOOD_FOR).unwrap());
        assert_eq!((known.fresh(), known.live()), (None, 3));
    }
}
