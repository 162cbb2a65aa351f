//! What became of an administrator's wish. It is written down together with the end of the job, in one update: whoever finds the
//! wish still open, because the process died before it could close it or was only slower than another, must not fulfil it twice.
//! (Undoing twice would be undoing nothing.)

use super::job::ID;
use crate::query::store::{Store, StoreError, answer, names};
use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

/// The last wish that was fulfilled or failed. One is enough: the next is only taken when it is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilled {
    /// Its number, as the write side has it.
    pub request: i64,
    /// Why it failed, if it did.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A condition on the job's document: this wish is still to be fulfilled.
pub fn not_yet(request: i64) -> Document {
    doc! { "fulfilled.request": { "$ne": request } }
}

impl Store {
    /// What became of a wish; nothing while it is still to be fulfilled.
    ///
    /// # Errors
    /// The driver's.
    pub(super) async fn fulfilled(&self, request: i64) -> Result<Option<Fulfilled>, StoreError> {
        #[derive(Deserialize)]
        struct Found {
            fulfilled: Fulfilled,
        }
        let jobs = self.collection::<Found>(names::GENERATIONS);
        let filter = doc! { "_id": ID, "fulfilled.request": request };
        let found = answer(jobs.find_one(filter).projection(doc! { "fulfilled": 1 })).await?;
        Ok(found.map(|found| found.fulfilled))
    }
}
