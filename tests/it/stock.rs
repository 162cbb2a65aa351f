//! The shelf: nobody gets what is not there, everybody gets what is, and what was put on it, taken from it and brought back
//! always adds up, in both stores.

use crate::support::{Client, TestApp, until, uuid_of};
use futures_util::future::{join_all, join3};
use orderflow::config::Role as Part;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use tokio::sync::Notify;

impl TestApp {
    /// Asserts that of what was ever stocked, what is free and what orders hold are the rest of each other, on both sides.
    async fn balances(&self, product: &str, stocked: i64) -> i64 {
        let line = |name: &str| format!("(line->'progress'->>'{name}')::bigint");
        let (quantity, shipped, refunded) = (line("quantity"), line("shipped"), line("refunded"));
        let over_lines = |sum: &str| {
            format!(
                "SELECT coalesce(sum({sum}), 0)::bigint FROM orders, jsonb_array_elements(state->'lines') line
                 WHERE status <> 'CANCELLED' AND line->>'product_id' = '{product}'"
            )
        };
        // What was sent is gone, whatever was paid back; what was not sent and is paid back is free again.
        let held = self.number(&over_lines(&format!("{shipped} + greatest({quantity} - {shipped} - {refunded}, 0)"))).await;
        let sold = self.number(&over_lines(&format!("{quantity} - {refunded}"))).await;
        let stock = format!("FROM stock WHERE product_id = '{}'", uuid_of(product));
        let seen = [self.free(product).await, self.number(&format!("SELECT units_sold {stock}")).await];
        assert_eq!(seen, [stocked - held, sold], "free and sold units of {product}");
        assert_eq!(self.broken_streams().await, 0, "streams with a gap");
        let expected = json!({ "available": stocked - held, "unitsSold": sold });
        until("the read side's stock", || async {
            let query = "query($id: ID!) { product(id: $id) { available unitsSold } }";
            let product = self.staff().ask(query, json!({ "id": product })).await["product"].take();
            if product == expected { Ok(()) } else { Err(product) }
        })
        .await;
        stocked - held
    }
}

fn wish(product: &str, quantity: i64) -> Value {
    json!({ "productId": product, "quantity": quantity })
}

#[tokio::test]
async fn forty_buyers_of_ten_units_get_ten() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let last_copies = app.product("BOOK-1", 1_199, 10).await;
    let names: Vec<_> = (0..40).map(|n| format!("Buyer {n}")).collect();
    let buyers = join_all(names.iter().map(|name| app.customer(name))).await;
    let sendings = buyers.iter().enumerate().map(|(n, (_, buyer))| {
        let buyer = if n % 2 == 0 { buyer.clone() } else { buyer.at(other) };
        let input = json!({ "lines": [wish(&last_copies, 1)] });
        async move { buyer.command("placeOrder", input).await }
    });
    let answers = join_all(sendings).await;
    let (bought, missed): (Vec<_>, Vec<_>) = answers.iter().partition(|payload| payload["receipt"].is_object());
    assert_eq!((bought.len(), missed.len()), (10, 30));
    for payload in missed {
        assert_eq!(payload["errors"][0]["code"], "INSUFFICIENT_STOCK", "{payload:#}");
    }
    assert_eq!(app.orders().await, 10);
    assert_eq!(app.balances(&last_copies, 10).await, 0);
    app.close().await;
}

#[tokio::test]
async fn everybody_wants_the_same_two_things_and_nobody_is_in_the_way() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Part::Api]).await.expect("an API");
    let (_, ada) = app.customer("Ada").await;
    let (tea, cup) = (app.product("TEA-1", 650, 1_000).await, app.product("CUP-1", 1_250, 1_000).await);
    let nodes = [ada.clone(), ada.at(other)];
    let sendings = (0..80).map(|n| {
        // In either order: whoever locks in the order of the lines deadlocks here.
        let lines = if n % 4 < 2 { [wish(&tea, 1), wish(&cup, 2)] } else { [wish(&cup, 2), wish(&tea, 1)] };
        let client = nodes[n % 2].clone();
        async move { client.accepted("placeOrder", json!({ "lines": lines })).await }
    });
    let receipts = join_all(sendings).await;
    assert_eq!((receipts.len(), app.orders().await), (80, 80));
    assert_eq!((app.balances(&tea, 1_000).await, app.balances(&cup, 1_000).await), (920, 840));
    // The product itself has not changed: nobody who edits it meets a conflict because it sells well.
    app.staff().accepted("updateProduct", json!({ "productId": tea, "expectedVersion": 1, "name": "Best seller" })).await;
    app.close().await;
}

