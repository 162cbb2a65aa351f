//! Filters and words: whoever looks for something finds it, and nothing else.

use super::{list, order};
use crate::support::{Client, TestApp};
use serde_json::{Value, json};

/// The references of the orders that a filter finds, which are as many as are counted.
async fn found(client: &Client, filter: Value) -> Vec<String> {
    let query = "query($f: OrderFilter) { orders(filter: $f, sort: { field: NUMBER, direction: ASC }) {
        totalCount nodes { reference } } }";
    let orders = client.ask(query, json!({ "f": filter })).await["orders"].take();
    let references = list(&orders["nodes"], "reference");
    assert_eq!(orders["totalCount"], references.len(), "{filter}");
    references
}

/// The SKUs of the products that a filter finds.
async fn shelf(client: &Client, filter: Value) -> Vec<String> {
    let query = "query($f: ProductFilter) { products(filter: $f) { totalCount nodes { sku } } }";
    let products = client.ask(query, json!({ "f": filter })).await["products"].take();
    let skus = list(&products["nodes"], "sku");
    assert_eq!(products["totalCount"], skus.len(), "{filter}");
    skus
}

#[tokio::test]
async fn every_filter_of_orders_finds_what_it_says() {
    let app = TestApp::start().await;
    let ((ada_id, ada), (alan_id, alan)) = (app.customer("Ada Lovelace").await, app.customer("Alan Turing").await);
    let (tea, cup) = (app.product("TEA-1", 650, 100).await, app.product("CUP-1", 1250, 100).await);
    let at = |reference: &str, day: &str| json!({ "reference": reference, "placedAt": format!("{day}T12:00:00Z") });
    let first = order(&app, &ada_id, &tea, at("first", "2025-03-01")).await;
    order(&app, &ada_id, &cup, at("second", "2025-03-02")).await;
    let third = order(&app, &alan_id, &tea, at("third", "2025-03-03")).await;
    let fourth = order(&app, &alan_id, &cup, at("fourth", "2025-03-04")).await;
    ada.pay(&first).await;
    app.staff().ship(&first).await;
    alan.pay(&third).await;
    alan.accepted("cancelOrder", json!({ "orderId": fourth })).await;
    app.caught_up().await;

    let (staff, second) = (app.staff(), "2025-03-02T12:00:00Z");
    for (filter, expected) in [
        (json!(null), vec!["first", "second", "third", "fourth"]),
        (json!({}), vec!["first", "second", "third", "fourth"]),
        (json!({ "status": ["SHIPPED"] }), vec!["first"]),
        (json!({ "status": ["PENDING", "PAID"] }), vec!["second", "third"]),
        (json!({ "status": [] }), vec![]),
        (json!({ "status": ["DELIVERED"] }), vec![]),
        (json!({ "customerId": ada_id }), vec!["first", "second"]),
        (json!({ "placedFrom": second }), vec!["second", "third", "fourth"]),
        (json!({ "placedTo": second }), vec!["first"]),
        (json!({ "placedFrom": second, "placedTo": "2025-03-02T12:00:00.001Z" }), vec!["second"]),
        (json!({ "placedFrom": "2025-03-02T14:00:00+02:00", "placedTo": "2025-03-03T12:00:00Z" }), vec!["second"]),
        (json!({ "productId": tea }), vec!["first", "third"]),
        (json!({ "productId": tea, "customerId": ada_id, "status": ["SHIPPED"], "search": "ada" }), vec!["first"]),
        (json!({ "productId": tea, "customerId": ada_id, "status": ["PAID"] }), vec![]),
    ] {
        assert_eq!(found(&staff, filter.clone()).await, expected, "{filter}");
    }
    // A customer finds their own and never learns of anybody else's.
    assert_eq!(found(&ada, json!({})).await, ["first", "second"]);
    assert_eq!(found(&ada, json!({ "customerId": ada_id })).await, ["first", "second"]);
    assert!(found(&ada, json!({ "customerId": alan_id })).await.is_empty());
    assert!(found(&ada, json!({ "search": "turing" })).await.is_empty());
    assert_eq!(found(&ada, json!({ "productId": tea })).await, ["first"]);
    let orders = "query($f: OrderFilter) { orders(filter: $f) { totalCount } }";
    for filter in [json!({ "customerId": tea }), json!({ "productId": "tea" })] {
        assert_eq!(staff.error_of(orders, json!({ "f": filter })).await, "BAD_USER_INPUT", "{filter}");
    }

    let of = "query($id: ID!, $f: OrderFilter) { user(id: $id) { orders(filter: $f, sort: { field: NUMBER, direction: ASC }) {
        totalCount nodes { reference } } } }";
    for (filter, expected) in [
        (json!(null), vec!["third", "fourth"]),
        (json!({ "status": ["CANCELLED"] }), vec!["fourth"]),
        (json!({ "customerId": alan_id }), vec!["third", "fourth"]),
        (json!({ "customerId": ada_id }), vec![]),
    ] {
        let orders = staff.ask(of, json!({ "id": alan_id, "f": filter })).await["user"]["orders"].take();
        assert_eq!(list(&orders["nodes"], "reference"), expected, "{filter}");
        assert_eq!(orders["totalCount"], expected.len(), "{filter}");
    }
    app.close().await;
}

