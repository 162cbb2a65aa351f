//! The write side. A command is validated, decided and made durable here, and answered with a receipt or the reasons for its
//! refusal, never with data.
//!
//! The path: [`Bus::send`] puts a command into a lane; the lane takes all that wait as one group; the group is decided against
//! state loaded in one transaction ([`work`]), which also takes the events, the outbox rows and the outcomes (`store`); the relay
//! publishes what the outbox holds. One file per use case says what a command needs to know and how it is decided.
//!
//! This module refuses to know MongoDB, GraphQL, or anything of the read side.

mod backlog;
mod books;
mod bus;
mod group;
pub mod housekeeping;
mod idempotency;
mod log;
mod lookup;
mod pause;
mod rebuild_requests;
pub mod relay;
mod republish;
mod store;
mod use_case;
mod work;

mod adjust_stock;
mod cancel_order;
mod create_product;
mod create_user;
mod deliver_order;
mod pay_order;
mod place_order;
mod refund_order;
mod ship_order;
mod update_order;
mod update_product;
mod update_user_profile;

pub use adjust_stock::AdjustStock;
pub use backlog::Backlog;
pub use books::{Balance, BookFold, Books, Entry, Unpublished, differences};
pub use bus::{Bus, Settings};
pub use cancel_order::CancelOrder;
pub use create_product::CreateProduct;
pub use create_user::CreateUser;
pub use deliver_order::DeliverOrder;
pub use log::{EventLog, Head, LogError, Recorded, Stretch, pages};
pub use lookup::{Decided, Goods, Lookup, Refundable, Shelf};
pub use pause::{Paused, pause};
pub use pay_order::PayOrder;
pub use place_order::{LineWish, PlaceOrder};
pub use rebuild_requests::{RebuildRequest, RebuildRequests, RebuildWish};
pub use refund_order::RefundOrder;
pub use republish::republish;
pub use ship_order::ShipOrder;
pub use store::{Database, OpenTransaction, ServerFacts, check, connect, is_empty, migrate, oldest_transaction};
pub use update_order::UpdateOrder;
pub use update_product::UpdateProduct;
pub use update_user_profile::UpdateUserProfile;
pub use use_case::UseCase;

pub use crate::domain::{Code, Refusal};
use crate::{
    event::Stream,
    value::{CommandId, Time, Viewer},
};
use serde::{Deserialize, Serialize};

/// A wish to change something, with everything resolved in it: who, when, under which key.
#[derive(Debug, Clone)]
pub struct Command {
    pub id: CommandId,
    pub actor: Viewer,
    /// When it was asked for; the default of `placedAt` and the time of shipping and delivery.
    pub at: Time,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    pub use_case: UseCase,
}

/// The proof that a command was carried out, and what a reader must have seen to have seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub command_id: CommandId,
    pub stream: Stream,
    pub version: i64,
    /// With commands on a product: the version of its stock that this command moved to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stock_version: Option<i64>,
    /// The moment just before the commit; the same in the log.
    #[serde(with = "time::serde::rfc3339")]
    pub committed_at: Time,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The receipt, or the reasons for the refusal.
    pub result: Result<Receipt, Vec<Refusal>>,
    /// Whether this is the remembered outcome of an earlier sending.
    pub replayed: bool,
}

/// The command was not decided, or nobody knows whether it was. Sending it again under the same id is always safe and tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// As many commands wait as may wait.
    #[error("the server has too many commands in hand")]
    Busy,
    /// As many events wait to be published as may wait. The command was not carried out.
    #[error("too many events wait to be published")]
    Backlog,
    /// PostgreSQL cannot be reached or did not answer.
    #[error("the write side is unavailable")]
    Unavailable,
    /// Something that should not happen; it is in the log.
    #[error("the command could not be carried out")]
    Internal,
}
