//! Command ids that follow from what a command does: the same row means the same id in every run, so what is done is never done
//! twice, whoever asks again and from whichever file.

use super::{
    plan::SaleLine,
    row::{Customer, Row},
};
use crate::value::{CommandId, Money, Reference, Sku, Time};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A digest of parts, each with its length, so that no two lists of parts look the same.
struct Content(Sha256);

impl Content {
    fn of(kind: &str) -> Self {
        Self(Sha256::new()).text(kind)
    }

    fn text(mut self, part: &str) -> Self {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part.as_bytes());
        self
    }

    fn number(mut self, part: i64) -> Self {
        self.0.update(part.to_be_bytes());
        self
    }

    /// Half of the digest: 128 bits are beyond any chance of two being the same.
    fn digest(self) -> u128 {
        self.0.finalize().iter().take(16).fold(0_u128, |digest, byte| (digest << 8) | u128::from(*byte))
    }
}

/// Puts an id together. The name is for people who read the log; one that would not fit there is left out, and the digest knows
/// it.
fn command_id(kind: &str, name: &str, digest: u128) -> CommandId {
    let plain = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let name = if plain { name } else { "" };
    CommandId::try_from(format!("online-retail:{kind}:{name}:{digest:032x}"))
        // It fits: 95 visible characters at most. If it did not, the digest alone would say as much.
        .unwrap_or_else(|_| CommandId::from_uuid(Uuid::from_u128(digest)))
}

pub(super) fn user(customer: &Customer) -> CommandId {
    let name = match customer {
        Customer::Guest => "guest",
        Customer::Numbered(number) => number,
    };
    command_id("user", name, Content::of("user").text(&customer.email()).text(&customer.to_string()).digest())
}

pub(super) fn product(sku: &Sku, name: &str, price: Money) -> CommandId {
    command_id("product", sku.as_str(), Content::of("product").text(sku.as_str()).text(name).number(price.minor).digest())
}

/// The ids of placing an order and of paying for it.
pub(super) fn sale(number: &Reference, customer: &Customer, at: Time, lines: &[SaleLine]) -> (CommandId, CommandId) {
    let order = Content::of("order").text(number.as_str()).text(&customer.email()).number(at.unix_timestamp());
    let order = lines
        .iter()
        .fold(order, |order, line| order.text(line.sku.as_str()).number(line.quantity.get()).number(line.price.minor));
    let digest = order.digest();
    (command_id("order", number.as_str(), digest), command_id("pay", number.as_str(), digest))
}

/// What makes two rows of one returning invoice the same.
pub(super) fn content(row: &Row) -> u128 {
    Content::of("row")
        .text(row.sku.as_str())
        .number(row.quantity.get())
        .number(row.price.minor)
        .number(row.at.unix_timestamp())
        .text(&row.customer.email())
        .digest()
}

/// `ordinal` counts the rows of the invoice with this content: each of them takes goods back once.
pub(super) fn refund(number: &Reference, content: u128, ordinal: i64) -> CommandId {
    let digest = Content::of("refund").text(number.as_str()).text(&format!("{content:032x}")).number(ordinal).digest();
    command_id("refund", number.as_str(), digest)
}

/// A top-up belongs to one version of the stock: it cannot happen twice to the same, and can happen again to another.
pub(super) fn top_up(sku: &Sku, stock_version: i64, delta: i64) -> CommandId {
    command_id("stock", sku.as_str(), Content::of("stock").text(sku.as_str()).number(stock_version).number(delta).digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_valid_whatever_the_names_are() {
        let name = |text: &str| refund(&Reference::parse(text).unwrap(), 1, 1);
        assert!(name("C536379").as_str().starts_with("online-retail:refund:C536379:"));
        for odd in ["C 1", "C:1", "Cé", "C".repeat(128).as_str()] {
            assert!(name(odd).as_str().starts_with("online-retail:refund::"), "{}", name(odd));
        }
        assert_ne!(name("C 1"), name("C:1"), "what the name does not say, the digest does");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Content::of("x").text("ab").text("c").digest(), Content::of("x").text("a").text("bc").digest());
        assert_eq!(format!("{:032x}", Content(Sha256::new()).digest()), "e3b0c44298fc1c149afbf4c8996fb924");
    }

    #[test]
    fn the_next_top_up_of_the_same_product_is_another_one() {
        let sku = Sku::parse("85123A").unwrap();
        assert_eq!(top_up(&sku, 1, 10), top_up(&sku, 1, 10));
        assert_ne!(top_up(&sku, 1, 10), top_up(&sku, 3, 10));
    }
}
