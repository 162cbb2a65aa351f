//! Keeps the one change stream of the process open.

use super::{Feed, News, Topic};
use crate::{
    bus::Backoff,
    clock::Clock,
    health::{Beat, PULSE},
    query::{
        store::{ANSWER, Store, StoreError, answer, names, within},
        view::{Change, ChangeId, ProductView},
    },
    shutdown::Shutdown,
};
use mongodb::{
    bson::{Document, RawDocumentBuf, deserialize_from_slice, doc},
    change_stream::event::ResumeToken,
};
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// An event of the change stream, as far as we ask for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Noticed {
    operation_type: String,
    #[serde(default)]
    ns: Option<Namespace>,
    #[serde(default)]
    document_key: Option<Document>,
    #[serde(default)]
    full_document: Option<RawDocumentBuf>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(default)]
    coll: String,
}

/// What follows from something noticed.
enum Then {
    GoOn,
    /// Another generation is live from here on.
    Reopen,
}

impl Feed {
    /// Feeds the topics until the drain, reopening the stream whenever it is lost.
    pub async fn run(self, clock: Clock, beat: Beat, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        while !shutdown.is_draining() {
            let lost = tokio::select! {
                lost = self.watch_until_lost(&clock, &beat, &mut backoff) => lost,
                () = shutdown.draining() => return,
            };
            let Err(error) = lost else { continue };
            let wait = backoff.pause();
            tracing::warn!(%error, retry_in_ms = wait.as_millis(), "the change stream is lost and opened anew");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.draining() => return,
            }
        }
    }

    /// Watches the views of the live generation. After a switch it goes on from there with those of the next, so that nobody
    /// hears of a product or user from two generations, and nothing escapes.
    ///
    /// A stream that was lost is never resumed by a token of ours: where it left off may be gone from the oplog, and the log
    /// knows better what is missing.
    async fn watch_until_lost(&self, clock: &Clock, beat: &Beat, backoff: &mut Backoff) -> Result<(), StoreError> {
        let mut from = None;
        loop {
            let live = self.store.of(self.store.look().await?.live.id);
            from = self.watch(&live, from, clock, beat, backoff).await?;
        }
    }

    async fn watch(
        &self,
        live: &Store,
        from: Option<ResumeToken>,
        clock: &Clock,
        beat: &Beat,
        backoff: &mut Backoff,
    ) -> Result<Option<ResumeToken>, StoreError> {
        let (products, users) = (live.named(names::PRODUCTS), live.named(names::USERS));
        // An empty answer with each beat shows that the stream lives.
        let watch = self.store.database.watch().pipeline(pipeline(&products, &users)).resume_after(from).max_await_time(PULSE);
        let mut stream = answer(watch).await?.with_type::<Noticed>();
        // From here on nothing escapes the stream; what came before is in the log. A switch just before it we would not hear of.
        if self.store.look().await?.live.id != live.generation() {
            return Ok(stream.resume_token());
        }
        self.catch_up_all().await?;
        backoff.reset();
        let mut swept = Instant::now();
        loop {
            if let Some(noticed) = within(ANSWER, stream.next_if_any()).await?
                && matches!(self.notice(noticed, live, &products, &users).await?, Then::Reopen)
            {
                return Ok(stream.resume_token());
            }
            // By time and not when nothing comes: under steady load something always does.
            if swept.elapsed() > Duration::from_secs(1) {
                self.hub().sweep();
                swept = Instant::now();
            }
            beat.beat(clock.now());
            if !stream.is_alive() {
                return Err(mongodb::error::Error::custom("the server closed the change stream"));
            }
        }
    }

    async fn notice(&self, noticed: Noticed, live: &Store, products: &str, users: &str) -> Result<Then, StoreError> {
        let collection = noticed.ns.as_ref().map_or("", |ns| ns.coll.as_str());
        match (noticed.operation_type.as_str(), &noticed.full_document) {
            ("insert", Some(document)) if collection == names::CHANGES => {
                let change: Change = deserialize_from_slice(document.as_bytes())?;
                self.take(change).await?;
            }
            ("insert" | "replace", Some(document)) if collection == products => {
                let product: ProductView = deserialize_from_slice(document.as_bytes())?;
                let topic = Topic::Product(product.id);
                let news = News::Product(Arc::new(product));
                let mut hub = self.hub();
                hub.tell(topic, &news);
                hub.tell(Topic::AnyProduct, &news);
            }
            ("insert" | "replace" | "update", _) if collection == users => {
                let id = noticed.document_key.as_ref().and_then(|key| key.get_str("_id").ok()).and_then(|id| id.parse().ok());
                if let Some(id) = id {
                    self.hub().tell(Topic::User(id), &News::User);
                }
            }
            ("insert" | "replace" | "update", _) if collection == names::GENERATIONS => {
                self.hub().tell(Topic::Generations, &News::User);
                if self.store.look().await?.live.id != live.generation() {
                    return Ok(Then::Reopen);
                }
            }
            ("insert" | "replace" | "update", _) => {}
            // Dropped or renamed under us: what is there now is found by opening anew.
            (operation, _) => {
                return Err(StoreError::custom(format!("{operation} of {collection} ended the change stream")));
            }
        }
        Ok(Then::GoOn)
    }

    /// Publishes a change in its place: a repeated one is dropped, and what is missing before it is read from the log first.
    async fn take(&self, change: Change) -> Result<(), StoreError> {
        let seen = self.seen(change.id.partition).await?.map_or(0, |place| place.number);
        if change.id.number <= seen {
            return Ok(());
        }
        if change.id.number > seen + 1 {
            self.catch_up(change.id.partition, change.id.number).await?;
            return Ok(());
        }
        self.hub().publish(change);
        Ok(())
    }

    async fn catch_up_all(&self) -> Result<(), StoreError> {
        let newest = self.newest().await?;
        if !*self.started.borrow() {
            // Nobody has been told anything yet, so there is nothing to repeat.
            self.hub().seen = newest;
            self.started.send_replace(true);
            return Ok(());
        }
        self.hub().adopt(&newest);
        for (partition, place) in newest {
            self.catch_up(partition, place.number).await?;
        }
        self.hub().look_again();
        Ok(())
    }

    async fn catch_up(&self, partition: i32, upto: i64) -> Result<(), StoreError> {
        loop {
            let seen = self.hub().seen.get(&partition).map_or(0, |place| place.number);
            if seen >= upto {
                return Ok(());
            }
            let missed = self.changes(ChangeId { partition, number: seen }, upto, None).await?.changes;
            metrics::counter!("orderflow_feed_caught_up_total").increment(missed.len() as u64);
            if missed.is_empty() {
                // The log does not reach back so far.
                self.hub().skip(partition, upto);
                return Ok(());
            }
            let mut hub = self.hub();
            let mut seen = seen;
            for change in missed {
                let number = change.id.number;
                if number > seen + 1 {
                    hub.skip(partition, number - 1);
                }
                hub.publish(change);
                seen = number;
            }
        }
    }
}

