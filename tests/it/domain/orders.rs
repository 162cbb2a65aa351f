//! The life of an order, from placing to delivery or refund, and every way in which the shop says no.

use super::shop::{
    Story, add_note, address, an_order, begun, cancel, change_to, croissant, customer, deliver, eur, gbp, line_id, mug, no, part,
    pay, pay_exactly, refund, refund_all, ship, ship_all, teapot, units, yes,
};
use orderflow::{
    domain::{
        Code, expect_version,
        order::{self, MAX_EVENTS, MAX_LINES, Order, OrderCommand},
    },
    event::{LineQuantity, OrderEvent},
    value::{Money, OrderAction, OrderStatus, blocked_by},
};
use std::collections::BTreeSet;

// Placing

#[test]
fn an_order_adds_up_its_lines_at_the_prices_of_the_products() {
    let event = yes(an_order().line(&mug(), 2).line(&teapot(), 1).place());
    let OrderEvent::Placed(placed) = &event else { panic!("{event:?}") };
    assert_eq!((placed.total, placed.currency), (gbp(4_100), gbp(0).currency));
    assert_eq!((&placed.customer, placed.shipping_address.as_ref()), (&customer(), Some(&address())));
    let teapots = &placed.lines[1];
    assert_eq!((teapots.id, teapots.product_id, teapots.quantity), (line_id(1), teapot().id, units(1)));
    assert_eq!((teapots.sku.as_str(), teapots.name.as_str(), teapots.unit_price), ("TEAPOT", "Teapot", gbp(2_400)));

    let order = begun(&event);
    assert_eq!((order.version, order.number, order.status()), (1, 1001, OrderStatus::Pending));
    assert_eq!((order.total, order.paid, order.refunded), (gbp(4_100), gbp(0), gbp(0)));
}

#[test]
fn staff_may_agree_another_price() {
    let order = an_order().line_at(&mug(), 10, gbp(700)).line(&teapot(), 1).placed();
    assert_eq!(order.total, gbp(9_400));
}

#[test]
fn an_agreed_price_decides_the_currency_too() {
    let order = an_order().line_at(&mug(), 1, eur(990)).line(&croissant(), 1).placed();
    assert_eq!(order.total, eur(1_130));
}

#[test]
fn an_order_without_lines_is_none() {
    no(an_order().place(), Code::EmptyOrder, "input.lines");
}

#[test]
fn what_we_never_sold_is_not_found() {
    let answer = an_order().line(&mug(), 1).line_of_something_we_never_sold().place();
    no(answer, Code::NotFound, "input.lines.1.productId");
}

#[test]
fn what_is_off_sale_cannot_be_ordered() {
    let answer = an_order().line(&mug(), 1).line(&teapot().off_sale(), 1).place();
    no(answer, Code::ProductUnavailable, "input.lines.1.productId");
}

#[test]
fn one_order_is_in_one_currency() {
    no(an_order().line(&mug(), 1).line(&croissant(), 1).place(), Code::CurrencyMismatch, "input.lines.1");
    no(an_order().line(&mug(), 1).line_at(&teapot(), 1, eur(1)).place(), Code::CurrencyMismatch, "input.lines.1");
}

#[test]
fn an_order_has_as_many_lines_as_an_invoice_of_a_wholesaler_and_no_more() {
    let full = (0..MAX_LINES).fold(an_order(), |order, _| order.line(&mug(), 1));
    yes(full.clone().place());
    no(full.line(&mug(), 1).place(), Code::InvalidInput, "input.lines");
}

#[test]
fn a_total_beyond_all_money_is_refused_and_never_wraps_around() {
    let palace = mug().costing(gbp(Money::MAX_MINOR));
    yes(an_order().line(&palace, 1).place());
    no(an_order().line(&palace, 2).place(), Code::InvalidInput, "input.lines");
    let beyond_64_bits = (0..10).fold(an_order(), |order, _| order.line(&palace, 1_000_000));
    no(beyond_64_bits.place(), Code::InvalidInput, "input.lines");
}

// Changing

