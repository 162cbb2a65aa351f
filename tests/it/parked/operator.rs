//! `orderflow parked`, as an operator has it: the real binary, beside projectors at work.

use super::*;
use futures_util::future::join_all;

#[tokio::test]
async fn what_stands_still_is_listed_by_cause_and_shown_without_its_content() {
    let shop = Shop::with(2).await;
    let app = &shop.app;
    shop.app.publish(vec![message(shop.payments[0].meta.partition_key, b"not even JSON".to_vec())]).await;
    standing(app, "unreadable", "UNREADABLE", 1).await;

    let list = parked(app, &["list"]).await;
    assert_eq!((list.code, list.err.contains("ERROR")), (Some(0), false), "{}", list.err);
    let line = |text: &str| list.out.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text} in {}", list.out));
    assert!(line("MALFORMED").contains("aggregates 2, events waiting 4, oldest 20"), "{}", list.out);
    assert!(line("UNREADABLE").contains("aggregates 1, events waiting 1"), "{}", list.out);
    line("type orderflow.order.paid.v1: 2");
    line(&stream(&shop.orders[1]));
    line("parked retry --from-log");
    let json: Value = serde_json::from_str(&parked(app, &["list", "--cause", "malformed", "--json"]).await.out).expect("JSON");
    assert_eq!((json["groups"].as_array().map(Vec::len), json["aggregates"].as_array().map(Vec::len)), (Some(1), Some(2)));
    assert_eq!(json["groups"][0]["kinds"], json!({ "orderflow.order.paid.v1": 2 }));
    assert_eq!((&json["groups"][0]["events"], &json["aggregates"][0]["next"]), (&json!(4), &json!(2)));

    let shown = parked(app, &["show", &shop.orders[0].id]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let payment = &shop.payments[0].meta;
    let place = format!("{}:2", stream(&shop.orders[0]));
    let recorded = &payment.id.to_string();
    for told in ["MALFORMED", &place, "orderflow.order.paid.v1", recorded, "waits: ", "orderflow.order.shipped.v1", "what to do"]
    {
        assert!(shown.out.contains(told), "{told} in {}", shown.out);
    }
    for ended in [&list, &shown] {
        assert!(!ended.out.contains("s3cr3t") && !ended.err.contains("s3cr3t"), "content is told:\n{}{}", ended.out, ended.err);
    }
    let whole = parked(app, &["show", &stream(&shop.orders[0]), "--payload"]).await;
    assert!(whole.out.contains("s3cr3t"), "{}", whole.out);
    let json: Value = serde_json::from_str(&parked(app, &["show", &shop.orders[0].id, "--json"]).await.out).expect("JSON");
    assert_eq!((&json["events"][0]["id"], &json["events"][1]["reason"]), (&json!(payment.id.to_string()), &json!("GAP")));
    assert!(json["events"][0].get("payload").is_none() && json["advice"].is_string(), "{json:#}");

    let doctor = Process::run(&["doctor"], &at(app)).await;
    assert_eq!(doctor.code, Some(0), "parking is no outage: {}", doctor.out);
    assert!(doctor.out.contains("note   parked: aggregates 2, events 4, cause MALFORMED"), "{}", doctor.out);
    for (words, code) in [
        (&["show", "order_0190d3f57a0070008000000000000001"][..], 1),
        (&["retry", "order_0190d3f57a0070008000000000000001"], 0),
        (&["discard", "event_0190d3f57a0070008000000000000001", "--reason", "none", "--by", "me"], 1),
        (&["show", "tea"], 2),
        (&["retry"], 2),
        (&["retry", "--all", "--cause", "EARLY"], 2),
        (&["list", "--cause", "BAD_LUCK"], 2),
        (&["discard", "order_0190d3f57a0070008000000000000001:2", "--by", "me"], 2),
        (&["discard", "order_0190d3f57a0070008000000000000001:2", "--reason", "none"], 2),
    ] {
        let ended = parked(app, words).await;
        assert_eq!(ended.code, Some(code), "{words:?}: {}{}", ended.out, ended.err);
    }
    shop.app.close().await;
}

