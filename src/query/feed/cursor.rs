//! Cursors of subscriptions: places in the change log. They mean the same on every node.
//!
//! A place has the epoch of its numbering in it. When the read model has been wiped numbers begin anew, and a cursor of before
//! must not pass for one of now.

use super::{Place, Positions};
use crate::query::{QueryError, view::ChangeId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// How far a subscriber to one order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderCursor {
    pub change: ChangeId,
    pub epoch: i64,
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

/// A number of a cursor; one that is left out was so in an earlier release.
fn number(part: Option<&str>, left_out: Option<i64>) -> Result<i64, QueryError> {
    match part {
        Some(part) => part.parse().map_err(|_| wrong()),
        None => left_out.ok_or_else(wrong),
    }
}

impl OrderCursor {
    pub fn write(self) -> String {
        let ChangeId { partition, number } = self.change;
        URL_SAFE_NO_PAD.encode(format!("o {partition} {number} {} {}", self.version, self.epoch))
    }

    /// # Errors
    /// The text is no cursor of `orderChanged`.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        let text = plain(text)?;
        let mut parts = text.split(' ');
        if parts.next() != Some("o") {
            return Err(wrong());
        }
        let partition = i32::try_from(number(parts.next(), None)?).map_err(|_| wrong())?;
        let change = ChangeId { partition, number: number(parts.next(), None)? };
        let version = number(parts.next(), None)?;
        Ok(Self { change, version, epoch: number(parts.next(), Some(0))? })
    }
}

/// Writes how far a subscriber to a list has come.
pub fn write(positions: &Positions) -> String {
    let place = |(partition, place): (&i32, &Place)| format!("{partition}:{}:{}", place.number, place.epoch);
    let places: Vec<String> = positions.iter().map(place).collect();
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
            let mut numbers = part.split(':');
            let partition = i32::try_from(number(numbers.next(), None)?).map_err(|_| wrong())?;
            let place = Place { number: number(numbers.next(), None)?, epoch: number(numbers.next(), Some(0))? };
            if numbers.next().is_some() { Err(wrong()) } else { Ok((partition, place)) }
        })
        .collect()
}

fn plain(text: &str) -> Result<String, QueryError> {
    // Ours are shorter with as many partitions as there may be.
    if text.len() > 16_000 {
        return Err(wrong());
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_were_and_those_of_an_earlier_release_are_read() {
        let order = OrderCursor { change: ChangeId { partition: 3, number: 17 }, epoch: 1_763_900_000_000, version: 5 };
        assert_eq!(OrderCursor::read(&order.write()).unwrap(), order);
        let old = OrderCursor::read(&URL_SAFE_NO_PAD.encode("o 3 17 5")).unwrap();
        assert_eq!(old, OrderCursor { epoch: 0, ..order });

        let most: Positions = (0..256).map(|p| (p, Place { epoch: 1_763_900_000_000, number: i64::MAX })).collect();
        assert_eq!(read(&write(&most)).unwrap(), most);
        assert_eq!(read(&write(&Positions::new())).unwrap(), Positions::new());
        let old = read(&URL_SAFE_NO_PAD.encode("l 0:4 1:9")).unwrap();
        assert_eq!(old, Positions::from([(0, Place { epoch: 0, number: 4 }), (1, Place { epoch: 0, number: 9 })]));
        for garbage in ["l 0", "l 0:x", "l 0:1:2:3", "l 99999999999:1", "o 0:1"] {
            assert!(read(&URL_SAFE_NO_PAD.encode(garbage)).is_err(), "{garbage}");
        }
    }
}
