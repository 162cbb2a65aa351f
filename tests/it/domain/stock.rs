//! What orders do to stock: reserve, move the difference, set free; and that no more is ever promised than is there.

use super::shop::{
    Story, add_note, an_order, begun, cancel, change_to, deliver, gbp, mug, no, part, pay, refund, refund_all, ship, ship_all,
    teapot, yes,
};
use orderflow::{
    domain::{
        Code,
        order::{Order, OrderCommand, movements},
        stock::{Movement, Stock, evolve},
    },
    event::{OrderEvent, StockEvent},
    value::ProductId,
};

const NOTHING: [(ProductId, i64, i64); 0] = [];

/// The movements of a step, in short: product, change of what is free, change of what is sold.
fn moved_by(order: &Order, command: OrderCommand) -> Vec<(ProductId, i64, i64)> {
    let event = yes(order.tries(command));
    movements(Some(order), &event).into_iter().map(|m| (m.product_id, m.available, m.units_sold)).collect()
}

fn on_shelf(available: i64) -> Stock {
    Stock { version: 1, available, units_sold: 10 }
}

fn taking(units: i64) -> Movement {
    Movement { product_id: mug().id, available: -units, units_sold: units, path: "lines.0.quantity".into() }
}

// Movements

#[test]
fn placing_reserves_each_product_once_however_many_lines_it_has() {
    let event = yes(an_order().line(&teapot(), 1).line(&mug(), 2).line(&teapot(), 3).place());
    let mugs = Movement { product_id: mug().id, available: -2, units_sold: 2, path: "lines.1.quantity".into() };
    let teapots = Movement { product_id: teapot().id, available: -4, units_sold: 4, path: "lines.0.quantity".into() };
    assert_eq!(movements(None, &event), [mugs, teapots], "in the order of product ids, each pointing at its first line");
    assert_eq!(movements(Some(&begun(&event)), &event), movements(None, &event));
}

#[test]
fn a_change_moves_only_the_difference() {
    let order = an_order().line(&mug(), 2).line(&teapot(), 1).placed();
    let more = change_to(an_order().line(&mug(), 5).line(&teapot(), 1));
    assert_eq!(moved_by(&order, more), [(mug().id, -3, 3)]);
    let less = change_to(an_order().line(&mug(), 1).line(&teapot(), 1));
    assert_eq!(moved_by(&order, less), [(mug().id, 1, -1)]);
    let other = change_to(an_order().line(&teapot(), 4));
    assert_eq!(moved_by(&order, other), [(mug().id, 2, -2), (teapot().id, -3, 3)]);
    let same_in_two_lines = change_to(an_order().line(&mug(), 1).line(&teapot(), 1).line(&mug(), 1));
    assert_eq!(moved_by(&order, same_in_two_lines), NOTHING);
}

#[test]
fn a_wish_for_more_points_at_the_line_that_wishes() {
    let order = an_order().line(&mug(), 2).placed();
    let event = yes(order.tries(change_to(an_order().line(&teapot(), 1).line(&mug(), 5))));
    let paths: Vec<String> = movements(Some(&order), &event).into_iter().map(|m| m.path).collect();
    assert_eq!(paths, ["lines.1.quantity", "lines.0.quantity"]);
}

#[test]
fn steps_without_goods_move_nothing() {
    let pending = an_order().line(&mug(), 2).placed();
    let paid = pending.clone().after(pay());
    let shipped = paid.clone().after(ship_all());
    assert_eq!(moved_by(&pending, add_note("ring twice")), NOTHING);
    assert_eq!(moved_by(&pending, pay()), NOTHING);
    assert_eq!(moved_by(&paid, ship_all()), NOTHING, "what leaves was reserved already");
    assert_eq!(moved_by(&shipped, deliver()), NOTHING);
}

#[test]
fn cancelling_sets_everything_free_again() {
    let order = an_order().line(&mug(), 2).line(&teapot(), 1).line(&mug(), 1).placed();
    let everything = [(mug().id, 3, -3), (teapot().id, 1, -1)];
    assert_eq!(moved_by(&order, cancel()), everything);
    assert_eq!(moved_by(&order.after(pay()), cancel()), everything);
}

#[test]
fn a_refund_sets_free_what_was_never_sent() {
    let paid = an_order().line(&mug(), 3).line(&teapot(), 1).placed().after(pay());
    assert_eq!(moved_by(&paid, refund(&[part(0, 2)])), [(mug().id, 2, -2)]);
    assert_eq!(moved_by(&paid, refund(&[part(0, 1), part(1, 1), part(0, 1)])), [(mug().id, 2, -2), (teapot().id, 1, -1)]);
    assert_eq!(moved_by(&paid, refund_all()), [(mug().id, 3, -3), (teapot().id, 1, -1)]);
}

#[test]
fn a_refund_puts_nothing_back_that_was_sent_but_counts_as_not_sold() {
    let shipped = an_order().line(&mug(), 3).line(&teapot(), 1).placed().after(pay()).after(ship_all());
    assert_eq!(moved_by(&shipped, refund(&[part(0, 1), part(0, 1)])), [(mug().id, 0, -2)]);
    assert_eq!(moved_by(&shipped.after(deliver()), refund_all()), [(mug().id, 0, -3), (teapot().id, 0, -1)]);
}

