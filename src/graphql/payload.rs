//! What a mutation answers: a receipt or the reasons for the refusal. The object beside them is a question to the read side,
//! asked when the receipt has become visible there, and only if the client asks for it.

use super::{
    context::{PayloadWait, reader, viewer},
    error::query_error,
    scalars::DateTime,
    types::{Order, Product, User},
};
use crate::{
    event::{Stream, Token},
    query::{Consistency, Freshness, View},
};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};

/// The proof that a command was carried out. Hand `token` to any later query, on any node, to read at least what it wrote.
#[derive(Debug, Clone, SimpleObject)]
pub struct Receipt {
    /// The id under which the command was done: the client's own, or one made for it.
    pub command_id: ID,
    /// The user, product or order that changed.
    pub aggregate_id: ID,
    /// The version after the change. Null only for a command that was accepted but is not decided yet.
    pub version: Option<i32>,
    /// Stands for this change in `consistency.token`.
    pub token: String,
    /// When it became durable. Null only for a command that was accepted but is not decided yet.
    pub committed_at: Option<DateTime>,
    /// Whether this is the remembered outcome of an earlier sending of the same command.
    pub replayed: bool,
}

/// Why a command was refused. Nothing was changed.
#[derive(Debug, Clone, SimpleObject)]
pub struct CommandError {
    /// The kind of refusal; program against this.
    pub code: CommandErrorCode,
    /// A sentence for people.
    pub message: String,
    /// Where in the arguments the reason lies, such as `["input", "lines", "0", "quantity"]`.
    pub path: Option<Vec<String>>,
    /// With CONFLICT, the version that is there now.
    pub current_version: Option<i32>,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum CommandErrorCode {
    /// A value is malformed or out of bounds.
    InvalidInput,
    /// What the command is about does not exist.
    NotFound,
    /// The caller may not do this.
    Forbidden,
    /// The version is not the expected one.
    Conflict,
    /// The commandId was used before, with another input.
    CommandIdReused,
    /// Another user has this email address.
    EmailTaken,
    /// Another product has this SKU.
    SkuTaken,
    /// An order needs at least one line.
    EmptyOrder,
    /// The product is not for sale at present.
    ProductUnavailable,
    /// Fewer units are available than wanted.
    InsufficientStock,
    /// Amounts of different currencies do not go together.
    CurrencyMismatch,
    /// The order is not in a status that allows the step; see Order.allowedActions.
    WrongStatus,
    /// The amount is not what the order costs.
    AmountMismatch,
    /// More units than there are left, or more changes than an order may have.
    QuantityExceeded,
}

/// The proof that a wish for a rebuild was kept.
#[derive(Debug, Clone, SimpleObject)]
pub struct RebuildReceipt {
    /// The id under which it was kept: the client's own, or one made for it.
    pub command_id: ID,
    /// When it was asked for.
    pub requested_at: DateTime,
    /// Whether it was kept before, by an earlier sending of the same command.
    pub replayed: bool,
}

/// What became of a wish for a rebuild. How far it is, rebuildProgress tells.
#[derive(Debug, Clone, SimpleObject)]
pub struct RebuildReadModelPayload {
    /// Present when the wish was kept.
    pub receipt: Option<RebuildReceipt>,
    /// The reasons for a refusal; empty when the wish was kept.
    pub errors: Vec<CommandError>,
}

/// What a mutation came to, before it is asked for more.
#[derive(Debug, Clone)]
pub struct Answer {
    pub receipt: Option<Receipt>,
    pub errors: Vec<CommandError>,
    pub token: Option<Token>,
}

impl Answer {
    /// Waits until the receipt is visible in a view, and gives its stream.
    async fn visible(&self, ctx: &Context<'_>, view: View) -> Result<Option<Stream>> {
        let Some(token) = self.token else { return Ok(None) };
        let wish = Consistency { token, timeout: ctx.data::<PayloadWait>()?.0, fail: false };
        let freshness = reader(ctx)?.wait_for(view, &wish).await.map_err(query_error)?;
        Ok((freshness == Freshness::Satisfied).then_some(token.stream))
    }
}

/// What became of a command on a user.
pub struct UserPayload(pub Answer);

/// What became of a command on a user.
#[Object]
impl UserPayload {
    /// Present when the command was carried out.
    async fn receipt(&self) -> &Option<Receipt> {
        &self.0.receipt
    }

    /// The reasons for a refusal; empty when the command was carried out.
    async fn errors(&self) -> &[CommandError] {
        &self.0.errors
    }

    /// The user, read after the change; null if it does not become visible within a bounded time.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(Stream::User(id)) = self.0.visible(ctx, View::Users).await? else { return Ok(None) };
        Ok(reader(ctx)?.user(viewer(ctx)?, id).await.map_err(query_error)?.map(User::from))
    }
}

/// What became of a command on a product.
pub struct ProductPayload(pub Answer);

/// What became of a command on a product.
#[Object]
impl ProductPayload {
    /// Present when the command was carried out.
    async fn receipt(&self) -> &Option<Receipt> {
        &self.0.receipt
    }

    /// The reasons for a refusal; empty when the command was carried out.
    async fn errors(&self) -> &[CommandError] {
        &self.0.errors
    }

    /// The product, read after the change; null if it does not become visible within a bounded time.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>> {
        let Some(Stream::Product(id)) = self.0.visible(ctx, View::Products).await? else { return Ok(None) };
        Ok(reader(ctx)?.product(id).await.map_err(query_error)?.map(Product::from))
    }
}

/// What became of a command on an order.
pub struct OrderPayload(pub Answer);

/// What became of a command on an order.
#[Object]
impl OrderPayload {
    /// Present when the command was carried out.
    async fn receipt(&self) -> &Option<Receipt> {
        &self.0.receipt
    }

    /// The reasons for a refusal; empty when the command was carried out.
    async fn errors(&self) -> &[CommandError] {
        &self.0.errors
    }

    /// The order, read after the change; null if it does not become visible within a bounded time.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let Some(Stream::Order(id)) = self.0.visible(ctx, View::Orders).await? else { return Ok(None) };
        Ok(reader(ctx)?.order(viewer(ctx)?, id).await.map_err(query_error)?.map(Order::from))
    }
}
