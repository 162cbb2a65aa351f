//! The questions. Each asks the read side, within what the viewer may see.

use super::{
    context::{reader, viewer},
    error::query_error,
    scalars::DateTime,
    types::{
        ConsistencyInput, Node, Order, OrderConnection, OrderFilterInput, OrderSortInput, Product, ProductConnection,
        ProductFilterInput, ProductSortInput, SalesGranularity, SalesReport, User, order_sort, page_args, parse_id, product_sort,
        wait,
    },
};
use crate::{
    query::View,
    value::{OrderId, ProductId, UserId},
};
use async_graphql::{Context, ID, Object, Result};

/// Everything that can be asked. Answers come from the read side only.
pub struct QueryRoot;

/// Everything that can be asked. Answers come from the read side only.
#[Object(name = "Query")]
impl QueryRoot {
    /// Any object by its id; null if there is none or it is not yours.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of a user, product or order.")] id: ID,
    ) -> Result<Option<Node>> {
        let (viewer, reader) = (viewer(ctx)?, reader(ctx)?);
        let found = if let Ok(id) = id.parse::<OrderId>() {
            reader.order(viewer, id).await.map(|found| found.map(|order| Node::Order(order.into())))
        } else if let Ok(id) = id.parse::<ProductId>() {
            reader.product(id).await.map(|found| found.map(|product| Node::Product(product.into())))
        } else if let Ok(id) = id.parse::<UserId>() {
            reader.user(viewer, id).await.map(|found| found.map(|user| Node::User(user.into())))
        } else {
            Ok(None)
        };
        found.map_err(query_error)
    }

    /// The user whose token this is; null if the token is not a user's.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let viewer = viewer(ctx)?;
        let Some(id) = viewer.user_id() else { return Ok(None) };
        Ok(reader(ctx)?.user(viewer, id).await.map_err(query_error)?.map(User::from))
    }

    /// A user; null if there is none or it is not you. Staff see everybody.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the user.")] id: ID,
        #[graphql(desc = "Wait until a receipt is visible.")] consistency: Option<ConsistencyInput>,
    ) -> Result<Option<User>> {
        let viewer = viewer(ctx)?;
        let Ok(id) = id.parse() else { return Ok(None) };
        wait(ctx, View::Users, consistency.as_ref()).await?;
        Ok(reader(ctx)?.user(viewer, id).await.map_err(query_error)?.map(User::from))
    }

    /// A product; null if there is none.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the product.")] id: ID,
        #[graphql(desc = "Wait until a receipt is visible.")] consistency: Option<ConsistencyInput>,
    ) -> Result<Option<Product>> {
        viewer(ctx)?;
        let Ok(id) = id.parse() else { return Ok(None) };
        wait(ctx, View::Products, consistency.as_ref()).await?;
        Ok(reader(ctx)?.product(id).await.map_err(query_error)?.map(Product::from))
    }

    /// The catalogue.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many from the beginning, up to 100; 20 unless told.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most this many from the end, up to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which products.")] filter: Option<ProductFilterInput>,
        #[graphql(desc = "How to sort; by name unless told.")] sort: Option<ProductSortInput>,
        #[graphql(desc = "Wait until a receipt is visible.")] consistency: Option<ConsistencyInput>,
    ) -> Result<ProductConnection> {
        viewer(ctx)?;
        let filter = filter.unwrap_or_default().parse()?;
        wait(ctx, View::Products, consistency.as_ref()).await?;
        let (field, direction) = product_sort(sort.as_ref());
        let args = page_args(first, after, last, before);
        let page = reader(ctx)?.products(&filter, field, direction, &args).await.map_err(query_error)?;
        Ok(ProductConnection::new(page, filter))
    }

    /// An order; null if there is none or it is not yours. Staff see all.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the order.")] id: ID,
        #[graphql(desc = "Wait until a receipt is visible.")] consistency: Option<ConsistencyInput>,
    ) -> Result<Option<Order>> {
        let viewer = viewer(ctx)?;
        let Ok(id) = id.parse() else { return Ok(None) };
        wait(ctx, View::Orders, consistency.as_ref()).await?;
        Ok(reader(ctx)?.order(viewer, id).await.map_err(query_error)?.map(Order::from))
    }

    /// Orders: a customer's own, or for staff everybody's.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many from the beginning, up to 100; 20 unless told.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most this many from the end, up to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which orders.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "How to sort; the newest first unless told.")] sort: Option<OrderSortInput>,
        #[graphql(desc = "Wait until a receipt is visible.")] consistency: Option<ConsistencyInput>,
    ) -> Result<OrderConnection> {
        let viewer = viewer(ctx)?;
        wait(ctx, View::Orders, consistency.as_ref()).await?;
        let filter = filter.unwrap_or_default().parse()?;
        let (field, direction) = order_sort(sort.as_ref());
        let args = page_args(first, after, last, before);
        let page = reader(ctx)?.orders(viewer, &filter, field, direction, &args).await.map_err(query_error)?;
        Ok(OrderConnection::new(page, filter))
    }

    /// What was sold between two moments: in the whole shop for staff, to themselves for a customer.
    async fn sales_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The beginning, inclusive.")] from: DateTime,
        #[graphql(desc = "The end, exclusive.")] to: DateTime,
        #[graphql(desc = "The width of the buckets.", default_with = "SalesGranularity::Day")] granularity: SalesGranularity,
    ) -> Result<SalesReport> {
        let buckets = reader(ctx)?.sales(viewer(ctx)?, from.0, to.0, granularity.into()).await.map_err(query_error)?;
        Ok(SalesReport { from, to, buckets: buckets.into_iter().map(Into::into).collect() })
    }
}

/// Ids in questions that name a kind.
const _: fn(&ID) -> Result<UserId> = parse_id;
