//! What the shop has sold, by the hour, the day and the month.

use super::order;
use crate::support::{Client, TestApp};
use serde_json::{Value, json};

/// Buckets as [start, orders, items, revenue by currency ...].
async fn report(client: &Client, from: &str, to: &str, granularity: &str) -> Vec<Value> {
    let query = "query($f: DateTime!, $t: DateTime!, $g: SalesGranularity!) { salesReport(from: $f, to: $t, granularity: $g) {
        from to buckets { start orderCount itemCount revenue { amount currencyCode } } } }";
    let moments = (format!("2025-{from}Z"), format!("2025-{to}Z"));
    let variables = json!({ "f": moments.0, "t": moments.1, "g": granularity });
    let report = client.ask(query, variables).await["salesReport"].take();
    let bucket = |bucket: &Value| {
        let money = |money: &Value| json!(format!("{} {}", money["amount"], money["currencyCode"]).replace('"', ""));
        let start = bucket["start"].as_str().expect("a start").trim_start_matches("2025-").trim_end_matches(":00:00.000Z");
        let mut row = vec![json!(start), bucket["orderCount"].clone(), bucket["itemCount"].clone()];
        row.extend(bucket["revenue"].as_array().expect("revenue").iter().map(money));
        Value::Array(row)
    };
    report["buckets"].as_array().expect("buckets").iter().map(bucket).collect()
}

/// A shop around the end of January: two customers, three currencies, one order cancelled, one paid back in full, one in part.
async fn january(app: &TestApp) -> [Client; 2] {
    let ((ada_id, ada), (alan_id, alan)) = (app.customer("Ada Lovelace").await, app.customer("Alan Turing").await);
    let tea = app.product("TEA-1", 650, 1_000).await;
    let taken = |at: &str, units: i64, price: Option<(&str, &str)>| {
        let price = price.map(|(amount, currency)| json!({ "amount": amount, "currencyCode": currency }));
        let lines = json!([{ "productId": tea, "quantity": units, "unitPrice": price }]);
        json!({ "placedAt": format!("2025-{at}Z"), "lines": lines })
    };
    order(app, &ada_id, &tea, taken("01-31T22:59:59.999", 2, None)).await;
    order(app, &ada_id, &tea, taken("01-31T23:00:00", 1, None)).await;
    order(app, &alan_id, &tea, taken("01-31T23:30:00", 3, Some(("5.00", "EUR")))).await;
    let partly = order(app, &alan_id, &tea, taken("02-01T00:00:00", 4, None)).await;
    let cancelled = order(app, &ada_id, &tea, taken("02-01T00:10:00", 7, None)).await;
    let wholly = order(app, &ada_id, &tea, taken("02-01T05:00:00", 2, None)).await;
    order(app, &ada_id, &tea, taken("03-15T12:34:56", 1, Some(("1000", "JPY")))).await;
    let called_off = order(app, &alan_id, &tea, taken("03-16T12:00:00", 1, None)).await;

    let staff = app.staff();
    for id in [&partly, &cancelled, &wholly] {
        staff.pay(id).await;
    }
    let line = app.seen(&partly, 1).await["lines"][0]["id"].clone();
    staff.accepted("refundOrder", json!({ "orderId": partly, "lines": [{ "lineId": line, "quantity": 1 }] })).await;
    staff.accepted("refundOrder", json!({ "orderId": wholly })).await;
    for id in [&cancelled, &called_off] {
        staff.accepted("cancelOrder", json!({ "orderId": id })).await;
    }
    app.caught_up().await;
    [ada, alan]
}

