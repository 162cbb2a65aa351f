//! The history of an order.

use super::int;
use crate::{
    graphql::scalars::DateTime,
    query::{EventKind, EventView},
};
use async_graphql::{Enum, ID, SimpleObject};

/// Something that happened to an order.
#[derive(Clone, SimpleObject)]
pub struct OrderEvent {
    /// The id of the event.
    id: ID,
    /// The version of the order after it. CUSTOMER_RENAMED is no change of the order and keeps the version.
    version: i32,
    /// What kind of thing.
    #[graphql(name = "type")]
    kind: OrderEventType,
    /// When it became durable.
    occurred_at: DateTime,
    /// Who asked for it: the subject of their token.
    actor: String,
    /// The command that asked for it.
    command_id: ID,
    /// One sentence about it for people.
    summary: String,
    /// Where its time went.
    pipeline: Pipeline,
}

/// The kinds of things that happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::query::EventKind")]
pub enum OrderEventType {
    /// Placed.
    OrderPlaced,
    /// Lines, address or note changed.
    OrderUpdated,
    /// Paid.
    OrderPaid,
    /// All or some of it sent.
    OrderShipped,
    /// Arrived.
    OrderDelivered,
    /// Called off.
    OrderCancelled,
    /// All or some of it paid back.
    OrderRefunded,
    /// The customer has a new name or email address.
    CustomerRenamed,
    /// A change that the operators have set aside: its version counts, its effect is missing.
    EventDiscarded,
}

/// Where the time of one event went, stage by stage.
#[derive(Clone, SimpleObject)]
pub struct Pipeline {
    /// The write side made it durable.
    committed_at: DateTime,
    /// The relay handed it to the broker.
    published_at: DateTime,
    /// The projector applied it to the read side.
    projected_at: DateTime,
    /// The trace of the request that caused it, if it carried one (W3C traceparent).
    trace_id: Option<String>,
}

impl From<EventView> for OrderEvent {
    fn from(event: EventView) -> Self {
        let kind: EventKind = event.kind;
        Self {
            id: event.id.into(),
            version: int(event.version),
            kind: kind.into(),
            occurred_at: DateTime(event.committed_at),
            actor: event.actor,
            command_id: event.command_id.into(),
            summary: event.summary,
            pipeline: Pipeline {
                committed_at: DateTime(event.committed_at),
                published_at: DateTime(event.published_at),
                projected_at: DateTime(event.projected_at),
                trace_id: event.trace_id,
            },
        }
    }
}
