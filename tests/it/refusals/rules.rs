//! Refusals by the rules of the shop: versions, names that are taken, stock, money, and the life of an order.

use super::{pounds, reason, refused};
use crate::support::{Client, TestApp, until};
use futures_util::future::join_all;
use orderflow::config::Role as Part;
use serde_json::{Value, json};

/// The id of a line of an order that the read side has.
async fn line_of(app: &TestApp, order: &str) -> Value {
    app.seen(order, 1).await["lines"][0]["id"].clone()
}

#[tokio::test]
async fn whoever_has_seen_an_older_version_is_told_the_newer() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    ada.accepted("updateOrder", json!({ "orderId": order.id, "expectedVersion": 1, "note": "Ring twice" })).await;
    app.staff().accepted("updateProduct", json!({ "productId": tea, "expectedVersion": 1, "name": "Tea" })).await;
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "expectedVersion": 1, "displayName": "Ada" })).await;
    let message = "It has changed meanwhile: its version is 2 now. Read it again and decide anew.";
    let mut expected = reason("CONFLICT", "expectedVersion", message);
    expected["currentVersion"] = json!(2);
    for (by, name, input) in [
        (&ada, "updateOrder", json!({ "orderId": order.id, "note": "Ring once" })),
        (&ada, "payOrder", json!({ "orderId": order.id, "reference": "PAY-1" })),
        (&ada, "cancelOrder", json!({ "orderId": order.id })),
        (&app.staff(), "shipOrder", json!({ "orderId": order.id })),
        (&app.staff(), "deliverOrder", json!({ "orderId": order.id })),
        (&app.staff(), "refundOrder", json!({ "orderId": order.id })),
        (&app.staff(), "updateProduct", json!({ "productId": tea, "name": "Coffee" })),
        (&ada, "updateUserProfile", json!({ "userId": ada_id, "displayName": "Augusta" })),
    ] {
        for seen in [1, 3] {
            let mut input = input.clone();
            input["expectedVersion"] = json!(seen);
            assert_eq!(refused(&app, by, name, input).await, json!([expected]), "{name}, having seen {seen}");
        }
    }
    app.close().await;
}

#[tokio::test]
async fn an_address_for_mail_has_one_owner_however_it_is_written() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let (alan_id, alan) = app.customer("Alan").await;
    let taken = json!([reason("EMAIL_TAKEN", "email", "Another user has this email address.")]);
    let again = json!({ "email": "ADA@Example.com", "displayName": "Another Ada" });
    assert_eq!(refused(&app, &app.staff(), "createUser", again.clone()).await, taken);
    assert_eq!(refused(&app, &alan, "updateUserProfile", json!({ "userId": alan_id, "email": "aDa@example.com" })).await, taken);
    // One's own address may be written anew, and an address that was given up is free.
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "email": "Ada@Example.com" })).await;
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "email": "countess@example.com" })).await;
    app.staff().accepted("createUser", again).await;
    app.close().await;
}

#[tokio::test]
async fn a_sku_names_one_product() {
    let app = TestApp::start().await;
    app.product("TEA-1", 650, 10).await;
    let again = json!({ "sku": " TEA-1 ", "name": "Other tea", "price": pounds("7.00") });
    let taken = json!([reason("SKU_TAKEN", "sku", "Another product has this SKU.")]);
    assert_eq!(refused(&app, &app.staff(), "createProduct", again).await, taken);
    app.product("tea-1", 650, 10).await;
    app.close().await;
}

#[tokio::test]
async fn of_twenty_who_want_one_name_at_once_one_gets_it() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let nodes = [app.staff(), app.staff().at(other)];
    let sendings = (0..40).map(|n| {
        let (shop, mail) = (nodes[n % 2].clone(), if n % 8 < 4 { "ADA@example.com" } else { "ada@example.com" });
        let (name, input) = if n % 4 < 2 {
            ("createUser", json!({ "email": mail, "displayName": "Ada" }))
        } else {
            ("createProduct", json!({ "sku": "TEA-1", "name": "Tea", "price": pounds("6.50") }))
        };
        async move { shop.command(name, input).await["errors"][0]["code"].as_str().unwrap_or(name).to_owned() }
    });
    let mut answers = join_all(sendings).await;
    answers.sort();
    let times = |n: usize, answer: &str| vec![answer.to_owned(); n];
    let expected = [times(19, "EMAIL_TAKEN"), times(19, "SKU_TAKEN"), times(1, "createProduct"), times(1, "createUser")];
    assert_eq!(answers, expected.concat());
    app.close().await;
}

