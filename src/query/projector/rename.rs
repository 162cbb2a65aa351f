//! A customer's new name reaches all their orders. Somebody with very many orders must not make one huge transaction of it, so
//! most are renamed ahead of the event, in small ones; each is guarded by the version of the name that an order has.

use super::working_set::{Arrived, WorkingSet};
use super::{load::Touched, write, write::WaitingRoom};
use crate::{
    clock::Clock,
    event::{Event, Stream, UserEvent},
    query::{
        store::{Store, StoreError, names, transact},
        view::{OrderView, UserView},
    },
    value::UserId,
};
use futures_util::TryStreamExt;
use mongodb::bson::doc;

/// Orders renamed in one transaction.
const CHUNK: usize = 500;

/// Renames the orders of every user whose new profile is the next event of theirs. What is left over, at most a chunk, goes with
/// the event itself.
pub async fn ahead(store: &Store, events: &[Arrived], clock: &Clock) -> Result<(), StoreError> {
    for arrived in events {
        let (Event::User(event @ UserEvent::ProfileUpdated { .. }), Stream::User(id)) =
            (&arrived.envelope.event, arrived.envelope.meta.stream)
        else {
            continue;
        };
        let users = store.collection::<UserView>(names::USERS);
        let Some(user) = users.find_one(doc! { "_id": id.to_string() }).await? else { continue };
        if user.version + 1 != arrived.envelope.meta.version {
            continue;
        }
        let user = super::fold_catalogue::user(user, &arrived.envelope.meta, event);
        while chunk(store, arrived, id, &user, clock).await? {}
    }
    Ok(())
}

/// Renames a chunk, if there is a whole one; says whether there was.
async fn chunk(store: &Store, arrived: &Arrived, id: UserId, user: &UserView, clock: &Clock) -> Result<bool, StoreError> {
    transact(store, |session| {
        let (store, arrived, user, now) = (store.clone(), arrived.clone(), user.clone(), clock.now());
        Box::pin(async move {
            let filter = doc! { "customer.id": id.to_string(), "customer.version": { "$lt": user.version } };
            let documents = store.collection::<OrderView>(names::ORDERS);
            let find = documents.find(filter).projection(doc! { "history": 0 }).limit(CHUNK as i64);
            let mut cursor = find.session(&mut *session).await?;
            let orders: Vec<OrderView> = cursor.stream(&mut *session).try_collect().await?;
            if orders.len() < CHUNK {
                return Ok(false);
            }
            // The partition's counter, and nothing else: the user's document waits for the event itself.
            let mut set: WorkingSet = super::load::positions(&store, session, &Touched::partition(arrived.partition)).await?;
            set.orders = orders.into_iter().map(|order| (order.id, order)).collect();
            set.users.insert(id, user);
            set.rename(&arrived, id, now);
            write::write(&store, session, &set, &WaitingRoom::default()).await?;
            Ok(true)
        })
    })
    .await
}