#[tokio::test]
async fn a_retry_goes_on_in_order_when_what_was_wrong_is_mended_and_says_so_when_not() {
    let shop = Shop::with(3).await;
    let first = parked(&shop.app, &["retry", &shop.orders[0].id]).await;
    assert_eq!(first.code, Some(1), "{}", first.out);
    assert!(first.out.starts_with("STILL  order/") && first.out.contains("MALFORMED at version 2"), "{}", first.out);
    assert!(first.err.contains("1 of 1 still stand still"), "{}", first.err);
    let before = shop.parked(&shop.orders[0], "MALFORMED", 2).await;
    shop.mend().await;
    let one = parked(&shop.app, &["retry", &shop.orders[0].id, "--json"]).await;
    assert_eq!(one.code, Some(0), "{}{}", one.out, one.err);
    let one: Value = serde_json::from_str(&one.out).expect("JSON");
    assert_eq!(
        one["retried"][0],
        json!({ "aggregate": before["_id"], "status": "CURRENT", "applied": 2, "sentAgain": 0,
        "parked": null })
    );
    let order = seen(&shop.ada, &shop.orders[0]).await;
    assert_eq!(
        (&order["version"], &order["projection"]),
        (&json!(3), &json!({ "state": "CURRENT", "since": null, "reason": null }))
    );
    // The delivery behind it waits no more, and the other two still do.
    shop.app.staff().deliver(&shop.orders[0].id).await;
    shop.app.seen(&shop.orders[0].id, 4).await;
    let rest = parked(&shop.app, &["retry", "--cause", "MALFORMED"]).await;
    assert_eq!((rest.code, rest.out.matches("ok     ").count()), (Some(0), 2), "{}{}", rest.out, rest.err);
    assert_eq!(shop.app.agree().await, 3);
    assert_eq!(parked(&shop.app, &["retry", "--all"]).await.out, "Nothing stands still.\n");
    shop.app.close().await;
}

#[tokio::test]
async fn a_message_that_was_damaged_comes_again_from_the_log() {
    let shop = Shop::with(2).await;
    let again = parked(&shop.app, &["retry", "--all", "--from-log"]).await;
    assert_eq!((again.code, again.out.matches("again  order/").count()), (Some(0), 2), "{}{}", again.out, again.err);
    nothing_stands(&shop.app).await;
    assert_eq!(shop.app.agree().await, 2);
    shop.app.close().await;
}