#[test]
fn a_change_before_payment_keeps_the_prices_of_what_stays() {
    let order = an_order().line_at(&mug(), 2, gbp(700)).line(&teapot(), 1).placed();
    let dearer = teapot().costing(gbp(9_900));
    let order = order.after(change_to(an_order().line(&dearer, 2).line(&mug().costing(gbp(9_900)), 1)));
    assert_eq!(order.total, gbp(2 * 2_400 + 700));
    assert_eq!((order.version, order.status()), (2, OrderStatus::Pending));
    assert_eq!(order.lines.iter().map(|line| line.product_id).collect::<Vec<_>>(), [teapot().id, mug().id]);
}

#[test]
fn what_comes_new_costs_what_it_costs_today() {
    let order = an_order().line(&mug(), 1).placed();
    let order = order.after(change_to(an_order().line(&mug(), 1).line(&teapot().costing(gbp(2_600)), 1)));
    assert_eq!(order.total, gbp(850 + 2_600));
}

#[test]
fn a_newly_agreed_price_beats_the_one_agreed_before() {
    let order = an_order().line_at(&mug(), 2, gbp(700)).placed();
    assert_eq!(order.after(change_to(an_order().line_at(&mug(), 2, gbp(600)))).total, gbp(1_200));
}

#[test]
fn what_stays_keeps_the_name_and_the_number_it_was_bought_under() {
    let order = an_order().line(&mug(), 2).placed();
    let today = mug().known_as("MUG-L", "Large mug").costing(gbp(9_900));
    let order = order.after(change_to(an_order().line(&today, 1).line(&today, 1)));
    let told: Vec<_> = order.lines.iter().map(|line| (line.sku.as_str(), line.name.as_str(), line.unit_price)).collect();
    assert_eq!(told, [("MUG", "Mug", gbp(850)), ("MUG-L", "Large mug", gbp(9_900))], "one line stays, the other comes new");
    let order = order.after(change_to(an_order().line_at(&today, 1, gbp(600))));
    assert_eq!((order.lines[0].name.as_str(), order.total), ("Mug", gbp(600)), "a newly agreed price is no new name");
}

#[test]
fn a_product_in_several_lines_keeps_the_price_of_each_of_them_once_and_in_order() {
    let order = an_order().line_at(&mug(), 2, gbp(700)).line(&teapot(), 1).line(&mug(), 1).placed();
    let dearer = mug().costing(gbp(990));
    let order = order.after(change_to(an_order().line(&dearer, 1).line(&dearer, 5).line(&teapot(), 1).line(&dearer, 3)));
    let prices: Vec<_> = order.lines.iter().map(|line| (line.progress.quantity, line.unit_price)).collect();
    assert_eq!(prices, [(1, gbp(700)), (5, gbp(850)), (1, gbp(2_400)), (3, gbp(990))]);
    assert_eq!(order.total, gbp(700 + 5 * 850 + 2_400 + 3 * 990));
}

#[test]
fn an_agreed_price_uses_up_the_line_that_it_changes() {
    let order = an_order().line_at(&mug(), 1, gbp(700)).line_at(&mug(), 1, gbp(800)).placed();
    let order = order.after(change_to(an_order().line_at(&mug(), 1, gbp(600)).line(&mug(), 1).line(&mug(), 1)));
    assert_eq!(order.lines.iter().map(|line| line.unit_price).collect::<Vec<_>>(), [gbp(600), gbp(800), gbp(850)]);
}

#[test]
fn what_went_off_sale_since_may_stay_or_become_less_but_not_more() {
    let (order, gone) = (an_order().line(&mug(), 2).placed(), mug().off_sale());
    for fewer in [1, 2] {
        yes(order.tries(change_to(an_order().line(&gone, fewer))));
    }
    no(order.tries(change_to(an_order().line(&gone, 3))), Code::ProductUnavailable, "input.lines.0.productId");
    no(order.tries(change_to(an_order().line_at(&gone, 3, gbp(1)))), Code::ProductUnavailable, "input.lines.0.productId");
    no(order.tries(change_to(an_order().line(&gone, 2).line(&gone, 1))), Code::ProductUnavailable, "input.lines.1.productId");
}

