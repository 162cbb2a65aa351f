//! No question makes the database read everything. MongoDB itself is the witness: its profiler writes down how each was answered.

use crate::support::TestApp;
use futures_util::{TryStreamExt, future::join_all};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use serde_json::{Value, json};

/// Whoever reads one of these from end to end gets slower with every order. `positions` has one document for each partition of
/// the change log, eight unless told, and the feed wants them all; `system.profile` is this test's own.
const WATCHED: [&str; 6] = ["orders", "users", "products", "sales", "changes", "waiting"];

/// How one operation was answered.
#[derive(Debug)]
struct Answered {
    collection: String,
    plan: String,
    sorted_in_memory: bool,
    examined: i64,
    returned: i64,
    command: Value,
}

/// Does something, and gives what MongoDB wrote down meanwhile.
async fn profiled(mongo: &Database, watched: impl Future<Output = ()>) -> Vec<Answered> {
    mongo.run_command(doc! { "profile": 2 }).await.expect("profile");
    watched.await;
    mongo.run_command(doc! { "profile": 0 }).await.expect("profile");
    let notes = mongo.collection::<Document>("system.profile");
    let found: Vec<Document> = notes.find(doc! {}).await.expect("find").try_collect().await.expect("notes");
    notes.drop().await.expect("drop");
    keep_notes(mongo).await;
    let mut answered = Vec::new();
    for note in found {
        let note = serde_json::to_value(&note).expect("JSON");
        let collection = note["ns"].as_str().and_then(|ns| ns.split_once('.')).expect("a name space").1.to_owned();
        // MongoDB itself comes by now and then to drop old changes.
        if note["appName"] != "orderflow" {
            continue;
        }
        // Commands that are only a wrapper of what is written down beside them have no plan.
        let (true, Some(plan)) = (WATCHED.contains(&collection.as_str()), note["planSummary"].as_str()) else { continue };
        answered.push(Answered {
            collection,
            plan: plan.to_owned(),
            sorted_in_memory: note["hasSortStage"] == true,
            examined: note["docsExamined"].as_i64().unwrap_or_default(),
            returned: note["nreturned"].as_i64().unwrap_or_default(),
            command: note["command"].clone(),
        });
    }
    answered
}

/// The profiler's own collection is small and forgets; this one keeps everything.
async fn keep_notes(mongo: &Database) {
    mongo.create_collection("system.profile").capped(true).size(64 << 20).await.expect("create");
}

fn expect_no_scan(answered: &[Answered]) {
    let scans: Vec<_> = answered.iter().filter(|one| one.plan.contains("COLLSCAN")).collect();
    assert!(scans.is_empty(), "{} of {} operations read everything: {scans:#?}", scans.len(), answered.len());
}

/// A shop with four customers, 40 products and 200 orders in several states.
struct Shop {
    app: TestApp,
    mongo: Database,
    customer: String,
    product: String,
    order: String,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let mut customers = Vec::new();
        for name in ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Edsger Dijkstra"] {
            customers.push(app.customer(name).await.0);
        }
        let shelf = (0..40).map(|number| {
            let app = &app;
            async move { app.product(&format!("TEA-{number}"), 100 + number, 10_000).await }
        });
        let products = join_all(shelf).await;
        let staff = app.staff();
        let placing = (0..200).map(|number| {
            let line = json!({ "productId": products[number % 40], "quantity": 1 + number % 3 });
            let at = format!("2025-{:02}-{:02}T10:00:00Z", 1 + number % 12, 1 + number % 28);
            let input = json!({ "customerId": customers[number % 4], "lines": [line], "placedAt": at });
            staff.accepted("placeOrder", input)
        });
        let placed = join_all(placing).await;
        let ids: Vec<_> = placed.iter().map(|receipt| receipt["aggregateId"].as_str().expect("an id").to_owned()).collect();
        join_all(ids.iter().step_by(3).map(|id| staff.pay(id))).await;
        join_all(ids.iter().step_by(7).map(|id| staff.accepted("cancelOrder", json!({ "orderId": id })))).await;
        app.caught_up().await;
        let mongo = app.mongo().await;
        keep_notes(&mongo).await;
        Self { app, mongo, customer: customers.remove(0), product: products[0].clone(), order: ids[0].clone() }
    }

    /// Lets everybody leave.
    async fn close(self) {
        self.app.close().await;
    }

    fn order_filters(&self) -> Vec<Value> {
        vec![
            json!({ "status": ["PAID"] }),
            json!({ "status": ["PAID", "CANCELLED"] }),
            json!({ "status": [] }),
            json!({ "customerId": self.customer }),
            json!({ "placedFrom": "2025-06-01T00:00:00Z" }),
            json!({ "placedTo": "2025-06-01T00:00:00Z" }),
            json!({ "placedFrom": "2025-03-01T00:00:00Z", "placedTo": "2025-06-01T00:00:00Z" }),
            json!({ "search": "ada" }),
            json!({ "search": "ada tea-4 1" }),
            json!({ "productId": self.product }),
        ]
    }
}

