//! A store is away. Whoever asks it is told that it is away, never that something is not there, and nothing of what the driver
//! said; whoever does not need it notices nothing; and when it is back, so is everything.

use super::{send, to};
use crate::support::{Client, TestApp, until, uuid_of};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};

const READ_SIDE: &str = "The read side is unavailable; try again.";
const WRITE_SIDE: &str = "The write side is unavailable, and it is not known whether the command was carried out; send it \
                          again under the same commandId.";

/// The error is the one that everybody gets, under an id by which the operators find out more.
fn assert_away(error: &Value, message: &str) {
    assert_eq!((&error["extensions"]["code"], &error["message"]), (&json!("UNAVAILABLE"), &json!(message)), "{error:#}");
    let id = error["extensions"]["correlationId"].as_str().unwrap_or_else(|| panic!("no correlationId: {error:#}"));
    assert!(id.len() >= 16, "{error:#}");
    let told: Vec<_> = error["extensions"].as_object().expect("extensions").keys().collect();
    assert_eq!(told, ["code", "correlationId"], "{error:#}");
}

async fn readiness(app: &TestApp, status: StatusCode) -> Value {
    until("readiness", || async {
        let response = send(to(app, Method::GET, "/readyz")).await;
        let (now, told) = (response.status(), response.json::<Value>().await.expect("JSON"));
        if now == status { Ok(told) } else { Err(told) }
    })
    .await
}

/// Asks each question by itself, all at once; gives the answers with the questions.
async fn ask_all(client: &Client, questions: &[String]) -> Vec<(String, Value)> {
    let asking = questions.iter().map(|question| async { (question.clone(), client.answer(question, json!({})).await) });
    join_all(asking).await
}

#[tokio::test]
async fn without_the_read_side_orders_are_taken_and_questions_are_put_off() {
    let app = TestApp::build().through_proxy().start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    let mut socket = ada.socket().await;
    let follow = "subscription($id: ID!) { orderChanged(id: $id) { kind order { version } } }";
    socket.subscribe("1", follow, json!({ "id": order })).await;
    assert_eq!(socket.change().await["kind"], "SNAPSHOT");

    app.wires().mongodb.cut();
    let questions = [
        format!("{{ order(id: \"{order}\") {{ id }} }}"),
        "{ orders { totalCount } }".to_owned(),
        "{ orders { nodes { id } } }".to_owned(),
        format!("{{ node(id: \"{order}\") {{ id }} }}"),
        format!("{{ node(id: \"{tea}\") {{ id }} }}"),
        format!("{{ user(id: \"{ada_id}\") {{ id }} }}"),
        "{ me { id } }".to_owned(),
        format!("{{ product(id: \"{tea}\") {{ id }} }}"),
        "{ products { nodes { id } } }".to_owned(),
        "{ salesReport(from: \"2026-01-01T00:00:00Z\", to: \"2027-01-01T00:00:00Z\") { buckets { start } } }".to_owned(),
    ];
    for (question, answer) in ask_all(&ada, &questions).await {
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{question}: {answer:#}");
        assert_away(&answer["errors"][0], READ_SIDE);
    }

    // The shop stays open. What has been done is told; only the order as it is now is not, and that it is not is no refusal.
    let pay = "mutation($id: ID!) { payOrder(input: { commandId: \"pay-1\", orderId: $id, reference: \"PAY-1\" }) {
        receipt { version } errors { code } order { status } } }";
    let paid = ada.answer(pay, json!({ "id": order })).await;
    let payload = &paid["data"]["payOrder"];
    assert_eq!((&payload["receipt"]["version"], &payload["errors"], &payload["order"]), (&json!(2), &json!([]), &Value::Null));
    if let Some(error) = paid["errors"].get(0) {
        assert_away(error, READ_SIDE);
        assert_eq!(error["path"], json!(["payOrder", "order"]));
    }
    let told = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!((&told["ready"], &told["parts"]["postgresql"]), (&json!(false), &json!("ok")), "{told:#}");
    assert_eq!(told["parts"]["mongodb"], "does not answer");

    app.wires().mongodb.mend();
    assert_eq!(app.seen(&order, 2).await["status"], "PAID");
    // Whoever was following has missed nothing.
    assert_eq!(socket.change().await, json!({ "kind": "CHANGE", "order": { "version": 2 } }));
    readiness(&app, StatusCode::OK).await;
    for (question, answer) in ask_all(&ada, &questions).await {
        assert!(answer.get("errors").is_none(), "{question}: {answer:#}");
    }
    app.close().await;
}

