//! Typed ids: a prefix that says what it is, then a UUIDv7 (RFC 9562) in hex, so that they sort by age and cannot be mixed up.

use super::Invalid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The part before the underscore in the text form.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| {
                        let like = concat!($prefix, "_0190d3f5…");
                        let article = if matches!($prefix, "order" | "event") { "an" } else { "a" };
                        Invalid::new(format!("this is not the id of {article} {}: it must look like {like}", $prefix))
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

typed_id!(/// A customer, member of staff or administrator.
    UserId, "user");
typed_id!(/// A product of the catalogue; its stock stream carries the same id.
    ProductId, "product");
typed_id!(/// An order.
    OrderId, "order");
typed_id!(/// One line of one order.
    LineId, "line");
typed_id!(/// One parcel of one order.
    ShipmentId, "shipment");
typed_id!(/// One event of the log.
    EventId, "event");

/// The key under which a command is done at most once for an actor. Made by the client: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(String);

impl CommandId {
    /// The longest id a client may choose, in characters.
    pub const MAX: usize = 128;

    /// An id for a command whose sender chose none.
    pub fn from_uuid(id: Uuid) -> Self {
        Self(format!("command_{}", id.simple()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CommandId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some(Self(text)).ok_or_else(|| {
            Invalid::new("a commandId has 1 to 128 visible ASCII characters and no spaces; a UUID is a good choice")
        })
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> String {
        id.0
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_it_is_and_is_nothing_else() {
        let text = "order_0190d3f57a0070008000000000000001";
        assert_eq!(text.parse::<OrderId>().unwrap().to_string(), text);
        assert!(text.parse::<ProductId>().is_err());
        let bare = "0190d3f57a0070008000000000000001";
        for wrong in ["", "order_", bare, &text[..text.len() - 1], "order_0190d3f5-7a00-7000-8000-000000000001"] {
            assert!(wrong.parse::<OrderId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_command_id_is_short_and_visible() {
        let parse = |text: &str| CommandId::try_from(text.to_owned());
        assert_eq!(parse("checkout-7").unwrap().as_str(), "checkout-7");
        assert!(parse(&"a".repeat(CommandId::MAX)).is_ok());
        for wrong in ["", "a b", "a\n", "ä", &"a".repeat(CommandId::MAX + 1)] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(CommandId::from_uuid(Uuid::nil()).as_str()).is_ok(), "our own keep to it too");
    }
}
