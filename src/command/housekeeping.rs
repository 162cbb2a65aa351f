//! Forgets the outcomes of old commands, so that their table does not grow for ever. Until then the same command id gives the
//! same outcome; afterwards it would be a new command.

use super::{Database, store};
use crate::{clock::Clock, shutdown::Shutdown};
use std::time::Duration;

/// How often to look. Forgetting is cheap and nothing waits for it.
const EVERY: Duration = Duration::from_secs(600);

/// Runs until the drain. Several processes may; they only take work from each other.
pub async fn run(database: Database, keep: Duration, clock: Clock, shutdown: Shutdown) {
    let mut tick = tokio::time::interval(EVERY);
    while !shutdown.is_draining() {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.draining() => return,
        }
        match forget_outcomes(&database, &clock, keep).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "outcomes of old commands are forgotten"),
            Err(error) => tracing::warn!(%error, "outcomes of old commands could not be forgotten; trying again later"),
        }
    }
}

/// Forgets every outcome that is older than `keep`, a thousand at a time so that nobody waits for the rows; says how many.
///
/// # Errors
/// The driver's.
pub async fn forget_outcomes(database: &Database, clock: &Clock, keep: Duration) -> Result<u64, sea_orm::DbErr> {
    let before = clock.now() - keep;
    let mut forgotten = 0;
    loop {
        let some = store::forget(&database.0, before).await?;
        forgotten += some;
        if some == 0 {
            return Ok(forgotten);
        }
    }
}
