//! The events as they stand in logs and queues for ever: one file a kind in `tests/golden/`, the whole message, indented.
//!
//! A change of a file is a change of the storage format. A field more, with a default, is fine; anything else is a new version of
//! the event beside the old one, which must stay readable.

use orderflow::{
    event::{
        Envelope, Event, LineQuantity, Meta, OrderCustomer, OrderEvent, OrderLine, OrderPlaced, ProductEvent, StockEvent,
        StockMark, Stream, Unreadable, UserEvent, envelope::Header,
    },
    value::{
        Address, CommandId, Currency, DisplayName, Email, EventId, LineId, Money, Note, OrderId, ProductId, ProductName,
        Quantity, Reference, Role, ShipmentId, Sku, UserId,
    },
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};
use time::macros::datetime;
use uuid::Uuid;

const ACCEPT: &str = "UPDATE_GOLDEN=1 cargo nextest run golden";

// The fixed envelopes

const fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_d3f5_7a00_7000_8000_0000_0000_0000 + n)
}

const ADA: UserId = UserId(id(0xa1));
const MUG: ProductId = ProductId(id(0xb1));
const TEAPOT: ProductId = ProductId(id(0xb2));
const ORDER: OrderId = OrderId(id(0xc1));

fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn note(text: &str) -> Note {
    Note::parse(text).expect("a text")
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).expect("a reference")
}

fn email() -> Email {
    Email::parse("ada@example.com").expect("an address")
}

fn display_name() -> DisplayName {
    DisplayName::parse("Ada Lovelace").expect("a name")
}

fn units(count: i64) -> Quantity {
    count.try_into().expect("a quantity")
}

fn part(line: u128, count: i64) -> LineQuantity {
    LineQuantity { line_id: LineId(id(line)), quantity: units(count) }
}

fn line(line: u128, product_id: ProductId, sku: &str, name: &str, count: i64, price: i64) -> OrderLine {
    let (sku, name) = (Sku::parse(sku).expect("a SKU"), ProductName::parse(name).expect("a name"));
    OrderLine { id: LineId(id(line)), product_id, sku, name, quantity: units(count), unit_price: gbp(price) }
}

fn address() -> Address {
    Address {
        name: Some("Ada Lovelace".into()),
        line1: "12 St James's Square".into(),
        line2: Some("2nd floor".into()),
        city: "London".into(),
        region: Some("Greater London".into()),
        postal_code: "SW1Y 4JH".into(),
        country_code: "GB".parse().expect("a country"),
    }
}

/// An envelope with a trace; stock marks are added by [`marked`].
fn envelope(number: u128, stream: Stream, version: i64, key: Uuid, event: Event) -> Envelope {
    Envelope {
        meta: Meta {
            id: EventId(id(number)),
            stream,
            version,
            recorded_at: datetime!(2026-11-23 10:15:30.123 UTC),
            actor: ADA.to_string(),
            command_id: CommandId::try_from(format!("golden-{number}")).expect("a command id"),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            partition_key: key,
            stock: Vec::new(),
        },
        event,
    }
}

fn of_user(number: u128, version: i64, event: UserEvent) -> Envelope {
    envelope(number, Stream::User(ADA), version, ADA.0, Event::User(event))
}

fn of_product(number: u128, version: i64, event: ProductEvent) -> Envelope {
    envelope(number, Stream::Product(MUG), version, MUG.0, Event::Product(event))
}

fn of_order(number: u128, version: i64, event: OrderEvent) -> Envelope {
    envelope(number, Stream::Order(ORDER), version, ADA.0, Event::Order(event))
}

fn marked(mut envelope: Envelope, stock: &[(ProductId, i64)]) -> Envelope {
    envelope.meta.stock =
        stock.iter().map(|(product_id, version)| StockMark { product_id: *product_id, version: *version }).collect();
    envelope
}

/// Without a trace: not every request has one.
fn untraced(mut envelope: Envelope) -> Envelope {
    envelope.meta.traceparent = None;
    envelope
}

/// One of each kind, with every optional field present.
fn envelopes() -> Vec<Envelope> {
    let mut all = users();
    all.extend(products());
    all.extend(orders());
    all
}

