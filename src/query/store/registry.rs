//! The registry of generations in MongoDB: one document in `generations`, and the transitions it can take. Each is one
//! conditional update, so two who try at once cannot both succeed.

use super::{Registry, SERVER, Store, StoreError, answer, indexes, names};
use crate::{query::view::date, value::Time};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
    options::ReturnDocument,
};
use std::time::Instant;

/// The document's id. The feed of each process watches it.
pub const ID: &str = "registry";

/// How long projectors rest after a switch, by the server's clock: `GOOD_FOR` for those who answer, and what it takes to commit.
const SETTLES_AFTER_MS: i64 = 1_000;

impl Store {
    /// Looks which generations there are. Where nothing says so there is the first, live.
    ///
    /// # Errors
    /// The driver's.
    pub async fn look(&self) -> Result<Registry, StoreError> {
        let began = Instant::now();
        let age = doc! { "$subtract": ["$$NOW", { "$ifNull": ["$switchedAt", { "$toDate": 0_i64 }] }] };
        let settled = doc! { "$gt": [age, SETTLES_AFTER_MS] };
        let fields = doc! { "live": 1, "previous": 1, "building": 1, "next": 1, "dropped": 1, "settled": settled };
        let registries = self.collection::<Registry>(names::GENERATIONS);
        let found = answer(registries.find_one(doc! { "_id": ID }).projection(fields).max_time(SERVER)).await?;
        let registry = found.unwrap_or_else(first);
        self.saw(registry.live.id, began);
        Ok(registry)
    }

    /// Makes the registry where there is none, with the first generation live and written by this fold.
    ///
    /// # Errors
    /// The driver's.
    pub async fn register(&self, fold: i32) -> Result<(), StoreError> {
        let Registry { live, next, .. } = first();
        let live = doc! { "id": live.id, "fold": fold, "since": date::to_bson(live.since) };
        let update = doc! { "$setOnInsert": { "live": live, "next": next } };
        let registries = self.collection::<Document>(names::GENERATIONS);
        match answer(registries.update_one(doc! { "_id": ID }, update).upsert(true)).await {
            // 11000 is DuplicateKey: another process was faster.
            Err(error) if indexes::code(&error) == Some(11_000) || error.to_string().contains("E11000") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Registers a generation that is to be built, unless one is being built already.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn register_building(&self, fold: i32, now: Time) -> Result<Option<Registry>, StoreError> {
        let building = doc! { "id": "$next", "fold": fold, "since": date::to_bson(now), "ready": false };
        let update = vec![doc! { "$set": { "building": building, "next": { "$add": ["$next", 1] } } }];
        self.change(doc! { "building": null }, update).await
    }

    /// Says that a generation has the whole log and follows its queues from now on.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn register_ready(&self, generation: i32) -> Result<Option<Registry>, StoreError> {
        self.change(doc! { "building.id": generation }, vec![doc! { "$set": { "building.ready": true } }]).await
    }

    /// Strikes a generation that is not live off the list. Its remains are removed afterwards.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn strike(&self, generation: i32) -> Result<Option<Registry>, StoreError> {
        let without = |field: &str| {
            let is_it = doc! { "$eq": [format!("${field}.id"), generation] };
            doc! { "$cond": [is_it, null_bson(), format!("${field}")] }
        };
        let dropped = doc! { "$concatArrays": [{ "$ifNull": ["$dropped", []] }, [generation]] };
        let update =
            vec![doc! { "$set": { "previous": without("previous"), "building": without("building"), "dropped": dropped } }];
        let has_it = doc! { "$or": [{ "previous.id": generation }, { "building.id": generation }] };
        self.change(has_it, update).await
    }

    /// Forgets that a generation was dropped: nothing of it is left, and nobody knows it any more.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn forget(&self, generations: &[i32]) -> Result<(), StoreError> {
        let update = doc! { "$pull": { "dropped": { "$in": generations } } };
        self.collection::<Document>(names::GENERATIONS).update_one(doc! { "_id": ID }, update).await.map(|_| ())
    }

    /// Makes another generation live, and the one that was live the previous one; false if `from` was not live or `to` not there.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn register_switch(
        &self,
        session: &mut ClientSession,
        from: i32,
        to: i32,
    ) -> Result<bool, StoreError> {
        let built = doc! { "$eq": ["$building.id", to] };
        let update = vec![doc! { "$set": {
            "live": { "$cond": [built.clone(), "$building", "$previous"] },
            "previous": "$live",
            "building": { "$cond": [built, null_bson(), "$building"] },
            "switchedAt": "$$NOW",
        } }];
        let filter = doc! { "_id": ID, "live.id": from, "$or": [{ "building.id": to, "previous": null }, { "previous.id": to }] };
        let changed = self.collection::<Document>(names::GENERATIONS).update_one(filter, update).session(session).await?;
        Ok(changed.matched_count == 1)
    }

    /// Whether this store's generation is live, as a transaction sees it; a switch and that transaction cannot both commit.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn is_live_in(&self, session: &mut ClientSession) -> Result<bool, StoreError> {
        let registries = self.collection::<Registry>(names::GENERATIONS);
        let touched = registries.find_one_and_update(doc! { "_id": ID }, doc! { "$inc": { "touched": 1_i64 } });
        let registry = touched.session(session).await?.unwrap_or_else(first);
        Ok(registry.live.id == self.generation())
    }

    async fn change(&self, mut filter: Document, update: Vec<Document>) -> Result<Option<Registry>, StoreError> {
        filter.insert("_id", ID);
        let registries = self.collection::<Registry>(names::GENERATIONS);
        registries.find_one_and_update(filter, update).return_document(ReturnDocument::After).await
    }
}

fn null_bson() -> mongodb::bson::Bson {
    mongodb::bson::Bson::Null
}

fn first() -> Registry {
    let live = super::Generation { id: Registry::FIRST, fold: 1, since: Time::UNIX_EPOCH, ready: true };
    Registry { live, previous: None, building: None, next: 2, dropped: Vec::new(), settled: true }
}