#[test]
fn what_is_off_sale_cannot_come_into_an_order() {
    let order = an_order().line(&mug(), 2).placed();
    let answer = order.tries(change_to(an_order().line(&mug(), 2).line(&teapot().off_sale(), 1)));
    no(answer, Code::ProductUnavailable, "input.lines.1.productId");
    let order = order.after(change_to(an_order().line(&teapot(), 1)));
    no(order.tries(change_to(an_order().line(&mug().off_sale(), 1))), Code::ProductUnavailable, "input.lines.0.productId");
}

#[test]
fn a_change_of_the_note_or_address_leaves_lines_and_total_alone() {
    let before = an_order().line(&mug(), 2).placed();
    let event = yes(before.tries(add_note("ring twice")));
    assert!(matches!(&event, OrderEvent::Updated { lines: None, total, note: Some(_), .. } if *total == before.total));
    let after = before.clone().with(&event);
    assert_eq!((after.total, &after.lines), (before.total, &before.lines));
    yes(before.tries(OrderCommand::Update { lines: None, shipping_address: Some(address()), note: None }));
}

#[test]
fn a_change_is_held_to_the_same_rules_as_a_placing() {
    let order = an_order().line(&mug(), 2).placed();
    no(order.tries(change_to(an_order())), Code::EmptyOrder, "input.lines");
    no(order.tries(change_to(an_order().line_of_something_we_never_sold())), Code::NotFound, "input.lines.0.productId");
    no(order.tries(change_to(an_order().line(&croissant(), 1))), Code::CurrencyMismatch, "input.lines.0");
    let too_many = (0..=MAX_LINES).fold(an_order(), |order, _| order.line(&mug(), 1));
    no(order.tries(change_to(too_many)), Code::InvalidInput, "input.lines");
}

#[test]
fn a_change_of_nothing_is_no_change() {
    let order = an_order().line(&mug(), 2).placed();
    no(order.tries(OrderCommand::Update { lines: None, shipping_address: None, note: None }), Code::InvalidInput, "");
}

// Paying

#[test]
fn an_order_is_paid_whole_whether_or_not_the_amount_is_named() {
    for command in [pay(), pay_exactly(gbp(1_700))] {
        let order = an_order().line(&mug(), 2).placed().after(command);
        assert_eq!((order.version, order.status()), (2, OrderStatus::Paid));
        assert_eq!((order.paid, order.refunded), (gbp(1_700), gbp(0)));
    }
}

#[test]
fn an_amount_must_be_the_total_to_the_penny() {
    let order = an_order().line(&mug(), 2).placed();
    for wrong in [1_699, 1_701, 0] {
        let refusal = no(order.tries(pay_exactly(gbp(wrong))), Code::AmountMismatch, "input.amount.amount");
        assert!(refusal.message.contains("17.00 GBP"), "{}", refusal.message);
    }
}

#[test]
fn an_amount_in_another_currency_does_not_pay() {
    let order = an_order().line(&mug(), 2).placed();
    no(order.tries(pay_exactly(eur(1_700))), Code::CurrencyMismatch, "input.amount.currencyCode");
}

#[test]
fn nobody_pays_twice() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    assert_eq!(no(order.tries(pay()), Code::WrongStatus, "").message, "The order is already paid.");
}

// Shipping and delivering

#[test]
fn a_whole_order_leaves_in_one_parcel() {
    let paid = an_order().line(&mug(), 2).line(&teapot(), 1).placed().after(pay());
    let event = yes(paid.tries(ship_all()));
    assert!(matches!(&event, OrderEvent::Shipped { lines, .. } if *lines == [part(0, 2), part(1, 1)]));
    let order = paid.with(&event);
    assert_eq!(order.status(), OrderStatus::Shipped);
    assert_eq!(order.after(deliver()).status(), OrderStatus::Delivered);
}

#[test]
fn an_order_leaves_in_as_many_parcels_as_it_takes() {
    let order = an_order().line(&mug(), 3).line(&teapot(), 1).placed().after(pay()).after(ship(&[part(0, 2)]));
    assert_eq!(order.status(), OrderStatus::PartiallyShipped);
    let rest = yes(order.tries(ship_all()));
    assert!(matches!(&rest, OrderEvent::Shipped { lines, .. } if *lines == [part(0, 1), part(1, 1)]));
    assert_eq!(order.after(ship(&[part(1, 1), part(0, 1)])).status(), OrderStatus::Shipped);
}