fn users() -> Vec<Envelope> {
    vec![
        untraced(of_user(1, 1, UserEvent::Created { email: email(), display_name: display_name(), role: Role::Customer })),
        of_user(2, 2, UserEvent::ProfileUpdated { email: Some(email()), display_name: Some(display_name()) }),
    ]
}

fn products() -> Vec<Envelope> {
    let (sku, name) = (Sku::parse("MUG-850").expect("a SKU"), ProductName::parse("Mug “Großer Bär”").expect("a name"));
    let description = Some(note("Holds tea.\nAlso coffee."));
    let level = StockEvent::LevelChanged { available: 37, units_sold: 5 };
    vec![
        marked(
            of_product(
                3,
                1,
                ProductEvent::Created { sku, name: name.clone(), description: description.clone(), price: gbp(850) },
            ),
            &[(MUG, 1)],
        ),
        of_product(4, 2, ProductEvent::Updated { name: Some(name), description, price: Some(gbp(900)), active: Some(false) }),
        marked(
            of_product(5, 3, ProductEvent::StockAdjusted { delta: -3, reason: Some(note("broken in transport")) }),
            &[(MUG, 2)],
        ),
        envelope(6, Stream::Stock(MUG), 2, MUG.0, Event::Stock(level)),
    ]
}

fn orders() -> Vec<Envelope> {
    let mugs = line(0xd1, MUG, "MUG-850", "Mug", 2, 850);
    let teapot = line(0xd2, TEAPOT, "TEAPOT", "Teapot", 1, 2_400);
    let placed = OrderPlaced {
        order_id: ORDER,
        number: 1001,
        reference: Some(reference("PO-7")),
        customer: OrderCustomer { id: ADA, version: 2, display_name: display_name(), email: email() },
        currency: Currency::GBP,
        lines: vec![mugs, teapot.clone()],
        total: gbp(4_100),
        shipping_address: Some(address()),
        note: Some(note("Ring twice.")),
        placed_at: datetime!(2026-11-23 10:15:30.123 UTC),
    };
    let updated = OrderEvent::Updated {
        lines: Some(vec![teapot]),
        total: gbp(2_400),
        shipping_address: Some(address()),
        note: Some(note("Ring once.")),
    };
    let shipped = OrderEvent::Shipped {
        shipment_id: ShipmentId(id(0xe1)),
        lines: vec![part(0xd2, 1)],
        carrier: Some(reference("Royal Mail")),
        tracking_number: Some(reference("RM123456785GB")),
        shipped_at: datetime!(2026-11-24 08:00 UTC),
    };
    vec![
        marked(of_order(7, 1, OrderEvent::Placed(Box::new(placed))), &[(MUG, 3), (TEAPOT, 8)]),
        marked(of_order(8, 2, updated), &[(MUG, 4)]),
        of_order(9, 3, OrderEvent::Paid { amount: gbp(2_400), reference: reference("card-4711") }),
        of_order(10, 4, shipped),
        of_order(11, 5, OrderEvent::Delivered { delivered_at: datetime!(2026-11-25 16:45:00.5 UTC) }),
        marked(of_order(12, 6, OrderEvent::Cancelled { refunded: gbp(2_400), reason: Some(note("Too late.")) }), &[(TEAPOT, 9)]),
        marked(
            of_order(
                13,
                7,
                OrderEvent::Refunded { lines: vec![part(0xd2, 1)], amount: gbp(2_400), reason: Some(note("It leaks.")) },
            ),
            &[(TEAPOT, 10)],
        ),
    ]
}

// The files

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file_of(kind: &str) -> PathBuf {
    folder().join(format!("{kind}.json"))
}

fn written(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_json().expect("an event is JSON")).expect("JSON is text")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("this is no JSON: {error}\n{text}"))
}

/// The message, indented: its own bytes in its own order, whatever order a JSON library would like better.
fn indented(compact: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
    let fresh_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    for c in compact.chars() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                depth += 1;
                fresh_line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                fresh_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                fresh_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}

fn diff(before: &str, now: &str) -> String {
    similar::TextDiff::from_lines(before, now)
        .unified_diff()
        .context_radius(3)
        .header("the golden file", "written today")
        .to_string()
}

