//! Who may come in: how many requests a client may send, and how much may be in hand at once, of one client and of all.
//!
//! A client is the subject of its token, else the address it comes from. Nothing queues here: what is over a bound is refused at
//! once and told when to come again. The bounds are those of one process; a client that spreads over several has each of them.

mod address;
mod clients;
mod refusal;

pub use address::Peer;
pub use refusal::Refusal;

use crate::config::{self, Rate};
use axum::http::HeaderMap;
use clients::{Client, Clients, Key, Limiter, spend};
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    limits: config::Clients,
    clients: Mutex<Clients>,
    operations: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    /// Bytes of bodies on their way in.
    bodies: Arc<Semaphore>,
}

impl Admission {
    pub fn new(limits: &config::Clients) -> Self {
        Self(Arc::new(Inner {
            clients: Mutex::new(Clients::new(limits)),
            operations: Arc::new(Semaphore::new(limits.operations)),
            sockets: Arc::new(Semaphore::new(limits.sockets)),
            bodies: Arc::new(Semaphore::new(limits.bodies)),
            limits: limits.clone(),
        }))
    }

    pub fn limits(&self) -> &config::Clients {
        &self.0.limits
    }

    /// Whether X-Forwarded-For of this peer is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        address::is_trusted(peer, &self.0.limits.trusted_proxies)
    }

    /// The caller of a request: by its token if it has a good one, else by where it comes from.
    pub fn guest(&self, peer: Option<&Peer>, headers: &HeaderMap, subject: Option<&str>) -> Guest {
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        let address = address::of_client(peer, headers, &self.0.limits.trusted_proxies);
        match subject {
            Some(subject) => self.known_as(Key::Subject(subject.into())),
            None => self.at(address),
        }
    }

    /// Whoever comes from this address.
    pub fn at(&self, address: IpAddr) -> Guest {
        self.known_as(Key::Address(address::network(address)))
    }

    fn known_as(&self, key: Key) -> Guest {
        let client = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner).client(key);
        Guest { admission: self.clone(), client }
    }

    /// Room for so many bytes of a body.
    ///
    /// # Errors
    /// There is none left.
    pub fn body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let room = u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(&self.0.bodies).try_acquire_many_owned(bytes).ok());
        room.ok_or_else(|| Refusal::Overloaded("bodies").counted())
    }
}

/// A caller, as far as the bounds are concerned. Cheap to clone.
#[derive(Clone)]
pub struct Guest {
    admission: Admission,
    client: Arc<Client>,
}

/// A place that is taken until this is dropped: of the client's, and of everybody's.
pub struct Place {
    of_client: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
    /// A client with something in hand is not forgotten.
    client: Arc<Client>,
    gauge: Option<&'static str>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gauge) = self.gauge {
            metrics::gauge!(gauge).decrement(1.0);
        }
    }
}

impl Guest {
    /// The same caller, after it has signed in.
    pub fn signed_in(&self, subject: &str) -> Self {
        self.admission.known_as(Key::Subject(subject.into()))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The client has sent too many.
    pub fn request(&self) -> Result<(), Refusal> {
        let bucket = self.client.bucket.as_ref();
        bucket.map_or(Ok(()), |bucket| spend(bucket).map_err(|wait| Refusal::Requests(wait).counted()))
    }

    /// A place for a query or a mutation.
    ///
    /// # Errors
    /// As many run as may, of this client's or of everybody's.
    pub fn operation(&self) -> Result<Place, Refusal> {
        let (mine, all) = (self.client.operations.as_ref(), Some(&self.admission.0.operations));
        self.take(mine, all, Some("orderflow_operations"), [Refusal::Operations, Refusal::Overloaded("operations")])
    }

    /// A place for a WebSocket or a stream of events.
    ///
    /// # Errors
    /// As many are open as may be, of this client's or of everybody's.
    pub fn socket(&self) -> Result<Place, Refusal> {
        let (mine, all) = (self.client.sockets.as_ref(), Some(&self.admission.0.sockets));
        self.take(mine, all, Some("orderflow_sockets"), [Refusal::Sockets, Refusal::Overloaded("sockets")])
    }

    /// Takes over the place of a socket whose client has said who it is.
    ///
    /// # Errors
    /// As many of this client's are open as may be; the place is left as it was.
    pub fn take_over(&self, place: &mut Place) -> Result<(), Refusal> {
        if !Arc::ptr_eq(&place.client, &self.client) {
            place.of_client = taken(self.client.sockets.as_ref(), Refusal::Sockets)?;
            place.client = Arc::clone(&self.client);
        }
        Ok(())
    }

    /// A place for a connection, beside the bound of all, which is the listener's.
    ///
    /// # Errors
    /// As many are open from this address as may be.
    pub fn connection(&self) -> Result<Place, Refusal> {
        let mine = self.client.connections.as_ref();
        self.take(mine, None, None, [Refusal::Connections, Refusal::Overloaded("connections")])
    }

    /// How fast the messages of one socket are read.
    pub fn pace(&self) -> Pace {
        let more = |number: NonZeroU32| number.saturating_mul(MESSAGES);
        let rate = self.admission.0.limits.rate;
        Pace(rate.map(|rate| clients::limiter(Rate { per_second: more(rate.per_second), burst: more(rate.burst) })))
    }

    fn take(
        &self,
        of_client: Option<&Arc<Semaphore>>,
        of_all: Option<&Arc<Semaphore>>,
        gauge: Option<&'static str>,
        refusals: [Refusal; 2],
    ) -> Result<Place, Refusal> {
        let of_client = taken(of_client, refusals[0])?;
        let of_all = taken(of_all, refusals[1])?;
        if let Some(gauge) = gauge {
            metrics::gauge!(gauge).increment(1.0);
        }
        Ok(Place { of_client, _of_all: of_all, client: Arc::clone(&self.client), gauge })
    }
}

/// A permit, at once or not at all; without a bound none is needed.
fn taken(places: Option<&Arc<Semaphore>>, refusal: Refusal) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    let permit = places.map(|places| Arc::clone(places).try_acquire_owned()).transpose();
    permit.map_err(|_| refusal.counted())
}

/// Messages of a socket for each request that may come. Most are pings and ends of operations, and cheap.
const MESSAGES: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Messages that begin nothing, such as pings, are not refused but read only so fast; what is not read waits on the client's side
/// of the wire.
pub struct Pace(Option<Limiter>);

impl Pace {
    /// Waits until the next message may be read: not at all, unless the client sends too many.
    pub async fn message(&self) {
        let Some(bucket) = &self.0 else { return };
        while let Err(wait) = spend(bucket) {
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

#[cfg(test)]
mod tests;
