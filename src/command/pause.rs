//! Holds all relays for a moment: events are committed and wait in the outbox, and nothing is published. A switch of
//! the read model needs that stillness, so that all projectors come to the same place.

use super::{Database, store};
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};

/// Every relay's turn. The locks are the transaction's: they end with this value, its connection or its process, and PostgreSQL
/// itself ends them after 15 seconds of silence. So nothing that must be *safe* may rest on it.
pub struct Paused(DatabaseTransaction);

/// Waits for the relays to finish their batches, and keeps them from beginning others. `shards` is the number that all
/// relays have been given.
///
/// # Errors
/// The driver's; also when a relay did not finish within twelve seconds, in which even one is done whom the broker does not
/// answer.
pub async fn pause(database: &Database, shards: u32) -> Result<Paused, DbErr> {
    let held = database.0.begin().await?;
    store::shut_gate(&held).await?;
    for shard in 0..shards.max(1) {
        store::hold_shard(&held, shard, shards.max(1)).await?;
    }
    Ok(Paused(held))
}

impl Paused {
    /// Lets them go on, at once.
    ///
    /// # Errors
    /// The driver's; then they find out by themselves.
    pub async fn resume(self) -> Result<(), DbErr> {
        store::wake(&self.0).await?;
        self.0.commit().await
    }
}
