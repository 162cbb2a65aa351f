//! Who may see and do what: nobody without a token anything, a customer what is their own, staff all that is the shop's, and only
//! an administrator makes staff. The tables are the rule; the schema says whether they are complete.

use crate::support::{Client, TestApp};
use orderflow::value::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const VIEWERS: [&str; 5] = ["nobody", "Eve, another customer", "Ada, whose it is", "staff", "an administrator"];

/// What each viewer is answered: an error's code, `null`, a count, or `seen`.
type Row = (&'static str, &'static str, [&'static str; 5]);

const NO: &str = "UNAUTHENTICATED";

/// Ada has one order, Eve has two.
#[rustfmt::skip]
const QUERIES: &[Row] = &[
    ("node",        "node(id: \"ORDER\") { id }",              [NO, "null", "seen", "seen", "seen"]),
    ("node",        "node(id: \"USER\") { id }",               [NO, "null", "seen", "seen", "seen"]),
    ("node",        "node(id: \"PRODUCT\") { id }",            [NO, "seen", "seen", "seen", "seen"]),
    ("me",          "me { id }",                               [NO, "seen", "seen", "null", "null"]),
    ("user",        "user(id: \"USER\") { id }",               [NO, "null", "seen", "seen", "seen"]),
    ("product",     "product(id: \"PRODUCT\") { id }",         [NO, "seen", "seen", "seen", "seen"]),
    ("products",    "products { totalCount }",                 [NO, "1", "1", "1", "1"]),
    ("order",       "order(id: \"ORDER\") { id }",             [NO, "null", "seen", "seen", "seen"]),
    ("orders",      "orders { totalCount }",                   [NO, "2", "1", "3", "3"]),
    ("salesReport", "salesReport(from: \"2020-01-01T00:00:00Z\", to: \"2120-01-01T00:00:00Z\", granularity: MONTH)
                        { buckets { orderCount } }",           [NO, "2", "1", "3", "3"]),
];

const ALL: [&str; 5] = [NO, "FORBIDDEN", "seen", "seen", "seen"];
const STAFF: [&str; 5] = [NO, "FORBIDDEN", "FORBIDDEN", "seen", "seen"];
const ADMIN: [&str; 5] = [NO, "FORBIDDEN", "FORBIDDEN", "FORBIDDEN", "seen"];

#[rustfmt::skip]
const MUTATIONS: &[Row] = &[
    ("createUser",        r#"{ "email": "NEW@example.com", "displayName": "New" }"#,                             STAFF),
    ("createUser",        r#"{ "email": "NEW@example.com", "displayName": "New", "role": "STAFF" }"#,            ADMIN),
    ("createUser",        r#"{ "email": "NEW@example.com", "displayName": "New", "role": "ADMIN" }"#,            ADMIN),
    ("updateUserProfile", r#"{ "userId": "USER", "displayName": "Ada L." }"#,                                    ALL),
    ("createProduct",     r#"{ "sku": "NEW", "name": "New", "price": { "amount": 1, "currencyCode": "GBP" } }"#, STAFF),
    ("updateProduct",     r#"{ "productId": "PRODUCT", "name": "Tea" }"#,                                        STAFF),
    ("adjustStock",       r#"{ "productId": "PRODUCT", "delta": 1 }"#,                                           STAFF),
    ("placeOrder",        r#"{ "customerId": "USER", "lines": [{ "productId": "PRODUCT", "quantity": 1 }] }"#,   ALL),
    ("updateOrder",       r#"{ "orderId": "ORDER", "note": "Ring twice" }"#,                                     ALL),
    ("payOrder",          r#"{ "orderId": "ORDER", "reference": "PAY-1" }"#,                                     ALL),
    ("cancelOrder",       r#"{ "orderId": "ORDER" }"#,                                                           ALL),
    ("shipOrder",         r#"{ "orderId": "ORDER" }"#,                                                           STAFF),
    ("deliverOrder",      r#"{ "orderId": "ORDER" }"#,                                                           STAFF),
    ("refundOrder",       r#"{ "orderId": "ORDER" }"#,                                                           STAFF),
    ("rebuildReadModel",  r#"{ "strict": true }"#,                                                               ADMIN),
];

/// The first thing that each is told; of `ordersChanged`, that is up to what happens, and has a test of its own.
#[rustfmt::skip]
const SUBSCRIPTIONS: &[Row] = &[
    ("orderChanged",   "orderChanged(id: \"ORDER\") { kind }",             [NO, "NOT_FOUND", "seen", "seen", "seen"]),
    ("ordersChanged",  "ordersChanged(filter: { customerId: \"EVE\" }) { kind }", [NO, "", "NOT_FOUND", "", ""]),
    ("productChanged", "productChanged(id: \"PRODUCT\") { id }",           [NO, "seen", "seen", "seen", "seen"]),
    ("rebuildProgress", "rebuildProgress { step }",                        [NO, "NOT_FOUND", "NOT_FOUND", "NOT_FOUND", ""]),
];

struct Shop {
    app: TestApp,
    viewers: [Client; 5],
    ada: String,
    eve: String,
    tea: String,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let ((ada_id, ada), (eve_id, eve)) = (app.customer("Ada").await, app.customer("Eve").await);
        let tea = app.product("TEA-1", 650, 1_000).await;
        let viewers = [app.anonymous(), eve, ada, app.staff(), app.admin()];
        Self { app, viewers, ada: ada_id, eve: eve_id, tea }
    }

    fn ada(&self) -> &Client {
        &self.viewers[2]
    }

    fn eve(&self) -> &Client {
        &self.viewers[1]
    }

    fn fill(&self, text: &str, order: &str) -> String {
        let ids = [("USER", self.ada.as_str()), ("EVE", &self.eve), ("PRODUCT", &self.tea), ("ORDER", order)];
        ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("\"{name}\""), &format!("\"{id}\"")))
    }

    /// An order of Ada's with which this step is possible.
    async fn order_for(&self, step: &str) -> String {
        let order = self.ada().place(&[(&self.tea, 1)]).await.id;
        if matches!(step, "shipOrder" | "deliverOrder" | "refundOrder") {
            self.ada().pay(&order).await;
        }
        if step == "deliverOrder" {
            self.app.staff().ship(&order).await;
        }
        order
    }

    async fn fields(&self, of: &str) -> BTreeSet<String> {
        let query = format!("{{ __type(name: \"{of}\") {{ fields {{ name }} }} }}");
        let found = self.app.admin().ask(&query, json!({})).await;
        let fields = found["__type"]["fields"].as_array().expect("fields").iter();
        fields.map(|field| field["name"].as_str().expect("a name").to_owned()).collect()
    }
}

/// What an answer comes to.
fn outcome(answer: &Value, field: &str) -> String {
    if let Some(code) = answer["errors"][0]["extensions"]["code"].as_str() {
        assert!(answer["data"].is_null() || answer["data"][field].is_null(), "an error with data: {answer:#}");
        return code.to_owned();
    }
    assert!(answer.get("errors").is_none(), "{answer:#}");
    let found = &answer["data"][field];
    if let Some(buckets) = found["buckets"].as_array() {
        return buckets.iter().map(|bucket| bucket["orderCount"].as_i64().expect("a count")).sum::<i64>().to_string();
    }
    match &found["totalCount"] {
        Value::Null if found.is_null() => "null".to_owned(),
        Value::Null => "seen".to_owned(),
        count => count.to_string(),
    }
}

#[tokio::test]
async fn the_tables_name_every_field_of_the_schema() {
    let shop = Shop::open().await;
    for (root, table) in [("Query", QUERIES), ("Mutation", MUTATIONS), ("Subscription", SUBSCRIPTIONS)] {
        let named: BTreeSet<String> = table.iter().map(|(field, ..)| (*field).to_owned()).collect();
        assert_eq!(shop.fields(root).await, named, "{root}");
    }
    shop.app.close().await;
}

#[tokio::test]
async fn who_may_ask_what() {
    let shop = Shop::open().await;
    let order = shop.ada().place(&[(&shop.tea, 1)]).await.id;
    let others = [shop.eve().place(&[(&shop.tea, 1)]).await.id, shop.eve().place(&[(&shop.tea, 1)]).await.id];
    for order in others.iter().chain([&order]) {
        shop.app.seen(order, 1).await;
    }
    for (field, text, expected) in QUERIES {
        let query = format!("{{ {} }}", shop.fill(text, &order));
        for ((viewer, client), expected) in VIEWERS.iter().zip(&shop.viewers).zip(expected) {
            let answer = client.answer(&query, json!({})).await;
            assert_eq!(outcome(&answer, field), *expected, "{viewer} asks {query}: {answer:#}");
        }
    }
    shop.app.close().await;
}

#[tokio::test]
async fn who_may_do_what() {
    let shop = Shop::open().await;
    for (row, (name, text, expected)) in MUTATIONS.iter().enumerate() {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query =
            format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ receipt {{ commandId }} errors {{ code }} }} }}");
        for (at, (viewer, expected)) in VIEWERS.iter().zip(expected).enumerate() {
            let order = shop.order_for(name).await;
            let input = shop.fill(text, &order).replace("NEW", &format!("new-{at}-{row}"));
            let input: Value = serde_json::from_str(&input).expect("an input");
            let before = shop.app.state().await;
            let answer = shop.viewers[at].answer(&query, json!({ "input": input })).await;
            let payload = &answer["data"][name];
            let told = payload["errors"][0]["code"].as_str().map_or_else(|| outcome(&answer, name), str::to_owned);
            assert_eq!(told, *expected, "{viewer} tries {name}: {answer:#}");
            let changed = shop.app.state().await != before;
            assert_eq!((changed, payload["receipt"].is_object()), (told == "seen", told == "seen"), "{viewer} tries {name}");
        }
    }
    shop.app.close().await;
}

#[tokio::test]
async fn who_may_follow_what() {
    let shop = Shop::open().await;
    let order = shop.ada().place(&[(&shop.tea, 1)]).await.id;
    shop.app.seen(&order, 1).await;
    for (field, text, expected) in SUBSCRIPTIONS {
        let query = format!("subscription {{ {} }}", shop.fill(text, &order));
        for ((viewer, client), expected) in VIEWERS.iter().zip(&shop.viewers).zip(expected) {
            if expected.is_empty() {
                continue; // Silent until something happens.
            }
            let mut socket = client.socket().await;
            socket.subscribe("1", &query, json!({})).await;
            let message = socket.message().await;
            assert_eq!(outcome(&message["payload"], field), *expected, "{viewer} follows {query}: {message:#}");
        }
    }
    shop.app.close().await;
}

#[tokio::test]
async fn everybody_hears_of_their_own_orders_and_staff_of_all_or_of_whom_they_ask_for() {
    let shop = Shop::open().await;
    let mut sockets = Vec::new();
    let eves_only = shop.fill("(filter: { customerId: \"EVE\" })", "");
    for (client, filter) in shop.viewers[1..].iter().zip(["", "", &eves_only, ""]) {
        let mut socket = client.socket().await;
        socket.subscribe("orders", &format!("subscription {{ ordersChanged{filter} {{ order {{ id }} }} }}"), json!({})).await;
        // The first word of this one says that the one before it is listening.
        let query = "subscription($id: ID!) { productChanged(id: $id) { sku } }";
        socket.subscribe("barrier", query, json!({ "id": shop.tea })).await;
        assert_eq!(socket.message().await["id"], "barrier");
        sockets.push(socket);
    }
    let mut placed = Vec::new();
    for buyer in [shop.ada(), shop.eve(), shop.ada(), shop.eve()] {
        let order = buyer.place(&[(&shop.tea, 1)]).await.id;
        // One after the other, so that they can be told in this order only.
        shop.app.seen(&order, 1).await;
        placed.push(order);
    }
    let expected = [&[1, 3][..], &[0, 2], &[1, 3], &[0, 1, 2, 3]];
    for ((socket, expected), viewer) in sockets.iter_mut().zip(expected).zip(&VIEWERS[1..]) {
        for order in expected.iter().map(|at| &placed[*at]) {
            let told = loop {
                let message = socket.message().await;
                if message["id"] == "orders" {
                    break message["payload"]["data"]["ordersChanged"]["order"]["id"].clone();
                }
            };
            assert_eq!(told, order.as_str(), "{viewer}");
        }
    }
    shop.app.close().await;
}

#[tokio::test]
async fn there_is_no_way_round_to_somebody_elses_orders() {
    let shop = Shop::open().await;
    let lines = json!([{ "productId": shop.tea, "quantity": 1 }]);
    let receipt = shop.ada().accepted("placeOrder", json!({ "lines": lines, "reference": "SECRET-1" })).await;
    let order = receipt["aggregateId"].as_str().expect("an id").to_owned();
    let number = shop.app.seen(&order, 1).await["number"].as_str().expect("a number").to_owned();
    let cursor =
        shop.ada().ask("{ orders { pageInfo { endCursor } } }", json!({})).await["orders"]["pageInfo"]["endCursor"].clone();
    let ways = [
        "filter: { customerId: \"USER\" }".to_owned(),
        "filter: { search: \"SECRET-1\" }".to_owned(),
        format!("filter: {{ search: \"{number}\" }}"),
        "filter: { search: \"ada@example.com\" }".to_owned(),
        "filter: { productId: \"PRODUCT\", status: [PENDING] }".to_owned(),
        format!("last: 5, before: {cursor}"),
        format!("consistency: {{ token: {}, timeoutMs: 0 }}", receipt["token"]),
    ];
    for way in ways {
        let seen = shop
            .eve()
            .ask(&format!("{{ orders({}) {{ totalCount nodes {{ id }} }} }}", shop.fill(&way, &order)), json!({}))
            .await;
        assert_eq!(seen["orders"], json!({ "totalCount": 0, "nodes": [] }), "{way}");
    }
    let detours = [
        "me { orders(filter: { customerId: \"USER\" }) { totalCount nodes { id } } orderSummary { orderCount } }",
        "user(id: \"USER\") { orders { totalCount } }",
        "node(id: \"USER\") { ... on User { email orders { totalCount } } }",
        "node(id: \"ORDER\") { ... on Order { customer { email } history { totalCount } } }",
    ];
    let detours = detours.iter().enumerate().map(|(at, detour)| format!("way{at}: {}", shop.fill(detour, &order)));
    let seen = shop.eve().ask(&format!("{{ {} }}", detours.collect::<Vec<_>>().join(" ")), json!({})).await;
    let own = json!({ "orders": { "totalCount": 0, "nodes": [] }, "orderSummary": { "orderCount": 0 } });
    assert_eq!(seen, json!({ "way0": own, "way1": null, "way2": null, "way3": null }));
    shop.app.close().await;
}

#[tokio::test]
async fn a_customers_token_that_names_no_user_opens_nothing() {
    let shop = Shop::open().await;
    let order = shop.ada().place(&[(&shop.tea, 1)]).await.id;
    shop.app.seen(&order, 1).await;
    let guest = Client::new(shop.app.addr(), Some(shop.app.token("guest", Role::Customer)));
    for (field, text, expected) in QUERIES {
        let answer = guest.answer(&format!("{{ {} }}", shop.fill(text, &order)), json!({})).await;
        let expected = match *field {
            "products" => "1",
            "orders" | "salesReport" => "0",
            _ if expected[1] == "seen" && *field != "me" => "seen",
            _ => "null",
        };
        assert_eq!(outcome(&answer, field), expected, "{text}: {answer:#}");
    }
    let lines = json!([{ "productId": shop.tea, "quantity": 1 }]);
    assert_eq!(guest.refused("placeOrder", json!({ "lines": lines })).await, "INVALID_INPUT");
    assert_eq!(guest.refused("placeOrder", json!({ "customerId": shop.ada, "lines": lines })).await, "FORBIDDEN");
    assert_eq!(guest.refused("payOrder", json!({ "orderId": order, "reference": "PAY-1" })).await, "FORBIDDEN");
    let mut socket = guest.socket().await;
    socket.subscribe("1", "subscription { ordersChanged { kind } }", json!({})).await;
    assert_eq!(outcome(&socket.message().await["payload"], "ordersChanged"), "NOT_FOUND");
    shop.app.close().await;
}
