//! Cursors of subscriptions: places in the change log. They mean the same on every node.

use super::Positions;
use crate::query::{QueryError, view::ChangeId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// How far a subscriber to one order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderCursor {
    pub change: ChangeId,
    pub version: i64,
}

/// What a cursor is a place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// One order.
    Order,
    /// A list of orders.
    Orders,
}

impl Followed {
    /// Whether a text is a cursor of this kind.
    pub fn has(self, text: &str) -> bool {
        match self {
            Self::Order => OrderCursor::read(text).is_ok(),
            Self::Orders => read(text).is_ok(),
        }
    }
}

fn wrong() -> QueryError {
    QueryError::BadInput("this is not a cursor of this subscription; subscribe without it to start from now".into())
}

impl OrderCursor {
    pub fn write(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("o {} {} {}", self.change.partition, self.change.number, self.version))
    }

    /// # Errors
    /// The text is no cursor of `orderChanged`.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        let text = plain(text)?;
        let mut parts = text.split(' ');
        if parts.next() != Some("o") {
            return Err(wrong());
        }
        let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok()).ok_or_else(wrong);
        let partition = i32::try_from(number()?).map_err(|_| wrong())?;
        let change = ChangeId { partition, number: number()? };
        Ok(Self { change, version: number()? })
    }
}

/// Writes how far a subscriber to a list has come.
pub fn write(positions: &Positions) -> String {
    let places: Vec<String> = positions.iter().map(|(partition, number)| format!("{partition}:{number}")).collect();
    URL_SAFE_NO_PAD.encode(format!("l {}", places.join(" ")))
}

/// Reads it back.
///
/// # Errors
/// The text is no cursor of `ordersChanged`.
pub fn read(text: &str) -> Result<Positions, QueryError> {
    let text = plain(text)?;
    let mut parts = text.split(' ');
    if parts.next() != Some("l") {
        return Err(wrong());
    }
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (partition, number) = part.split_once(':').ok_or_else(wrong)?;
            Ok((partition.parse().map_err(|_| wrong())?, number.parse().map_err(|_| wrong())?))
        })
        .collect()
}

fn plain(text: &str) -> Result<String, QueryError> {
    // Ours are far shorter, with any sensible number of partitions.
    if text.len() > 4_000 {
        return Err(wrong());
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?).map_err(|_| wrong())
}
