//! A customer's new name reaches all their orders. Somebody with very many orders must not make one huge transaction of it, so
//! most are renamed ahead of the event, in small ones; each is guarded by the version of the name that an order has.

use super::working_set::{Arrived, WorkingSet};
use super::{
    duty::Duty,
    guard,
    load::Touched,
    skip,
    waiting::{self, Waiting},
    write,
    write::WaitingRoom,
};
use crate::{
    clock::Clock,
    event::{Event, Stream, UserEvent},
    query::{
        store::{Store, StoreError, answer, names, transact},
        view::{OrderView, UserView},
    },
    value::UserId,
};
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use std::collections::HashMap;

/// Orders renamed in one transaction.
const CHUNK: usize = 500;

/// Renames the orders of every user whose new profile comes next, and of those after it that are here too or have waited for it.
/// What is left over, less than a chunk, goes with the events themselves.
pub async fn ahead(
    store: &Store,
    duty: &Duty,
    events: impl Iterator<Item = &Arrived> + Send,
    clock: &Clock,
) -> Result<(), StoreError> {
    let mut discarded = None;
    let mut users: HashMap<UserId, UserView> = HashMap::new();
    for arrived in events {
        let Stream::User(id) = arrived.envelope.meta.stream else { continue };
        if !matches!(arrived.envelope.event, Event::User(UserEvent::ProfileUpdated { .. })) {
            continue;
        }
        let known = match users.remove(&id) {
            Some(user) => Some(user),
            None => answer(store.collection::<UserView>(names::USERS).find_one(doc! { "_id": id.to_string() })).await?,
        };
        let Some(mut user) = known else { continue };
        let discarded = match &mut discarded {
            Some(discarded) => discarded,
            none => none.insert(skip::discarded(store).await?),
        };
        let mut next = Some(arrived.clone());
        while let Some(event) = next.take().filter(|event| event.envelope.meta.version == user.version + 1) {
            let Event::User(change) = &event.envelope.event else { break };
            if discarded.contains(&(Stream::User(id), event.envelope.meta.version)) {
                // Only its version counts.
                user.version = event.envelope.meta.version;
            } else {
                user = super::fold_catalogue::user(user, &event.envelope.meta, change);
                while chunk(store, duty, &event, id, &user, clock).await? {
                    crate::crash::point("after-rename-chunk");
                }
            }
            let waited = waiting::key(Stream::User(id), user.version + 1);
            let found = answer(store.collection::<Waiting>(names::WAITING).find_one(doc! { "_id": waited })).await?;
            // One that a replay has let wait came from no partition; it is of the same key.
            next = found.and_then(|waited| Some(Arrived { partition: event.partition, ..waited.arrived()? }));
        }
        users.insert(id, user);
    }
    Ok(())
}

/// Renames a chunk, if there is a whole one; says whether there was.
async fn chunk(
    store: &Store,
    duty: &Duty,
    arrived: &Arrived,
    id: UserId,
    user: &UserView,
    clock: &Clock,
) -> Result<bool, StoreError> {
    transact(store, |session| {
        let (store, arrived, user, now) = (store.clone(), arrived.clone(), user.clone(), clock.now());
        let duty = *duty;
        Box::pin(async move {
            // Exactly the name before: what is left over of an earlier renaming must not skip it.
            let filter = doc! { "customer.id": id.to_string(), "customer.version": user.version - 1 };
            let documents = store.collection::<OrderView>(names::ORDERS);
            let find = documents.find(filter).projection(doc! { "history": 0 }).limit(CHUNK as i64);
            let mut cursor = find.session(&mut *session).await?;
            let orders: Vec<OrderView> = cursor.stream(&mut *session).try_collect().await?;
            if orders.len() < CHUNK {
                return Ok(false);
            }
            // The partition's counter, and nothing else: the user's document waits for the event itself.
            guard::take(&store, session, &duty, &guard::of([arrived.partition])).await?;
            let touched = Touched::partition(arrived.partition);
            let mut set: WorkingSet = super::load::positions(&store, session, &touched, &duty).await?;
            set.orders = orders.into_iter().map(|order| (order.id, order)).collect();
            set.users.insert(id, user);
            set.rename(&arrived, id, now);
            write::write(&store, session, &set, &WaitingRoom::default()).await?;
            Ok(true)
        })
    })
    .await
}
