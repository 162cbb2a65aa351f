//! The shop says no: by a code, with a sentence for people, and at the place in the input where the reason lies. Every refusal
//! here is also a proof that nothing has changed.

mod rules;

use crate::support::{Client, TestApp};
use orderflow::value::OrderId;
use serde_json::{Value, json};

const STORIES: [&str; 3] = [include_str!("refusals.rs"), include_str!("refusals/rules.rs"), include_str!("idempotency.rs")];

const NOBODY: &str = "user_0190d3f57a0070008000000000000001";
const NO_PRODUCT: &str = "product_0190d3f57a0070008000000000000001";
const NO_ORDER: &str = "order_0190d3f57a0070008000000000000001";
const NO_LINE: &str = "line_0190d3f57a0070008000000000000001";

/// The reasons for which a command is refused.
async fn refused(app: &TestApp, by: &Client, name: &str, input: Value) -> Value {
    let before = app.state().await;
    let mut payload = by.command(name, input).await;
    assert!(payload["receipt"].is_null(), "{name} was accepted: {payload:#}");
    assert_eq!(app.state().await, before, "{name} was refused, and changed something: {payload:#}");
    payload["errors"].take()
}

/// One reason, at a place below `input`, or nowhere in particular.
fn reason(code: &str, at: &str, message: &str) -> Value {
    let path = (!at.is_empty()).then(|| std::iter::once("input").chain(at.split('.')).collect::<Vec<_>>());
    json!({ "code": code, "message": message, "path": path, "currentVersion": null })
}

fn pounds(amount: &str) -> Value {
    json!({ "amount": amount, "currencyCode": "GBP" })
}

#[tokio::test]
async fn every_code_has_its_story() {
    let app = TestApp::build().roles(&[orderflow::config::Role::Api]).start().await;
    let kinds = app.admin().ask("{ __type(name: \"CommandErrorCode\") { enumValues { name } } }", json!({})).await;
    let kinds = kinds["__type"]["enumValues"].as_array().expect("codes").clone();
    assert!(kinds.len() >= 14, "{kinds:?}");
    for kind in kinds {
        let told = format!("\"{}\"", kind["name"].as_str().expect("a name"));
        assert!(STORIES.iter().any(|stories| stories.contains(&told)), "{kind} has no story");
    }
    app.close().await;
}

#[tokio::test]
async fn all_that_is_wrong_with_an_input_is_told_at_once() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = json!({
        "commandId": "with a space", "customerId": "ada", "reference": " ", "note": "\u{7}",
        "lines": [{ "productId": tea, "quantity": 1 }, { "productId": "tea", "quantity": 0, "unitPrice": pounds("0.001") }],
        "shippingAddress": { "line1": "", "city": "London", "postalCode": "SW1Y 4JH", "countryCode": "GB" },
    });
    let product = json!({ "sku": "", "name": "x".repeat(301), "description": "", "price": pounds("1.999") });
    let payment = json!({ "orderId": "1001", "amount": pounds("-1"), "reference": "two\nlines" });
    let parcel = json!({ "orderId": NO_ORDER, "lines": [{ "lineId": "first", "quantity": -1 }], "carrier": "" });
    let no_order = "1001".parse::<OrderId>().expect_err("this is a number");
    let (staff, whole) = (app.staff(), "a quantity is a whole number from 1 to 1000000");
    #[rustfmt::skip]
    let wrong = [
        (&ada, "placeOrder", order, vec![
            ("customerId", "this is not the id of a user: it must look like user_0190d3f5…"),
            ("lines.1.productId", "this is not the id of a product: it must look like product_0190d3f5…"),
            ("lines.1.quantity", whole),
            ("lines.1.unitPrice.amount", "GBP has 2 decimals; the amount has more"),
            ("shippingAddress.line1", "this part of an address must not be empty"),
            ("note", "a text must not contain control characters"),
            ("reference", "a reference must not be empty"),
            ("commandId", "a commandId has 1 to 128 visible ASCII characters and no spaces; a UUID is a good choice"),
        ]),
        (&staff, "createUser", json!({ "email": "ada", "displayName": "" }), vec![
            ("email", "this is not an email address"),
            ("displayName", "a display name must not be empty"),
        ]),
        (&staff, "createProduct", product, vec![
            ("sku", "a SKU must not be empty"),
            ("name", "a product name has at most 300 characters"),
            ("description", "a text must not be empty"),
            ("price.amount", "GBP has 2 decimals; the amount has more"),
        ]),
        (&ada, "payOrder", payment, vec![
            ("orderId", no_order.0.as_str()),
            ("amount.amount", "an amount cannot be negative"),
            ("reference", "a reference must not contain control characters or line breaks"),
        ]),
        (&staff, "shipOrder", parcel, vec![
            ("lines.0.lineId", "this is not the id of a line: it must look like line_0190d3f5…"),
            ("lines.0.quantity", whole),
            ("carrier", "a reference must not be empty"),
        ]),
    ];
    for (by, name, input, told) in wrong {
        let told: Vec<_> = told.into_iter().map(|(at, message)| reason("INVALID_INPUT", at, message)).collect();
        assert_eq!(refused(&app, by, name, input).await, json!(told), "{name}");
    }
    app.close().await;
}

