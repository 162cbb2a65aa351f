//! Which generations of the read model there are, as far as this process knows. Whoever reads the registry of generations (on the
//! read side) writes it here; every link to the broker reads it.

use std::sync::{Arc, Mutex, PoisonError};

/// A list that all links of a process share. Before anybody has read the registry it is the first generation alone.
#[derive(Debug, Clone)]
pub struct Generations(Arc<Mutex<Vec<i32>>>);

impl Default for Generations {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec![1])))
    }
}

impl Generations {
    /// Those there are now. At most three at a time: live, previous and building.
    pub fn ids(&self) -> Vec<i32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, ids: Vec<i32>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }
}
