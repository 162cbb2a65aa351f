//! What holds whatever anybody asks: random customers and staff ask for random steps, and after each the books must balance.

use super::shop::{Item, NOON, croissant, customer, free_sample, gbp, id, mug, reference, teapot, units};
use orderflow::{
    domain::{
        Code, Refusal,
        order::{self, Order, OrderCommand, PlaceOrder, Wanted},
        stock::{self, Stock},
    },
    event::{Event, LineQuantity, OrderEvent, OrderLine, OrderPlaced, StockEvent},
    value::{
        CommandId, Currency, EventId, LineId, LineProgress, Money, OrderAction, OrderId, ProductId, ShipmentId, UserId,
        blocked_by,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A wished line: which product of the catalogue, how many, and perhaps an agreed price.
type Line = (usize, i64, Option<i64>);
/// So many units of which line of an order.
type Part = (usize, i64);

#[derive(Debug, Clone)]
enum Wish {
    Place(Vec<Line>),
    Update(Option<Vec<Line>>),
    /// With an amount that is off by so much, or without one.
    Pay(Option<i64>),
    Ship(Option<Vec<Part>>),
    Deliver,
    Cancel,
    Refund(Option<Vec<Part>>),
}

#[derive(Debug, Clone)]
struct Step {
    order: usize,
    wish: Wish,
}

/// What can be ordered; one more index than there are products stands for what was never sold.
fn catalogue() -> [Item; 4] {
    [mug(), teapot(), free_sample(), croissant()]
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let product = prop_oneof![8 => 0..3_usize, 1 => 3..5_usize];
    vec((product, 1..6_i64, option::weighted(0.2, 0..500_i64)), 0..4)
}

fn parts() -> impl Strategy<Value = Option<Vec<Part>>> {
    option::of(vec((0..3_usize, 1..5_i64), 0..4))
}

fn a_step() -> impl Strategy<Value = Step> {
    let wish = prop_oneof![
        3 => lines().prop_map(Wish::Place),
        2 => option::weighted(0.9, lines()).prop_map(Wish::Update),
        3 => option::weighted(0.5, -1..2_i64).prop_map(Wish::Pay),
        3 => parts().prop_map(Wish::Ship),
        2 => Just(Wish::Deliver),
        1 => Just(Wish::Cancel),
        2 => parts().prop_map(Wish::Refund),
    ];
    (0..3_usize, wish).prop_map(|(order, wish)| Step { order, wish })
}

impl Wish {
    fn action(&self) -> Option<OrderAction> {
        match self {
            Wish::Place(_) => None,
            Wish::Update(_) => Some(OrderAction::Update),
            Wish::Pay(_) => Some(OrderAction::Pay),
            Wish::Ship(_) => Some(OrderAction::Ship),
            Wish::Deliver => Some(OrderAction::Deliver),
            Wish::Cancel => Some(OrderAction::Cancel),
            Wish::Refund(_) => Some(OrderAction::Refund),
        }
    }

    /// The wish as a command to an order that exists.
    fn command(&self, number: usize, order: &Order) -> Option<OrderCommand> {
        let picked = |parts: &Option<Vec<Part>>| parts.as_ref().map(|parts| pick(order, parts));
        Some(match self {
            Wish::Place(_) => return None,
            Wish::Update(lines) => {
                let lines = lines.as_ref().map(|lines| wanted(number, order.version, lines));
                OrderCommand::Update { lines, shipping_address: None, note: None }
            }
            Wish::Pay(off) => {
                let amount = off.map(|off| Money::new(order.total.minor + off, order.currency));
                OrderCommand::Pay { amount, reference: reference("card-1") }
            }
            Wish::Ship(parts) => {
                let shipment_id = ShipmentId(id(0x5417));
                OrderCommand::Ship { shipment_id, lines: picked(parts), carrier: None, tracking_number: None, at: NOON }
            }
            Wish::Deliver => OrderCommand::Deliver { at: NOON },
            Wish::Cancel => OrderCommand::Cancel { reason: None },
            Wish::Refund(parts) => OrderCommand::Refund { lines: picked(parts), reason: None },
        })
    }
}

/// Wished lines with the products looked up. Every line of every version of every order has an id of its own.
fn wanted(number: usize, version: i64, lines: &[Line]) -> Vec<Wanted> {
    let catalogue = catalogue();
    let wish = |(index, (product, count, price)): (usize, &Line)| {
        let item = catalogue.get(*product);
        let currency = item.map_or(Currency::GBP, |item| item.product.price.currency);
        Wanted {
            line_id: LineId(id(format!("{number}{version:04}{index}").parse().expect("digits"))),
            product_id: item.map_or(ProductId(id(99)), |item| item.id),
            product: item.map(|item| item.product.clone()),
            quantity: units(*count),
            agreed_price: price.map(|minor| Money::new(minor, currency)),
        }
    };
    lines.iter().enumerate().map(wish).collect()
}

/// Lines of the order where it has that many, else one that it does not have.
fn pick(order: &Order, parts: &[Part]) -> Vec<LineQuantity> {
    let known = |index: usize| order.lines.get(index).map_or(LineId(id(u128::MAX)), |line| line.id);
    parts.iter().map(|(index, count)| LineQuantity { line_id: known(*index), quantity: units(*count) }).collect()
}

/// The shop's books, kept as the command side keeps them: an event and its movements happen together or not at all.
#[derive(Debug, Clone, PartialEq)]
struct Books {
    stock: BTreeMap<ProductId, Stock>,
    orders: BTreeMap<usize, Order>,
    log: BTreeMap<usize, Vec<OrderEvent>>,
}

impl Books {
    fn opened(on_shelf: &[i64]) -> Self {
        let level = |(item, available): (Item, &i64)| (item.id, Stock { version: 1, available: *available, units_sold: 0 });
        Self { stock: catalogue().into_iter().zip(on_shelf).map(level).collect(), orders: BTreeMap::new(), log: BTreeMap::new() }
    }

    /// The answer to a wish, or nothing where it makes no sense to ask.
    fn ask(&self, step: &Step) -> Option<Result<OrderEvent, Refusal>> {
        match (self.orders.get(&step.order), &step.wish) {
            (None, Wish::Place(lines)) => Some(order::place(PlaceOrder {
                order_id: OrderId(id(step.order as u128)),
                number: 1001,
                reference: None,
                customer: customer(),
                lines: wanted(step.order, 0, lines),
                shipping_address: None,
                note: None,
                placed_at: NOON,
            })),
            (Some(order), wish) => Some(order::decide(order, wish.command(step.order, order)?)),
            (None, _) => None,
        }
    }

    fn record(&mut self, number: usize, event: OrderEvent) -> Result<(), Refusal> {
        let mut levels = self.stock.clone();
        for movement in order::movements(self.orders.get(&number), &event) {
            let level = levels.entry(movement.product_id).or_default();
            let Stock { available, units_sold, .. } = level.moved(&movement)?;
            *level = stock::evolve(*level, &StockEvent::LevelChanged { available, units_sold });
        }
        self.stock = levels;
        if let Some(next) = order::evolve(self.orders.remove(&number), &event) {
            self.orders.insert(number, next);
        }
        self.log.entry(number).or_default().push(event);
        Ok(())
    }

    /// Carries out a step: done as foretold or refused as foretold, one version further or not changed at all.
    fn carry_out(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let before = self.clone();
        let order = before.orders.get(&step.order);
        let Some(answer) = self.ask(step) else { return Ok(()) };
        if let (Some(order), Some(action)) = (order, step.wish.action()) {
            match (blocked_by(action, order.status()), &answer) {
                (Some(reason), Ok(event)) => return Err(TestCaseError::fail(format!("{reason} All the same: {event:?}"))),
                (Some(reason), Err(refusal)) => {
                    prop_assert_eq!((refusal.code, refusal.message.as_str()), (Code::WrongStatus, reason));
                }
                (None, Err(refusal)) => prop_assert!(refusal.code != Code::WrongStatus, "not foretold: {refusal:?}"),
                (None, Ok(_)) => {}
            }
        }
        match answer.and_then(|event| self.record(step.order, event)) {
            Ok(()) => prop_assert_eq!(self.orders[&step.order].version, order.map_or(0, |order| order.version) + 1),
            Err(_) => prop_assert_eq!(&*self, &before),
        }
        Ok(())
    }

    /// Free is what was there, less what has left and what live orders may still send; sold is what they bought less what was
    /// paid back. What is paid back is taken first from what has not left, so a line never holds less than what was sent.
    fn stock_balances(&self, on_shelf: &[i64]) -> Result<(), TestCaseError> {
        for (item, on_shelf) in catalogue().iter().zip(on_shelf) {
            let live = self.orders.values().filter(|order| !order.milestones.cancelled);
            let lines: Vec<LineProgress> =
                live.flat_map(|order| &order.lines).filter(|line| line.product_id == item.id).map(|line| line.progress).collect();
            let held = |line: &LineProgress| (line.quantity - line.refunded).max(line.shipped);
            let level = self.stock[&item.id];
            prop_assert!(level.available >= 0, "{level:?}");
            prop_assert_eq!(level.available, on_shelf - lines.iter().map(held).sum::<i64>());
            prop_assert_eq!(level.units_sold, lines.iter().map(|line| line.quantity - line.refunded).sum::<i64>());
        }
        Ok(())
    }

    /// No order pays back what was not paid, nor sends what was not bought.
    fn orders_balance(&self) -> Result<(), TestCaseError> {
        for order in self.orders.values() {
            for LineProgress { quantity, shipped, refunded } in order.lines.iter().map(|line| line.progress) {
                prop_assert!(
                    quantity > 0 && (0..=quantity).contains(&shipped) && (0..=quantity).contains(&refunded),
                    "{order:?}"
                );
            }
            let worth = |count: fn(&LineProgress) -> i64| {
                order.lines.iter().map(|line| line.unit_price.minor * count(&line.progress)).sum::<i64>()
            };
            prop_assert_eq!(order.total.minor, worth(|line| line.quantity));
            prop_assert_eq!(order.paid.minor, if order.milestones.paid { order.total.minor } else { 0 });
            let paid_back = if order.milestones.cancelled { order.paid.minor } else { worth(|line| line.refunded) };
            prop_assert_eq!(order.refunded.minor, paid_back);
            prop_assert!(order.refunded.minor <= order.paid.minor, "{order:?}");
        }
        Ok(())
    }

    /// The log alone, written down and read again, gives the same orders.
    fn log_tells_all(&self) -> Result<(), TestCaseError> {
        let odd = |error: &dyn std::fmt::Display| TestCaseError::fail(error.to_string());
        for (number, events) in &self.log {
            let mut order = None;
            for event in events {
                let event = Event::Order(event.clone());
                let read = Event::read(event.kind(), event.data().map_err(|e| odd(&e))?).map_err(|e| odd(&e))?;
                prop_assert_eq!(&read, &event);
                let Event::Order(read) = read else { return Err(odd(&"an order's event became another's")) };
                order = order::evolve(order, &read);
            }
            prop_assert_eq!(order.as_ref(), self.orders.get(number));
        }
        Ok(())
    }
}

/// Any event at all, also such as no decision would ever make.
fn any_event() -> impl Strategy<Value = OrderEvent> {
    let line = || (0..4_u128, 0..3_usize, 1..6_i64).prop_map(|(line, item, count)| a_line(line, item, count));
    let part = (0..4_u128, 1..6_i64).prop_map(|(line, count)| LineQuantity { line_id: LineId(id(line)), quantity: units(count) });
    let parts = || vec(part.clone(), 0..4);
    let money = || any::<i64>().prop_map(gbp);
    prop_oneof![
        1 => (vec(line(), 0..4), money()).prop_map(|(lines, total)| a_placing(lines, total)),
        2 => (option::of(vec(line(), 0..4)), money())
            .prop_map(|(lines, total)| OrderEvent::Updated { lines, total, shipping_address: None, note: None }),
        2 => money().prop_map(|amount| OrderEvent::Paid { amount, reference: reference("card-1") }),
        2 => parts().prop_map(|lines| OrderEvent::Shipped {
            shipment_id: ShipmentId(id(1)),
            lines,
            carrier: None,
            tracking_number: None,
            shipped_at: NOON,
        }),
        1 => Just(OrderEvent::Delivered { delivered_at: NOON }),
        1 => money().prop_map(|refunded| OrderEvent::Cancelled { refunded, reason: None }),
        2 => (parts(), money()).prop_map(|(lines, amount)| OrderEvent::Refunded { lines, amount, reason: None }),
    ]
}

fn a_line(line: u128, item: usize, count: i64) -> OrderLine {
    let Item { id: product_id, product } = catalogue()[item].clone();
    let (sku, name, unit_price) = (product.sku, product.name, product.price);
    OrderLine { id: LineId(id(line)), product_id, sku, name, quantity: units(count), unit_price }
}

fn a_placing(lines: Vec<OrderLine>, total: Money) -> OrderEvent {
    OrderEvent::Placed(Box::new(OrderPlaced {
        order_id: OrderId(id(1)),
        number: 1001,
        reference: None,
        customer: customer(),
        currency: total.currency,
        lines,
        total,
        shipping_address: None,
        note: None,
        placed_at: NOON,
    }))
}

/// Currencies of every kind: two decimals, none, three, four, and one without any minor unit.
fn any_currency() -> impl Strategy<Value = Currency> {
    select(vec!["GBP", "EUR", "JPY", "KWD", "CLF", "XAU"]).prop_map(|code| code.parse::<Currency>().expect("a currency"))
}

proptest! {
    #[test]
    fn whatever_is_asked_the_books_balance(on_shelf in vec(0..60_i64, 4_usize), steps in vec(a_step(), 1..60)) {
        let mut books = Books::opened(&on_shelf);
        for step in &steps {
            books.carry_out(step)?;
            books.stock_balances(&on_shelf)?;
            books.orders_balance()?;
        }
        books.log_tells_all()?;
    }

    #[test]
    fn any_history_can_be_folded(events in vec(any_event(), 0..60)) {
        let mut order: Option<Order> = None;
        for event in &events {
            let version = match (event, &order) {
                (OrderEvent::Placed(_), _) => Some(1),
                (_, order) => order.as_ref().map(|order| order.version + 1),
            };
            let movements = order::movements(order.as_ref(), event);
            prop_assert!(movements.windows(2).all(|pair| pair[0].product_id < pair[1].product_id), "{movements:?}");
            order = order::evolve(order, event);
            prop_assert_eq!(order.as_ref().map(|order| order.version), version);
            if let Some(order) = &order {
                let _ = order.status();
            }
        }
    }

    #[test]
    fn an_amount_that_is_shown_is_the_amount_that_is_read(currency in any_currency(), minor in 0..=Money::MAX_MINOR) {
        let money = Money::new(minor, currency);
        let shown = money.amount().to_string();
        prop_assert_eq!(money.amount().scale(), currency.decimals(), "all decimals are shown: {}", shown);
        let read: Decimal = shown.parse().expect("a decimal");
        prop_assert_eq!(Money::parse(read, currency), Ok(money));
        prop_assert_eq!(Money::parse(money.amount().normalize(), currency), Ok(money));
    }

    #[test]
    fn less_than_the_smallest_coin_is_no_amount(currency in any_currency(), minor in 0..=Money::MAX_MINOR, rest in 1..10_i64) {
        let finer = Decimal::new(minor * 10 + rest, currency.decimals() + 1);
        prop_assert!(Money::parse(finer, currency).is_err(), "{finer} {currency}");
    }

    #[test]
    fn an_id_is_read_as_what_it_is_and_nothing_else(n in any::<u128>()) {
        let uuid = Uuid::from_u128(n);
        prop_assert_eq!(UserId(uuid).to_string().parse::<UserId>(), Ok(UserId(uuid)));
        prop_assert_eq!(ProductId(uuid).to_string().parse::<ProductId>(), Ok(ProductId(uuid)));
        prop_assert_eq!(OrderId(uuid).to_string().parse::<OrderId>(), Ok(OrderId(uuid)));
        prop_assert_eq!(LineId(uuid).to_string().parse::<LineId>(), Ok(LineId(uuid)));
        prop_assert_eq!(ShipmentId(uuid).to_string().parse::<ShipmentId>(), Ok(ShipmentId(uuid)));
        prop_assert_eq!(EventId(uuid).to_string().parse::<EventId>(), Ok(EventId(uuid)));
        prop_assert!(ProductId(uuid).to_string().parse::<OrderId>().is_err());
        prop_assert!(uuid.to_string().parse::<OrderId>().is_err());
    }

    #[test]
    fn a_command_id_is_kept_as_the_client_wrote_it(text in "[!-~]{1,128}") {
        prop_assert_eq!(CommandId::try_from(text.clone()).map(String::from), Ok(text.clone()));
        let spaced = format!("{} ", text);
        prop_assert!(CommandId::try_from(spaced).is_err());
    }
}
