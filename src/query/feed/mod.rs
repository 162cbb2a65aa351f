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

pub use cursor::Followed;

use super::{
    store::{Store, StoreError},
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

/// A place in a partition of the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which numbering: the moment it began. After a wipe of the read model numbers begin anew, and so does this.
    pub epoch: i64,
    pub number: i64,
}

/// How far each partition of the change log has been seen.
pub(super) type Positions = BTreeMap<i32, Place>;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A change, and the numbering to which its number belongs.
    Change {
        epoch: i64,
        change: Arc<Change>,
    },
    Product(Arc<ProductView>),
    User,
    /// Something may have happened that is not told here: whoever listens must look for themselves.
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

    /// How far a partition has been seen. One of which nothing has been heard yet is taken note of; nothing if it has no
    /// numbering, because nothing has happened in it since the read model was wiped.
    async fn seen(&self, partition: i32) -> Result<Option<Place>, StoreError> {
        let known = self.hub().seen.get(&partition).copied();
        if known.is_some() {
            return Ok(known);
        }
        let newest = self.newest().await?.get(&partition).copied();
        Ok(newest.map(|newest| *self.hub().seen.entry(partition).or_insert(Place { number: 0, ..newest })))
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
        let place = self.seen.entry(change.id.partition).or_insert(Place { epoch: 0, number: 0 });
        place.number = change.id.number;
        let (order, customer) = (change.order.id, change.order.customer.id);
        let news = News::Change { epoch: place.epoch, change: Arc::new(change) };
        self.tell(Topic::Order(order), &news);
        self.tell(Topic::Customer(customer), &news);
        self.tell(Topic::AllOrders, &news);
    }

    /// Gives up on changes that the log no longer has, and tells everybody.
    fn skip(&mut self, partition: i32, upto: i64) {
        if let Some(place) = self.seen.get_mut(&partition) {
            place.number = upto;
        }
        self.tell_gap(|_| true);
    }

    /// Takes over what the counters say after the stream was away. Where numbers have begun anew, or gone back as after a
    /// restored backup, what was seen means nothing any more, and everybody is told.
    fn adopt(&mut self, newest: &Positions) {
        let known = self.seen.len();
        self.seen.retain(|partition, seen| {
            newest.get(partition).is_some_and(|now| now.epoch == seen.epoch && now.number >= seen.number)
        });
        if self.seen.len() < known {
            self.seen.clone_from(newest);
            self.tell_gap(|_| true);
        }
        for (partition, place) in newest {
            self.seen.entry(*partition).or_insert(Place { number: 0, ..*place });
        }
    }

    /// Products and users have no log: whoever listens to one must look whether something happened while the stream was away.
    fn look_again(&mut self) {
        self.tell_gap(|topic| matches!(topic, Topic::Product(_) | Topic::AnyProduct | Topic::User(_)));
    }

    fn tell_gap(&mut self, whom: impl Fn(&Topic) -> bool) {
        for (_, sender) in self.topics.iter().filter(|(topic, _)| whom(topic)) {
            // A topic without listeners has nobody to tell.
            let _ = sender.send(News::Gap);
        }
    }

    /// Forgets topics to which nobody listens.
    fn sweep(&mut self) {
        self.topics.retain(|_, sender| sender.receiver_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(epoch: i64, number: i64) -> Place {
        Place { epoch, number }
    }

    #[test]
    fn whoever_may_have_missed_something_while_the_stream_was_away_is_told_and_nobody_else() {
        let (orders, product) = (Topic::AllOrders, Topic::AnyProduct);
        let told = |news: &mut broadcast::Receiver<News>| matches!(news.try_recv(), Ok(News::Gap));
        for (newest, renumbered) in [
            // Nothing happened, or something that the log will tell.
            (Positions::from([(0, place(7, 3)), (1, place(7, 5))]), false),
            (Positions::from([(0, place(7, 9)), (1, place(7, 5)), (2, place(9, 4))]), false),
            // Wiped, begun anew, gone back.
            (Positions::new(), true),
            (Positions::from([(0, place(8, 3)), (1, place(7, 5))]), true),
            (Positions::from([(0, place(7, 3)), (1, place(7, 4))]), true),
        ] {
            let mut hub = Hub { seen: Positions::from([(0, place(7, 3)), (1, place(7, 5))]), ..Hub::default() };
            let (mut list, mut shelf) = (hub.listen(orders), hub.listen(product));
            hub.adopt(&newest);
            assert_eq!((told(&mut list), told(&mut shelf)), (renumbered, renumbered), "{newest:?}");
            for (partition, end) in &newest {
                let seen = hub.seen[partition];
                assert!(seen.epoch == end.epoch && seen.number <= end.number, "{newest:?}: {seen:?}");
            }
            hub.look_again();
            assert_eq!((told(&mut list), told(&mut shelf)), (false, true), "{newest:?}");
        }
    }
}
