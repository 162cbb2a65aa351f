//! Where a reader of server-sent events is, and where it goes on after a cut.
//!
//! A browser hands `Last-Event-ID` back by itself, so each event of a subscription to orders carries the cursor of its change as
//! its id. In the payload the cursor stands only if the client asked for it, and putting it there unasked would change the
//! answer. So the resolvers tell it to whoever sends the events, beside the payload. An operation that goes another way has
//! nobody to tell, and pays nothing for this.
//!
//! Cursors wait in the order of the results, one a result, for the sender to take both. There are as many as there are results
//! under way between the two; the sender asks for the next result only when the last one is on the wire, so that is one.

use super::{error::ErrorCode, executor::Prepared};
use crate::query::{Followed, OrderUpdate, QueryError};
use async_graphql::{Context, ServerError};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// What resolvers know of the reader.
pub struct Reader {
    last: Option<String>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    start: Option<oneshot::Sender<String>>,
    places: VecDeque<Option<String>>,
}

impl Reader {
    /// Held to move a text, never over an await. A panic inside leaves a plain queue, which is still right.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of an operation, for its sender.
pub struct Places {
    reader: Option<Arc<Reader>>,
    start: Option<oneshot::Receiver<String>>,
}

impl Places {
    /// Those of an operation that is about to be sent as events, after the event that the client has seen last, if it says one.
    ///
    /// A subscription to one order or to a list of them can go on. A product has no log and begins with its newest state anyway,
    /// and what is no subscription ends with its answer. For these the last id means nothing and is not looked at.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`: the id is none of this subscription's.
    pub fn of(prepared: &mut Prepared, last_event_id: Option<&str>) -> Result<Self, ServerError> {
        let followed = match prepared.follows() {
            Some("orderChanged") => Followed::Order,
            Some("ordersChanged") => Followed::Orders,
            _ => return Ok(Self::none()),
        };
        let (reader, places) = Self::begin(followed, last_event_id)?;
        prepared.tell(reader);
        Ok(places)
    }

    /// Of an operation that has none.
    pub fn none() -> Self {
        Self { reader: None, start: None }
    }

    fn begin(followed: Followed, last_event_id: Option<&str>) -> Result<(Arc<Reader>, Self), ServerError> {
        if last_event_id.is_some_and(|id| !followed.has(id)) {
            return Err(ErrorCode::BadUserInput.server_error(
                "Last-Event-ID is not the id of an event of this subscription; send it as it was received, or subscribe without \
                 it to start from now.",
            ));
        }
        let (sender, start) = oneshot::channel();
        let told = Mutex::new(Told { start: Some(sender), places: VecDeque::new() });
        let reader = Arc::new(Reader { last: last_event_id.map(str::to_owned), told });
        Ok((reader.clone(), Self { reader: Some(reader), start: Some(start) }))
    }

    /// The place where the operation begins. A list says nothing until something happens, and whoever is cut off before that
    /// would not know where to go on. Waits for ever where there is no such place, or once there has been a result.
    pub async fn start(&mut self) -> String {
        if let Some(start) = &mut self.start {
            let place = start.await;
            self.start = None;
            if let Ok(place) = place {
                return place;
            }
        }
        std::future::pending().await
    }

    /// The place after the next result, if it has one: an error has none.
    pub fn take(&mut self) -> Option<String> {
        // What comes later is a later place.
        self.start = None;
        self.reader.as_ref()?.told().places.pop_front().flatten()
    }
}

/// The other end, for resolvers.
pub struct Teller(Option<Arc<Reader>>);

impl Teller {
    pub fn of(ctx: &Context<'_>) -> Self {
        Self(ctx.data_opt::<Arc<Reader>>().cloned())
    }

    /// Where to begin. The last event is newer than the request: a browser that reconnects sends the same request again, with the
    /// cursor with which it once began.
    pub fn after(&self, argument: Option<String>) -> Option<String> {
        self.0.as_ref().and_then(|reader| reader.last.clone()).or(argument)
    }

    /// Tells where an operation begins that was not told where to.
    pub fn tell_start(&self, place: String) {
        if let Some(start) = self.0.as_ref().and_then(|reader| reader.told().start.take()) {
            // A reader that is gone need not know.
            let _ = start.send(place);
        }
    }

    /// Tells the place after a result, just before the result itself.
    pub fn tell(&self, update: &Result<OrderUpdate, QueryError>) {
        if let Some(reader) = &self.0 {
            reader.told().places.push_back(update.as_ref().ok().map(|update| update.cursor.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    #[test]
    fn an_id_is_one_of_the_subscription_or_refused() {
        let (one, list) = (URL_SAFE_NO_PAD.encode("o 1 2 3"), URL_SAFE_NO_PAD.encode("l 0:7 1:9"));
        let begun = |followed, id: &str| Places::begin(followed, Some(id)).map(|(reader, _)| Teller(Some(reader)).after(None));
        for (followed, good, wrong) in [(Followed::Order, &one, &list), (Followed::Orders, &list, &one)] {
            // It is newer than what stands in the request.
            assert_eq!(begun(followed, good).unwrap().as_ref(), Some(good));
            for id in [wrong, "", "garbage", "é", &"A".repeat(9_000)] {
                assert!(begun(followed, id).is_err_and(|error| error.message.contains("Last-Event-ID")), "{id}");
            }
        }
        let (reader, _) = Places::begin(Followed::Order, None).unwrap();
        assert_eq!(Teller(Some(reader)).after(Some(one.clone())), Some(one));
    }

    #[tokio::test]
    async fn a_start_is_told_once_and_not_after_a_result() {
        let (reader, mut places) = Places::begin(Followed::Orders, None).unwrap();
        Teller(Some(reader)).tell_start("here".into());
        assert_eq!(places.start().await, "here");
        assert!(futures_util::poll!(std::pin::pin!(places.start())).is_pending());
        let (reader, mut late) = Places::begin(Followed::Orders, None).unwrap();
        Teller(Some(reader)).tell_start("here".into());
        assert_eq!(late.take(), None, "an error has no place");
        assert!(futures_util::poll!(std::pin::pin!(late.start())).is_pending());
    }
}
