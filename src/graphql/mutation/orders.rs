//! Commands on orders.

use super::{
    Writer,
    order_input::{
        CancelOrderInput, DeliverOrderInput, PayOrderInput, PlaceOrderInput, RefundOrderInput, ShipOrderInput, UpdateOrderInput,
    },
};
use crate::graphql::{context::viewer, payload::OrderPayload};
use async_graphql::{Context, Object, Result};

#[derive(Default)]
pub struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Places an order: prices are taken and stock is reserved now. For the customer and for staff.
    async fn place_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.")] input: PlaceOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        let use_case = input.parse(&ctx.data::<Writer>()?.ids, viewer(ctx)?.user_id());
        Writer::send(ctx, id, use_case).await.map(OrderPayload)
    }

    /// Changes an order that is not paid yet. For the customer and for staff.
    async fn update_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What changes.")] input: UpdateOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        let use_case = input.parse(&ctx.data::<Writer>()?.ids);
        Writer::send(ctx, id, use_case).await.map(OrderPayload)
    }

    /// Pays an order, all of it. For the customer and for staff.
    async fn pay_order(&self, ctx: &Context<'_>, #[graphql(desc = "The payment.")] input: PayOrderInput) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(OrderPayload)
    }

    /// Sends a parcel with all or some of a paid order. For staff.
    async fn ship_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The parcel.")] input: ShipOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        let use_case = input.parse(&ctx.data::<Writer>()?.ids);
        Writer::send(ctx, id, use_case).await.map(OrderPayload)
    }

    /// Notes that everything that was sent has arrived. For staff.
    async fn deliver_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The arrival.")] input: DeliverOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(OrderPayload)
    }

    /// Calls an order off before anything was sent: its stock is free again, and what was paid is paid back. For the customer and
    /// for staff.
    async fn cancel_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cancellation.")] input: CancelOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(OrderPayload)
    }

    /// Pays back all or some of an order. Stock does not move: returned goods are booked in by adjustStock. For staff.
    async fn refund_order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refund.")] input: RefundOrderInput,
    ) -> Result<OrderPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(OrderPayload)
    }
}
