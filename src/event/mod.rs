//! What has happened, in the one language that both sides share.
//!
//! These types are the storage format: their names and fields stand in the log, in messages and in the golden files of
//! `tests/golden/`. A field may be added with a default; anything else is a new version of the event. They hold values and
//! no rules, and know nothing of either side.
//!
//! **What a binary does with what it does not know.** Old and new processes run side by side during every upgrade, so:
//!
//! - A *field* that is unknown is ignored, in the data and in the envelope. So a field may only be added if ignoring it is right.
//! - A *type* that is unknown, which includes a newer version of a known one (`orderflow.order.paid.v2`), is never skipped. It
//!   parks its stream (`UNKNOWN_TYPE`), and later events of that stream wait behind it, whole, as they came. A newer binary
//!   retries them by itself when it starts; nobody has to do anything else. The relay sends types that it does not know.
//! - A *stream* of an unknown kind is no stream: its messages wait unordered (`UNREADABLE`) until a newer binary starts. The
//!   relay needs to know it, so relays are upgraded before the first event of a new kind is written.
//! - Another CloudEvents `specversion`, and data that does not have its type's shape, is `MALFORMED`: no upgrade is expected to
//!   help, and an operator is.
//!
//! A new version is therefore introduced in two releases: one that reads it, and then one that writes it. Then nothing is ever
//! parked. The rule above is for those who do it in one.

pub mod envelope;
mod order;
mod product;
mod token;
mod user;

pub use envelope::{Envelope, Meta, StockMark, Stream};
pub use order::*;
pub use product::{ProductEvent, StockEvent};
pub use token::{NotAToken, Token};
pub use user::UserEvent;

use serde::{Deserialize, Serialize};

/// Any event of ours. The tag is the CloudEvents `type`, which ends in the version of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    User(UserEvent),
    Product(ProductEvent),
    Stock(StockEvent),
    Order(OrderEvent),
}

/// An event that this binary cannot read. It is parked with its cause, never skipped.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("events of type {0:?} are unknown to this version of orderflow")]
    UnknownType(String),
    #[error("the data of this {kind} does not have its shape: {source}")]
    Malformed { kind: String, source: serde_json::Error },
}

impl Event {
    /// The CloudEvents `type`: `orderflow.<aggregate>.<fact>.v<version>`.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::User(event) => event.kind(),
            Event::Product(event) => event.kind(),
            Event::Stock(event) => event.kind(),
            Event::Order(event) => event.kind(),
        }
    }

    /// The data alone, without its type.
    ///
    /// # Errors
    /// None in practice: all keys are strings and all values finite. The signature is serde's.
    pub fn data(&self) -> Result<serde_json::Value, serde_json::Error> {
        #[derive(Deserialize)]
        struct Data {
            data: serde_json::Value,
        }
        let tagged = serde_json::to_value(self)?;
        Ok(serde_json::from_value::<Data>(tagged)?.data)
    }

    /// Reads an event back from its type and data.
    ///
    /// # Errors
    /// [`Unreadable`] when the type is not known here, or the data does not fit it.
    pub fn read(kind: &str, data: serde_json::Value) -> Result<Self, Unreadable> {
        let aggregate = kind.split('.').nth(1).unwrap_or_default();
        let tagged = serde_json::json!({ "type": kind, "data": data });
        let read = match aggregate {
            "user" if UserEvent::KINDS.contains(&kind) => serde_json::from_value(tagged).map(Event::User),
            "product" if ProductEvent::KINDS.contains(&kind) => serde_json::from_value(tagged).map(Event::Product),
            "stock" if StockEvent::KINDS.contains(&kind) => serde_json::from_value(tagged).map(Event::Stock),
            "order" if OrderEvent::KINDS.contains(&kind) => serde_json::from_value(tagged).map(Event::Order),
            _ => return Err(Unreadable::UnknownType(kind.to_owned())),
        };
        read.map_err(|source| Unreadable::Malformed { kind: kind.to_owned(), source })
    }
}

/// Ties each variant to its type name once, so that `serde`, [`Event::kind`] and [`Event::read`] cannot disagree.
macro_rules! kinds {
    ($name:ident { $($variant:ident => $kind:literal),+ $(,)? }) => {
        impl $name {
            /// Every type name of this aggregate.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $kind),+ }
            }
        }
    };
}
pub(crate) use kinds;
