//! A wholesaler moves in: the invoices of another system become orders of ours.

use crate::support::TestApp;
use indicatif::ProgressBar;
use orderflow::{
    clock::{Clock, Ids},
    command::{Backlog, Bus, Lookup},
    import::online_retail::{self, Report},
    shutdown::Shutdown,
};
use serde_json::{Value, json};
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Notify;

fn oddities() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/online-retail-oddities.csv")
}

/// Imports a file as the command line does, until the end of the file or until `enough`.
async fn import(app: &TestApp, file: &Path, enough: impl Future<Output = ()>) -> Option<Report> {
    let (clock, ids, shutdown) = (Clock::system(), Ids::system(), Shutdown::new());
    let database = &app.app().database;
    let bus =
        Bus::start(database, app.config.work.command, &clock, &ids, &Arc::new(Notify::new()), &Backlog::unbounded(), &shutdown);
    let (lookup, bar) = (Lookup::new(database), ProgressBar::hidden());
    let report = tokio::select! {
        report = online_retail::run(&bus, &lookup, &clock, &ids, file, &bar) => Some(report.expect("an import")),
        () = enough => None,
    };
    drop(bus);
    shutdown.finish().await.expect("no lane has died");
    assert!(report.as_ref().is_none_or(Report::adds_up), "{report:?}");
    report
}

async fn whole(app: &TestApp, file: &Path) -> Report {
    import(app, file, std::future::pending()).await.expect("a report")
}

/// Orders as (reference, customer, status, total, refunded), oldest first.
async fn orders(app: &TestApp) -> Vec<(String, String, String, String, String)> {
    let query = "{ orders(first: 100, sort: { field: PLACED_AT, direction: ASC }) { nodes {
        reference status customer { displayName } total { amount } totalRefunded { amount } } } }";
    let found = app.admin().ask(query, json!({})).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let nodes = found["orders"]["nodes"].as_array().expect("orders").iter();
    nodes
        .map(|order| {
            let amounts = (text(&order["total"]["amount"]), text(&order["totalRefunded"]["amount"]));
            (text(&order["reference"]), text(&order["customer"]["displayName"]), text(&order["status"]), amounts.0, amounts.1)
        })
        .collect()
}

/// Asserts that the shop has what the odd file says, and has it once.
async fn expect_the_odd_shop(app: &TestApp) {
    app.caught_up().await;
    let line = |order: [&str; 5]| order.map(str::to_owned).into();
    let expected: Vec<(String, String, String, String, String)> = vec![
        line(["900001", "Customer 17850", "PAID", "28.95", "22.95"]),
        line(["900002", "Guest", "REFUNDED", "13.56", "13.56"]),
        line(["900003", "Customer 17850", "REFUNDED", "10.50", "10.50"]),
        line(["900005", "Customer 13047", "PAID", "15.30", "0.00"]),
        line(["900013", "Customer 13047", "PAID", "4.25", "0.00"]),
    ];
    assert_eq!(orders(app).await, expected);

    let sold = app.admin().ask("{ products(sort: { field: NAME }) { nodes { sku unitsSold } } }", json!({})).await;
    let mut sold: Vec<_> = sold["products"]["nodes"].as_array().expect("products").iter().map(Value::to_string).collect();
    sold.sort();
    let units = |sku: &str, units: i64| json!({ "sku": sku, "unitsSold": units }).to_string();
    assert_eq!(sold, [units("22139", 1), units("22752", 2), units("71053", 0), units("85123A", 0), units("85123a", 2)]);

    let query = "{ orders(first: 100) { nodes { customer { id displayName } } } }";
    let customers = app.admin().ask(query, json!({})).await;
    for order in customers["orders"]["nodes"].as_array().expect("orders") {
        let user = "query($id: ID!) { user(id: $id) { orderSummary { orderCount openOrderCount totalSpent { amount } } } }";
        let user = app.admin().ask(user, json!({ "id": order["customer"]["id"] })).await["user"]["orderSummary"].take();
        let (count, open, spent) = match order["customer"]["displayName"].as_str().expect("a name") {
            "Customer 17850" => (2, 1, "6.00"),
            "Customer 13047" => (2, 2, "19.55"),
            "Guest" => (1, 0, "0.00"),
            other => panic!("nobody knows {other}"),
        };
        let expected = json!({ "orderCount": count, "openOrderCount": open, "totalSpent": [{ "amount": spent }] });
        assert_eq!(user, expected, "{order}");
    }

    let query = "{ salesReport(from: \"2010-12-01T00:00:00Z\", to: \"2010-12-04T00:00:00Z\", granularity: DAY) {
        buckets { start orderCount itemCount revenue { amount currencyCode } } } }";
    let day = |start: &str, orders: i64, items: i64, revenue: &str| {
        let revenue = json!([{ "amount": revenue, "currencyCode": "GBP" }]);
        json!({ "start": start, "orderCount": orders, "itemCount": items, "revenue": revenue })
    };
    assert_eq!(
        app.admin().ask(query, json!({})).await["salesReport"]["buckets"],
        json!([day("2010-12-01T00:00:00.000Z", 2, 2, "6.00"), day("2010-12-02T00:00:00.000Z", 3, 3, "19.55")])
    );
}

