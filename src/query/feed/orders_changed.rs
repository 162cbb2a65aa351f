//! A list of orders, live: what happens from now on (or what came since a cursor). An order that no longer matches comes once
//! more.

use super::{News, OrderUpdate, Positions, Topic, UpdateKind, cursor};
use crate::{
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
    /// Follows the orders that match a filter, among those that this viewer may see. Says with a cursor where it begins, for
    /// whoever is cut off before the first update.
    ///
    /// # Errors
    /// The filter asks for what the viewer may not see, or the cursor is none.
    pub async fn orders_changed(
        &self,
        viewer: &Viewer,
        filter: OrderFilter,
        after: Option<&str>,
    ) -> Result<(String, impl Stream<Item = Result<OrderUpdate, QueryError>> + Send + use<>), QueryError> {
        let customer = filter.scope(viewer).map_err(|_| QueryError::NotFound)?;
        let after = after.map(cursor::read).transpose()?;
        let topic = customer.map_or(Topic::AllOrders, Topic::Customer);
        let (news, here) = self.feed.listen_from_here(topic).await;
        let behind = after.is_some();
        let start = Follow {
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
                Ok(News::Change(change)) => {
                    if let Some(update) = self.advance(&change) {
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
    fn advance(&mut self, change: &Change) -> Option<OrderUpdate> {
        let at = self.at.entry(change.id.partition).or_insert(0);
        if change.id.number <= *at {
            return None;
        }
        *at = change.id.number;
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
        for (partition, upto) in here {
            let number = self.at.get(&partition).copied().unwrap_or(0);
            if number >= upto {
                continue;
            }
            let after = ChangeId { partition, number };
            if !self.reader.feed.reaches_back_to(after).await? {
                self.resync(partition, upto);
                return Ok(());
            }
            let missed = self.reader.feed.changes(after, upto, self.customer).await?;
            let done = missed.len() < super::log::CHUNK;
            for change in &missed {
                let update = self.advance(change);
                self.ready.extend(update);
            }
            if done {
                self.at.insert(partition, upto);
            }
            if !done || !self.ready.is_empty() {
                // Told before more is read, so that memory stays at a chunk; `behind` stays set.
                return Ok(());
            }
        }
        self.news = news;
        self.behind = false;
        Ok(())
    }

    /// The log no longer has what came after the cursor: the list must be read again.
    fn resync(&mut self, partition: i32, upto: i64) {
        self.at.insert(partition, upto);
        self.ready.push_back(OrderUpdate {
            kind: UpdateKind::Resync,
            cursor: cursor::write(&self.at),
            order: None,
            event: None,
            skipped_versions: 0,
        });
    }
}