#[test]
fn no_parcel_holds_more_than_is_left_to_ship() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    no(order.tries(ship(&[part(0, 3)])), Code::QuantityExceeded, "input.lines.0.quantity");
    let order = order.after(ship(&[part(0, 1)]));
    let refusal = no(order.tries(ship(&[part(0, 2)])), Code::QuantityExceeded, "input.lines.0.quantity");
    assert_eq!(refusal.message, "Only 1 of this line can be shipped.");
}

#[test]
fn naming_a_line_twice_does_not_ship_it_twice() {
    let order = an_order().line(&mug(), 2).line(&teapot(), 1).placed().after(pay());
    no(order.tries(ship(&[part(0, 1), part(1, 1), part(0, 2)])), Code::QuantityExceeded, "input.lines.2.quantity");
    assert_eq!(order.after(ship(&[part(0, 1), part(1, 1), part(0, 1)])).status(), OrderStatus::Shipped);
}

#[test]
fn only_lines_of_this_order_go_into_its_parcels() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    no(order.tries(ship(&[part(0, 1), part(1, 1)])), Code::NotFound, "input.lines.1.lineId");
    no(order.tries(ship(&[])), Code::InvalidInput, "input.lines");
}

#[test]
fn what_was_paid_back_need_not_be_sent() {
    let order = an_order().line(&mug(), 2).line(&teapot(), 1).placed().after(pay()).after(refund(&[part(0, 1), part(1, 1)]));
    no(order.tries(ship(&[part(1, 1)])), Code::QuantityExceeded, "input.lines.0.quantity");
    let event = yes(order.tries(ship_all()));
    assert!(matches!(&event, OrderEvent::Shipped { lines, .. } if *lines == [part(0, 1)]));
    assert_eq!(order.with(&event).after(deliver()).status(), OrderStatus::Delivered);
}

#[test]
fn refunding_the_rest_of_a_partly_shipped_order_makes_it_shipped() {
    let order = an_order().line(&mug(), 2).placed().after(pay()).after(ship(&[part(0, 1)])).after(refund(&[part(0, 1)]));
    assert_eq!(order.status(), OrderStatus::Shipped);
    assert_eq!(no(order.tries(ship_all()), Code::WrongStatus, "").message, "Everything has been shipped already.");
    assert_eq!(order.after(deliver()).status(), OrderStatus::Delivered);
}

// Cancelling

#[test]
fn cancelling_an_unpaid_order_pays_nothing_back() {
    let order = an_order().line(&mug(), 2).placed().after(cancel());
    assert_eq!(order.status(), OrderStatus::Cancelled);
    assert_eq!((order.paid, order.refunded), (gbp(0), gbp(0)));
}

#[test]
fn cancelling_a_paid_order_pays_it_back() {
    let paid = an_order().line(&mug(), 2).placed().after(pay());
    let event = yes(paid.tries(cancel()));
    assert!(matches!(&event, OrderEvent::Cancelled { refunded, reason: Some(_) } if *refunded == gbp(1_700)));
    let order = paid.with(&event);
    assert_eq!((order.status(), order.paid, order.refunded), (OrderStatus::Cancelled, gbp(1_700), gbp(1_700)));
}

#[test]
fn cancelling_pays_back_only_what_was_not_paid_back_yet() {
    let paid = an_order().line(&mug(), 3).placed().after(pay()).after(refund(&[part(0, 1)]));
    let event = yes(paid.tries(cancel()));
    assert!(matches!(&event, OrderEvent::Cancelled { refunded, .. } if *refunded == gbp(1_700)));
    assert_eq!(paid.with(&event).refunded, gbp(2_550));
}

#[test]
fn what_has_left_cannot_be_cancelled() {
    let order = an_order().line(&mug(), 2).placed().after(pay()).after(ship(&[part(0, 1)]));
    no(order.tries(cancel()), Code::WrongStatus, "");
    no(order.after(ship_all()).tries(cancel()), Code::WrongStatus, "");
}

// Refunding

