//! The messages of the protocol.

use crate::http::request::Body;
use axum::extract::ws::{CloseFrame, Message};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a client may say.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Incoming {
    ConnectionInit {
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Pong {},
    Subscribe {
        id: String,
        payload: Body,
    },
    Complete {
        id: String,
    },
}

impl Incoming {
    /// # Errors
    /// 4400, with what is wrong.
    pub fn parse(text: &str) -> Result<Self, Close> {
        serde_json::from_str(text).map_err(|_| Close::new(4400, "Invalid message received"))
    }
}

/// What the server says.
#[derive(Debug)]
pub enum Outgoing {
    Ack,
    Ping,
    Pong(Option<Value>),
    Next {
        id: String,
        payload: String,
    },
    /// The operation was not executed.
    Error {
        id: String,
        errors: String,
    },
    Complete {
        id: String,
    },
    Close(Close),
}

impl Outgoing {
    pub fn into_message(self) -> Message {
        let id = |id: &str| Value::from(id).to_string();
        let text = match self {
            Self::Ack => r#"{"type":"connection_ack"}"#.to_owned(),
            Self::Ping => r#"{"type":"ping"}"#.to_owned(),
            Self::Pong(None) => r#"{"type":"pong"}"#.to_owned(),
            Self::Pong(Some(payload)) => json!({ "type": "pong", "payload": payload }).to_string(),
            // Results are JSON already.
            Self::Next { id: of, payload } => format!(r#"{{"id":{},"type":"next","payload":{payload}}}"#, id(&of)),
            Self::Error { id: of, errors } => format!(r#"{{"id":{},"type":"error","payload":{errors}}}"#, id(&of)),
            Self::Complete { id: of } => format!(r#"{{"id":{},"type":"complete"}}"#, id(&of)),
            Self::Close(close) => {
                return Message::Close(Some(CloseFrame { code: close.code, reason: close.reason.into() }));
            }
        };
        Message::text(text)
    }
}

/// The end of a socket: a code of the protocol, and a reason for people.
#[derive(Debug, Clone)]
pub struct Close {
    pub code: u16,
    pub reason: String,
}

impl Close {
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        // A close frame holds 125 bytes, two of them for the code.
        let mut reason = reason.into();
        while reason.len() > 123 {
            reason.pop();
        }
        Self { code, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_messages_of_a_client_are_read() {
        assert!(matches!(Incoming::parse(r#"{"type":"connection_init"}"#), Ok(Incoming::ConnectionInit { payload: None })));
        assert!(matches!(Incoming::parse(r#"{"type":"complete","id":"1"}"#), Ok(Incoming::Complete { .. })));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"type":"next","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":"b"}}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
        ] {
            assert_eq!(Incoming::parse(wrong).err().map(|close| close.code), Some(4400), "{wrong}");
        }
    }

    #[test]
    fn ids_are_written_as_the_client_may_have_chosen_them() {
        let message = Outgoing::Complete { id: "\"}\n".into() }.into_message();
        let read: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(read["id"], "\"}\n");
    }

    #[test]
    fn a_reason_fits_into_its_frame() {
        assert!(Close::new(4409, "é".repeat(200)).reason.len() <= 123);
    }
}