#[tokio::test]
async fn an_order_is_found_by_any_of_its_words_and_their_beginnings() {
    let app = TestApp::start().await;
    let ((ada_id, _), (alan_id, _)) = (app.customer("Ada Lovelace").await, app.customer("Çelik Öz").await);
    let (tea, cup) = (app.product("TEA-1", 650, 100).await, app.product("85123a", 1250, 100).await);
    let first = order(&app, &ada_id, &tea, json!({ "reference": "PO-77" })).await;
    order(&app, &alan_id, &cup, json!({ "reference": "PO-78" })).await;
    let number = app.seen(&first, 1).await["number"].as_str().expect("a number").to_owned();
    app.caught_up().await;
    let (one, other, both, none) = (vec!["PO-77"], vec!["PO-78"], vec!["PO-77", "PO-78"], vec![]);
    for (text, expected) in [
        (number.as_str(), &one),
        (&number[..3], &both),
        ("PO-77", &one),
        ("po", &both),
        ("78", &other),
        ("Ada", &one),
        ("LOVE", &one),
        ("ada lovelace", &one),
        ("lovelace   \t ada", &one),
        ("ada.lovelace@example.com", &one),
        ("example", &both),
        ("TEA-1", &one),
        ("tea", &one),
        ("85123A", &other),
        ("çel", &other),
        ("ÖZ po-7", &other),
        ("ada tea po", &one),
        ("ada 85123a", &none),
        ("ove", &none),
        ("adalovelace", &none),
        ("", &both),
        ("   ", &both),
        ("$", &none),
        (".*", &none),
        ("{\"$gt\": \"\"}", &none),
        ("\u{10ffff}", &none),
        ("\0", &none),
        ("\\u0000'\"`%_", &none),
        ("☕ 茶", &none),
        (&"a".repeat(5_000), &none),
        (&"po ".repeat(2_000), &both),
    ] {
        let start: String = text.chars().take(40).collect();
        assert_eq!(&found(&app.staff(), json!({ "search": text })).await, expected, "{start:?}");
    }
    app.close().await;
}

#[tokio::test]
async fn what_people_read_on_an_order_they_can_type_to_find_it() {
    let app = TestApp::start().await;
    let mut people = Vec::new();
    for (name, email) in [("Bridget O'Brien", "bridget.o'brien@example.com"), ("Anne-Marie St. John", "amsj@example.com")] {
        let receipt = app.admin().accepted("createUser", json!({ "email": email, "displayName": name })).await;
        people.push(receipt["aggregateId"].as_str().expect("an id").to_owned());
    }
    let tea = app.product("TEA/1 (green)", 650, 100).await;
    order(&app, &people[0], &tea, json!({ "reference": "PO 2026/17" })).await;
    order(&app, &people[1], &tea, json!({ "reference": "Fax #9, page 2" })).await;
    app.caught_up().await;
    for (text, expected) in [
        ("O'Brien", vec!["PO 2026/17"]),
        ("o'br", vec!["PO 2026/17"]),
        ("bridget.o'brien@example.com", vec!["PO 2026/17"]),
        ("PO 2026/17", vec!["PO 2026/17"]),
        ("2026/17", vec!["PO 2026/17"]),
        ("Anne-Marie", vec!["Fax #9, page 2"]),
        ("St. John", vec!["Fax #9, page 2"]),
        ("John, Anne-Marie", vec!["Fax #9, page 2"]),
        ("Fax #9, page 2", vec!["Fax #9, page 2"]),
        ("TEA/1 (green)", vec!["PO 2026/17", "Fax #9, page 2"]),
    ] {
        assert_eq!(found(&app.staff(), json!({ "search": text })).await, expected, "{text}");
    }
    app.close().await;
}

#[tokio::test]
async fn every_filter_of_products_finds_what_it_says() {
    let app = TestApp::start().await;
    app.product("TEA-1", 650, 1).await;
    let cup = app.product("85123A", 650, 1).await;
    app.product("85123a", 650, 1).await;
    let named = json!({ "productId": cup, "name": "White Hanging Heart T-Light Holder", "active": false });
    app.staff().accepted("updateProduct", named).await;
    app.caught_up().await;
    let (_, anyone) = app.customer("Ada Lovelace").await;
    for (filter, expected) in [
        (json!(null), vec!["85123a", "TEA-1", "85123A"]),
        (json!({ "active": true }), vec!["85123a", "TEA-1"]),
        (json!({ "active": false }), vec!["85123A"]),
        (json!({ "sku": ["85123A"] }), vec!["85123A"]),
        (json!({ "sku": ["85123a", "TEA-1", "none"] }), vec!["85123a", "TEA-1"]),
        (json!({ "sku": [] }), vec![]),
        (json!({ "search": "heart white" }), vec!["85123A"]),
        (json!({ "search": "T-Light" }), vec!["85123A"]),
        (json!({ "search": "85123a" }), vec!["85123a", "85123A"]),
        (json!({ "search": "product tea-1" }), vec!["TEA-1"]),
        (json!({ "search": "eart" }), vec![]),
        (json!({ "search": "heart", "active": true }), vec![]),
        (json!({ "search": "" }), vec!["85123a", "TEA-1", "85123A"]),
        (json!({ "search": "(white) .* $heart\u{0}" }), vec!["85123A"]),
    ] {
        assert_eq!(shelf(&anyone, filter.clone()).await, expected, "{filter}");
    }
    app.close().await;
}
