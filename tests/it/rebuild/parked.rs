//! What stands still, and what an operator has decided about it, in more than one read model.

use super::{STRICTLY, generations, registry, run};
use crate::{
    command_line::process::Process,
    support::{TestApp, backstage::documents, until, uuid_of},
};
use mongodb::bson::doc;
use serde_json::{Value, json};

/// An event of tomorrow, with everything that a relay needs to publish it.
async fn promote(app: &TestApp, user: &str, version: i64) {
    let user = uuid_of(user);
    let sql = format!(
        "WITH appended AS (
            INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, partition_key,
                                   stock_marks, data)
            VALUES (gen_random_uuid(), 'user', '{user}', {version}, 'orderflow.user.promoted.v9', now(), 'admin', 'by-hand',
                '{user}', '[]', '{{}}')
            RETURNING position)
         INSERT INTO outbox (position, shard) SELECT position, 0 FROM appended"
    );
    app.rows(&sql).await;
}

/// What stands still in a collection of that name, as soon as it is so much.
async fn standing(app: &TestApp, collection: &str, many: usize) -> Vec<Value> {
    let mongo = app.mongo().await;
    until(&format!("{many} in {collection}"), || async {
        let all = documents(&mongo, collection).await;
        if all.len() == many { Ok(all) } else { Err(all) }
    })
    .await
}

async fn version(app: &TestApp, collection: &str, user: &str) -> Value {
    let users = documents(&app.mongo().await, collection).await;
    users.into_iter().find(|found| found["_id"] == user).expect("the user")["version"].take()
}

/// Sets an event aside as an operator does.
async fn discard(app: &TestApp, event: &str) {
    let parts = &app.config.parts;
    let at = [("DATABASE_URL", &*parts.database_url), ("AMQP_URL", &parts.bus.url), ("MONGODB_URI", &parts.mongodb_uri)];
    let words = ["parked", "discard", event, "--reason", "nobody is promoted", "--by", "grace"];
    let ended = Process::run(&words, &at).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}

#[tokio::test]
async fn what_an_operator_has_set_aside_is_left_out_of_every_read_model() {
    let app = TestApp::start().await;
    let (ada, client) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    client.place(&[(&tea, 2)]).await;
    app.caught_up().await;
    run(&app, STRICTLY).await.expect("rebuilt");
    assert_eq!(generations(&app).await, (2, Some(1), None));

    // It stands still in the live read model and in the one before: both get every event.
    promote(&app, &ada, 2).await;
    for collection in ["parked.generation.2", "parked"] {
        let heads = standing(&app, collection, 1).await;
        assert_eq!((&heads[0]["cause"], &heads[0]["next"]), (&json!("UNKNOWN_TYPE"), &json!(2)), "{collection}");
    }
    // A new one has it from the log, and nothing differs.
    run(&app, STRICTLY).await.expect("rebuilt");
    assert_eq!(generations(&app).await, (3, Some(2), None));
    let waiting = standing(&app, "waiting.generation.3", 1).await;
    let body: Value = serde_json::from_str(waiting[0]["body"].as_str().expect("a message")).expect("JSON");
    assert_eq!((&waiting[0]["code"], &body["type"]), (&json!("UNKNOWN_TYPE"), &json!("orderflow.user.promoted.v9")));

    // What is decided in the live one holds in the one before it too.
    discard(&app, &format!("user/{}:2", uuid_of(&ada))).await;
    for generation in [3, 2] {
        standing(&app, &format!("parked.generation.{generation}"), 0).await;
        standing(&app, &format!("waiting.generation.{generation}"), 0).await;
        assert_eq!(version(&app, &format!("users.generation.{generation}"), &ada).await, json!(2));
    }
    let records = documents(&app.mongo().await, "discards").await;
    assert_eq!((records.len(), &records[0]["by"]), (1, &json!("grace")));

    // And in those that are still to come.
    let done = run(&app, STRICTLY).await.expect("rebuilt");
    assert_eq!(done.comparison.map(|comparison| comparison.differing), Some(0));
    assert_eq!(registry(&app).await.live.id, 4);
    standing(&app, "parked.generation.4", 0).await;
    assert_eq!(version(&app, "users.generation.4", &ada).await, json!(2));
    let mongo = app.mongo().await;
    let orders = mongo.collection::<mongodb::bson::Document>("orders.generation.4");
    assert_eq!(orders.count_documents(doc! { "customer.id": &ada }).await.expect("count"), 1);
    app.close().await;
}
