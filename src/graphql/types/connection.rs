//! Relay connections. <https://relay.dev/graphql/connections.htm>

use super::{Order, OrderEvent, Product, int};
use crate::{
    graphql::{
        context::{reader, viewer},
        error::query_error,
    },
    query::{OrderFilter, OrderView, Page, PageArgs, ProductFilter, ProductView},
};
use async_graphql::{Context, Object, Result, SimpleObject};

/// Where a page stands in its list.
#[derive(Debug, Clone, Default, SimpleObject)]
pub struct PageInfo {
    /// Whether there is more after this page.
    pub has_next_page: bool,
    /// Whether there is more before this page.
    pub has_previous_page: bool,
    /// The cursor of the first item; null on an empty page.
    pub start_cursor: Option<String>,
    /// The cursor of the last item; null on an empty page.
    pub end_cursor: Option<String>,
}

/// The four arguments of every connection.
pub fn page_args(first: Option<i32>, after: Option<String>, last: Option<i32>, before: Option<String>) -> PageArgs {
    PageArgs { first, after, last, before }
}

fn page_info<T>(page: &[(String, T)], has_next_page: bool, has_previous_page: bool) -> PageInfo {
    PageInfo {
        has_next_page,
        has_previous_page,
        start_cursor: page.first().map(|(cursor, _)| cursor.clone()),
        end_cursor: page.last().map(|(cursor, _)| cursor.clone()),
    }
}

/// An order in a list.
#[derive(SimpleObject)]
pub struct OrderEdge {
    /// The place in the list; stable while orders come and go.
    cursor: String,
    /// The order.
    node: Order,
}

/// A page of orders.
pub struct OrderConnection {
    items: Vec<(String, Order)>,
    info: PageInfo,
    filter: OrderFilter,
}

impl OrderConnection {
    pub fn new(page: Page<OrderView>, filter: OrderFilter) -> Self {
        let items: Vec<_> = page.items.into_iter().map(|(cursor, order)| (cursor, Order::from(order))).collect();
        Self { info: page_info(&items, page.has_next, page.has_previous), items, filter }
    }
}

/// A page of orders.
#[Object]
impl OrderConnection {
    /// The orders of the page with their cursors.
    async fn edges(&self) -> Vec<OrderEdge> {
        self.items.iter().map(|(cursor, node)| OrderEdge { cursor: cursor.clone(), node: node.clone() }).collect()
    }

    /// The orders of the page.
    async fn nodes(&self) -> Vec<Order> {
        self.items.iter().map(|(_, node)| node.clone()).collect()
    }

    /// Where the page stands in the list.
    async fn page_info(&self) -> &PageInfo {
        &self.info
    }

    /// How many orders the whole list has. Counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = reader(ctx)?.count_orders(viewer(ctx)?, &self.filter).await.map_err(query_error)?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}

/// A product in a list.
#[derive(SimpleObject)]
pub struct ProductEdge {
    /// The place in the list; stable while products come and go.
    cursor: String,
    /// The product.
    node: Product,
}

/// A page of products.
pub struct ProductConnection {
    items: Vec<(String, Product)>,
    info: PageInfo,
    filter: ProductFilter,
}

impl ProductConnection {
    pub fn new(page: Page<ProductView>, filter: ProductFilter) -> Self {
        let items: Vec<_> = page.items.into_iter().map(|(cursor, product)| (cursor, Product::from(product))).collect();
        Self { info: page_info(&items, page.has_next, page.has_previous), items, filter }
    }
}

/// A page of products.
#[Object]
impl ProductConnection {
    /// The products of the page with their cursors.
    async fn edges(&self) -> Vec<ProductEdge> {
        self.items.iter().map(|(cursor, node)| ProductEdge { cursor: cursor.clone(), node: node.clone() }).collect()
    }

    /// The products of the page.
    async fn nodes(&self) -> Vec<Product> {
        self.items.iter().map(|(_, node)| node.clone()).collect()
    }

    /// Where the page stands in the list.
    async fn page_info(&self) -> &PageInfo {
        &self.info
    }

    /// How many products the whole list has. Counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = reader(ctx)?.count_products(&self.filter).await.map_err(query_error)?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}

/// An event in an order's history.
#[derive(Clone, SimpleObject)]
pub struct OrderEventEdge {
    /// The place in the history.
    pub cursor: String,
    /// The event.
    pub node: OrderEvent,
}

/// A part of an order's history, oldest first.
#[derive(SimpleObject)]
pub struct OrderEventConnection {
    /// The events of the page with their cursors.
    pub edges: Vec<OrderEventEdge>,
    /// The events of the page.
    pub nodes: Vec<OrderEvent>,
    /// Where the page stands in the history.
    pub page_info: PageInfo,
    /// How many events the whole history has.
    pub total_count: i32,
}

impl OrderEventConnection {
    /// `start` is the place of the first event; cursors are places.
    pub fn new(events: Vec<OrderEvent>, start: usize, total: usize) -> Self {
        let edges: Vec<OrderEventEdge> = events
            .iter()
            .enumerate()
            .map(|(index, node)| OrderEventEdge { cursor: (start + index).to_string(), node: node.clone() })
            .collect();
        let page_info = PageInfo {
            has_next_page: start + events.len() < total,
            has_previous_page: start > 0,
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Self { edges, nodes: events, page_info, total_count: int(i64::try_from(total).unwrap_or(i64::MAX)) }
    }
}