const SORTS: [&str; 4] = ["PLACED_AT", "UPDATED_AT", "TOTAL", "NUMBER"];
const PRODUCT_SORTS: [&str; 4] = ["NAME", "PRICE", "UNITS_SOLD", "UPDATED_AT"];

fn sorts(fields: [&'static str; 4]) -> impl Iterator<Item = Value> {
    fields.into_iter().flat_map(|field| ["ASC", "DESC"].map(|direction| json!({ "field": field, "direction": direction })))
}

const ORDERS: &str = "query($f: OrderFilter, $s: OrderSort, $a: String, $b: String) {
    orders(first: 10, filter: $f, sort: $s, after: $a, before: $b) { totalCount nodes { id } pageInfo { endCursor } } }";
const PRODUCTS: &str = "query($f: ProductFilter, $s: ProductSort, $a: String) {
    products(first: 10, filter: $f, sort: $s, after: $a) { totalCount nodes { id } pageInfo { endCursor } } }";

#[tokio::test]
async fn no_list_reads_a_whole_collection_by_whatever_filter_and_sort() {
    let shop = Shop::open().await;
    let (staff, ada) = (shop.app.staff(), shop.app.as_customer(&shop.customer));
    let answered = profiled(&shop.mongo, async {
        for filter in shop.order_filters().into_iter().chain([json!({})]) {
            for sort in sorts(SORTS) {
                let page = staff.ask(ORDERS, json!({ "f": filter, "s": sort })).await;
                let cursor = &page["orders"]["pageInfo"]["endCursor"];
                staff.ask(ORDERS, json!({ "f": filter, "s": sort, "a": cursor })).await;
                staff.ask(ORDERS, json!({ "f": filter, "s": sort, "b": cursor })).await;
            }
            ada.ask(ORDERS, json!({ "f": filter })).await;
            let of = "query($id: ID!, $f: OrderFilter) { user(id: $id) { orders(filter: $f) { totalCount nodes { id } } } }";
            staff.ask(of, json!({ "id": shop.customer, "f": filter })).await;
        }
        for filter in
            [json!({}), json!({ "active": true }), json!({ "sku": ["TEA-1", "TEA-2"] }), json!({ "search": "product tea-3" })]
        {
            for sort in sorts(PRODUCT_SORTS) {
                let page = ada.ask(PRODUCTS, json!({ "f": filter, "s": sort })).await;
                ada.ask(PRODUCTS, json!({ "f": filter, "s": sort, "a": page["products"]["pageInfo"]["endCursor"] })).await;
            }
        }
    });
    let answered = answered.await;
    assert!(answered.len() > 500, "only {} operations were seen", answered.len());
    expect_no_scan(&answered);
    shop.close().await;
}

#[tokio::test]
async fn no_other_question_and_no_live_update_reads_a_whole_collection() {
    let shop = Shop::open().await;
    let (staff, ada) = (shop.app.staff(), shop.app.as_customer(&shop.customer));
    let follow = "subscription($id: ID!, $a: String) { orderChanged(id: $id, after: $a) { kind cursor order { status } } }";
    let list = "subscription($a: String) { ordersChanged(after: $a) { kind cursor } }";
    let (mut one, mut all) = (staff.socket().await, staff.socket().await);
    one.subscribe("1", follow, json!({ "id": shop.order })).await;
    let cursor = one.change().await["cursor"].take();
    all.subscribe("1", list, json!({})).await;
    shop.app.listening(2..=2).await;
    let answered = profiled(&shop.mongo, async {
        let query = "query($o: ID!, $p: ID!, $u: ID!, $c: ConsistencyInput) {
            order(id: $o, consistency: $c) { id history(first: 2) { nodes { id } } } product(id: $p, consistency: $c) { id }
            user(id: $u, consistency: $c) { id } node(id: $o) { id } n: node(id: $p) { id } m: node(id: $u) { id } me { id } }";
        let placed = ada.place(&[(&shop.product, 1)]).await;
        let renamed = ada.accepted("updateUserProfile", json!({ "userId": shop.customer, "displayName": "Ada Byron" })).await;
        let counted = staff.accepted("adjustStock", json!({ "productId": shop.product, "delta": 1 })).await;
        for token in [json!(placed.token), renamed["token"].clone(), counted["token"].clone()] {
            let fresh = json!({ "token": token, "timeoutMs": 10_000, "onTimeout": "FAIL" });
            staff.ask(query, json!({ "o": shop.order, "p": shop.product, "u": shop.customer, "c": fresh })).await;
        }
        for who in [&staff, &ada] {
            for granularity in ["HOUR", "DAY", "MONTH"] {
                let query = format!(
                    "{{ salesReport(from: \"2025-03-01T10:30:00Z\", to: \"2025-04-01T10:30:00Z\", granularity: {granularity}) {{
                        buckets {{ start }} }} }}"
                );
                who.ask(&query, json!({})).await;
            }
        }
        // Whoever comes back reads the log: of one order, of all, and of one customer.
        let since = all.change().await["cursor"].take();
        for (who, query, variables) in [
            (&staff, follow, json!({ "id": shop.order, "a": cursor })),
            (&staff, list, json!({ "a": since })),
            (&ada, list, json!({ "a": since })),
        ] {
            let mut socket = who.socket().await;
            socket.subscribe("1", query, variables).await;
            assert_eq!(socket.change().await["kind"], "CHANGE");
        }
    });
    let answered = answered.await;
    for collection in WATCHED {
        assert!(answered.iter().any(|one| one.collection == collection), "nobody asked for {collection}");
    }
    expect_no_scan(&answered);
    let of_one_order: Vec<_> = answered.iter().filter(|one| one.command["filter"].get("order._id").is_some()).collect();
    assert!(!of_one_order.is_empty(), "nobody came back to an order");
    assert!(of_one_order.iter().all(|one| one.examined <= one.returned), "{of_one_order:#?}");
    shop.close().await;
}

