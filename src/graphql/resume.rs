//! Where a reader of server-sent events is, and where it goes on after a cut.
//!
//! A browser hands `Last-Event-ID` back by itself, so each event of a subscription to orders carries the cursor of its change as
//! its id. In the payload the cursor stands only if the client asked for it, and putting it there unasked would change the
//! answer. So the resolvers tell it to whoever sends the events, beside the payload. An operation that goes another way has
//! nobody to tell, and pays nothing for this.
//!
//! Cursors wait in the order of the results, one a result, for the sender to take both. There are as many as there are results
//! under way between the two; the sender asks for the next result only when the last one is on the wire, so that is one.

use super::error::ErrorCode;
use crate::query::{Followed, OrderUpdate, QueryError};
use async_graphql::{
    Context, Name, Request, ServerError,
    parser::types::{OperationType, Selection},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// What resolvers know of the reader.
struct Reader {
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
    /// Prepares a request to be sent as events, after the event that the client has seen last, if it says one.
    ///
    /// A subscription to one order or to a list of them can go on. An operation that follows several things at once has no ids,
    /// because an id can only be the place of one; a product has no log and begins with its newest state anyway; and what is no
    /// subscription ends with its answer. For all of these the last id means nothing and is not looked at.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`: the id is none of this subscription's.
    pub fn begin(mut request: Request, last_event_id: Option<&str>) -> Result<(Request, Self), ServerError> {
        let Some(followed) = followed(&mut request)? else { return Ok((request, Self { reader: None, start: None })) };
        if last_event_id.is_some_and(|id| !followed.has(id)) {
            return Err(ErrorCode::BadUserInput.server_error(
                "Last-Event-ID is not the id of an event of this subscription; send it as it was received, or subscribe without \
                 it to start from now.",
            ));
        }
        let (sender, start) = oneshot::channel();
        let told = Mutex::new(Told { start: Some(sender), places: VecDeque::new() });
        let reader = Arc::new(Reader { last: last_event_id.map(str::to_owned), told });
        Ok((request.data(reader.clone()), Self { reader: Some(reader), start: Some(start) }))
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
    pub fn next(&mut self) -> Option<String> {
        // What comes later is a later place.
        self.start = None;
        self.reader.as_ref()?.told().places.pop_front().flatten()
    }
}

/// What the operation that will be executed follows, if it is one thing that can be gone on with.
fn followed(request: &mut Request) -> Result<Option<Followed>, ServerError> {
    let name = request.operation_name.clone();
    let document = request.parsed_query().map_err(|error| ErrorCode::ParseFailed.put_on(error))?;
    let chosen = document.operations.iter().find(|(key, _)| name.is_none() || key.map(Name::as_str) == name.as_deref());
    let Some((_, operation)) = chosen.filter(|(_, operation)| operation.node.ty == OperationType::Subscription) else {
        return Ok(None);
    };
    let [only] = operation.node.selection_set.node.items.as_slice() else { return Ok(None) };
    let Selection::Field(field) = &only.node else { return Ok(None) };
    Ok(match field.node.name.node.as_str() {
        "orderChanged" => Some(Followed::Order),
        "ordersChanged" => Some(Followed::Orders),
        _ => None,
    })
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

    fn begun(query: &str, id: Option<&str>) -> Result<bool, String> {
        Places::begin(Request::new(query), id).map(|(_, places)| places.reader.is_some()).map_err(|error| error.message)
    }

    #[test]
    fn only_one_thing_that_has_a_log_can_be_gone_on_with() {
        assert_eq!(begun("subscription { orderChanged(id: \"x\") { kind } }", None), Ok(true));
        assert_eq!(begun("query A { me { id } } subscription B { o: ordersChanged { kind } }", None), Ok(false));
        let named = Request::new("query A { me { id } } subscription B { o: ordersChanged { kind } }").operation_name("B");
        assert!(Places::begin(named, None).is_ok_and(|(_, places)| places.reader.is_some()));
        for query in [
            "{ me { id } }",
            "mutation { ordersChanged { kind } }",
            "subscription { productChanged(id: \"x\") { sku } }",
            "subscription { a: ordersChanged { kind } b: ordersChanged { kind } }",
        ] {
            assert_eq!(begun(query, Some("garbage")), Ok(false), "{query}");
        }
    }

    #[test]
    fn an_id_is_one_of_the_subscription_or_refused() {
        let (one, list) = (URL_SAFE_NO_PAD.encode("o 1 2 3"), URL_SAFE_NO_PAD.encode("l 0:7 1:9"));
        let (order, orders) = ("subscription { orderChanged(id: \"x\") { kind } }", "subscription { ordersChanged { kind } }");
        assert_eq!((begun(order, Some(&one)), begun(orders, Some(&list))), (Ok(true), Ok(true)));
        for (query, id) in
            [(order, list.as_str()), (orders, &one), (order, "garbage"), (orders, "é"), (orders, &"A".repeat(9_000))]
        {
            assert!(begun(query, Some(id)).is_err_and(|message| message.contains("Last-Event-ID")), "{id}");
        }
    }

    #[tokio::test]
    async fn a_start_is_told_once_and_not_after_a_result() {
        let query = "subscription { ordersChanged { kind } }";
        let shared = |places: &Places| Teller(places.reader.clone());
        let begin = || Places::begin(Request::new(query), None).unwrap().1;
        let mut places = begin();
        shared(&places).tell_start("here".into());
        assert_eq!(places.start().await, "here");
        assert!(futures_util::poll!(std::pin::pin!(places.start())).is_pending());
        let mut late = begin();
        shared(&late).tell_start("here".into());
        assert_eq!(late.next(), None, "an error has no place");
        assert!(futures_util::poll!(std::pin::pin!(late.start())).is_pending());
    }
}
