//! Wishes of administrators that the read model be rebuilt. The write side only keeps them: it has no way to the read model. Who
//! has both sides takes them up, one at a time, and a wish stays open until somebody has fulfilled it or failed.

use super::{Code, Database, Fault, Refusal, store};
use crate::value::{CommandId, Role, Time, Viewer};
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildWish {
    /// Make the previous read model live again instead of building one.
    pub undo: bool,
    /// Fail if the new one differs from the old.
    pub strict: bool,
}

/// A wish that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildRequest {
    pub id: i64,
    pub wish: RebuildWish,
    pub requested_at: Time,
    /// Whether it was kept before, under the same command id.
    pub replayed: bool,
}

/// The wishes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RebuildRequests(Database);

impl RebuildRequests {
    pub fn new(database: &Database) -> Self {
        Self(database.clone())
    }

    /// Keeps a wish, for processes with this fold. The same command again gets the same answer.
    ///
    /// # Errors
    /// A fault, after which asking again under the same id is safe and tells.
    pub async fn ask(
        &self,
        viewer: &Viewer,
        id: &CommandId,
        wish: RebuildWish,
        fold: i32,
        now: Time,
    ) -> Result<Result<RebuildRequest, Refusal>, Fault> {
        if viewer.role != Role::Admin {
            return Ok(Err(Refusal::new(Code::Forbidden, "only an administrator rebuilds read models")));
        }
        let kept = store::request_rebuild(&self.0.0, &viewer.subject, id.as_str(), wish, fold, now).await;
        let kept = kept.map_err(|error| {
            tracing::error!(%error, "a wish for a rebuild could not be kept");
            Fault::from(store::classify(&error))
        })?;
        Ok(match kept {
            None => Err(Refusal::new(Code::Conflict, "a rebuild is asked for already; rebuildProgress follows it")),
            Some(request) if request.wish == wish => Ok(request),
            Some(_) => Err(Refusal::new(Code::CommandIdReused, "this commandId was used before, with another input")),
        })
    }

    /// The open wish that processes of this fold are to fulfil.
    ///
    /// # Errors
    /// The driver's.
    pub async fn next(&self, fold: i32) -> Result<Option<RebuildRequest>, DbErr> {
        store::next_rebuild(&self.0.0, fold).await
    }

    /// Closes a wish.
    ///
    /// # Errors
    /// The driver's.
    pub async fn finish(&self, id: i64, failure: Option<String>, now: Time) -> Result<(), DbErr> {
        store::finish_rebuild(&self.0.0, id, failure, now).await
    }
}