#[tokio::test]
async fn a_page_of_a_plain_list_is_read_in_order_and_not_sorted() {
    let shop = Shop::open().await;
    let (staff, ada) = (shop.app.staff(), shop.app.as_customer(&shop.customer));
    let answered = profiled(&shop.mongo, async {
        let orders = "query($s: OrderSort, $a: String) { orders(first: 10, sort: $s, after: $a) { pageInfo { endCursor } } }";
        let products =
            "query($s: ProductSort, $a: String) { products(first: 10, sort: $s, after: $a) { pageInfo { endCursor } } }";
        for who in [&staff, &ada] {
            for (query, field, sorts) in
                [(orders, "orders", sorts(SORTS).collect::<Vec<_>>()), (products, "products", sorts(PRODUCT_SORTS).collect())]
            {
                for sort in sorts {
                    let page = who.ask(query, json!({ "s": sort })).await;
                    who.ask(query, json!({ "s": sort, "a": page[field]["pageInfo"]["endCursor"] })).await;
                }
            }
        }
    });
    let answered = answered.await;
    assert_eq!(answered.len(), 2 * 16 * 2, "{answered:#?}");
    expect_no_scan(&answered);
    for one in answered {
        assert!(!one.sorted_in_memory, "{one:#?}");
        // A page and the one after it that tells whether there is more; a cursor among equals costs a few besides.
        assert!(one.examined <= 2 * one.returned.max(11), "{one:#?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_filter_reads_no_more_than_it_finds() {
    let shop = Shop::open().await;
    let staff = shop.app.staff();
    let products = [json!({ "active": true }), json!({ "sku": ["TEA-1", "TEA-2"] }), json!({ "search": "39" })];
    let products = products.into_iter().map(|filter| (PRODUCTS, "products", filter));
    // Of several words one is looked up and the others are compared, so these read more.
    let one_word = |filter: &Value| !filter["search"].as_str().is_some_and(|text| text.contains(' '));
    let orders = shop.order_filters().into_iter().filter(one_word).map(|filter| (ORDERS, "orders", filter));
    for (query, field, filter) in orders.chain(products) {
        let found = staff.ask(query, json!({ "f": filter })).await[field]["totalCount"].as_i64().expect("a count");
        let kind = if field == "orders" { "OrderFilter" } else { "ProductFilter" };
        let count = format!("query($f: {kind}) {{ {field}(first: 0, filter: $f) {{ totalCount }} }}");
        let answered = profiled(&shop.mongo, async {
            staff.ask(&count, json!({ "f": filter })).await;
        });
        let answered = answered.await;
        assert!(found < 200 && answered.len() == 1, "{filter}: {found} {answered:#?}");
        assert!(answered[0].examined <= found, "{filter} finds {found}: {:#?}", answered[0]);
    }
    shop.close().await;
}

#[tokio::test]
async fn counting_a_whole_list_reads_no_document() {
    let shop = Shop::open().await;
    let answered = profiled(&shop.mongo, async {
        shop.app.staff().ask("{ orders(first: 0) { totalCount } products(first: 0) { totalCount } }", json!({})).await;
    });
    let answered = answered.await;
    assert_eq!(answered.len(), 2, "{answered:#?}");
    for one in answered {
        assert_eq!(one.examined, 0, "{one:#?}");
    }
    shop.close().await;
}
