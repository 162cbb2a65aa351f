//! What people find in the shop: lists page by page, and names that change; filters and the sales report in files of their own.

mod filters;
mod sales;

use crate::support::{Client, TestApp, backstage::documents, until, uuid_of};
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Places an order as staff do for a customer.
async fn order(app: &TestApp, customer: &str, product: &str, more: Value) -> String {
    let mut input = json!({ "customerId": customer, "lines": [{ "productId": product, "quantity": 1 }] });
    input.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
    app.staff().accepted("placeOrder", input).await["aggregateId"].as_str().expect("an id").to_owned()
}

fn list(nodes: &Value, field: &str) -> Vec<String> {
    nodes.as_array().expect("a list").iter().map(|node| node[field].as_str().expect("a text").to_owned()).collect()
}

/// A list that can be walked, and its sorts.
struct Walk {
    field: &'static str,
    kind: &'static str,
    sorts: [&'static str; 4],
}

const ORDERS: Walk = Walk { field: "orders", kind: "Order", sorts: ["PLACED_AT", "UPDATED_AT", "TOTAL", "NUMBER"] };
const PRODUCTS: Walk = Walk { field: "products", kind: "Product", sorts: ["NAME", "PRICE", "UNITS_SOLD", "UPDATED_AT"] };

impl Walk {
    /// Every id of the list, page by page, with something happening in between.
    async fn walk(&self, client: &Client, sort: &Value, backward: bool, mut between: impl AsyncFnMut()) -> Vec<String> {
        let (size, from, more, at) = if backward {
            ("last", "before", "hasPreviousPage", "startCursor")
        } else {
            ("first", "after", "hasNextPage", "endCursor")
        };
        let query = format!(
            "query($sort: {}Sort!, $at: String) {{ {}(sort: $sort, {size}: 5, {from}: $at) {{
                nodes {{ id }} edges {{ cursor node {{ id }} }}
                pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}",
            self.kind, self.field
        );
        let mut met = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let page = client.ask(&query, json!({ "sort": sort, "at": cursor })).await[self.field].take();
            let mut ids = list(&page["nodes"], "id");
            let edges: Vec<_> = page["edges"].as_array().expect("edges").iter().map(|edge| edge["node"].clone()).collect();
            assert_eq!(list(&json!(edges), "id"), ids);
            let behind = if backward { "hasNextPage" } else { "hasPreviousPage" };
            assert_eq!(page["pageInfo"][behind], !cursor.is_null(), "{page:#}");
            if backward {
                ids.reverse();
            }
            met.extend(ids);
            if page["pageInfo"][more] == false {
                return met;
            }
            cursor = page["pageInfo"][at].clone();
            between().await;
        }
    }

    /// The ids of all that is there now, in the order of a sort: by key, and among equals by id.
    async fn sorted(&self, client: &Client, field: &str, descending: bool) -> Vec<String> {
        let fields = if self.kind == "Order" { "placedAt number total { amount }" } else { "name unitsSold price { amount }" };
        let all =
            client.ask(&format!("{{ {}(first: 100) {{ nodes {{ id updatedAt {fields} }} }} }}", self.field), json!({})).await;
        let pence = |money: &Value| money["amount"].as_str().expect("an amount").replace('.', "").parse::<i64>().expect("pence");
        let key = |node: &Value| match field {
            "PLACED_AT" => (0, node["placedAt"].to_string()),
            "UPDATED_AT" => (0, node["updatedAt"].to_string()),
            "NAME" => (0, node["name"].to_string()),
            "TOTAL" => (pence(&node["total"]), String::new()),
            "PRICE" => (pence(&node["price"]), String::new()),
            "UNITS_SOLD" => (node["unitsSold"].as_i64().expect("units"), String::new()),
            _ => (node["number"].as_str().expect("a number").parse().expect("a number"), String::new()),
        };
        let nodes = all[self.field]["nodes"].as_array().expect("nodes");
        let mut keyed: Vec<_> = nodes.iter().map(|node| (key(node), node["id"].as_str().expect("an id").to_owned())).collect();
        keyed.sort();
        if descending {
            keyed.reverse();
        }
        keyed.into_iter().map(|(_, id)| id).collect()
    }

    async fn expect_every_walk(&self, client: &Client, mut between: impl AsyncFnMut()) {
        for (field, direction, backward) in self.sorts.iter().flat_map(|field| {
            [("ASC", false), ("ASC", true), ("DESC", false), ("DESC", true)].map(|(direction, back)| (*field, direction, back))
        }) {
            let mut expected = self.sorted(client, field, direction == "DESC").await;
            if backward {
                expected.reverse();
            }
            let sort = json!({ "field": field, "direction": direction });
            let mut met = self.walk(client, &sort, backward, &mut between).await;
            met.retain(|id| expected.contains(id));
            assert_eq!(met, expected, "{field} {direction}, backward: {backward}");
        }
    }
}

