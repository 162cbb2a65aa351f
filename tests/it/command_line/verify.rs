//! `orderflow verify`, as an operator has it: what it says, and with which code it ends.

use super::{at, process::Process, servers};
use crate::support::Parts;
use mongodb::bson::{Document, doc};

/// Runs it with two partitions, like the server.
async fn verify(parts: &Parts, more: &[&str]) -> super::process::Ended {
    Process::run(&[&["verify", "--partitions", "2"], more].concat(), &at(parts)).await
}

#[tokio::test]
async fn the_exit_code_says_equal_different_or_nobody_knows() {
    let parts = servers().await;
    for command in ["migrate", "demo"] {
        assert_eq!(Process::run(&[command], &at(&parts)).await.code, Some(0), "{command}");
    }
    // Nobody has published or projected anything.
    let unsettled = verify(&parts, &["--wait", "1s"]).await;
    assert_eq!(unsettled.code, Some(3), "{}{}", unsettled.out, unsettled.err);
    assert!(unsettled.out.contains("unsettled: mongodb.orders order_"), "{}", unsettled.out);
    assert!(unsettled.err.contains("orderflow: nothing differs, but"), "{}", unsettled.err);

    let args = ["serve", "--dev", "--http-addr", "127.0.0.1:0", "--partitions", "2"];
    let server = Process::start(&args, &at(&parts));
    server.prints("Orderflow listens on http://").await;
    let equal = verify(&parts, &["--wait", "15s"]).await;
    assert_eq!(equal.code, Some(0), "{}{}", equal.out, equal.err);
    let row = equal.out.lines().find(|line| line.starts_with("mongodb.orders ")).expect("a row of the table");
    assert_eq!(row.split_whitespace().skip(1).collect::<Vec<_>>(), ["28", "0", "0"], "{}", equal.out);

    let mongo = mongodb::Client::with_uri_str(&parts.mongodb_uri).await.expect("MongoDB").default_database().expect("a name");
    let damage = doc! { "$set": { "email": "somebody@example.com" } };
    mongo.collection::<Document>("users").update_one(doc! { "email": "ada@example.com" }, damage).await.expect("damage");
    let different = verify(&parts, &["--wait", "15s"]).await;
    assert_eq!(different.code, Some(1), "{}{}", different.out, different.err);
    assert!(different.err.contains("orderflow: 1 difference\n"), "{}", different.err);
    let line = different.out.lines().find(|line| line.starts_with("differs: ")).expect("a difference");
    assert!(line.starts_with("differs: mongodb.users user_01900000000070008000000000000001 email: "), "{line}");
    assert!(line.contains("(hidden)") && !different.out.contains("example.com"), "{}", different.out);
    let shown = verify(&parts, &["--show-values", "--json"]).await;
    assert_eq!(shown.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(report["differences"]["total"], 1, "{report:#}");
    assert_eq!(report["differences"]["first"][0]["expected"], "ada@example.com");
    assert_eq!(report["differences"]["first"][0]["found"], "somebody@example.com");
    let sample = verify(&parts, &["--sample", "3", "--seed", "11"]).await;
    assert!(sample.out.contains("--seed 11 chooses the same again"), "{}", sample.out);

    server.signal("TERM");
    assert_eq!(server.end().await.code, Some(0));
    parts.drop().await;
}

#[tokio::test]
async fn what_cannot_be_found_out_has_a_code_of_its_own() {
    let unset = Process::run(&["verify"], &[]).await;
    assert_eq!((unset.code, unset.out.as_str()), (Some(2), ""), "{}", unset.err);
    assert!(unset.err.contains("could not verify") && unset.err.contains("DATABASE_URL: is not set"), "{}", unset.err);
    for wrong in [&["--sample", "0"][..], &["--seed", "3"], &["--wait", "soon"]] {
        let ended = Process::run(&[&["verify"], wrong].concat(), &[]).await;
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.err);
    }
    let nowhere = [
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"),
        ("AMQP_URL", "amqp://me:hunter2@127.0.0.1:1/v"),
        ("MONGODB_URI", "mongodb://me:hunter2@127.0.0.1:1/db"),
    ];
    let away = Process::run(&["verify"], &nowhere).await;
    assert_eq!(away.code, Some(2), "{}", away.err);
    assert!(!away.err.contains("hunter2"), "{}", away.err);
}