#[tokio::test]
async fn whoever_begins_to_follow_while_the_read_side_is_away_is_told_just_that() {
    let app = TestApp::build().through_proxy().start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    app.wires().mongodb.cut();
    for follow in [format!("productChanged(id: \"{tea}\") {{ sku }}"), format!("orderChanged(id: \"{order}\") {{ kind }}")] {
        let mut socket = ada.socket().await;
        socket.subscribe("1", &format!("subscription {{ {follow} }}"), json!({})).await;
        assert_away(&socket.message().await["payload"]["errors"][0], READ_SIDE);
    }
    app.close().await;
}

#[tokio::test]
async fn without_the_write_side_questions_are_answered_and_commands_are_put_off() {
    let app = TestApp::build().through_proxy().start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    let before = app.state().await;

    app.wires().postgres.cut();
    let command = |text: &str| format!("mutation {{ {text} {{ receipt {{ version replayed }} errors {{ code }} }} }}");
    let place =
        command(&format!("placeOrder(input: {{ commandId: \"checkout-1\", lines: [{{ productId: \"{tea}\", quantity: 2 }}] }})"));
    let commands = [
        place.clone(),
        command(&format!("payOrder(input: {{ commandId: \"pay-1\", orderId: \"{order}\", reference: \"PAY-1\" }})")),
        command("cancelOrder(input: { orderId: \"order_0190d3f57a0070008000000000000001\" })"),
        command(&format!("updateUserProfile(input: {{ userId: \"{ada_id}\", displayName: \"Ada L.\" }})")),
    ];
    for (text, answer) in ask_all(&ada, &commands).await {
        assert_eq!((&answer["data"], answer["errors"].as_array().map(Vec::len)), (&Value::Null, Some(1)), "{text}: {answer:#}");
        assert_away(&answer["errors"][0], WRITE_SIDE);
    }
    // What is wrong with an input needs no store to say so.
    assert_eq!(ada.refused("payOrder", json!({ "orderId": "1001", "reference": "PAY-1" })).await, "INVALID_INPUT");
    let seen = ada.ask("{ orders { nodes { id status } } products { nodes { available } } }", json!({})).await;
    assert_eq!(seen["orders"]["nodes"], json!([{ "id": order, "status": "PENDING" }]));
    assert_eq!(seen["products"]["nodes"], json!([{ "available": 9 }]));
    let told = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!((&told["parts"]["postgresql"], &told["parts"]["mongodb"]), (&json!("does not answer"), &json!("ok")), "{told:#}");
    assert_eq!(app.state().await, before, "nothing was done by halves");

    app.wires().postgres.mend();
    // As the message says: the same command again, under the same id, until it is told what became of it.
    let done = until("the write side", || async {
        let answer = ada.answer(&place, json!({})).await;
        if answer["data"]["placeOrder"]["receipt"].is_object() { Ok(answer) } else { Err(answer) }
    });
    assert_eq!(done.await["data"]["placeOrder"]["receipt"]["version"], 1);
    assert_eq!(ada.ask(&place, json!({})).await["placeOrder"]["receipt"]["replayed"], true);
    assert_eq!((app.orders().await, app.free(&tea).await), (2, 7));
    readiness(&app, StatusCode::OK).await;
    until("the second order on the read side", || async {
        let found = ada.ask("{ orders { totalCount } }", json!({})).await["orders"]["totalCount"].take();
        if found == 2 { Ok(()) } else { Err(found) }
    })
    .await;
    app.close().await;
}