#[tokio::test]
async fn an_order_without_lines_is_none() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    let empty = json!([reason("EMPTY_ORDER", "lines", "An order needs at least one line.")]);
    assert_eq!(refused(&app, &ada, "placeOrder", json!({ "lines": [] })).await, empty);
    assert_eq!(refused(&app, &ada, "updateOrder", json!({ "orderId": order.id, "lines": [] })).await, empty);
    app.close().await;
}

#[tokio::test]
async fn what_is_off_sale_cannot_be_ordered() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 2)]).await;
    app.staff().accepted("updateProduct", json!({ "productId": tea, "active": false })).await;
    let gone = json!([reason("PRODUCT_UNAVAILABLE", "lines.0.productId", "Product TEA-1 is not for sale at present.")]);
    let lines = |quantity: i64| json!([{ "productId": tea, "quantity": quantity }]);
    assert_eq!(refused(&app, &ada, "placeOrder", json!({ "lines": lines(1) })).await, gone);
    assert_eq!(refused(&app, &ada, "updateOrder", json!({ "orderId": order.id, "lines": lines(3) })).await, gone);
    // What was bought before may stay, or become less.
    ada.accepted("updateOrder", json!({ "orderId": order.id, "lines": lines(1) })).await;
    app.close().await;
}

#[tokio::test]
async fn more_than_there_is_cannot_be_ordered_and_then_nothing_is_reserved() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let (tea, cup) = (app.product("TEA-1", 650, 10).await, app.product("CUP-1", 1250, 3).await);
    let short = |at: &str| json!([reason("INSUFFICIENT_STOCK", at, "Only 3 available, 4 wanted.")]);
    let lines = json!([{ "productId": tea, "quantity": 2 }, { "productId": cup, "quantity": 4 }]);
    assert_eq!(refused(&app, &ada, "placeOrder", json!({ "lines": lines })).await, short("lines.1.quantity"));
    let twice = json!([{ "productId": cup, "quantity": 2 }, { "productId": cup, "quantity": 2 }]);
    assert_eq!(refused(&app, &ada, "placeOrder", json!({ "lines": twice })).await, short("lines.0.quantity"));
    let write_off = json!({ "productId": cup, "delta": -4, "reason": "Broken" });
    assert_eq!(refused(&app, &app.staff(), "adjustStock", write_off).await, short("delta"));
    app.close().await;
}

#[tokio::test]
async fn pounds_and_euros_do_not_go_together() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let price = json!({ "amount": "9.90", "currencyCode": "EUR" });
    let wine = json!({ "sku": "VIN-1", "name": "Wine", "price": price, "stock": 10 });
    let wine = app.staff().accepted("createProduct", wine).await["aggregateId"].clone();
    let line = |product: &Value| json!({ "productId": product, "quantity": 1 });
    let euros = "All lines of an order are in one currency; this one is in EUR.";
    let both = json!([line(&json!(tea)), line(&wine)]);
    let mixed = json!([reason("CURRENCY_MISMATCH", "lines.1", euros)]);
    assert_eq!(refused(&app, &ada, "placeOrder", json!({ "lines": both })).await, mixed);
    let order = ada.place(&[(&tea, 1)]).await;
    let other = json!([reason("CURRENCY_MISMATCH", "lines.0", euros)]);
    assert_eq!(refused(&app, &ada, "updateOrder", json!({ "orderId": order.id, "lines": [line(&wine)] })).await, other);
    let payment = json!({ "orderId": order.id, "reference": "PAY-1", "amount": { "amount": "6.50", "currencyCode": "EUR" } });
    let told = reason("CURRENCY_MISMATCH", "amount.currencyCode", "The order is in GBP, the amount in EUR.");
    assert_eq!(refused(&app, &ada, "payOrder", payment).await, json!([told]));
    // Staff may agree a price in the order's own currency.
    let agreed = json!({ "productId": wine, "quantity": 1, "unitPrice": pounds("8.50") });
    app.staff().accepted("placeOrder", json!({ "customerId": ada_id, "lines": [line(&json!(tea)), agreed] })).await;
    app.close().await;
}

