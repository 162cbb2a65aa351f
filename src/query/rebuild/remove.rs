//! Removes generations, in an order in which nothing of them can hurt the others or come back.

use super::{RebuildError, Works};
use crate::{
    bus::Queues,
    crash,
    query::{
        projector,
        store::{Registry, names},
    },
};

impl Works {
    /// Removes a generation that is not live: its queues first, so that nothing of it can hurt the others.
    pub async fn drop(&self, generation: i32) -> Result<(), RebuildError> {
        if self.store.strike(generation).await?.is_none() {
            return Ok(());
        }
        crash::point("drop-struck");
        // Until every process knows; one that connects to the broker before would make the queues again.
        self.seen_by_all().await;
        self.sweep(&[]).await.map(|_| ())
    }

    /// Removes what is left of generations that were dropped; false when nothing was.
    pub async fn tidy(&self) -> Result<bool, RebuildError> {
        self.sweep(&[]).await
    }

    /// Removes the queues, guards and collections of generations that are not registered; says whether there were collections.
    pub(super) async fn sweep(&self, long_gone: &[i32]) -> Result<bool, RebuildError> {
        let registry = self.store.look().await?;
        let queues = Queues::connect(&self.settings.bus).await?;
        let mut left = Vec::new();
        for generation in &registry.dropped {
            if !queues.remove(*generation).await? {
                left.push(*generation);
            }
        }
        queues.close().await;
        crash::point("drop-queues");
        // Before the collections: a batch that is still in somebody's hands would make one again by writing to it, and cannot
        // commit without its guards.
        for generation in &registry.dropped {
            projector::remove_guards(&self.store.of(*generation)).await?;
        }
        crash::point("drop-guards");
        let (known, mut found) = (registry.ids(), false);
        for name in self.store.database.list_collection_names().await? {
            if of_views(&name).is_some_and(|generation| !known.contains(&generation)) {
                self.store.database.collection::<mongodb::bson::Document>(&name).drop().await?;
                crash::point("drop-collections");
                found = true;
            }
        }
        // Those that were dropped some time ago; of the others somebody may not know yet.
        let gone: Vec<i32> = long_gone.iter().copied().filter(|generation| !left.contains(generation)).collect();
        self.store.forget(&gone).await?;
        Ok(found)
    }
}

/// The generation whose view a collection is.
fn of_views(name: &str) -> Option<i32> {
    names::VIEWS.iter().find_map(|view| match name.strip_prefix(view)? {
        "" => Some(Registry::FIRST),
        rest => rest.strip_prefix(".generation.")?.parse().ok().filter(|generation| *generation > Registry::FIRST),
    })
}

#[cfg(test)]
mod tests {
    use super::of_views;

    #[test]
    fn a_collection_says_whose_it_is() {
        let found = ["orders", "orders.generation.2", "waiting.generation.31", "changes", "orders.generation.1", "orders_2"]
            .map(of_views);
        assert_eq!(found, [Some(1), Some(2), Some(31), None, None, None]);
    }
}