#[tokio::test]
async fn what_is_well_formed_can_still_make_no_sense() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    let line = json!([{ "productId": tea, "quantity": 1 }]);
    let nothing = "Nothing to change: give ";
    #[rustfmt::skip]
    let senseless = [
        ("placeOrder", json!({ "lines": line }), "customerId", "say who orders: your token is not a customer's".to_owned()),
        ("placeOrder", json!({ "customerId": ada_id, "lines": line, "placedAt": "2999-01-01T00:00:00Z" }), "placedAt",
            "An order cannot have been placed in the future.".to_owned()),
        ("updateOrder", json!({ "orderId": order.id }), "", format!("{nothing}lines, a shippingAddress or a note.")),
        ("updateProduct", json!({ "productId": tea }), "", format!("{nothing}a name, description, price or active.")),
        ("updateUserProfile", json!({ "userId": ada_id }), "", format!("{nothing}an email or a displayName.")),
        ("adjustStock", json!({ "productId": tea, "delta": 0 }), "delta", "A change of zero changes nothing.".to_owned()),
        ("createProduct", json!({ "sku": "CUP-1", "name": "Cup", "price": pounds("1"), "stock": -1 }), "stock",
            "Stock cannot be negative.".to_owned()),
    ];
    for (name, input, at, message) in senseless {
        assert_eq!(refused(&app, &app.staff(), name, input).await, json!([reason("INVALID_INPUT", at, &message)]), "{name}");
    }
    ada.pay(&order.id).await;
    let none = json!({ "orderId": order.id, "lines": [] });
    let message = "Name at least one line, or leave lines out to mean all of them.";
    assert_eq!(refused(&app, &app.staff(), "shipOrder", none).await, json!([reason("INVALID_INPUT", "lines", message)]));
    app.close().await;
}

