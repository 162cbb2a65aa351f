//! The waiting room: events that cannot be applied yet. An event that came early waits for the ones before it; an event that
//! nobody can read or fold waits for an operator, and everything later of its stream waits behind it, in order. Other streams do
//! not notice. What stands still as a whole, and why, is told by [`parking`](super::parking).

use super::working_set::Arrived;
use crate::{
    event::{Envelope, Stream, Unreadable, envelope::Header},
    query::view::{Cause, date},
    value::Time,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where messages wait that do not say which stream they belong to.
pub const STRAYS: &str = "unreadable";

/// Bytes of a message that are kept at most. MongoDB takes documents of 16 MB; an event of ours is a few KB.
const LONGEST: usize = 4 * 1024 * 1024;

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
    /// Stream and version, or a digest of the message when not even those can be read.
    #[serde(rename = "_id")]
    pub id: String,
    pub stream: String,
    pub version: i64,
    pub reason: Reason,
    /// What kind of thing is wrong.
    #[serde(default = "nobody_said")]
    pub code: Cause,
    /// What exactly is wrong, for the operator, without personal data.
    pub cause: String,
    #[serde(with = "date")]
    pub since: Time,
    pub partition: i32,
    #[serde(with = "date")]
    pub published_at: Time,
    /// The id of the event, if it can be told.
    #[serde(default)]
    pub event: Option<String>,
    /// The message as it came, so that a newer binary reads in it what this one passes over.
    pub body: String,
}

/// Rows of a release before there were codes.
fn nobody_said() -> Cause {
    Cause::Malformed
}

impl Waiting {
    /// An event that can be read. Who has it from the log and not from a message gives no body.
    pub fn event(arrived: &Arrived, body: &[u8], code: Cause, cause: String, now: Time) -> Self {
        let meta = &arrived.envelope.meta;
        let mut waiting = Self {
            id: key(meta.stream, meta.version),
            stream: meta.stream.to_string(),
            version: meta.version,
            reason: Reason::Gap,
            code,
            cause,
            since: now,
            partition: arrived.partition,
            published_at: arrived.published_at,
            event: Some(meta.id.to_string()),
            body: if body.is_empty() { text(&arrived.envelope.to_json().unwrap_or_default()) } else { text(body) },
        };
        waiting.blame(code, waiting.cause.clone());
        waiting
    }

    /// A message that is no event of ours, or none that this version can read.
    pub fn unreadable(body: &[u8], error: &Unreadable, partition: i32, published_at: Time, now: Time) -> Self {
        // A version below the first names no place behind a stream.
        let header = serde_json::from_slice::<Header>(body).ok().filter(|header| header.version > 0);
        let (code, cause) = diagnosis(error);
        let (id, stream, version, code, event) = match header {
            Some(it) => (key(it.subject, it.version), it.subject.to_string(), it.version, code, Some(it.id.to_string())),
            // The same message delivered again gets the same id, in every release, and no other does.
            None => (format!("{STRAYS}:{}", digest(body)), STRAYS.to_owned(), 0, Cause::Unreadable, None),
        };
        let reason = Reason::Poison;
        Self { id, stream, version, reason, code, cause, since: now, partition, published_at, event, body: text(body) }
    }

    /// The event as it arrived, if it can be read (now).
    pub fn arrived(&self) -> Option<Arrived> {
        self.read().ok()
    }

    /// The event as it arrived.
    ///
    /// # Errors
    /// What is wrong with it, as of this binary.
    pub fn read(&self) -> Result<Arrived, Unreadable> {
        let envelope = Envelope::from_json(self.body.as_bytes())?;
        Ok(Arrived { envelope, partition: self.partition, published_at: self.published_at })
    }

    /// Says anew why it waits; true if that is news.
    pub fn blame(&mut self, code: Cause, cause: String) -> bool {
        let reason = if code.is_poison() { Reason::Poison } else { Reason::Gap };
        let news = (self.reason, self.code, &self.cause) != (reason, code, &cause);
        (self.reason, self.code, self.cause) = (reason, code, cause);
        news
    }

    /// The CloudEvents `type` of the message, if it has one.
    pub fn kind(&self) -> Option<String> {
        self.attribute("type")
    }

    /// An attribute of the message, if it is JSON and has it.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let message: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        message.get(name)?.as_str().map(str::to_owned)
    }
}

/// What is wrong with a message: the kind of it, and a sentence without the values in it, which may be personal.
pub fn diagnosis(error: &Unreadable) -> (Cause, String) {
    match error {
        Unreadable::UnknownType(_) => (Cause::UnknownType, error.to_string()),
        Unreadable::Malformed { .. } => (Cause::Malformed, without_values(&error.to_string())),
    }
}

/// serde and MongoDB quote the text that they did not like; what stands between the quotes is left out.
pub fn without_values(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            '"' if !escaped => {
                told.push_str(if quoted { "\"" } else { "\"…" });
                quoted = !quoted;
            }
            _ if !quoted => told.push(c),
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    told
}

fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A message as text. One that is too long to be kept is cut; the log has it whole, if it is an event.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(LONGEST)]).into_owned()
}

/// The id of a waiting event.
pub fn key(stream: Stream, version: i64) -> String {
    format!("{stream}:{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_tells_no_values() {
        let error = serde_json::from_str::<i64>(r#""ada \"the first\" @example.com""#).unwrap_err();
        let (cause, told) = diagnosis(&Unreadable::Malformed { kind: "orderflow.order.paid.v1".into(), source: error });
        assert_eq!(cause, Cause::Malformed);
        assert!(told.contains("orderflow.order.paid.v1") && told.contains("string \"…\", expected i64"), "{told}");
        assert!(!told.contains("ada") && !told.contains("first") && !told.contains("example"), "{told}");
    }

    #[test]
    fn a_stray_has_the_same_id_whenever_it_comes() {
        let error = Envelope::from_json(b"not even JSON").unwrap_err();
        let stray = |body: &[u8]| Waiting::unreadable(body, &error, 0, Time::UNIX_EPOCH, Time::UNIX_EPOCH);
        assert_eq!(stray(b"not even JSON").id, "unreadable:5f6b918a346f51962698b5a0774bb17d");
        assert_ne!(stray(b"not even json").id, stray(b"not even JSON").id);
        let header = br#"{"id":"event_0190d3f57a0070008000000000000001","subject":"order/0190d3f57a0070008000000000000002",
            "streamversion":0}"#;
        assert_eq!(stray(header).stream, STRAYS, "there is no version 0");
    }
}
