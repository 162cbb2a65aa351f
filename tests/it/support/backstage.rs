//! What goes on behind the counter: events held back, sent again or mangled, and whether both sides agree in the end.

use super::{TestApp, until, uuid_of};
use futures_util::TryStreamExt;
use mongodb::{
    bson::{Document, doc},
    options::ReadConcern,
};
use orderflow::{
    bus::{Outgoing, Publisher},
    event::{Envelope, Event, Meta, Stream},
    value::{CommandId, EventId},
};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, TryGetable};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ops::RangeBounds,
    sync::atomic::{AtomicUsize, Ordering},
};
use uuid::Uuid;

/// Events that were taken out of the outbox, by position and shard.
pub struct Held(Vec<(i64, i32)>);

impl TestApp {
    /// The rows of a statement on the write model.
    pub async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let ledger = self.ledger.get_or_init(|| self.postgres()).await;
        let rows = ledger.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        rows.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Keeps unpublished events that fit a condition on `e` from being published. Without a relay nothing is faster than this.
    pub async fn hold(&self, which: &str) -> Held {
        let sql = format!(
            "DELETE FROM outbox o USING event_log e WHERE e.position = o.position AND {which} RETURNING o.position, o.shard"
        );
        let held: Vec<_> = self.rows(&sql).await.iter().map(|row| (get(row, "position"), get(row, "shard"))).collect();
        assert!(!held.is_empty(), "nothing to hold: {which}");
        Held(held)
    }

    /// Lets them go.
    pub async fn release(&self, held: Held) {
        for (position, shard) in held.0 {
            self.rows(&format!("INSERT INTO outbox (position, shard) VALUES ({position}, {shard})")).await;
        }
    }

    /// The events of the log that fit a condition on `e`, oldest first.
    pub async fn log(&self, which: &str) -> Vec<Envelope> {
        self.rows(&format!("SELECT * FROM event_log e WHERE {which} ORDER BY position")).await.iter().map(envelope).collect()
    }

    /// Publishes messages as a relay would.
    pub async fn publish(&self, messages: Vec<Outgoing>) {
        let publisher = Publisher::connect(&self.bus()).await.expect("a publisher");
        let count = messages.len();
        assert_eq!(publisher.publish(messages).await.expect("published"), vec![true; count]);
    }

    /// Waits until everything that was published with these keys has been worked on: a message that nobody can read follows it
    /// through the same queues, and is found in the waiting room.
    pub async fn worked_off(&self, keys: impl IntoIterator<Item = Uuid>) {
        let mut markers = Vec::new();
        let mut subjects = Vec::new();
        for key in keys {
            let stream = format!("user/{}", Uuid::now_v7().simple());
            let body = json!({ "id": EventId(Uuid::now_v7()), "subject": stream, "streamversion": 1 });
            markers.push(message(key, body.to_string().into_bytes()));
            subjects.push(stream);
        }
        self.publish(markers).await;
        let mongo = self.mongo().await;
        let waiting = mongo.collection::<Document>(&live(&mongo, "waiting").await);
        until("the end of the queues", || async {
            let seen = waiting.count_documents(doc! { "stream": { "$in": &subjects } }).await.expect("count");
            if seen == subjects.len() as u64 { Ok(()) } else { Err(seen) }
        })
        .await;
        waiting.delete_many(doc! { "stream": { "$in": &subjects } }).await.expect("delete");
        let parked = mongo.collection::<Document>(&live(&mongo, "parked").await);
        parked.delete_many(doc! { "_id": { "$in": &subjects } }).await.expect("delete");
    }

    /// Waits until the read model has the newest version of every stream of the log.
    pub async fn caught_up(&self) {
        let mongo = self.mongo().await;
        until("the read model", || async {
            let mut seen = BTreeMap::new();
            for (collection, field, kind) in [
                ("orders", "version", "order"),
                ("users", "version", "user"),
                ("products", "version", "product"),
                ("products", "stockVersion", "stock"),
            ] {
                for document in documents(&mongo, &live(&mongo, collection).await).await {
                    let id = uuid_of(document["_id"].as_str().expect("an id")).to_owned();
                    seen.insert((kind.to_owned(), id), document[field].as_i64().expect("a version"));
                }
            }
            let newest = "SELECT stream_kind, stream_id, max(version) AS version FROM event_log GROUP BY 1, 2";
            let behind = self.rows(newest).await.into_iter().filter_map(|row| {
                let stream = (get::<String>(&row, "stream_kind"), get::<Uuid>(&row, "stream_id").simple().to_string());
                let version: i64 = get(&row, "version");
                (seen.get(&stream) != Some(&version)).then_some((stream, version))
            });
            let behind: Vec<_> = behind.collect();
            if behind.is_empty() { Ok(()) } else { Err(behind) }
        })
        .await;
    }