#[tokio::test]
async fn nobody_can_do_anything_to_what_is_not_there() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    ada.pay(&order.id).await;
    let unknown = json!([{ "lineId": NO_LINE, "quantity": 1 }]);
    #[rustfmt::skip]
    let lost = [
        ("placeOrder", json!({ "customerId": NOBODY, "lines": [{ "productId": tea, "quantity": 1 }] }), "customerId", "user"),
        ("placeOrder", json!({ "customerId": ada_id, "lines": [{ "productId": tea, "quantity": 1 },
            { "productId": NO_PRODUCT, "quantity": 1 }] }), "lines.1.productId", "product"),
        ("updateOrder", json!({ "orderId": NO_ORDER, "note": "hello" }), "orderId", "order"),
        ("payOrder", json!({ "orderId": NO_ORDER, "reference": "PAY-1" }), "orderId", "order"),
        ("cancelOrder", json!({ "orderId": NO_ORDER }), "orderId", "order"),
        ("deliverOrder", json!({ "orderId": NO_ORDER }), "orderId", "order"),
        ("shipOrder", json!({ "orderId": order.id, "lines": unknown }), "lines.0.lineId", "line in this order"),
        ("refundOrder", json!({ "orderId": order.id, "lines": unknown }), "lines.0.lineId", "line in this order"),
        ("updateUserProfile", json!({ "userId": NOBODY, "displayName": "Nobody" }), "userId", "user"),
        ("updateProduct", json!({ "productId": NO_PRODUCT, "active": false }), "productId", "product"),
        ("adjustStock", json!({ "productId": NO_PRODUCT, "delta": 1 }), "productId", "product"),
    ];
    for (name, input, at, what) in lost {
        let expected = json!([reason("NOT_FOUND", at, &format!("There is no such {what}."))]);
        assert_eq!(refused(&app, &app.staff(), name, input).await, expected, "{name}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_customer_can_do_nothing_that_is_for_the_shop_to_do() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let (_, eve) = app.customer("Eve").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    let line = json!({ "productId": tea, "quantity": 1 });
    let cheap = json!({ "productId": tea, "quantity": 1, "unitPrice": pounds("0.01") });
    let step = "Only staff take this step.";
    let somebody = json!({ "email": "x@example.com", "displayName": "X" });
    #[rustfmt::skip]
    let presumptuous = [
        (&ada, "shipOrder", json!({ "orderId": order.id }), "", step),
        (&ada, "deliverOrder", json!({ "orderId": order.id }), "", step),
        (&ada, "refundOrder", json!({ "orderId": order.id }), "", step),
        (&ada, "placeOrder", json!({ "lines": [line, cheap] }), "lines.1.unitPrice", "Only staff agree prices."),
        (&ada, "updateOrder", json!({ "orderId": order.id, "lines": [cheap] }), "lines.0.unitPrice", "Only staff agree prices."),
        (&ada, "placeOrder", json!({ "lines": [line], "placedAt": "2020-01-01T00:00:00Z" }), "placedAt",
            "Only staff enter orders that were taken earlier."),
        (&eve, "placeOrder", json!({ "customerId": ada_id, "lines": [line] }), "customerId", "You can only order for yourself."),
        (&eve, "updateOrder", json!({ "orderId": order.id, "note": "to me" }), "orderId", "This is somebody else's order."),
        (&eve, "payOrder", json!({ "orderId": order.id, "reference": "PAY-1" }), "orderId", "This is somebody else's order."),
        (&eve, "cancelOrder", json!({ "orderId": order.id }), "orderId", "This is somebody else's order."),
        (&eve, "updateUserProfile", json!({ "userId": ada_id, "displayName": "Eve" }), "userId",
            "This is somebody else's profile."),
        (&ada, "createUser", somebody.clone(), "", "Only staff create users."),
        (&ada, "createProduct", json!({ "sku": "X", "name": "X", "price": pounds("1") }), "", "Only staff create products."),
        (&ada, "updateProduct", json!({ "productId": tea, "price": pounds("0") }), "", "Only staff change products."),
        (&ada, "adjustStock", json!({ "productId": tea, "delta": 1 }), "", "Only staff adjust stock."),
    ];
    for (by, name, input, at, message) in presumptuous {
        assert_eq!(refused(&app, by, name, input).await, json!([reason("FORBIDDEN", at, message)]), "{name}");
    }
    for role in ["STAFF", "ADMIN"] {
        let mut staff = somebody.clone();
        staff["role"] = json!(role);
        let expected = json!([reason("FORBIDDEN", "role", "Only an administrator creates staff.")]);
        assert_eq!(refused(&app, &app.staff(), "createUser", staff).await, expected);
    }
    app.close().await;
}