#[tokio::test]
async fn what_is_called_off_or_changed_is_free_for_others() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let (tea, cup) = (app.product("TEA-1", 650, 10).await, app.product("CUP-1", 1_250, 10).await);
    let order = ada.place(&[(&tea, 4), (&cup, 1)]).await;
    assert_eq!((app.balances(&tea, 10).await, app.balances(&cup, 10).await), (6, 9));
    // More of one is taken, less, none; another product comes in; all within what is there.
    for (lines, free) in [
        (json!([wish(&tea, 10), wish(&cup, 1)]), (0, 9)),
        (json!([wish(&tea, 3), wish(&tea, 2)]), (5, 10)),
        (json!([wish(&cup, 7)]), (10, 3)),
        (json!([wish(&cup, 10), wish(&tea, 1)]), (9, 0)),
    ] {
        ada.accepted("updateOrder", json!({ "orderId": order.id, "lines": lines })).await;
        assert_eq!((app.balances(&tea, 10).await, app.balances(&cup, 10).await), free, "{lines}");
    }
    let too_many = json!({ "orderId": order.id, "lines": [wish(&tea, 11)] });
    assert_eq!(ada.refused("updateOrder", too_many).await, "INSUFFICIENT_STOCK");
    // A change of the address moves nothing; paying moves nothing; calling it off gives everything back.
    ada.accepted("updateOrder", json!({ "orderId": order.id, "note": "Ring twice" })).await;
    ada.pay(&order.id).await;
    assert_eq!((app.balances(&tea, 10).await, app.balances(&cup, 10).await), (9, 0));
    ada.accepted("cancelOrder", json!({ "orderId": order.id })).await;
    assert_eq!((app.balances(&tea, 10).await, app.balances(&cup, 10).await), (10, 10));
    app.close().await;
}

#[tokio::test]
async fn what_is_paid_back_is_free_unless_it_was_sent() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let (tea, shop) = (app.product("TEA-1", 650, 10).await, app.staff());
    let order = ada.place(&[(&tea, 5)]).await;
    ada.pay(&order.id).await;
    let line = app.seen(&order.id, 2).await["lines"][0]["id"].clone();
    let part = |units: i64| json!({ "orderId": order.id, "lines": [{ "lineId": line, "quantity": units }] });
    shop.accepted("refundOrder", part(1)).await;
    assert_eq!(app.balances(&tea, 10).await, 6, "never sent, so it is back on the shelf");
    shop.accepted("shipOrder", part(2)).await;
    assert_eq!(app.balances(&tea, 10).await, 6, "sending moves what was reserved already");
    shop.accepted("refundOrder", part(3)).await;
    assert_eq!(app.balances(&tea, 10).await, 8, "two were still here, the third is with the customer");
    shop.accepted("refundOrder", json!({ "orderId": order.id })).await;
    assert_eq!(app.balances(&tea, 10).await, 8, "the last was sent too");
    // What comes back is looked at and booked in by hand.
    shop.accepted("adjustStock", json!({ "productId": tea, "delta": 2, "reason": "Came back whole" })).await;
    assert_eq!(app.balances(&tea, 12).await, 10);
    app.close().await;
}

#[tokio::test]
async fn goods_come_in_and_go_out_but_never_below_nothing() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let (tea, shop) = (app.product("TEA-1", 650, 0).await, app.staff());
    let adjust = |delta: i64| json!({ "productId": tea, "delta": delta });
    shop.accepted("adjustStock", adjust(7)).await;
    ada.place(&[(&tea, 3)]).await;
    assert_eq!(shop.refused("adjustStock", adjust(-5)).await, "INSUFFICIENT_STOCK", "three of seven are spoken for");
    shop.accepted("adjustStock", adjust(-4)).await;
    assert_eq!(app.balances(&tea, 3).await, 0);
    // At once, in and out: whatever the order, it is never less than nothing and the sum is right.
    let sendings = (0..30).map(|n| {
        let (shop, input) = (shop.clone(), adjust(if n % 3 == 0 { 2 } else { -1 }));
        async move { shop.command("adjustStock", input).await["receipt"].is_object() }
    });
    let done = join_all(sendings).await;
    assert!(done.iter().step_by(3).all(|done| *done), "goods always come in");
    let moved: i64 = done.iter().enumerate().filter(|(_, done)| **done).map(|(n, _)| if n % 3 == 0 { 2 } else { -1 }).sum();
    assert!((0..=20).contains(&moved), "{moved}");
    assert_eq!(app.balances(&tea, 3 + moved).await, moved);
    app.close().await;
}

