//! How products enter the catalogue, change and leave sale, and how staff correct their stock.

use super::shop::{gbp, mug, no, text, yes};
use orderflow::{
    domain::{
        Code,
        product::{Product, ProductCommand, decide, evolve},
    },
    event::ProductEvent,
    value::{Money, Note, ProductName},
};

fn create() -> ProductCommand {
    let Product { sku, name, price, .. } = mug().product;
    ProductCommand::Create { sku, name, description: Some(text("Holds tea.")), price }
}

fn change(name: Option<&str>, description: Option<Note>, price: Option<Money>, active: Option<bool>) -> ProductCommand {
    let name = name.map(|name| ProductName::parse(name).expect("a name"));
    ProductCommand::Update { expected_version: None, name, description, price, active }
}

fn adjust(delta: i64) -> ProductCommand {
    ProductCommand::AdjustStock { delta, reason: Some(text("counted again")) }
}

fn a_mug() -> Product {
    evolve(None, &yes(decide(None, create()))).expect("a creation makes a product")
}

fn changed(product: Product, command: ProductCommand) -> Product {
    let event = yes(decide(Some(&product), command));
    evolve(Some(product), &event).expect("it stays")
}

#[test]
fn a_new_product_is_on_sale() {
    let product = a_mug();
    assert_eq!((product.version, product.active, product.price), (1, true, gbp(850)));
    assert_eq!((product.sku.as_str(), product.name.as_str(), product.description), ("MUG", "Mug", Some(text("Holds tea."))));
}

#[test]
fn no_product_is_created_twice() {
    no(decide(Some(&a_mug()), create()), Code::InvalidInput, "");
}

#[test]
fn a_change_touches_only_what_it_names() {
    let dearer = changed(a_mug(), change(None, None, Some(gbp(900)), None));
    assert_eq!(dearer, Product { version: 2, price: gbp(900), ..a_mug() });

    let off_sale = changed(dearer, change(None, None, None, Some(false)));
    assert_eq!((off_sale.version, off_sale.active, off_sale.price), (3, false, gbp(900)));

    let other = changed(off_sale, change(Some("Large mug"), Some(text("Holds more tea.")), None, Some(true)));
    assert_eq!((other.version, other.active, other.name.as_str()), (4, true, "Large mug"));
    assert_eq!((other.sku.as_str(), other.description), ("MUG", Some(text("Holds more tea."))));
}

#[test]
fn a_change_of_nothing_is_no_change() {
    no(decide(Some(&a_mug()), change(None, None, None, None)), Code::InvalidInput, "");
}

#[test]
fn who_has_seen_an_older_version_is_told() {
    let change =
        ProductCommand::Update { expected_version: Some(7), name: None, description: None, price: None, active: Some(false) };
    assert_eq!(no(decide(Some(&a_mug()), change), Code::Conflict, "input.expectedVersion").current_version, Some(1));
}

#[test]
fn a_correction_of_stock_is_a_version_of_the_product_and_changes_nothing_else() {
    let event = yes(decide(Some(&a_mug()), adjust(-3)));
    assert_eq!(event, ProductEvent::StockAdjusted { delta: -3, reason: Some(text("counted again")) });
    assert_eq!(evolve(Some(a_mug()), &event), Some(Product { version: 2, ..a_mug() }));
}

#[test]
fn a_correction_by_zero_is_none() {
    no(decide(Some(&a_mug()), adjust(0)), Code::InvalidInput, "input.delta");
}

#[test]
fn what_is_not_in_the_catalogue_cannot_be_changed() {
    no(decide(None, change(None, None, None, Some(false))), Code::NotFound, "input.productId");
    no(decide(None, adjust(1)), Code::NotFound, "input.productId");
    assert_eq!(evolve(None, &ProductEvent::StockAdjusted { delta: 1, reason: None }), None);
}
