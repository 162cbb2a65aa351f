//! The waiting room: events that cannot be applied yet. An event that came early waits for the ones before it; an event that
//! nobody can read or fold waits for an operator, and everything later of its stream waits behind it, in order. Other streams do
//! not notice.

use super::working_set::Arrived;
use crate::{
    event::{Envelope, Stream, envelope::Header},
    query::view::date,
    value::Time,
};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Why an event waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// An earlier event of its stream has not been applied.
    Gap,
    /// It cannot be read or folded.
    Poison,
}

/// A waiting event, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Stream and version, or the message's own text when not even those can be read.
    #[serde(rename = "_id")]
    pub id: String,
    pub stream: String,
    pub version: i64,
    pub reason: Reason,
    /// What is wrong, for the operator.
    pub cause: String,
    #[serde(with = "date")]
    pub since: Time,
    pub partition: i32,
    #[serde(with = "date")]
    pub published_at: Time,
    /// The message.
    pub body: String,
}

impl Waiting {
    pub fn event(arrived: &Arrived, reason: Reason, cause: String, now: Time) -> Self {
        let meta = &arrived.envelope.meta;
        Self {
            id: key(meta.stream, meta.version),
            stream: meta.stream.to_string(),
            version: meta.version,
            reason,
            cause,
            since: now,
            partition: arrived.partition,
            published_at: arrived.published_at,
            body: arrived.envelope.to_json().map(|json| String::from_utf8_lossy(&json).into_owned()).unwrap_or_default(),
        }
    }

    /// A message that is no event of ours, or none that this version can read.
    pub fn unreadable(body: &[u8], cause: String, partition: i32, published_at: Time, now: Time) -> Self {
        let text = String::from_utf8_lossy(body).into_owned();
        let header = serde_json::from_slice::<Header>(body).ok();
        let (id, stream, version) = match header {
            Some(header) => (key(header.subject, header.version), header.subject.to_string(), header.version),
            None => {
                // The same message delivered again gets the same id, and no other does.
                let mut hasher = DefaultHasher::new();
                body.hash(&mut hasher);
                (format!("unreadable:{:016x}:{}", hasher.finish(), body.len()), "unreadable".into(), 0)
            }
        };
        Self { id, stream, version, reason: Reason::Poison, cause, since: now, partition, published_at, body: text }
    }

    /// The event as it arrived, if it can be read (now).
    pub fn arrived(&self) -> Option<Arrived> {
        let envelope = Envelope::from_json(self.body.as_bytes()).ok()?;
        Some(Arrived { envelope, partition: self.partition, published_at: self.published_at })
    }
}

/// The id of a waiting event.
pub fn key(stream: Stream, version: i64) -> String {
    format!("{stream}:{version}")
}
