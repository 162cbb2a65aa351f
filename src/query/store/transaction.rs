//! One transaction a batch: what guards a counter and the counter move together, or not at all.

use super::{Store, StoreError, majority, orphans, patience::TRANSACTION, within};
use futures_util::future::BoxFuture;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
    error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
    options::ReadConcern,
};
use std::time::Duration;

/// How often a transaction is tried again after a conflict or an election, and a commit whose outcome is unknown.
const ATTEMPTS: u32 = 8;

/// How often it is tried that often again, if whoever was in the way turns out to be dead.
const FUNERALS: u32 = 3;

/// Runs `work` in a transaction until it commits. `work` may run several times, so it must not keep anything of an earlier run.
///
/// # Errors
/// The last error, when no attempt succeeded.
pub async fn transact<T, F>(store: &Store, mut work: F) -> Result<T, StoreError>
where
    F: for<'a> FnMut(&'a mut ClientSession) -> BoxFuture<'a, Result<T, StoreError>>,
{
    let mut session = store.client.start_session().await?;
    let (mut attempt, mut funerals) = (0, 0);
    loop {
        attempt += 1;
        // Snapshot reads: guards are compared with one state of all collections, and anybody else's write to them aborts us.
        session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(majority()).await?;
        let whole = async {
            match work(&mut session).await {
                Ok(value) => commit(&mut session).await.map(|()| value),
                Err(error) => {
                    // The server ends it anyway when it cannot hear this.
                    let _ = session.abort_transaction().await;
                    Err(error)
                }
            }
        };
        // After silence nobody knows whether it was committed; the versions in the documents will tell.
        let result = within(TRANSACTION, whole).await;
        match result {
            Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && attempt < ATTEMPTS => {
                metrics::counter!("orderflow_projector_conflicts_total").increment(1);
                // Whoever was faster needs a moment to commit; at once, all attempts would be spent before it has.
                let longest = 1_u64 << attempt.min(6);
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..=longest))).await;
            }
            Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && funerals < FUNERALS => {
                // Nobody needs as long as that; perhaps somebody has died.
                let ended = orphans::end(store).await.unwrap_or_else(|why| {
                    tracing::debug!(error = %why, "whether somebody who died is in the way cannot be found out");
                    0
                });
                if ended == 0 {
                    return Err(error);
                }
                (attempt, funerals) = (0, funerals + 1);
            }
            result => return result,
        }
    }
}

async fn commit(session: &mut ClientSession) -> Result<(), StoreError> {
    for _ in 1..ATTEMPTS {
        match session.commit_transaction().await {
            // It may have committed; asking again is safe and tells.
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
            result => return result,
        }
    }
    session.commit_transaction().await
}

/// Writes to one collection, sent as one command each of `update`, `insert` and `delete`. (`bulkWrite` over collections needs
/// MongoDB 8, and 6 is supported.)
#[derive(Debug, Default)]
pub struct Bulk {
    updates: Vec<Document>,
    inserts: Vec<Document>,
    deletes: Vec<Document>,
}

impl Bulk {
    /// Replaces or updates the one document that `query` finds, or makes it.
    pub fn upsert(&mut self, query: Document, update: Document) {
        self.updates.push(doc! { "q": query, "u": update, "upsert": true });
    }

    /// Updates the one document that `query` finds, if there is one.
    pub fn update(&mut self, query: Document, update: Document) {
        self.updates.push(doc! { "q": query, "u": update });
    }

    pub fn insert(&mut self, document: Document) {
        self.inserts.push(document);
    }

    pub fn delete(&mut self, query: Document) {
        self.deletes.push(doc! { "q": query, "limit": 1 });
    }

    /// Sends everything.
    ///
    /// # Errors
    /// The driver's, or that a write was refused.
    pub async fn send(self, store: &Store, session: &mut ClientSession, collection: &str) -> Result<(), StoreError> {
        let collection = store.named(collection);
        let commands = [
            (doc! { "update": &collection }, "updates", self.updates),
            (doc! { "insert": &collection }, "documents", self.inserts),
            (doc! { "delete": &collection }, "deletes", self.deletes),
        ];
        for (mut command, name, mut operations) in commands {
            // The server takes at most 100,000 operations and 48 MB at once; batches are far below the first, and large orders
            // are kept below the second by this.
            const MOST: usize = 1_000;
            while !operations.is_empty() {
                let rest = operations.split_off(operations.len().min(MOST));
                command.insert(name, std::mem::replace(&mut operations, rest));
                let answer = store.database.run_command(command.clone()).session(&mut *session).await?;
                refused(&answer)?;
            }
        }
        Ok(())
    }
}

/// What cannot be done for a reason that lies in the data, in an error of the driver: a sentence for the operator. A type of its
/// own, so that no other error is taken for it.
#[derive(Debug, Clone)]
pub struct Spoilt(pub String);

/// Write errors come in a successful answer.
fn refused(answer: &Document) -> Result<(), StoreError> {
    match answer.get_array("writeErrors") {
        Ok(errors) if !errors.is_empty() => {
            let why = format!("{} writes were refused, first: {}", errors.len(), errors[0]);
            Err(StoreError::custom(Spoilt(why)))
        }
        _ => Ok(()),
    }
}
