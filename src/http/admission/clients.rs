//! The clients that are known at present. Their number is bounded, and those that are idle are forgotten.

use crate::config;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use lru::LruCache;
use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// One bucket; a few words.
pub type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware>;

pub fn limiter(rate: config::Rate) -> Limiter {
    RateLimiter::direct(Quota::per_second(rate.per_second).allow_burst(rate.burst))
}

/// Takes one from a bucket; says how long to wait when it is empty.
pub fn spend(bucket: &Limiter) -> Result<(), Duration> {
    bucket.check().map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Subject(Box<str>),
    /// Of IPv6 a whole /64: that is what one subscriber of a provider has.
    Address(IpAddr),
}

/// What is known of a client. Where there is no bound, there is nothing.
pub struct Client {
    pub bucket: Option<Limiter>,
    pub operations: Option<Arc<Semaphore>>,
    pub sockets: Option<Arc<Semaphore>>,
    pub connections: Option<Arc<Semaphore>>,
}

pub struct Clients {
    limits: config::Clients,
    pub(super) known: LruCache<Key, Known>,
    /// An idle client is forgotten after this time: its bucket is full again, so nothing is lost.
    pub(super) forget_after: Duration,
}

pub(super) struct Known {
    client: Arc<Client>,
    seen: Instant,
}

impl Known {
    /// Somebody holds it: a request is in hand, or a socket or connection is open.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.client) > 1
    }
}

/// Clients beside those that have a connection.
const IDLE: usize = 20_000;
/// How many of the oldest are looked at for each newcomer, so that no request pays for many.
const LOOKS: usize = 8;

impl Clients {
    pub fn new(limits: &config::Clients) -> Self {
        let most = NonZeroUsize::MIN.saturating_add(limits.connections.saturating_add(IDLE));
        let refill = limits.rate.map_or(0, |rate| rate.burst.get().div_ceil(rate.per_second.get()));
        // A cache that is bounded from the beginning would have all its room from the beginning.
        let mut known = LruCache::unbounded();
        known.resize(most);
        Self { limits: limits.clone(), known, forget_after: Duration::from_secs(u64::from(refill).max(60)) }
    }

    pub fn client(&mut self, key: Key) -> Arc<Client> {
        let now = Instant::now();
        if let Some(known) = self.known.get_mut(&key) {
            known.seen = now;
            return Arc::clone(&known.client);
        }
        self.forget_some(now);
        let places = |bound: Option<usize>| bound.map(|bound| Arc::new(Semaphore::new(bound)));
        let client = Arc::new(Client {
            bucket: self.limits.rate.map(limiter),
            operations: places(self.limits.client_operations),
            sockets: places(self.limits.client_sockets),
            connections: places(self.limits.client_connections),
        });
        // If it is full of busy ones even so, the one that was seen longest ago begins anew when it comes again.
        self.known.push(key, Known { client: Arc::clone(&client), seen: now });
        metrics::gauge!("orderflow_clients").set(self.known.len() as f64);
        client
    }

    fn forget_some(&mut self, now: Instant) {
        for _ in 0..LOOKS {
            let full = self.known.len() >= self.known.cap().get();
            match self.known.peek_lru() {
                Some((_, oldest)) if full || now.duration_since(oldest.seen) > self.forget_after => {}
                _ => return,
            }
            let Some((key, mut oldest)) = self.known.pop_lru() else { return };
            if oldest.is_busy() {
                oldest.seen = now;
                self.known.push(key, oldest);
            }
        }
    }
}