/// What the stream is asked for: changes of orders, of the live products and users and of which those are, and whatever means
/// that the rest must be looked at anew.
fn pipeline(products: &str, users: &str) -> [Document; 2] {
    let news = [products, users, names::GENERATIONS];
    let numbered = [names::CHANGES, names::POSITIONS];
    let all = [products, users, names::GENERATIONS, names::CHANGES, names::POSITIONS];
    [
        doc! { "$match": {
            "operationType": { "$in": ["insert", "replace", "update", "drop", "rename", "dropDatabase", "invalidate"] },
            "$or": [
                { "ns.coll": names::CHANGES, "operationType": "insert" },
                { "ns.coll": { "$in": news.to_vec() } },
                { "ns.coll": { "$in": numbered.to_vec() }, "operationType": { "$in": ["drop", "rename"] } },
                { "to.coll": { "$in": all.to_vec() }, "operationType": "rename" },
                { "operationType": { "$in": ["dropDatabase", "invalidate"] } },
            ],
        } },
        // Users' documents are only a signal to those who wait for them.
        doc! { "$project": { "operationType": 1, "ns": 1, "documentKey": 1,
        "fullDocument": { "$cond": [{ "$eq": ["$ns.coll", users] }, "$$REMOVE", "$fullDocument"] } } },
    ]
}