// The tests

#[test]
fn every_event_is_written_as_ever_and_read_as_ever() {
    let mut broken = Vec::new();
    for envelope in envelopes() {
        let (kind, now) = (envelope.event.kind(), indented(&written(&envelope)));
        let file = file_of(kind);
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&file, &now).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let before = fs::read_to_string(&file).unwrap_or_default();
        if before.is_empty() {
            broken.push(format!("{kind} has no golden file."));
        } else if json(&before) != json(&now) {
            broken.push(format!("{kind} is written in another way:\n{}", diff(&before, &now)));
        } else {
            match Envelope::from_json(before.as_bytes()) {
                Ok(read) if read == envelope => {}
                Ok(read) => broken.push(format!("{kind} is read as something else: {read:?}\ninstead of {envelope:?}")),
                Err(error) => broken.push(format!("{kind} cannot be read any more: {error}")),
            }
        }
    }
    let broken = broken.join("\n\n");
    assert!(broken.is_empty(), "{broken}\n\nIf this is meant, see the top of this test, then accept it:\n    {ACCEPT}\n");
}

#[test]
fn every_kind_has_its_envelope_and_no_file_is_left_over() {
    let kinds: BTreeSet<String> = [UserEvent::KINDS, ProductEvent::KINDS, StockEvent::KINDS, OrderEvent::KINDS]
        .iter()
        .flat_map(|kinds| kinds.iter().map(|kind| (*kind).to_owned()))
        .collect();
    let fixed: BTreeSet<String> = envelopes().iter().map(|envelope| envelope.event.kind().to_owned()).collect();
    assert_eq!(fixed, kinds, "every kind of event needs a fixed envelope in this file; then run {ACCEPT}");
    let stranger = |name: &String| !name.strip_suffix(".json").is_some_and(|kind| kinds.contains(kind));
    let left_over: Vec<String> = fs::read_dir(folder())
        .expect("tests/golden is there")
        .map(|entry| entry.expect("and can be listed").file_name().to_string_lossy().into_owned())
        .filter(stranger)
        .collect();
    assert!(left_over.is_empty(), "in tests/golden, of no kind of event that this server knows: {left_over:?}");
}

/// What may be missing from the data of each kind: nobody gave it, or the event is older than the field.
const OPTIONAL: &[(&str, &[&str])] = &[
    ("orderflow.user.created.v1", &[]),
    ("orderflow.user.profile_updated.v1", &["email", "display_name"]),
    ("orderflow.product.created.v1", &["description"]),
    ("orderflow.product.updated.v1", &["name", "description", "price", "active"]),
    ("orderflow.product.stock_adjusted.v1", &["reason"]),
    ("orderflow.stock.level_changed.v1", &[]),
    ("orderflow.order.placed.v1", &["reference", "shipping_address", "note"]),
    ("orderflow.order.updated.v1", &["lines", "shipping_address", "note"]),
    ("orderflow.order.paid.v1", &[]),
    ("orderflow.order.shipped.v1", &["carrier", "tracking_number"]),
    ("orderflow.order.delivered.v1", &[]),
    ("orderflow.order.cancelled.v1", &["reason"]),
    ("orderflow.order.refunded.v1", &["reason"]),
];

fn data_of(message: &mut Value) -> &mut serde_json::Map<String, Value> {
    message["data"].as_object_mut().expect("the data of an event is an object")
}

#[test]
fn what_is_optional_may_be_missing_and_nothing_else() {
    for envelope in envelopes() {
        let kind = envelope.event.kind();
        let whole = json(&written(&envelope));
        let (_, optional) = OPTIONAL.iter().find(|(listed, _)| *listed == kind).unwrap_or_else(|| panic!("{kind} is not listed"));
        for field in data_of(&mut whole.clone()).keys() {
            let mut less = whole.clone();
            data_of(&mut less).remove(field);
            let read = Envelope::from_json(less.to_string().as_bytes());
            match read {
                Ok(read) => {
                    assert!(optional.contains(&field.as_str()), "{kind}: {field} has become optional");
                    assert_eq!(json(&written(&read)), less, "{kind}: an absent {field} stays absent");
                }
                Err(_) => assert!(!optional.contains(&field.as_str()), "{kind}: {field} has become required"),
            }
        }
    }
}