#[test]
fn a_refund_of_everything_ends_the_order_also_after_delivery() {
    let paid = an_order().line(&mug(), 2).line(&teapot(), 1).placed().after(pay());
    let delivered = paid.clone().after(ship_all()).after(deliver());
    for order in [paid, delivered] {
        let event = yes(order.tries(refund_all()));
        let OrderEvent::Refunded { lines, amount, .. } = &event else { panic!("{event:?}") };
        assert_eq!((lines.as_slice(), *amount), ([part(0, 2), part(1, 1)].as_slice(), gbp(4_100)));
        let order = order.with(&event);
        assert_eq!((order.status(), order.refunded), (OrderStatus::Refunded, order.paid));
    }
}

#[test]
fn a_refund_by_line_is_at_the_price_of_the_purchase() {
    let order = an_order().line_at(&mug(), 3, gbp(700)).line(&teapot(), 1).placed().after(pay()).after(refund(&[part(0, 2)]));
    assert_eq!((order.status(), order.refunded), (OrderStatus::Paid, gbp(1_400)));
    let rest = yes(order.tries(refund_all()));
    let OrderEvent::Refunded { lines, amount, .. } = &rest else { panic!("{rest:?}") };
    assert_eq!((lines.as_slice(), *amount), ([part(0, 1), part(1, 1)].as_slice(), gbp(3_100)));
}

#[test]
fn goods_that_were_sent_can_be_paid_back_too() {
    let order = an_order().line(&mug(), 2).placed().after(pay()).after(ship_all()).after(refund(&[part(0, 1)]));
    assert_eq!((order.status(), order.refunded), (OrderStatus::Shipped, gbp(850)));
    assert_eq!(order.after(deliver()).after(refund(&[part(0, 1)])).status(), OrderStatus::Refunded);
}

#[test]
fn nothing_is_paid_back_twice() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    no(order.tries(refund(&[part(0, 3)])), Code::QuantityExceeded, "input.lines.0.quantity");
    no(order.tries(refund(&[part(0, 1), part(0, 2)])), Code::QuantityExceeded, "input.lines.1.quantity");
    let order = order.after(refund(&[part(0, 1)]));
    let refusal = no(order.tries(refund(&[part(0, 2)])), Code::QuantityExceeded, "input.lines.0.quantity");
    assert_eq!(refusal.message, "Only 1 of this line can be refunded.");
    no(order.after(refund_all()).tries(refund_all()), Code::WrongStatus, "");
}

#[test]
fn only_lines_of_this_order_are_paid_back() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    no(order.tries(refund(&[part(5, 1)])), Code::NotFound, "input.lines.0.lineId");
    no(order.tries(refund(&[])), Code::InvalidInput, "input.lines");
}

// Without end

/// The order after so many steps that this is its version.
fn at_version(version: i64, order: Order) -> Order {
    Order { version, ..order }
}

#[test]
fn what_can_be_repeated_cannot_be_repeated_for_ever() {
    let pending = an_order().line(&mug(), 3).placed();
    let paid = pending.clone().after(pay());
    let delivered = paid.clone().after(ship_all()).after(deliver());
    let again = [
        (&pending, add_note("and another")),
        (&pending, change_to(an_order().line(&mug(), 1))),
        (&paid, ship(&[part(0, 1)])),
        (&paid, refund(&[part(0, 1)])),
        (&delivered, refund(&[part(0, 1)])),
    ];
    for (order, command) in again {
        let order = at_version(MAX_EVENTS - 1, order.clone());
        let last = order.clone().after(command.clone());
        assert_eq!(last.version, MAX_EVENTS);
        no(at_version(MAX_EVENTS, order).tries(command.clone()), Code::QuantityExceeded, "");
        no(last.tries(command), Code::QuantityExceeded, "");
    }
}

#[test]
fn no_order_gets_stuck_however_often_it_was_changed() {
    let pending = at_version(MAX_EVENTS, an_order().line(&mug(), 3).placed());
    let paid = pending.clone().after(pay());
    let partly_shipped = at_version(MAX_EVENTS, an_order().line(&mug(), 3).placed().after(pay()).after(ship(&[part(0, 1)])));
    let delivered = partly_shipped.clone().after(ship_all()).after(deliver());
    assert_eq!((delivered.version, delivered.status()), (MAX_EVENTS + 2, OrderStatus::Delivered));
    assert_eq!(pending.after(cancel()).status(), OrderStatus::Cancelled);
    assert_eq!(paid.clone().after(cancel()).status(), OrderStatus::Cancelled);
    assert_eq!(paid.clone().after(ship_all()).after(deliver()).status(), OrderStatus::Delivered);
    for order in [paid, partly_shipped, delivered] {
        assert_eq!(order.after(refund_all()).status(), OrderStatus::Refunded);
    }
}

