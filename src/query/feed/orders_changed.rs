//! A list of orders, live: what happens from now on (or what came since a cursor). An order that no longer matches comes once
//! more.

use super::{News, OrderUpdate, Place, Positions, Topic, UpdateKind, cursor};
use crate::{
    crash,
    query::{
        OrderFilter, QueryError, Reader,
        view::{Change, ChangeId},
    },
    value::{UserId, Viewer},
};
use futures_util::Stream;
use std::collections::VecDeque;
use tokio::sync::broadcast::{Receiver, error::RecvError};

impl Reader {
    /// Follows the orders that match a filter, among those that this viewer may see. With `greet` and without a cursor, the first
    /// thing told is the cursor of the beginning: whoever loses the line before anything has happened misses nothing either. The
    /// text is the same cursor, for whoever passes it on beside what is told.
    ///
    /// # Errors
    /// The filter asks for what the viewer may not see, or the cursor is none.
    pub async fn orders_changed(
        &self,
        viewer: &Viewer,
        filter: OrderFilter,
        after: Option<&str>,
        greet: bool,
    ) -> Result<(String, impl Stream<Item = Result<OrderUpdate, QueryError>> + Send + use<>), QueryError> {
        let customer = filter.scope(viewer).map_err(|_| QueryError::NotFound)?;
        let mut after = after.map(cursor::read).transpose()?;
        if crash::planted("resume-that-repeats") {
            after.iter_mut().flat_map(|places| places.values_mut()).for_each(|place| place.number = (place.number - 1).max(0));
        }
        let topic = customer.map_or(Topic::AllOrders, Topic::Customer);
        let (news, here) = self.feed.listen_from_here(topic).await;
        let behind = after.is_some();
        let mut start = Follow {
            reader: self.clone(),
            news,
            topic,
            customer,
            filter,
            at: after.unwrap_or(here),
            ready: VecDeque::new(),
            behind,
        };
        let place = cursor::write(&start.at);
        if greet && !behind {
            start.tell_place(UpdateKind::Snapshot);
        }
        let updates = futures_util::stream::unfold(Some(start), |follow| async move {
            let mut follow = follow?;
            match follow.next().await? {
                Ok(update) => Some((Ok(update), Some(follow))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok((place, updates))
    }
}

struct Follow {
    reader: Reader,
    news: Receiver<News>,
    topic: Topic,
    customer: Option<UserId>,
    filter: OrderFilter,
    /// Everything up to here has been told or did not concern this subscriber.
    at: Positions,
    /// Read from the log and not told yet; at most a chunk.
    ready: VecDeque<OrderUpdate>,
    /// Whether the log must be read before listening.
    behind: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Result<OrderUpdate, QueryError>> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Some(Ok(update));
            }
            if self.behind {
                match self.catch_up().await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            match self.news.recv().await {
                // Numbers of another numbering say nothing.
                Ok(News::Change { epoch, change }) if self.at.get(&change.id.partition).is_some_and(|at| at.epoch != epoch) => {
                    self.behind = true;
                }
                Ok(News::Change { epoch, change }) => {
                    if let Some(update) = self.advance(epoch, &change) {
                        return Some(Ok(update));
                    }
                }
                Ok(News::Product(_) | News::User) => {}
                // Something is missing, or fell out of the ring because we were too slow: the log tells.
                Ok(News::Gap) | Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Moves past a change, with an update if it concerns this subscriber.
    fn advance(&mut self, epoch: i64, change: &Change) -> Option<OrderUpdate> {
        let at = self.at.entry(change.id.partition).or_insert(Place { epoch, number: 0 });
        if change.id.number <= at.number {
            return None;
        }
        at.number = change.id.number;
        let matched = change.before.as_ref().is_some_and(|before| self.filter.matched(&change.order, before));
        let kind = match (matched, self.filter.matches(&change.order)) {
            (_, true) => UpdateKind::Change,
            (true, false) => UpdateKind::Left,
            (false, false) => return None,
        };
        Some(OrderUpdate {
            kind,
            cursor: cursor::write(&self.at),
            order: Some(change.order.clone()),
            event: Some(change.event.clone()),
            skipped_versions: 0,
        })
    }

    /// Reads a chunk of the log, partition by partition; when all are read, listens from there.
    async fn catch_up(&mut self) -> Result<(), QueryError> {
        // A fresh ring, from a known place: what is read up to there and what is heard after it are everything.
        let (news, here) = self.reader.feed.listen_from_here(self.topic).await;
        if self.at_is_foreign(&here).await? {
            self.resync(&here);
            return Ok(());
        }
        for (&partition, &upto) in &here {
            let at = *self.at.entry(partition).or_insert(Place { number: 0, ..upto });
            // Of another numbering: this node has not heard of it yet, and will say so when it has.
            if at.epoch != upto.epoch || at.number >= upto.number {
                continue;
            }
            let after = ChangeId { partition, number: at.number };
            if !self.reader.feed.reaches_back_to(after).await? {
                if self.may_concern(after).await? {
                    self.resync(&here);
                    return Ok(());
                }
                self.at.insert(partition, upto);
                continue;
            }
            let missed = self.reader.feed.changes(after, upto.number, self.customer).await?;
            for change in &missed.changes {
                let update = self.advance(upto.epoch, change);
                self.ready.extend(update);
            }
            if !missed.more {
                self.at.insert(partition, upto);
            }
            if missed.more || !self.ready.is_empty() {
                // Told before more is read, so that memory stays at a chunk; `behind` stays set.
                return Ok(());
            }
        }
        self.news = news;
        self.behind = false;
        Ok(())
    }

    /// Whether a place that we have come to is none of this log: its numbering is another, or it is beyond the end. Such places
    /// are forgotten. A node may have heard less than the one that wrote the cursor, so the counters themselves decide.
    async fn at_is_foreign(&mut self, here: &Positions) -> Result<bool, QueryError> {
        let within = |log: &Positions, partition: i32, at: Place| {
            log.get(&partition).is_some_and(|end| end.epoch == at.epoch && at.number <= end.number)
        };
        if self.at.iter().all(|(partition, at)| within(here, *partition, *at)) {
            return Ok(false);
        }
        let newest = self.reader.feed.newest().await?;
        let known = self.at.len();
        self.at.retain(|partition, at| within(&newest, *partition, *at));
        Ok(self.at.len() < known)
    }

    /// Whether something that the log has forgotten may have concerned this subscriber.
    async fn may_concern(&self, after: ChangeId) -> Result<bool, QueryError> {
        match self.customer {
            // Numbers have no gaps, so something has happened, and nobody knows what.
            None => Ok(true),
            Some(customer) => Ok(self.reader.feed.touched_since(customer, after).await?),
        }
    }

    /// The log no longer has what came after the cursor: the list must be read again, and goes on from here.
    fn resync(&mut self, here: &Positions) {
        for (partition, end) in here {
            let at = self.at.entry(*partition).or_insert(*end);
            at.number = at.number.max(end.number);
        }
        self.tell_place(UpdateKind::Resync);
    }

    /// Tells nothing but where we are.
    fn tell_place(&mut self, kind: UpdateKind) {
        let cursor = cursor::write(&self.at);
        self.ready.push_back(OrderUpdate { kind, cursor, order: None, event: None, skipped_versions: 0 });
    }
}