#[tokio::test]
async fn a_discarded_event_counts_as_a_version_and_is_on_record() {
    let shop = Shop::with(1).await;
    let (app, order) = (&shop.app, &shop.orders[0]);
    let mut socket = shop.ada.socket().await;
    let follow = "subscription($id: ID!) { orderChanged(id: $id) { kind skippedVersions order { version status
        projection { state } } event { type version } } }";
    socket.subscribe("1", follow, json!({ "id": order.id })).await;
    let snapshot = socket.change().await;
    assert_eq!((&snapshot["kind"], &snapshot["order"]["projection"]["state"]), (&json!("SNAPSHOT"), &json!("PARKED")));

    let words = ["discard", &format!("{}:3", order.id), "--reason", "x", "--by", "ada"];
    let waiting = parked(app, &words).await;
    assert_eq!(waiting.code, Some(1), "{}", waiting.out);
    assert!(waiting.err.contains("nothing is wrong with it; it waits for version 2"), "{}", waiting.err);
    let event = shop.payments[0].meta.id.to_string();
    let done = parked(app, &["discard", &event, "--reason", "The bank knows nothing of it.", "--by", "ada"]).await;
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(done.out.contains("Nothing of it waits any more."), "{}", done.out);
    for (version, kind) in [(2, "EVENT_DISCARDED"), (3, "ORDER_SHIPPED")] {
        let change = socket.change().await;
        assert_eq!(
            (&change["kind"], &change["event"]["type"], &change["event"]["version"]),
            (&json!("CHANGE"), &json!(kind), &json!(version))
        );
        assert_eq!((&change["order"]["version"], &change["order"]["projection"]["state"]), (&json!(version), &json!("CURRENT")));
    }
    let seen = seen(&shop.ada, order).await;
    assert_eq!((&seen["version"], &seen["totalPaid"]["amount"]), (&json!(3), &json!("0.00")), "it has no effect");
    let history: Vec<_> =
        seen["history"]["nodes"].as_array().expect("a history").iter().map(|e| (&e["type"], &e["version"])).collect();
    let (placed, set_aside, shipped) = (json!("ORDER_PLACED"), json!("EVENT_DISCARDED"), json!("ORDER_SHIPPED"));
    assert_eq!(history, [(&placed, &json!(1)), (&set_aside, &json!(2)), (&shipped, &json!(3))]);
    assert_eq!(seen["history"]["nodes"][1]["actor"], "operator", "customers are not told who");

    let records = documents(&app.mongo().await, "discards").await;
    assert_eq!(records.len(), 1, "{records:#?}");
    let record = &records[0];
    assert_eq!((&record["_id"], &record["by"]), (&json!(format!("{}:2", stream(order))), &json!("ada")));
    assert_eq!((&record["why"], &record["event"]), (&json!("The bank knows nothing of it."), &json!(event)));
    assert_eq!((&record["skips"], &record["code"]), (&json!(true), &json!("MALFORMED")));
    assert!(record["at"].is_object() && !record.to_string().contains("s3cr3t"), "{record:#}");
    let skipped = orderflow::query::projector::discarded(&app.app().store).await.expect("records");
    assert_eq!(skipped.into_iter().collect::<Vec<_>>(), [(stream(order).parse().expect("a stream"), 2)]);
    // Whatever comes of it again has been reached.
    let mongo = app.mongo().await;
    let before = documents(&mongo, "orders").await;
    app.publish(vec![damaged(&shop.payments[0]), carrying(&shop.payments[0])]).await;
    app.worked_off([shop.payments[0].meta.partition_key]).await;
    assert_eq!(documents(&mongo, "orders").await, before);
    nothing_stands(app).await;
    // Whoever folds the log anew leaves the event out as well.
    app.verified().await;
    shop.app.close().await;
}

#[tokio::test]
async fn retries_that_meet_each_other_and_the_projectors_lose_and_double_nothing() {
    const ORDERS: usize = 12;
    let shop = Shop::with(ORDERS).await;
    shop.mend().await;
    let trading = async {
        let mut more = 0;
        for _ in 0..6 {
            join_all((0..5).map(|_| async {
                let order = shop.ada.place(&[(&shop.tea, 1)]).await;
                shop.ada.pay(&order.id).await;
            }))
            .await;
            more += 5;
            // What was parked goes on all the while.
            shop.app.staff().deliver(&shop.orders[more / 5 - 1].id).await;
        }
        more
    };
    let (one, other, more) =
        tokio::join!(parked(&shop.app, &["retry", "--all"]), parked(&shop.app, &["retry", "--all"]), trading);
    for ended in [one, other] {
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    }
    nothing_stands(&shop.app).await;
    assert_eq!(shop.app.agree().await, ORDERS + more);
    shop.app.close().await;
}

#[tokio::test]
async fn a_retry_that_is_killed_is_run_again() {
    const ORDERS: usize = 20;
    let shop = Shop::with(ORDERS).await;
    shop.mend().await;
    let mongo = shop.app.mongo().await;
    let mut left = ORDERS;
    // Each is killed as soon as it has done something, wherever it is then.
    while left > 0 {
        let retry = Process::start(&["parked", "retry", "--all"], &at(&shop.app));
        left = until("a retry to do something", || async {
            let now = documents(&mongo, "parked").await.len();
            if now < left { Ok(now) } else { Err(now) }
        })
        .await;
        retry.signal("KILL");
        let ended = retry.end().await;
        assert!(ended.code.is_none() || ended.code == Some(0), "{}{}", ended.out, ended.err);
        left = documents(&mongo, "parked").await.len().min(left);
    }
    assert_eq!(shop.app.agree().await, ORDERS);
    shop.app.close().await;
}
