//! A generation is a whole read model: views of its own, written by a projector of its own from queues of its own. One
//! is live. One may be being built beside it, and the one that was live before is kept and goes on being projected.

use crate::{query::view::date, value::Time};
use serde::{Deserialize, Serialize};

/// One read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// From 1; never used again.
    pub id: i32,
    /// The version of the code that writes it. Only processes of that version project it.
    pub fold: i32,
    /// When it was begun.
    #[serde(with = "date")]
    pub since: Time,
    /// Of one that is being built: whether it has the whole log and follows its queues.
    #[serde(default)]
    pub ready: bool,
}

/// All that there are: one document, so that every change of it is atomic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    pub live: Generation,
    /// The one that was live before, and can be again.
    #[serde(default)]
    pub previous: Option<Generation>,
    /// The one that is being built, or that whoever built it left behind.
    #[serde(default)]
    pub building: Option<Generation>,
    /// The id of the next.
    pub next: i32,
    /// Those whose remains may still have to be removed.
    #[serde(default)]
    pub dropped: Vec<i32>,
    /// Whether the last switch is so long ago that nobody answers from the one before.
    #[serde(default = "yes")]
    pub settled: bool,
}

fn yes() -> bool {
    true
}

impl Registry {
    /// The generation from before there were several.
    pub const FIRST: i32 = 1;

    /// Every generation that there is, the live one first.
    pub fn all(&self) -> impl Iterator<Item = &Generation> {
        [Some(&self.live), self.previous.as_ref(), self.building.as_ref()].into_iter().flatten()
    }

    pub fn ids(&self) -> Vec<i32> {
        self.all().map(|generation| generation.id).collect()
    }

    /// Those that processes of this version project: one that is being built is filled from the log first.
    pub fn projected_by(&self, fold: i32) -> impl Iterator<Item = &Generation> {
        let filling = self.building.as_ref().filter(|building| !building.ready).map(|building| building.id);
        self.all().filter(move |generation| generation.fold == fold && Some(generation.id) != filling)
    }
}