#[tokio::test]
async fn the_sales_report_is_exact_for_any_two_moments() {
    let app = TestApp::start().await;
    let [ada, alan] = january(&app).await;
    let staff = app.staff();
    let (first, second) = (json!(["01-31T22", 1, 2, "13.00 GBP"]), json!(["01-31T23", 2, 4, "15.00 EUR", "6.50 GBP"]));
    let (third, fourth) = (json!(["02-01T00", 1, 3, "19.50 GBP"]), json!(["02-01T05", 1, 0, "0.00 GBP"]));
    let yen = json!(["03-15T12", 1, 1, "1000 JPY"]);
    let all = vec![first.clone(), second.clone(), third.clone(), fourth, yen];
    assert_eq!(report(&staff, "01-01T00:00:00", "12-31T00:00:00", "HOUR").await, all);
    let days = [
        json!(["01-31T00", 3, 6, "15.00 EUR", "19.50 GBP"]),
        json!(["02-01T00", 2, 3, "19.50 GBP"]),
        json!(["03-15T00", 1, 1, "1000 JPY"]),
    ];
    assert_eq!(report(&staff, "01-01T00:00:00", "12-31T00:00:00", "DAY").await, days);
    let months = [
        json!(["01-01T00", 3, 6, "15.00 EUR", "19.50 GBP"]),
        json!(["02-01T00", 2, 3, "19.50 GBP"]),
        json!(["03-01T00", 1, 1, "1000 JPY"]),
    ];
    assert_eq!(report(&staff, "01-01T00:00:00", "12-31T00:00:00", "MONTH").await, months);

    // The edges lie within hours: the beginning counts, the end does not.
    let (early, late) = (json!(["01-31T23", 1, 1, "6.50 GBP"]), json!(["01-31T23", 1, 3, "15.00 EUR"]));
    for (from, to, expected) in [
        ("01-31T22:59:59.999", "01-31T23:30:00", vec![first.clone(), early.clone()]),
        ("01-31T22:30:00", "02-01T00:00:00.001", vec![first.clone(), second.clone(), third]),
        ("01-31T22:59:59.998", "01-31T22:59:59.999", vec![]),
        ("01-31T23:00:00", "01-31T23:30:00", vec![early]),
        ("01-31T23:00:00.001", "01-31T23:30:00.001", vec![late.clone()]),
        ("01-31T23:10:00", "02-01T00:00:00", vec![late]),
        ("01-31T22:00:00", "02-01T00:00:00", vec![first, second]),
        ("02-01T00:01:00", "02-01T00:59:00", vec![]),
    ] {
        assert_eq!(report(&staff, from, to, "HOUR").await, expected, "{from} to {to}");
    }

    // A customer sees what they bought.
    let days =
        [json!(["01-31T00", 2, 3, "19.50 GBP"]), json!(["02-01T00", 1, 0, "0.00 GBP"]), json!(["03-15T00", 1, 1, "1000 JPY"])];
    assert_eq!(report(&ada, "01-01T00:00:00", "12-31T00:00:00", "DAY").await, days);
    let months = [json!(["01-01T00", 1, 3, "15.00 EUR"]), json!(["02-01T00", 1, 3, "19.50 GBP"])];
    assert_eq!(report(&alan, "01-01T00:00:00", "12-31T00:00:00", "MONTH").await, months);
    app.close().await;
}

#[tokio::test]
async fn a_report_needs_a_beginning_before_its_end_and_has_bounds() {
    let app = TestApp::start().await;
    let query =
        |from: &str, to: &str| format!("{{ salesReport(from: \"{from}\", to: \"{to}\") {{ from to buckets {{ start }} }} }}");
    let (new_year, later) = ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00.001Z");
    for (from, to) in [(new_year, new_year), (later, new_year)] {
        assert_eq!(app.staff().error_of(&query(from, to), json!({})).await, "BAD_USER_INPUT", "{from} to {to}");
    }
    let empty = app.staff().ask(&query("2025-01-01T01:00:00+01:00", later), json!({})).await;
    assert_eq!(empty["salesReport"], json!({ "from": "2025-01-01T00:00:00.000Z", "to": later, "buckets": [] }));
    app.close().await;
}
