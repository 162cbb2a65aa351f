//! A client that has heard nothing sends its command again, under the same id, to any node: it is told the first outcome, and
//! nothing happens twice.

use crate::support::{Client, TestApp, until};
use futures_util::future::join_all;
use orderflow::config::Role as Part;
use serde_json::{Value, json};

fn order(id: &str, product: &str, quantity: i64) -> Value {
    json!({ "commandId": id, "lines": [{ "productId": product, "quantity": quantity }] })
}

/// The same receipt as it is told again.
fn replayed(receipt: &Value) -> Value {
    let mut again = receipt.clone();
    again["replayed"] = json!(true);
    again
}

/// What became of commands, as far as the shop has kept it.
async fn remembered(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM commands").await
}

#[tokio::test]
async fn the_same_command_again_gives_the_first_receipt_and_changes_nothing() {
    let mut app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let first = ada.accepted("placeOrder", order("checkout-1", &tea, 2)).await;
    assert_eq!((first["commandId"].as_str(), first["replayed"].as_bool()), (Some("checkout-1"), Some(false)));
    let id = first["aggregateId"].as_str().expect("an id").to_owned();
    let change = json!({ "commandId": "change-1", "orderId": id, "expectedVersion": 1, "note": "Ring twice" });
    let changed = ada.accepted("updateOrder", change.clone()).await;
    ada.pay(&id).await;
    let after = app.state().await;

    // However far the order has come since, and although neither its version nor its status would allow the change now.
    assert_eq!(ada.accepted("placeOrder", order("checkout-1", &tea, 2)).await, replayed(&first));
    assert_eq!(ada.accepted("updateOrder", change.clone()).await, replayed(&changed));
    // Said in other words, it is the same wish.
    let mut named = order("checkout-1", &tea, 2);
    named["customerId"] = json!(ada_id);
    named["note"] = Value::Null;
    assert_eq!(ada.accepted("placeOrder", named).await, replayed(&first));
    // Another process remembers too.
    app.restart(&[Part::Api]).await;
    assert_eq!(ada.at(app.addr()).accepted("updateOrder", change).await, replayed(&changed));
    assert_eq!(app.state().await, after);
    app.close().await;
}

#[tokio::test]
async fn a_refusal_is_remembered_too() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 0).await;
    let refused = ada.command("placeOrder", order("checkout-1", &tea, 1)).await;
    assert_eq!(refused["errors"][0]["message"], "Only 0 available, 1 wanted.");
    app.staff().accepted("adjustStock", json!({ "productId": tea, "delta": 5 })).await;
    assert_eq!(ada.command("placeOrder", order("checkout-1", &tea, 1)).await, refused, "no means no under this id");
    ada.accepted("placeOrder", order("checkout-2", &tea, 1)).await;
    app.close().await;
}

#[tokio::test]
async fn sixty_sendings_of_one_command_to_two_processes_are_one_order() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let nodes = [ada.clone(), ada.at(other)];
    let sendings = (0..60).map(|n| {
        let (client, input) = (nodes[n % 2].clone(), order("checkout-1", &tea, 3));
        async move { client.accepted("placeOrder", input).await }
    });
    let receipts = join_all(sendings).await;
    let first: Vec<_> = receipts.iter().filter(|receipt| receipt["replayed"] == false).collect();
    assert_eq!(first.len(), 1, "the order was placed {} times", first.len());
    for receipt in receipts.iter().filter(|receipt| receipt["replayed"] == true) {
        assert_eq!(*receipt, replayed(first[0]));
    }
    assert_eq!((app.orders().await, app.free(&tea).await, app.broken_streams().await), (1, 997, 0));
    app.close().await;
}

#[tokio::test]
async fn a_thousand_clicks_at_once_on_two_nodes_are_one_order_with_one_answer() {
    const SOCKETS: usize = 20;
    const CLICKS: usize = 50;
    let place = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
        receipt { commandId aggregateId version token committedAt replayed } errors { code } } }";
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10_000).await;
    let nodes = [ada.clone(), ada.at(other)];
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        sockets.push(nodes[number % 2].socket().await);
    }
    let clicking = sockets.into_iter().map(|mut socket| {
        let input = json!({ "input": order("checkout-1", &tea, 3) });
        async move {
            for number in 0..CLICKS {
                socket.subscribe(&number.to_string(), place, input.clone()).await;
            }
            let mut answers = Vec::new();
            while answers.len() < CLICKS {
                let mut message = socket.message().await;
                match message["type"].as_str() {
                    Some("next") => answers.push(message["payload"].take()),
                    Some("complete") => {}
                    _ => panic!("{message:#}"),
                }
            }
            answers
        }
    });
    let mut answers = join_all(clicking).await.concat();
    let again = answers.iter_mut().map(|answer| answer["data"]["placeOrder"]["receipt"]["replayed"].take());
    assert_eq!(again.filter(|replayed| *replayed == false).count(), 1, "it was placed once");
    assert_eq!((answers.len(), answers[0].get("errors")), (SOCKETS * CLICKS, None), "{:#}", answers[0]);
    assert!(answers[0]["data"]["placeOrder"]["receipt"]["token"].is_string(), "{:#}", answers[0]);
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    assert_eq!((app.orders().await, app.free(&tea).await, app.broken_streams().await), (1, 9_997, 0));
    app.close().await;
}

