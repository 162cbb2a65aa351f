//! Sends events of one stream again. The log keeps them for ever, and readers know those that they have by their version, so this
//! is always safe: it is how a damaged message, or one that was not kept, comes once more.

use super::{Database, store};
use crate::event::Stream;
use sea_orm::DbErr;

/// Puts the events of a stream from version `from` up to `upto` back into the outbox, and says how many that were. Those that are
/// in it still are left where they are. The relay takes it from there, in order.
///
/// # Errors
/// The driver's.
pub async fn republish(database: &Database, stream: Stream, from: i64, upto: i64) -> Result<u64, DbErr> {
    store::republish(&database.0, stream, from, upto).await
}