#[test]
fn the_envelope_needs_neither_trace_nor_stock_marks() {
    let placed = &orders()[0];
    let mut message = json(&written(placed));
    for attribute in ["traceparent", "stockmarks"] {
        message.as_object_mut().expect("a message is an object").remove(attribute).expect("it was there");
    }
    let read = Envelope::from_json(message.to_string().as_bytes()).expect("it is read all the same");
    assert_eq!(read, untraced(marked(placed.clone(), &[])));
}

#[test]
fn every_attribute_is_one_that_a_cloud_event_may_have() {
    for envelope in envelopes() {
        let message = json(&written(&envelope));
        for (name, value) in message.as_object().expect("a message is an object").iter().filter(|(name, _)| *name != "data") {
            let plain = name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            assert!(plain, "{name}: lower case, without separators, and short");
            assert!(value.is_string() || value.is_i64() || value.is_boolean(), "{name}: a scalar, not {value}");
        }
    }
}

#[test]
fn version_key_and_stock_stand_in_the_envelope_as_scalars() {
    let message = json(&written(&orders()[0]));
    assert_eq!((&message["streamversion"], message.get("sequence")), (&Value::from(1), None));
    assert_eq!(message["partitionkey"], ADA.0.simple().to_string());
    assert_eq!(message["stockmarks"], format!("{MUG}:3,{TEAPOT}:8"));
    let paid = json(&written(&orders()[2]));
    assert_eq!(
        (&paid["streamversion"], paid.get("stockmarks")),
        (&Value::from(3), None),
        "what moves no stock says nothing of it"
    );
}

#[test]
fn stock_marks_that_cannot_be_read_are_not_passed_over() {
    let mut message = json(&written(&orders()[0]));
    let (no_version, no_number, of_an_order) = (MUG.to_string(), format!("{MUG}:many"), format!("{MUG}:3,{ORDER}:8"));
    for marks in [&no_version, &no_number, &of_an_order] {
        message["stockmarks"] = marks.as_str().into();
        let answer = Envelope::from_json(message.to_string().as_bytes());
        assert!(matches!(&answer, Err(Unreadable::Malformed { kind, .. }) if kind == "orderflow.order.placed.v1"), "{answer:?}");
    }
}

#[test]
fn a_message_that_cannot_be_read_still_says_where_it_belongs() {
    for envelope in envelopes() {
        let mut message = json(&written(&envelope));
        message["type"] = "orderflow.order.placed.v2".into();
        message["data"] = Value::Null;
        let header: Header = serde_json::from_value(message).expect("id, stream and version are there");
        let Meta { id, stream, version, .. } = envelope.meta;
        assert_eq!((header.id, header.subject, header.version), (id, stream, version));
    }
}

#[test]
fn what_a_newer_server_adds_is_passed_over() {
    for envelope in envelopes() {
        let mut message = json(&written(&envelope));
        data_of(&mut message).insert("a_field_of_tomorrow".into(), Value::Bool(true));
        message["anattributeoftomorrow"] = Value::Bool(true);
        let read = Envelope::from_json(message.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read, envelope);
    }
}

#[test]
fn a_kind_of_tomorrow_is_told_apart_from_a_broken_message() {
    let mut message = json(&written(&orders()[0]));
    for kind in ["orderflow.order.placed.v2", "orderflow.parcel.lost.v1", "orderflow.user.placed.v1", "order", ""] {
        message["type"] = kind.into();
        let answer = Envelope::from_json(message.to_string().as_bytes());
        assert!(matches!(&answer, Err(Unreadable::UnknownType(told)) if told == kind), "{kind:?}: {answer:?}");
    }
    message["type"] = "orderflow.order.paid.v1".into();
    let answer = Envelope::from_json(message.to_string().as_bytes());
    assert!(matches!(&answer, Err(Unreadable::Malformed { kind, .. }) if kind == "orderflow.order.paid.v1"), "{answer:?}");
    let answer = Envelope::from_json(b"{}");
    assert!(matches!(&answer, Err(Unreadable::Malformed { kind, .. }) if kind == "message"), "{answer:?}");
}