#[tokio::test]
async fn an_odd_file_becomes_orders_and_importing_it_again_changes_nothing() {
    let app = TestApp::start().await;
    let report = whole(&app, &oddities()).await;
    let rows = (report.rows_total, report.rows_in_orders, report.rows_refunded, report.rows_refused);
    assert_eq!(rows, (29, 7, 5, 17), "{report}");
    assert_eq!((report.invoices, report.invoices_without_rows), (13, 4), "{report}");
    assert_eq!((report.orders_created, report.orders_already_there, report.orders_paid), (5, 0, 5), "{report}");
    assert_eq!((report.sales_pence, report.refunds_made, report.refunds_pence), (7256, 5, 4701), "{report}");
    assert_eq!((report.users_created, report.users_found), (3, 0), "{report}");
    assert_eq!((report.products_created, report.products_found), (5, 0), "{report}");
    assert!(report.unpaid.is_empty(), "{report}");
    expect_the_odd_shop(&app).await;

    let (events, refused) = (app.events().await, report.refused);
    let again = whole(&app, &oddities()).await;
    assert_eq!((again.orders_created, again.orders_already_there, again.orders_paid), (0, 5, 5), "{again}");
    assert_eq!((again.refunds_made, again.refunds_already_made), (0, 5), "{again}");
    assert_eq!((again.users_created, again.users_found), (0, 3), "{again}");
    assert_eq!((again.products_created, again.products_found, again.stock_top_ups), (0, 5, 0), "{again}");
    assert_eq!((again.sales_pence, again.refunds_pence), (7256, 4701), "{again}");
    assert_eq!(again.refused, refused);
    assert_eq!(app.events().await, events, "nothing has happened");
    expect_the_odd_shop(&app).await;
    app.close().await;
}

/// A file of 200 invoices of four customers, one piece at 1.00 each; every tenth is brought back.
fn many_invoices() -> PathBuf {
    use std::fmt::Write;
    let mut file = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n".to_owned();
    for number in 0..200 {
        let (customer, day, minute) = (12_001 + number % 4, 1 + number / 60, number % 60);
        writeln!(file, "{},TEA,Tea,1,3/{day}/2011 9:{minute:02},1.00,{customer},France", 500_000 + number).expect("text");
        if number % 10 == 0 {
            writeln!(file, "C{},TEA,Tea,-1,3/20/2011 9:00,1.00,{customer},France", 600_000 + number).expect("text");
        }
    }
    let path = std::env::temp_dir().join(format!("orderflow-{}.csv", uuid::Uuid::now_v7()));
    std::fs::write(&path, file).expect("a file");
    path
}

#[tokio::test]
async fn an_import_that_is_stopped_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let file = many_invoices();
    for enough in [20, 80] {
        let stopped = import(&app, &file, async {
            crate::support::until("some orders", || async {
                let orders = app.orders().await;
                if orders >= enough { Ok(()) } else { Err(orders) }
            })
            .await;
        });
        assert!(stopped.await.is_none(), "the import was over before it could be stopped");
    }
    let there = u64::try_from(app.orders().await).expect("a count");
    assert!((80..200).contains(&there), "{there} orders");

    let report = whole(&app, &file).await;
    assert_eq!((report.orders_created, report.orders_already_there, report.orders_paid), (200 - there, there, 200), "{report}");
    assert_eq!((report.refunds_made + report.refunds_already_made, report.refunds_pence), (20, 2_000), "{report}");
    app.caught_up().await;
    let query = "{ orders(filter: { status: [PAID] }) { totalCount } products { nodes { unitsSold available } }
        salesReport(from: \"2011-01-01T00:00:00Z\", to: \"2012-01-01T00:00:00Z\", granularity: MONTH) {
            buckets { orderCount itemCount revenue { amount } } } }";
    let seen = app.admin().ask(query, json!({})).await;
    assert_eq!(seen["orders"]["totalCount"], 180);
    assert_eq!(seen["products"]["nodes"][0]["unitsSold"], 180);
    let month = json!({ "orderCount": 200, "itemCount": 180, "revenue": [{ "amount": "180.00" }] });
    assert_eq!(seen["salesReport"]["buckets"], json!([month]));
    std::fs::remove_file(file).expect("removed");
    app.close().await;
}
