//! The live side: one MongoDB change stream per process, fanned out in memory to topics.
//!
//! The stream is a signal, the change log is the truth. Every change has a place in the log without gaps, so the feed knows when
//! the stream has skipped something (it was reopened, the oplog rolled over) and reads it from the log; and a subscriber that is
//! too slow, or comes back after a reconnect, does the same for itself. Nobody has a queue of their own: a topic is one bounded
//! ring for all who listen.

mod change_stream;
mod cursor;
mod log;
mod order_changed;
mod orders_changed;
mod product_changed;

use super::{
    store::Store,
    view::{Change, EventView, OrderView, ProductView},
};
use crate::value::{OrderId, ProductId, UserId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{broadcast, watch};

/// What somebody may listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Order(OrderId),
    Customer(UserId),
    AllOrders,
    Product(ProductId),
    AnyProduct,
    User(UserId),
    /// What becomes of the generations, and of whoever rebuilds one.
    Generations,
}

impl Topic {
    /// News a slow listener may be behind before it has to read the log. Few where there are many topics.
    fn ring(self) -> usize {
        match self {
            Topic::AllOrders | Topic::AnyProduct => 1_024,
            Topic::Customer(_) => 64,
            Topic::Order(_) | Topic::Product(_) | Topic::User(_) | Topic::Generations => 8,
        }
    }
}

/// How far each partition of the change log has been seen.
pub(super) type Positions = BTreeMap<i32, i64>;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) enum News {
    Change(Arc<Change>),
    Product(Arc<ProductView>),
    User,
    /// Changes are missing that the log no longer has: whoever listens must look for themselves.
    Gap,
}

/// What a subscriber to orders is told.
#[derive(Debug, Clone)]
pub struct OrderUpdate {
    pub kind: UpdateKind,
    /// Hand it back after a reconnect, to any node.
    pub cursor: String,
    pub order: Option<OrderView>,
    pub event: Option<EventView>,
    pub skipped_versions: i64,
}

/// Why it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateKind {
    Snapshot,
    Change,
    Left,
    Resync,
}

/// The hub. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    store: Store,
    hub: Arc<Mutex<Hub>>,
    /// Whether the change stream has been opened once: before, subscribers would start from a place that nobody has looked at.
    started: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Hub {
    topics: HashMap<Topic, broadcast::Sender<News>>,
    seen: Positions,
}

impl Feed {
    pub fn new(store: Store) -> Self {
        Self { store, hub: Arc::default(), started: Arc::new(watch::Sender::new(false)) }
    }

    /// Held for a few map operations, never over an await. A panic inside leaves plain maps, which are still right.
    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self, topic: Topic) -> broadcast::Receiver<News> {
        self.hub().listen(topic)
    }

    /// Waits until the feed has been opened.
    async fn opened(&self) {
        // The sender lives in `self`, so the wait can only end well.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// Listens from a known place: news that come are exactly those after it.
    async fn listen_from_here(&self, topic: Topic) -> (broadcast::Receiver<News>, Positions) {
        self.opened().await;
        let mut hub = self.hub();
        (hub.listen(topic), hub.seen.clone())
    }

    /// Listeners, for the metrics.
    pub fn listeners(&self) -> usize {
        self.hub().topics.values().map(broadcast::Sender::receiver_count).sum()
    }
}

impl Hub {
    fn listen(&mut self, topic: Topic) -> broadcast::Receiver<News> {
        self.topics.entry(topic).or_insert_with(|| broadcast::Sender::new(topic.ring())).subscribe()
    }

    fn tell(&mut self, topic: Topic, news: &News) {
        if let Some(sender) = self.topics.get(&topic) {
            // Nobody listens any more: the topic goes away with its ring.
            if sender.send(news.clone()).is_err() {
                self.topics.remove(&topic);
            }
        }
    }

    /// Takes a change that is the next of its partition.
    fn publish(&mut self, change: Change) {
        self.seen.insert(change.id.partition, change.id.number);
        let (order, customer) = (change.order.id, change.order.customer.id);
        let news = News::Change(Arc::new(change));
        self.tell(Topic::Order(order), &news);
        self.tell(Topic::Customer(customer), &news);
        self.tell(Topic::AllOrders, &news);
    }

    /// Gives up on changes that the log no longer has, and tells everybody.
    fn skip(&mut self, partition: i32, upto: i64) {
        self.seen.insert(partition, upto);
        for sender in self.topics.values() {
            // A topic without listeners has nobody to tell.
            let _ = sender.send(News::Gap);
        }
    }

    /// Forgets topics to which nobody listens.
    fn sweep(&mut self) {
        self.topics.retain(|_, sender| sender.receiver_count() > 0);
    }
}