#[tokio::test]
async fn an_id_belongs_to_one_wish() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let first = ada.accepted("placeOrder", order("checkout-1", &tea, 1)).await;
    let after = app.state().await;
    let id = first["aggregateId"].clone();
    for (name, input) in [
        ("placeOrder", order("checkout-1", &tea, 2)),
        ("payOrder", json!({ "commandId": "checkout-1", "orderId": id, "reference": "PAY-1" })),
        ("cancelOrder", json!({ "commandId": "checkout-1", "orderId": id })),
    ] {
        let message = "This commandId was used for another command before. Every command needs an id of its own.";
        let spent =
            json!({ "code": "COMMAND_ID_REUSED", "message": message, "path": ["input", "commandId"], "currentVersion": null });
        assert_eq!(ada.command(name, input).await, json!({ "receipt": null, "errors": [spent] }), "{name}");
    }
    assert_eq!(app.state().await, after);
    assert_eq!(ada.accepted("placeOrder", order("checkout-1", &tea, 1)).await, replayed(&first), "the first stays what it was");
    app.close().await;
}

#[tokio::test]
async fn of_two_wishes_at_once_under_one_id_only_one_comes_true() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let nodes = [ada.clone(), ada.at(other)];
    let sendings = (0..40).map(|n| {
        // Both wishes go to both nodes.
        let (client, quantity) = (nodes[n % 2].clone(), 1 + i64::from(n % 4 >= 2));
        let input = order("checkout-1", &tea, quantity);
        async move { (quantity, client.command("placeOrder", input).await) }
    });
    let answers = join_all(sendings).await;
    let won = 1_000 - app.free(&tea).await;
    assert!(won == 1 || won == 2, "{won} units are sold");
    for (quantity, payload) in &answers {
        if *quantity == won {
            assert!(payload["receipt"].is_object(), "{payload:#}");
        } else {
            assert_eq!(payload["errors"][0]["code"], "COMMAND_ID_REUSED", "{payload:#}");
        }
    }
    assert_eq!(answers.iter().filter(|(_, payload)| payload["receipt"]["replayed"] == false).count(), 1);
    assert_eq!(app.orders().await, 1);
    app.close().await;
}

#[tokio::test]
async fn two_people_may_use_the_same_id() {
    let app = TestApp::start().await;
    let ((_, ada), (_, alan)) = (app.customer("Ada").await, app.customer("Alan").await);
    let tea = app.product("TEA-1", 650, 10).await;
    let first = ada.accepted("placeOrder", order("1", &tea, 1)).await;
    let second = alan.accepted("placeOrder", order("1", &tea, 1)).await;
    assert_ne!(first["aggregateId"], second["aggregateId"]);
    // Neither hears of the other's outcome, nor spends the other's id.
    assert_eq!(ada.accepted("placeOrder", order("1", &tea, 1)).await, replayed(&first));
    assert_eq!(alan.refused("placeOrder", order("1", &tea, 2)).await, "COMMAND_ID_REUSED");
    assert_eq!(app.orders().await, 2);
    app.close().await;
}

#[tokio::test]
async fn what_became_of_commands_is_forgotten_in_time_and_not_before() {
    let mut app = TestApp::build().with("--keep-outcomes", "1h").start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    for id in ["old", "young"] {
        ada.accepted("placeOrder", order(id, &tea, 1)).await;
    }
    for (id, minutes) in [("old", 61), ("young", 55)] {
        let sql = format!("UPDATE commands SET decided_at = decided_at - interval '{minutes} minutes' WHERE command_id = '{id}'");
        app.rows(&sql).await;
    }
    // More than are forgotten at a time.
    app.rows(
        "INSERT INTO commands (actor, command_id, fingerprint, outcome, decided_at)
         SELECT actor, 'old-' || number, fingerprint, outcome, decided_at FROM commands, generate_series(1, 2500) number
         WHERE command_id = 'old'",
    )
    .await;
    let known = remembered(&app).await;
    app.restart(&[Part::Api, Part::Relay, Part::Projector]).await;
    until("what is old to be forgotten", || async {
        let now = remembered(&app).await;
        if now == known - 2_501 { Ok(()) } else { Err(now) }
    })
    .await;
    let ada = ada.at(app.addr());
    assert_eq!(ada.accepted("placeOrder", order("young", &tea, 1)).await["replayed"], true);
    assert_eq!(ada.accepted("placeOrder", order("old", &tea, 1)).await["replayed"], false, "by now it is another command");
    assert_eq!(app.agree().await, 3);
    app.close().await;
}

#[tokio::test]
async fn what_is_no_id_is_refused_and_what_was_no_command_is_not_remembered() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let known = remembered(&app).await;
    for wrong in ["", " ", "a b", "ä", "line\nbreak", &"x".repeat(129)] {
        let errors = ada.command("placeOrder", order(wrong, &tea, 1)).await["errors"].take();
        assert_eq!((errors.as_array().map(Vec::len), &errors[0]["code"]), (Some(1), &json!("INVALID_INPUT")), "{wrong:?}");
        assert_eq!(errors[0]["path"], json!(["input", "commandId"]), "{wrong:?}");
    }
    assert_eq!(ada.refused("placeOrder", order("checkout-1", &tea, 0)).await, "INVALID_INPUT");
    assert_eq!(remembered(&app).await, known);
    // A slip of the pen does not spend the id.
    accepted_under_any_visible_id(&ada, &tea).await;
    assert_eq!(remembered(&app).await, known + 3);
    app.close().await;
}

async fn accepted_under_any_visible_id(client: &Client, product: &str) {
    for id in ["checkout-1", "!", &"~".repeat(128)] {
        assert_eq!(client.accepted("placeOrder", order(id, product, 1)).await["commandId"], id);
    }
}