#[tokio::test]
async fn walking_through_a_list_meets_everything_once_while_customers_go_on_ordering() {
    let app = TestApp::start().await;
    let (ada, _) = app.customer("Ada Lovelace").await;
    let mut products = Vec::new();
    for number in 0..11 {
        // Three share a price, and nobody has bought most of them.
        products.push(app.product(&format!("TEA-{number:02}"), 500 + 100 * (number / 3), 1_000).await);
    }
    // Placed in the same moment, for the same sum, committed together: only ids tell them apart.
    let at = |day: usize| json!({ "placedAt": format!("2025-03-{:02}T10:00:00Z", day), "note": "Ring twice" });
    join_all((0..12).map(|number| order(&app, &ada, &products[number % 2], at(1 + number / 5)))).await;
    app.caught_up().await;

    let staff = app.staff();
    let mut days = 0;
    ORDERS
        .expect_every_walk(&staff, async || {
            // One more in every walk's way, now and then: before, among and after those that were there.
            days += 1;
            if days % 3 == 0 {
                order(&app, &ada, &products[days % 11], at(1 + days % 28)).await;
                app.caught_up().await;
            }
        })
        .await;
    PRODUCTS.expect_every_walk(&staff, async || {}).await;
    app.close().await;
}

#[tokio::test]
async fn a_page_has_bounds_and_a_cursor_belongs_to_its_list() {
    let app = TestApp::start().await;
    let (ada, _) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    for _ in 0..3 {
        order(&app, &ada, &tea, json!({})).await;
    }
    app.caught_up().await;
    let staff = app.staff();
    for arguments in [
        "first: 101",
        "first: -1",
        "last: 101",
        "last: -1",
        "first: 1, last: 1",
        "after: \"garbage\"",
        "before: \"\"",
        "after: \"w6k\"",
    ] {
        for field in ["orders", "products"] {
            let query = format!("{{ {field}({arguments}) {{ totalCount }} }}");
            assert_eq!(staff.error_of(&query, json!({})).await, "BAD_USER_INPUT", "{query}");
        }
        let query = format!("query($id: ID!) {{ user(id: $id) {{ orders({arguments}) {{ totalCount }} }} }}");
        assert_eq!(staff.error_of(&query, json!({ "id": ada })).await, "BAD_USER_INPUT", "{query}");
    }
    for arguments in ["first: 101", "first: -1", "after: \"garbage\"", "after: \"-1\""] {
        let query = format!("{{ orders {{ nodes {{ history({arguments}) {{ totalCount }} }} }} }}");
        assert_eq!(staff.error_of(&query, json!({})).await, "BAD_USER_INPUT", "{query}");
    }
    let empty = staff.ask("{ orders(first: 0) { nodes { id } totalCount pageInfo { startCursor } } }", json!({})).await;
    assert_eq!(empty["orders"], json!({ "nodes": [], "totalCount": 3, "pageInfo": { "startCursor": null } }));

    let page = "query($s: OrderSort, $a: String) { orders(sort: $s, after: $a, first: 1) { pageInfo { endCursor } } }";
    for (of, other) in [("PLACED_AT", "UPDATED_AT"), ("UPDATED_AT", "NUMBER"), ("TOTAL", "NUMBER"), ("NUMBER", "TOTAL")] {
        let cursor = staff.ask(page, json!({ "s": { "field": of } })).await["orders"]["pageInfo"]["endCursor"].take();
        let foreign = json!({ "s": { "field": other }, "a": cursor });
        assert_eq!(staff.error_of(page, foreign).await, "BAD_USER_INPUT", "{of} in {other}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_place_among_the_orders_is_no_place_in_the_catalogue() {
    let app = TestApp::start().await;
    let (ada, _) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    order(&app, &ada, &tea, json!({})).await;
    app.caught_up().await;
    let page =
        |list: &str| format!("query($a: String) {{ {list}(sort: {{ field: UPDATED_AT }}, after: $a) {{ edges {{ cursor }} }} }}");
    for (of, other) in [("orders", "products"), ("products", "orders")] {
        let cursor = app.staff().ask(&page(of), json!({})).await[of]["edges"][0]["cursor"].take();
        assert_eq!(app.staff().error_of(&page(other), json!({ "a": cursor })).await, "BAD_USER_INPUT", "{of} in {other}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_new_name_reaches_every_order_of_a_customer_with_very_many() {
    const MANY: usize = 1_100;
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    app.caught_up().await;
    // Twice and a bit what the projector renames at once.
    app.copy_order(&placed.id, MANY as i64).await;

    let mut socket = ada.socket().await;
    let follow =
        "subscription($id: ID!) { orderChanged(id: $id) { kind event { type version } order { customer { displayName } } } }";
    socket.subscribe("1", follow, json!({ "id": placed.id })).await;
    assert_eq!(socket.change().await["order"]["customer"]["displayName"], "Ada Byron");
    let profile = json!({ "userId": ada_id, "displayName": "Ada Lovelace", "email": "countess@example.org" });
    ada.accepted("updateUserProfile", profile).await;
    let told = json!({ "kind": "CHANGE", "event": { "type": "CUSTOMER_RENAMED", "version": 1 },
        "order": { "customer": { "displayName": "Ada Lovelace" } } });
    assert_eq!(socket.change().await, told);

    app.caught_up().await;
    let mongo = app.mongo().await;
    for order in documents(&mongo, "orders").await {
        assert_eq!(order["customer"]["displayName"], "Ada Lovelace", "{order:#}");
        assert_eq!(order["customer"]["email"], "countess@example.org", "{order:#}");
        assert_eq!(list(&order["history"], "kind"), ["ORDER_PLACED", "CUSTOMER_RENAMED"], "{order:#}");
    }
    let changes = documents(&mongo, "changes").await;
    assert_eq!(changes.len(), 1 + MANY + 1, "each is told once");
    let numbers: Vec<_> = changes.iter().map(|change| change["_id"]["s"].as_i64().expect("a number")).collect();
    assert_eq!(numbers, (1..=changes.len() as i64).collect::<Vec<_>>(), "without a gap");
    let found = "{ orders(filter: { search: \"countess lovelace\" }) { totalCount }
        old: orders(filter: { search: \"byron\" }) { totalCount } }";
    let found = ada.ask(found, json!({})).await;
    assert_eq!(found, json!({ "orders": { "totalCount": MANY + 1 }, "old": { "totalCount": 0 } }));
    app.close().await;
}

#[tokio::test]
async fn two_new_names_in_a_row_reach_every_order_in_their_order() {
    let mut app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    app.caught_up().await;
    app.copy_order(&placed.id, 1_100).await;
    // The second comes first and waits for the first, so the projector meets both together.
    app.restart(&[Api]).await;
    let ada = app.as_customer(&ada_id);
    for name in ["Ada King", "Ada Lovelace"] {
        ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": name })).await;
    }
    let late = app.hold(&format!("e.version = 2 AND e.stream_id = '{}'", uuid_of(&ada_id))).await;
    app.join(&[Relay, Projector]).await;
    until("the second to wait", || async {
        let waiting = app.waiting().await;
        if waiting.len() == 1 { Ok(()) } else { Err(waiting) }
    })
    .await;
    app.release(late).await;
    app.caught_up().await;
    for order in documents(&app.mongo().await, "orders").await {
        assert_eq!(order["customer"]["displayName"], "Ada Lovelace", "{order:#}");
        assert_eq!(order["customer"]["version"], 3, "{order:#}");
        assert_eq!(list(&order["history"], "kind"), ["ORDER_PLACED", "CUSTOMER_RENAMED", "CUSTOMER_RENAMED"], "{order:#}");
    }
    // What is written in one transaction has one time. However many orders she has, no transaction is huge: a chunk of 500, or
    // what was left over of both names.
    let mut sizes = BTreeMap::new();
    for change in documents(&app.mongo().await, "changes").await {
        *sizes.entry(change["at"].to_string()).or_insert(0) += 1;
    }
    assert!(sizes.values().all(|size| *size < 1_000), "{sizes:?}");
    app.close().await;
}

#[tokio::test]
async fn an_order_that_is_seen_after_its_customers_new_name_has_the_new_name() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada Lovelace" })).await;
    let late = app.hold(&format!("e.stream_id = '{}'", uuid_of(&placed.id))).await;
    app.join(&[Relay, Projector]).await;
    let mongo = app.mongo().await;
    until("the new name", || async {
        let users = documents(&mongo, "users").await;
        if users.iter().any(|user| user["displayName"] == "Ada Lovelace") { Ok(()) } else { Err(users) }
    })
    .await;
    assert_eq!(mongo.collection::<Document>("orders").count_documents(doc! {}).await.expect("count"), 0);
    app.release(late).await;
    assert_eq!(app.seen(&placed.id, 1).await["customer"]["displayName"], "Ada Lovelace");
    let mine = ada
        .ask("{ orders(filter: { search: \"lovelace\" }) { totalCount } me { orderSummary { orderCount } } }", json!({}))
        .await;
    assert_eq!(mine, json!({ "orders": { "totalCount": 1 }, "me": { "orderSummary": { "orderCount": 1 } } }));
    app.close().await;
}