    /// Waits until so many listen to the feed of the first node.
    pub async fn listening(&self, many: impl RangeBounds<usize>) {
        until("the listeners", || async {
            let listeners = self.app().reader.feed().listeners();
            if many.contains(&listeners) { Ok(()) } else { Err(listeners) }
        })
        .await;
    }

    /// Lets the broker throw so many connections out. It learns of new ones every few seconds only.
    pub async fn throw_out(&self, connections: usize) {
        let thrown = AtomicUsize::new(0);
        until("connections to throw out", || async {
            let more = self.kick_everybody().await;
            let all = more + thrown.fetch_add(more, Ordering::Relaxed);
            if all >= connections { Ok(()) } else { Err(all) }
        })
        .await;
    }

    /// Copies an order of the read model: cheaper than placing so many, where only the read side matters.
    pub async fn copy_order(&self, order: &str, copies: i64) {
        let orders = self.mongo().await.collection::<Document>("orders");
        let model = orders.find_one(doc! { "_id": order }).await.expect("find").expect("an order");
        let copies = (0..copies).map(|number| {
            let mut copy = model.clone();
            copy.insert("_id", format!("order_{}", Uuid::now_v7().simple()));
            copy.insert("number", 100_000 + number);
            copy
        });
        orders.insert_many(copies).await.expect("insert");
    }

    /// The events that wait, oldest of a stream first.
    pub async fn waiting(&self) -> Vec<Value> {
        let mongo = self.mongo().await;
        documents(&mongo, &live(&mongo, "waiting").await).await
    }

    /// The whole read model.
    pub async fn read_model(&self) -> BTreeMap<&'static str, Vec<Value>> {
        let mongo = self.mongo().await;
        let mut all = BTreeMap::new();
        for name in ["orders", "users", "products", "sales", "waiting", "parked"] {
            all.insert(name, documents(&mongo, &live(&mongo, name).await).await);
        }
        for name in ["changes", "positions"] {
            all.insert(name, documents(&mongo, name).await);
        }
        all
    }

    /// What a node says of its health: whether it is ready, and what each part says.
    pub async fn readiness(&self) -> (bool, Value) {
        let answer = reqwest::get(self.anonymous().url("/readyz")).await.expect("the server answers");
        let ready = answer.status().is_success();
        (ready, answer.json().await.expect("JSON"))
    }
}

/// A message with a body of the caller's making.
pub fn message(partition_key: Uuid, body: Vec<u8>) -> Outgoing {
    let id = Uuid::now_v7().to_string();
    Outgoing { id, kind: "orderflow.test".into(), partition_key, traceparent: None, published_at: 0, body }
}

/// The message that carries an event.
pub fn carrying(envelope: &Envelope) -> Outgoing {
    message(envelope.meta.partition_key, envelope.to_json().expect("JSON"))
}

pub fn get<T: TryGetable>(row: &QueryResult, column: &str) -> T {
    row.try_get("", column).unwrap_or_else(|e| panic!("{column}: {e}"))
}

/// The collection that a view of the live read model is.
pub async fn live(mongo: &mongodb::Database, view: &str) -> String {
    let registry = mongo.collection::<Document>("generations").find_one(doc! { "_id": "registry" }).await.expect("find");
    match registry.expect("a registry").get_document("live").expect("a live one").get_i32("id").expect("an id") {
        1 => view.to_owned(),
        later => format!("{view}.generation.{later}"),
    }
}

/// Everything in a collection, in the order of ids.
pub async fn documents(mongo: &mongodb::Database, collection: &str) -> Vec<Value> {
    // Like the API: a newer state that this test alone could see would not help it.
    let all = mongo.collection::<Document>(collection);
    let found = all.find(doc! {}).sort(doc! { "_id": 1 }).read_concern(ReadConcern::majority()).await.expect("find");
    let documents: Vec<Document> = found.try_collect().await.expect("documents");
    documents.iter().map(|document| serde_json::to_value(document).expect("JSON")).collect()
}

fn envelope(row: &QueryResult) -> Envelope {
    let meta = Meta {
        id: EventId(get(row, "id")),
        stream: Stream::from_parts(&get::<String>(row, "stream_kind"), get(row, "stream_id")).expect("a stream"),
        version: get(row, "version"),
        recorded_at: get(row, "recorded_at"),
        actor: get(row, "actor"),
        command_id: CommandId::try_from(get::<String>(row, "command_id")).expect("a command id"),
        traceparent: get(row, "traceparent"),
        partition_key: get(row, "partition_key"),
        stock: serde_json::from_value(get(row, "stock_marks")).expect("stock marks"),
    };
    let event = Event::read(&get::<String>(row, "kind"), get(row, "data")).expect("an event");
    Envelope { meta, event }
}
