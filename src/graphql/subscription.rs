//! Live updates, fed by the change stream of the read side.

use super::{
    context::{reader, viewer},
    error::query_error,
    resume::Teller,
    types::{Order, OrderEvent, OrderFilterInput, Product, RebuildProgress, int, parse_id},
};
use crate::query::{OrderUpdate, UpdateKind};
use async_graphql::{Context, Enum, ID, Result, SimpleObject, Subscription};
use futures_util::{Stream, StreamExt};

/// Everything that can be followed.
pub struct SubscriptionRoot;

/// Something that a subscriber to orders is told. Nothing is ever dropped silently.
#[derive(SimpleObject)]
pub struct OrderChange {
    /// Why it is told.
    kind: ChangeKind,
    /// Hand the last one back as `after` when subscribing again, to any node, to miss nothing.
    cursor: String,
    /// The order after the change; null with SNAPSHOT and RESYNC of a list.
    order: Option<Order>,
    /// What happened; null with SNAPSHOT and RESYNC.
    event: Option<OrderEvent>,
    /// With RESYNC of one order, how many versions could not be told.
    skipped_versions: i32,
}

/// Why a subscriber is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::query::UpdateKind")]
pub enum ChangeKind {
    /// The state at the beginning; of a list only the cursor.
    Snapshot,
    /// Something happened.
    Change,
    /// Something happened, and the order is not in the list any more.
    Left,
    /// Changes since the cursor are no longer known: take the order as it is here, or read the list again.
    Resync,
}

impl From<OrderUpdate> for OrderChange {
    fn from(update: OrderUpdate) -> Self {
        let kind: UpdateKind = update.kind;
        Self {
            kind: kind.into(),
            cursor: update.cursor,
            order: update.order.map(Order::from),
            event: update.event.map(OrderEvent::from),
            skipped_versions: int(update.skipped_versions),
        }
    }
}

/// Everything that can be followed.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// One order: its state now (or, with after, what came since), then each version once and in order.
    async fn order_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the order.")] id: ID,
        #[graphql(desc = "The last cursor that was received, to go on from there.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<OrderChange>> + use<>> {
        let (viewer, teller) = (viewer(ctx)?.clone(), Teller::of(ctx));
        let updates = reader(ctx)?.order_changed(viewer, parse_id(&id)?, teller.after(after));
        Ok(updates.inspect(move |update| teller.tell(update)).map(|update| update.map(OrderChange::from).map_err(query_error)))
    }

    /// A list of orders: what happens from now on (or, with after, what came since). An order that no longer matches comes once
    /// more as LEFT.
    async fn orders_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders; all that the viewer may see unless told.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "The last cursor that was received, to go on from there.")] after: Option<String>,
        #[graphql(
            default = false,
            desc = "Begin with a SNAPSHOT without an order, for its cursor: to miss nothing, also if the line breaks before the \
                    first change. Without effect beside after."
        )]
        start_cursor: bool,
    ) -> Result<impl Stream<Item = Result<OrderChange>> + use<>> {
        let (viewer, teller) = (viewer(ctx)?, Teller::of(ctx));
        let filter = filter.unwrap_or_default().parse()?;
        let after = teller.after(after);
        let (start, updates) =
            reader(ctx)?.orders_changed(viewer, filter, after.as_deref(), start_cursor).await.map_err(query_error)?;
        if after.is_none() {
            teller.tell_start(start);
        }
        Ok(updates.inspect(move |update| teller.tell(update)).map(|update| update.map(OrderChange::from).map_err(query_error)))
    }

    /// One product: its state now, then its newest state whenever it or its stock changes.
    async fn product_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the product.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Product>> + use<>> {
        viewer(ctx)?;
        let updates = reader(ctx)?.product_changed(parse_id(&id)?);
        Ok(updates.map(|update| update.map(Product::from).map_err(query_error)))
    }

    /// The last rebuild of the read model or the one that is being done: how far it is now, then whenever it has come further, to
    /// its end. For administrators.
    async fn rebuild_progress(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Result<RebuildProgress>> + use<>> {
        let progress = reader(ctx)?.rebuild_progress(viewer(ctx)?).map_err(query_error)?;
        Ok(progress.map(|seen| seen.map(RebuildProgress::from).map_err(query_error)))
    }
}
