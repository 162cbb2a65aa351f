//! A queue of a read model that is not live falls silent for good: it takes no message and refuses none. That is how RabbitMQ was
//! seen to come back when it was killed seconds after the queue had been made.

use super::Faults;
use crate::{Failure, processes::PARTITIONS};
use mongodb::bson::{Document, doc};
use rand::Rng;
use std::time::Duration;

/// How long a rebuild may take that makes a read model to do it to.
const PATIENCE: Duration = Duration::from_secs(60);

impl Faults<'_> {
    pub(super) async fn silence(&mut self) -> Result<(), Failure> {
        // Nobody may make it live meanwhile: of a silent queue of the live one nobody recovers without an operator.
        let shop = self.shop;
        let _alone = shop.read_models.lock().await;
        let mut generation = self.other_generation().await?;
        if generation.is_none() {
            self.operations += 1;
            let name = format!("rebuild-to-silence-{}", self.operations);
            shop.processes.run_for(&name, &["rebuild", "--strict"], None, PATIENCE).await?;
            generation = self.other_generation().await?;
        }
        let Some(generation) = generation else { return Ok(()) };
        let partition = self.chance.random_range(0..PARTITIONS);
        let queue = match generation {
            1 => format!("orderflow.projector.{partition}"),
            later => format!("orderflow.projector.{later}.{partition}"),
        };
        println!("  {queue} falls silent");
        // Somebody may just have removed it.
        let suspend = format!("case whereis('%2F_{queue}') of undefined -> ok; Queue -> sys:suspend(Queue) end.");
        self.stack.ask_broker(&suspend).await
    }

    /// The read model that was live before, or else one that somebody has left ready.
    async fn other_generation(&self) -> Result<Option<i32>, Failure> {
        let mongo = mongodb::Client::with_uri_str(&self.stack.mongodb_uri).await?;
        let database = mongo.default_database().ok_or("the address names a database")?;
        let registry = database.collection::<Document>("generations").find_one(doc! { "_id": "registry" }).await?;
        let others = registry.into_iter().flat_map(|registry| {
            let ready = |field: &str| {
                let other = registry.get_document(field).ok()?;
                let whole = field == "previous" || other.get_bool("ready").unwrap_or_default();
                other.get_i32("id").ok().filter(|_| whole)
            };
            ["previous", "building"].map(ready)
        });
        Ok(others.flatten().next())
    }
}
