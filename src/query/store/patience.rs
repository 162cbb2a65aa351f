//! How long anything may wait for MongoDB. The driver has no bound of its own for a line on which nothing comes any more: it has
//! no socket timeout (`socketTimeoutMS` is read and not used), and its monitor sees a dead server but not a dead connection.
//!
//! | what | bound | because |
//! | --- | --- | --- |
//! | finding a server, connecting | 3 s each (`Store::connect`) | an election takes about two |
//! | the monitor's look at the server | every 2 s | silence of the whole server ends every connection to it after at most 5 s |
//! | the server's own work on a question | [`SERVER`] | nobody waits for it any longer |
//! | a question, with finding a server twice | [`ANSWER`] | the driver asks a second time after an election |
//! | a transaction of the projector | [`TRANSACTION`] | the server itself ends one after 60 s |
//! | a word of the change stream | [`ANSWER`] | one comes at least with every beat |
//!
//! Whatever is given up closes its connection, so the next one to ask gets another.

use super::StoreError;
use std::{future::IntoFuture, time::Duration};

/// How long the server may work on one question (`maxTimeMS`).
pub const SERVER: Duration = Duration::from_secs(6);

/// How long an answer may take, with everything before it.
pub const ANSWER: Duration = Duration::from_secs(8);

/// How long a transaction may take, all of its statements together.
pub const TRANSACTION: Duration = Duration::from_secs(20);

/// Waits for the answer to a question, within [`ANSWER`].
///
/// # Errors
/// The driver's, or that there was no answer in time.
pub async fn answer<T>(question: impl IntoFuture<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(ANSWER, question).await
}

/// Waits no longer than a bound.
///
/// # Errors
/// The driver's, or that there was no answer in time.
pub async fn within<T>(bound: Duration, question: impl IntoFuture<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = |_| StoreError::custom(format!("MongoDB did not answer within {bound:?}"));
    tokio::time::timeout(bound, question.into_future()).await.map_err(silent)?
}
