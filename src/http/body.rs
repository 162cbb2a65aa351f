//! Reads the body of a request: not more than a body may have, not longer than it may take as a whole (a time for each piece
//! would let somebody send a byte a second for ever), and not more of all bodies together than there is room for.

use super::{Api, admission::Refusal, answer, negotiate::Form};
use crate::graphql::ErrorCode;
use axum::{
    body::{Body, HttpBody},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;

/// Why there is no body.
#[derive(Debug)]
pub enum NotRead {
    TooLarge,
    CutOff,
    Late,
    NoRoom(Refusal),
}

/// A body, with the room that it takes.
#[derive(Default)]
pub struct Read {
    pub bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

/// # Errors
/// The whole of it did not come.
pub async fn read(api: &Api, body: Body) -> Result<Read, NotRead> {
    let within = api.admission.limits().body_timeout;
    tokio::time::timeout(within, read_all(api, body)).await.unwrap_or_else(|_| {
        metrics::counter!("orderflow_timeouts_total", "of" => "body").increment(1);
        Err(NotRead::Late)
    })
}

/// What is too large is read and thrown away up to so many times the limit: somebody who is still sending does not hear the
/// answer. Beyond that they need not.
const HEARD_OUT: usize = 4;

async fn read_all(api: &Api, body: Body) -> Result<Read, NotRead> {
    let most = api.settings.body_limit;
    if body.size_hint().lower() > (HEARD_OUT * most) as u64 {
        return Err(NotRead::TooLarge);
    }
    let (mut read, mut total) = (Read::default(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| NotRead::CutOff)?;
        total += chunk.len();
        if total > most {
            read = Read::default();
            if total > HEARD_OUT * most {
                break;
            }
            continue;
        }
        let room = api.admission.body(chunk.len()).map_err(NotRead::NoRoom)?;
        match &mut read.room {
            Some(had) => had.merge(room),
            none => *none = Some(room),
        }
        read.bytes.extend_from_slice(&chunk);
    }
    if total > most { Err(NotRead::TooLarge) } else { Ok(read) }
}

impl NotRead {
    pub fn answer(self, form: Form) -> Response {
        let unread = "The body is too large or was cut off.";
        let mut response = match self {
            Self::TooLarge => answer::plain(form, StatusCode::PAYLOAD_TOO_LARGE, unread),
            Self::CutOff => answer::plain(form, StatusCode::BAD_REQUEST, unread),
            Self::Late => {
                let error = ErrorCode::RequestTimeout.server_error("The body did not arrive in time.");
                answer::refused(form, StatusCode::REQUEST_TIMEOUT, vec![error])
            }
            Self::NoRoom(refusal) => refusal.answer(form),
        };
        // The rest of it may still come, and nobody will read it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}
