//! A death of `orderflow parked`, between the live read model and those beside it. What a switch makes of that is told in
//! `rebuild/hands.rs`.

use super::{deaths, dies};
use crate::{
    command_line::process::Process,
    support::{
        TestApp,
        backstage::{documents, message},
        until,
    },
};

deaths!(OPERATING of an_operator_dies_at {
    between_two_read_models_what_was_asked_for_is_done_in_the_live_one: "between-generations",
});

async fn an_operator_dies_at(point: &str) {
    let app = TestApp::start().await;
    app.publish(vec![message(uuid::Uuid::now_v7(), b"not even JSON".to_vec())]).await;
    let mongo = app.mongo().await;
    let stray = until("the stray", || async {
        let waiting = documents(&mongo, "waiting").await;
        waiting.first().map(|row| row["_id"].as_str().expect("an id").to_owned()).ok_or(waiting)
    })
    .await;
    let parts = &app.config.parts;
    let at = [("DATABASE_URL", &*parts.database_url), ("AMQP_URL", &parts.bus.url), ("MONGODB_URI", &parts.mongodb_uri)];
    let words = ["parked", "discard", &stray, "--reason", "junk", "--by", "ada"];
    dies(Process::start(&words, &[&at[..], &[("ORDERFLOW_CRASH_AT", point)]].concat()), point).await;
    for (collection, left) in [("waiting", 0), ("parked", 0), ("discards", 1)] {
        assert_eq!(documents(&mongo, collection).await.len(), left, "{collection}");
    }
    let again = Process::run(&words, &at).await;
    assert_eq!(again.code, Some(1), "{}", again.out);
    assert!(again.err.contains("waits nowhere"), "{}", again.err);
    app.close().await;
}