#[tokio::test]
async fn an_order_is_paid_to_the_penny() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 2)]).await;
    let pay = |amount: &str| json!({ "orderId": order.id, "reference": "PAY-1", "amount": pounds(amount) });
    for amount in ["12.99", "13.01", "0.00"] {
        let message = format!("The order costs 13.00 GBP, the amount is {amount} GBP.");
        let expected = json!([reason("AMOUNT_MISMATCH", "amount.amount", &message)]);
        assert_eq!(refused(&app, &ada, "payOrder", pay(amount)).await, expected);
    }
    ada.accepted("payOrder", pay("13")).await;
    app.close().await;
}

#[tokio::test]
async fn no_more_is_sent_or_paid_back_than_was_bought() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 2)]).await;
    ada.pay(&order.id).await;
    let line = line_of(&app, &order.id).await;
    let parts = |units: &[i64]| -> Vec<Value> { units.iter().map(|n| json!({ "lineId": line, "quantity": n })).collect() };
    for (step, what) in [("shipOrder", "shipped"), ("refundOrder", "refunded")] {
        for (units, at, left) in [(&[3][..], "lines.0.quantity", 2), (&[1, 2], "lines.1.quantity", 1)] {
            let message = format!("Only {left} of this line can be {what}.");
            let expected = json!([reason("QUANTITY_EXCEEDED", at, &message)]);
            let input = json!({ "orderId": order.id, "lines": parts(units) });
            assert_eq!(refused(&app, &app.staff(), step, input).await, expected, "{step} {units:?}");
        }
    }
    app.close().await;
}

/// What everybody can read before trying: for each step, why it is not possible.
async fn foretold(app: &TestApp, order: &str, version: i64) -> Vec<(String, Value)> {
    let query = "query($id: ID!) { order(id: $id) { version allowedActions { action allowed blockedBy } } }";
    let seen = until("the order's next version", || async {
        let seen = app.staff().ask(query, json!({ "id": order })).await["order"].take();
        if seen["version"] == version { Ok(seen) } else { Err(seen) }
    });
    let actions = seen.await["allowedActions"].take();
    let actions = actions.as_array().expect("actions").iter().map(|told| {
        assert_eq!(told["allowed"], told["blockedBy"].is_null(), "{told}");
        (told["action"].as_str().expect("a step").to_lowercase() + "Order", told["blockedBy"].clone())
    });
    actions.collect()
}

#[tokio::test]
async fn whatever_is_refused_for_the_status_was_foretold_in_the_same_words() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let shop = &app.staff();
    let mut refusals = 0;
    for path in ["pay ship-one ship deliver refund", "pay refund", "pay cancel", "cancel"] {
        let order = ada.place(&[(&tea, 2)]).await.id;
        let line = line_of(&app, &order).await;
        let mut version = 1;
        for step in std::iter::once("").chain(path.split(' ')) {
            if !step.is_empty() {
                take(shop, step, &order, &line).await;
                version += 1;
            }
            for (name, blocked) in foretold(&app, &order, version).await {
                if let Some(sentence) = blocked.as_str() {
                    let mut input = json!({ "orderId": order });
                    if name == "payOrder" {
                        input["reference"] = json!("PAY-2");
                    }
                    let expected = json!([reason("WRONG_STATUS", "", sentence)]);
                    assert_eq!(refused(&app, shop, &name, input).await, expected, "{name} after {step:?} of {path:?}");
                    refusals += 1;
                }
            }
        }
    }
    // Of six steps: three are blocked while it is pending, two when paid, and so on; all when it is over.
    assert_eq!(refusals, (3 + 3 + 4 + 4 + 5 + 6) + (3 + 3 + 6) + (3 + 3 + 6) + (3 + 6));
    app.close().await;
}

async fn take(shop: &Client, step: &str, order: &str, line: &Value) {
    let (name, mut input) = (step.split('-').next().expect("a step"), json!({ "orderId": order }));
    match step {
        "pay" => input["reference"] = json!("PAY-1"),
        "ship-one" => input["lines"] = json!([{ "lineId": line, "quantity": 1 }]),
        _ => {}
    }
    shop.accepted(&format!("{name}Order"), input).await;
}