#[test]
fn the_status_is_told_before_the_limit() {
    let paid = at_version(MAX_EVENTS, an_order().line(&mug(), 3).placed().after(pay()));
    no(paid.tries(add_note("too late")), Code::WrongStatus, "");
    no(paid.after(cancel()).tries(refund(&[part(0, 1)])), Code::WrongStatus, "");
}

// What is foretold, what is remembered

/// One order in each status.
fn one_of_each() -> Vec<Order> {
    let pending = an_order().line(&mug(), 2).placed();
    let paid = pending.clone().after(pay());
    let shipped = paid.clone().after(ship_all());
    vec![
        pending.clone(),
        paid.clone(),
        paid.clone().after(ship(&[part(0, 1)])),
        shipped.clone(),
        shipped.after(deliver()),
        pending.after(cancel()),
        paid.after(refund_all()),
    ]
}

fn a_try_of(action: OrderAction) -> OrderCommand {
    match action {
        OrderAction::Update => add_note("ring twice"),
        OrderAction::Pay => pay(),
        OrderAction::Ship => ship_all(),
        OrderAction::Deliver => deliver(),
        OrderAction::Cancel => cancel(),
        OrderAction::Refund => refund_all(),
    }
}

#[test]
fn every_step_is_refused_in_the_status_and_the_words_that_were_foretold() {
    let orders = one_of_each();
    let statuses: BTreeSet<OrderStatus> = orders.iter().map(Order::status).collect();
    assert_eq!(statuses.len(), 7, "{statuses:?}");
    for order in &orders {
        for action in OrderAction::ALL {
            let answer = order.tries(a_try_of(action));
            match blocked_by(action, order.status()) {
                Some(reason) => assert_eq!(no(answer, Code::WrongStatus, "").message, reason),
                None => assert!(answer.is_ok(), "{action:?} of an order that is {:?}: {answer:?}", order.status()),
            }
        }
    }
}

#[test]
fn the_status_is_told_before_any_mistake_in_the_step() {
    let cancelled = an_order().line(&mug(), 2).placed().after(cancel());
    no(cancelled.tries(change_to(an_order())), Code::WrongStatus, "");
    no(cancelled.tries(pay_exactly(eur(1))), Code::WrongStatus, "");
    no(cancelled.tries(ship(&[part(9, 9)])), Code::WrongStatus, "");
}

#[test]
fn who_has_seen_an_older_version_is_told_the_present_one() {
    assert_eq!(expect_version(None, 3), Ok(()));
    assert_eq!(expect_version(Some(3), 3), Ok(()));
    let refusal = no(expect_version(Some(2), 3), Code::Conflict, "input.expectedVersion");
    assert_eq!(refusal.current_version, Some(3));
}

#[test]
fn an_order_is_read_back_as_it_was_stored() {
    for order in one_of_each() {
        let stored = serde_json::to_value(&order).expect("an order is JSON");
        assert_eq!(serde_json::from_value::<Order>(stored).expect("and back"), order);
    }
}

#[test]
fn without_a_placing_there_is_no_order() {
    let paid = yes(an_order().line(&mug(), 1).placed().tries(pay()));
    assert_eq!(order::evolve(None, &paid), None);
}

#[test]
fn history_is_taken_as_it_is_also_where_the_rules_would_say_no_today() {
    let order = an_order().line(&mug(), 1).placed();
    let strange = LineQuantity { line_id: line_id(7), quantity: units(1) };
    let refunded = OrderEvent::Refunded { lines: vec![strange], amount: gbp(5), reason: None };
    let order = order.with(&refunded);
    assert_eq!((order.version, order.refunded, order.status()), (2, gbp(5), OrderStatus::Pending));
}