/// Sends an order until the server has room for it.
async fn insist(client: &Client, id: String, line: Value, full: &Notify) -> Value {
    let query = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { receipt { replayed } errors { code } } }";
    let input = json!({ "input": { "commandId": id, "lines": [line] } });
    until("room in the queue", || async {
        let answer = client.answer(query, input.clone()).await;
        if answer["errors"][0]["extensions"]["code"] == "BUSY" {
            full.notify_one();
            return Err(answer);
        }
        Ok(answer)
    })
    .await
}

#[tokio::test]
async fn one_that_cannot_be_done_harms_none_of_its_neighbours() {
    let bounds = [("--command-lanes", "1"), ("--command-queue", "16")];
    let build = bounds.iter().fold(TestApp::build(), |build, (flag, value)| build.with(flag, value));
    let app = build.start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let postgres = app.postgres().await;
    let curse = "CREATE FUNCTION curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.command_id LIKE 'cursed-%' THEN RAISE EXCEPTION 'a curse lies on %', NEW.command_id; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER curse BEFORE INSERT ON event_log FOR EACH ROW EXECUTE FUNCTION curse()";
    postgres.execute_unprepared(curse).await.expect("a curse");

    // Somebody holds the shelf, so the first order waits for it, and sixteen more fill the queue: one group, when it is free.
    let holder = postgres.begin().await.expect("begin");
    let shelf = format!("SELECT 1 FROM stock WHERE product_id = '{}' FOR UPDATE", uuid_of(&tea));
    holder.execute_unprepared(&shelf).await.expect("the shelf");
    let full = Notify::new();
    let first = insist(&ada, "first".to_owned(), wish(&tea, 1), &full);
    let others = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("the first order at the shelf", || async {
            let waiting = app.number(waits).await;
            if waiting == 1 { Ok(()) } else { Err(waiting) }
        })
        .await;
        let sendings = (0..24).map(|n| match n % 8 {
            // Nine that the database will not have: at least one of them is among any sixteen.
            0..3 => insist(&ada, format!("cursed-{n}"), wish(&tea, 1), &full),
            3 => insist(&ada, format!("greedy-{n}"), wish(&tea, 1_000), &full),
            _ => insist(&ada, format!("good-{n}"), wish(&tea, 2), &full),
        });
        join_all(sendings).await
    };
    let release = async {
        full.notified().await;
        holder.rollback().await.expect("rollback");
    };
    let (first, others, ()) = join3(first, others, release).await;
    assert!(first["data"]["placeOrder"]["receipt"].is_object(), "{first:#}");
    for (n, answer) in others.iter().enumerate() {
        let payload = &answer["data"]["placeOrder"];
        match n % 8 {
            0..3 => {
                let error = &answer["errors"][0];
                assert_eq!(error["extensions"]["code"], "INTERNAL", "{answer:#}");
                assert_eq!(error["message"], "The command could not be carried out.");
                assert!(error["extensions"]["correlationId"].is_string(), "{answer:#}");
            }
            3 => assert_eq!(payload["errors"][0]["code"], "INSUFFICIENT_STOCK", "{answer:#}"),
            _ => assert_eq!(payload["receipt"]["replayed"], false, "{answer:#}"),
        }
    }
    let metrics = reqwest::get(app.anonymous().url("/metrics")).await.expect("metrics").text().await.expect("a text");
    let groups = |of: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("orderflow_command_group_size_{of} ")));
        line.expect("a metric").parse::<u32>().expect("a number")
    };
    assert!(groups("bucket{le=\"8\"}") < groups("count"), "they were a group: {metrics}");
    assert_eq!(app.orders().await, 13);
    assert_eq!(app.balances(&tea, 100).await, 100 - 1 - 12 * 2);
    // The curse lifted, the same command under the same id is done: a fault is no outcome.
    postgres.execute_unprepared("DROP TRIGGER curse ON event_log").await.expect("lifted");
    let again = insist(&ada, "cursed-0".to_owned(), wish(&tea, 1), &full).await;
    assert_eq!(again["data"]["placeOrder"]["receipt"]["replayed"], false, "{again:#}");
    postgres.close().await.expect("close");
    app.close().await;
}
