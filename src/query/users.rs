//! Questions about users.

use super::{
    QueryError, Reader,
    store::{answer, names},
    view::UserView,
};
use crate::value::{UserId, Viewer};
use mongodb::bson::doc;

impl Reader {
    /// One user with the sum of their orders, if this viewer may see them.
    pub async fn user(&self, viewer: &Viewer, id: UserId) -> Result<Option<UserView>, QueryError> {
        if !viewer.may_act_for(id) {
            return Ok(None);
        }
        let filter = doc! { "_id": id.to_string(), "version": { "$gt": 0 } };
        let users = self.store.live().await?.collection::<UserView>(names::USERS);
        Ok(answer(users.find_one(filter)).await?)
    }
}