#[tokio::test]
async fn one_connection_on_which_nothing_comes_any_more_does_not_stop_the_shop() {
    let bounds = [("--command-lanes", "1"), ("--command-patience", "1s")];
    let build = bounds.iter().fold(TestApp::build().through_proxy(), |build, (flag, value)| build.with(flag, value));
    let app = build.start().await;
    let (_, ada) = app.customer("Ada").await;
    let (tea, cup) = (app.product("TEA-1", 650, 10).await, app.product("CUP-1", 1_250, 10).await);
    let place = |product: &str| {
        format!(
            "mutation {{ placeOrder(input: {{ commandId: \"{product}\", lines: [{{ productId: \"{product}\", quantity: 2 }}] }})
                {{ receipt {{ aggregateId }} errors {{ code }} }} }}"
        )
    };
    // An order is in the hands of the database, and the answer never comes.
    let postgres = app.postgres().await;
    let holder = postgres.begin().await.expect("begin");
    let shelf = format!("SELECT 1 FROM stock WHERE product_id = '{}' FOR UPDATE", uuid_of(&tea));
    holder.execute_unprepared(&shelf).await.expect("the shelf");
    assert_away(&ada.answer(&place(&tea), json!({})).await["errors"][0], WRITE_SIDE);
    app.wires().postgres.forget();
    holder.rollback().await.expect("rollback");
    // Over new connections everything else goes on.
    until("an order of something else", || async {
        let answer = ada.answer(&place(&cup), json!({})).await;
        if answer["data"]["placeOrder"]["receipt"].is_object() { Ok(()) } else { Err(answer) }
    })
    .await;
    postgres.close().await.expect("close");
    app.close().await;
}

#[tokio::test]
async fn a_read_side_on_which_nothing_comes_any_more_is_told_to_be_away_within_a_bound() {
    let app = TestApp::build().through_proxy().with("--operation-timeout", "60s").start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    let mut socket = ada.socket().await;
    let follow = "subscription($id: ID!) { orderChanged(id: $id) { kind order { version } } }";
    socket.subscribe("1", follow, json!({ "id": order })).await;
    assert_eq!(socket.change().await["kind"], "SNAPSHOT");

    app.wires().mongodb.silence();
    let questions = [format!("{{ order(id: \"{order}\") {{ id }} }}"), "{ orders { totalCount } }".to_owned()];
    let asked = std::time::Instant::now();
    for (question, answer) in ask_all(&ada, &questions).await {
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{question}: {answer:#}");
        assert_away(&answer["errors"][0], READ_SIDE);
    }
    assert!(asked.elapsed() < std::time::Duration::from_secs(15), "{:?}", asked.elapsed());
    let told = readiness(&app, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(told["parts"]["mongodb"], "does not answer", "{told:#}");
    // Orders are taken all the while.
    ada.pay(&order).await;
    app.wires().mongodb.mend();
    assert_eq!(socket.change().await, json!({ "kind": "CHANGE", "order": { "version": 2 } }));
    readiness(&app, StatusCode::OK).await;
    app.close().await;
}

#[tokio::test]
async fn connections_to_the_read_side_that_a_router_has_forgotten_are_given_up() {
    let app = TestApp::build().through_proxy().start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    app.wires().mongodb.forget();
    // The projector, the feed and every question hold one of them; over new ones everything goes on.
    ada.pay(&order).await;
    until("the payment", || async {
        let answer = ada.answer(&format!("{{ order(id: \"{order}\") {{ status }} }}"), json!({})).await;
        if answer["data"]["order"]["status"] == "PAID" { Ok(()) } else { Err(answer) }
    })
    .await;
    readiness(&app, StatusCode::OK).await;
    app.close().await;
}
