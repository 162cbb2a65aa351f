//! The envelope of an event: a CloudEvents 1.0 JSON object (structured mode), the same in the log, on the wire and in the
//! parking lot. <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
//!
//! Extension attributes are lower case without separators, as the specification asks.

use super::{Event, Unreadable};
use crate::value::{CommandId, EventId, OrderId, ProductId, Time, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A stream of events with versions of its own: 1, 2, 3, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    User(UserId),
    Product(ProductId),
    /// The stock of a product.
    Stock(ProductId),
    Order(OrderId),
}

impl Stream {
    /// The aggregate's name in the log.
    pub fn kind(self) -> &'static str {
        match self {
            Stream::User(_) => "user",
            Stream::Product(_) => "product",
            Stream::Stock(_) => "stock",
            Stream::Order(_) => "order",
        }
    }

    /// The bare id; the stock of a product shares the product's.
    pub fn uuid(self) -> Uuid {
        match self {
            Stream::User(id) => id.0,
            Stream::Product(id) | Stream::Stock(id) => id.0,
            Stream::Order(id) => id.0,
        }
    }

    /// The id as clients know it.
    pub fn id(self) -> String {
        match self {
            Stream::User(id) => id.to_string(),
            Stream::Product(id) | Stream::Stock(id) => id.to_string(),
            Stream::Order(id) => id.to_string(),
        }
    }

    /// Puts kind and id together again, as the log stores them.
    pub fn from_parts(kind: &str, id: Uuid) -> Option<Self> {
        Some(match kind {
            "user" => Stream::User(UserId(id)),
            "product" => Stream::Product(ProductId(id)),
            "stock" => Stream::Stock(ProductId(id)),
            "order" => Stream::Order(OrderId(id)),
            _ => return None,
        })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.uuid().simple())
    }
}

impl std::str::FromStr for Stream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(kind, id)| Self::from_parts(kind, Uuid::try_parse(id).ok()?))
            .ok_or_else(|| format!("{text:?} names no stream of ours"))
    }
}

impl Serialize for Stream {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A stock level that the append of this event moved to: what a reader of products must have seen to have seen this event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockMark {
    pub product_id: ProductId,
    pub version: i64,
}

/// Everything about an event but its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub id: EventId,
    pub stream: Stream,
    pub version: i64,
    /// Just before the transaction committed.
    pub recorded_at: Time,
    /// The subject of the token that asked for it.
    pub actor: String,
    pub command_id: CommandId,
    /// W3C trace context of the request, so that one trace runs from the mutation to the socket.
    pub traceparent: Option<String>,
    /// Whose queue it travels through: the customer for users and their orders, else the product. Everything with one key stays
    /// in order.
    pub partition_key: Uuid,
    pub stock: Vec<StockMark>,
}

/// An event with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub meta: Meta,
    pub event: Event,
}

/// The JSON object, field by field.
#[derive(Serialize, Deserialize)]
struct Wire {
    specversion: String,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Stream,
    #[serde(with = "time::serde::rfc3339")]
    time: Time,
    datacontenttype: String,
    streamversion: i64,
    actor: String,
    commandid: CommandId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    traceparent: Option<String>,
    #[serde(with = "uuid::serde::simple")]
    partitionkey: Uuid,
    /// `product_…:3,product_…:8`: attributes are scalars.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    stockmarks: String,
    data: serde_json::Value,
}

/// What can be said of a message that cannot be read whole: enough to park it behind its stream.
#[derive(Debug, Clone, Deserialize)]
pub struct Header {
    pub id: EventId,
    pub subject: Stream,
    #[serde(rename = "streamversion")]
    pub version: i64,
}

/// The JSON text of a message, for who has type and data as they are stored and need not know what they mean.
///
/// # Errors
/// None in practice; the signature is serde's.
pub fn message(meta: &Meta, kind: &str, data: serde_json::Value) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Wire {
        specversion: "1.0".into(),
        id: meta.id,
        source: "/orderflow".into(),
        kind: kind.into(),
        subject: meta.stream,
        time: meta.recorded_at,
        datacontenttype: "application/json".into(),
        streamversion: meta.version,
        actor: meta.actor.clone(),
        commandid: meta.command_id.clone(),
        traceparent: meta.traceparent.clone(),
        partitionkey: meta.partition_key,
        stockmarks: write_marks(&meta.stock),
        data,
    })
}

impl Envelope {
    /// The JSON text of the message.
    ///
    /// # Errors
    /// None in practice; the signature is serde's.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        message(&self.meta, self.event.kind(), self.event.data()?)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`Unreadable`] when it is not a CloudEvent of ours, or holds an event that this version does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|source| Unreadable::Malformed { kind: "message".into(), source })?;
        let malformed = |why: String| Unreadable::Malformed { kind: wire.kind.clone(), source: serde::de::Error::custom(why) };
        if wire.specversion != "1.0" {
            return Err(malformed(format!("it is a CloudEvent of version {}, not 1.0", wire.specversion)));
        }
        let stock = read_marks(&wire.stockmarks).ok_or_else(|| malformed("its stockmarks cannot be read".into()))?;
        Ok(Self {
            event: Event::read(&wire.kind, wire.data)?,
            meta: Meta {
                id: wire.id,
                stream: wire.subject,
                version: wire.streamversion,
                recorded_at: wire.time,
                actor: wire.actor,
                command_id: wire.commandid,
                traceparent: wire.traceparent,
                partition_key: wire.partitionkey,
                stock,
            },
        })
    }
}

fn write_marks(marks: &[StockMark]) -> String {
    let marks: Vec<String> = marks.iter().map(|mark| format!("{}:{}", mark.product_id, mark.version)).collect();
    marks.join(",")
}

fn read_marks(text: &str) -> Option<Vec<StockMark>> {
    let mark = |part: &str| {
        let (product_id, version) = part.split_once(':')?;
        Some(StockMark { product_id: product_id.parse().ok()?, version: version.parse().ok()? })
    };
    text.split(',').filter(|part| !part.is_empty()).map(mark).collect()
}