#[test]
fn a_refund_takes_first_from_what_was_never_sent() {
    let order = an_order().line(&mug(), 4).placed().after(pay()).after(ship(&[part(0, 2)]));
    assert_eq!(moved_by(&order, refund(&[part(0, 1)])), [(mug().id, 1, -1)]);
    assert_eq!(moved_by(&order, refund(&[part(0, 3)])), [(mug().id, 2, -3)]);
    assert_eq!(moved_by(&order, refund(&[part(0, 1), part(0, 1), part(0, 1)])), [(mug().id, 2, -3)], "named thrice, the same");
    let order = order.after(refund(&[part(0, 1)]));
    assert_eq!(moved_by(&order, refund(&[part(0, 2)])), [(mug().id, 1, -2)], "one of them was set free before");
    let order = order.after(ship_all());
    assert_eq!(moved_by(&order, refund_all()), [(mug().id, 0, -3)], "the last one has left meanwhile");
}

#[test]
fn each_line_knows_for_itself_what_was_sent() {
    let order = an_order().line(&mug(), 2).line(&mug(), 1).placed().after(pay()).after(ship(&[part(0, 2)]));
    assert_eq!(moved_by(&order, refund(&[part(0, 2)])), [(mug().id, 0, -2)]);
    assert_eq!(moved_by(&order, refund_all()), [(mug().id, 1, -3)]);
}

#[test]
fn what_was_refunded_before_a_cancelling_is_not_set_free_twice() {
    let paid = an_order().line(&mug(), 3).line(&teapot(), 1).placed().after(pay());
    let order = paid.clone().after(refund(&[part(0, 1)]));
    assert_eq!(moved_by(&order, cancel()), [(mug().id, 2, -2), (teapot().id, 1, -1)]);
    assert_eq!(moved_by(&paid.after(refund(&[part(1, 1)])), cancel()), [(mug().id, 3, -3)]);
}

#[test]
fn a_refund_of_a_line_that_the_order_never_had_moves_nothing() {
    let order = an_order().line(&mug(), 2).placed().after(pay());
    let strange = OrderEvent::Refunded { lines: vec![part(7, 1)], amount: gbp(850), reason: None };
    assert_eq!(movements(Some(&order), &strange), []);
}

// Levels

#[test]
fn the_last_unit_can_be_had_and_no_more() {
    assert_eq!(yes(on_shelf(5).moved(&taking(5))), Stock { version: 1, available: 0, units_sold: 15 });
    let refusal = no(on_shelf(4).moved(&taking(5)), Code::InsufficientStock, "input.lines.0.quantity");
    assert_eq!(refusal.message, "Only 4 available, 5 wanted.");
}

#[test]
fn an_order_for_more_than_there_is_says_which_line() {
    let event = yes(an_order().line(&mug(), 2).line(&teapot(), 6).place());
    let answers: Vec<_> = movements(None, &event).iter().map(|movement| on_shelf(5).moved(movement)).collect();
    let [mugs, teapots] = <[_; 2]>::try_from(answers).expect("two products");
    yes(mugs);
    no(teapots, Code::InsufficientStock, "input.lines.1.quantity");
}

#[test]
fn a_change_needs_stock_for_the_difference_alone() {
    let order = an_order().line(&mug(), 5).placed();
    let event = yes(order.tries(change_to(an_order().line(&mug(), 6))));
    let movement = &movements(Some(&order), &event)[0];
    yes(on_shelf(1).moved(movement));
    no(on_shelf(0).moved(movement), Code::InsufficientStock, "input.lines.0.quantity");
}

#[test]
fn staff_cannot_write_off_what_is_promised() {
    let write_off = Movement { product_id: mug().id, available: -6, units_sold: 0, path: "delta".into() };
    no(on_shelf(5).moved(&write_off), Code::InsufficientStock, "input.delta");
}

#[test]
fn a_shelf_has_an_end() {
    let delivery = |units| Movement { product_id: mug().id, available: units, units_sold: 0, path: "delta".into() };
    assert_eq!(yes(on_shelf(Stock::MAX - 1).moved(&delivery(1))).available, Stock::MAX);
    no(on_shelf(Stock::MAX).moved(&delivery(1)), Code::InvalidInput, "input.delta");
    no(on_shelf(1).moved(&delivery(i64::MAX)), Code::InvalidInput, "input.delta");
}

#[test]
fn what_an_order_gives_back_always_finds_room() {
    let pending = an_order().line(&mug(), 3).placed();
    let paid = pending.clone().after(pay());
    let givers = [
        (&pending, change_to(an_order().line(&mug(), 1))),
        (&pending, cancel()),
        (&paid, cancel()),
        (&paid, refund(&[part(0, 1)])),
        (&paid, refund_all()),
    ];
    for (order, command) in givers {
        let movement = &movements(Some(order), &yes(order.tries(command)))[0];
        let level = yes(on_shelf(Stock::MAX).moved(movement));
        assert_eq!((level.available, level.units_sold), (Stock::MAX + movement.available, 10 - movement.available));
        assert!(level.available > Stock::MAX);
        assert_eq!(yes(level.moved(&taking(1))).available, level.available - 1, "and it can be ordered from there");
    }
}

#[test]
fn nothing_is_put_by_hand_on_a_shelf_that_is_fuller_than_full() {
    let full = on_shelf(Stock::MAX + 3);
    let delivery = Movement { product_id: mug().id, available: 1, units_sold: 0, path: "delta".into() };
    no(full.moved(&delivery), Code::InvalidInput, "input.delta");
}

#[test]
fn a_level_is_told_whole_so_that_the_newest_is_enough() {
    let level = StockEvent::LevelChanged { available: 7, units_sold: 3 };
    let once = evolve(Stock::default(), &level);
    assert_eq!(once, Stock { version: 1, available: 7, units_sold: 3 });
    assert_eq!(evolve(once, &level), Stock { version: 2, ..once });
}
