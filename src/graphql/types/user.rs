//! A user.

use super::{
    OrderConnection, OrderFilterInput, OrderSortInput, Projection,
    connection::page_args,
    filter::{order_sort, parse_id},
    int,
    value::Money,
};
use crate::{
    graphql::{
        context::{reader, viewer},
        error::query_error,
        scalars::DateTime,
    },
    query::UserView,
    value::{self, UserId},
};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use std::sync::Arc;

/// A customer, a member of staff or an administrator.
#[derive(Clone)]
pub struct User(Arc<UserView>);

impl From<UserView> for User {
    fn from(user: UserView) -> Self {
        Self(Arc::new(user))
    }
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::value::Role")]
pub enum UserRole {
    /// See and change what is their own.
    Customer,
    /// Run the shop.
    Staff,
    /// Everything.
    Admin,
}

/// The sum of a user's orders.
#[derive(SimpleObject)]
pub struct OrderSummary {
    /// Orders ever placed.
    order_count: i32,
    /// Orders that are neither delivered, cancelled nor refunded.
    open_order_count: i32,
    /// Paid minus refunded, one amount a currency.
    total_spent: Vec<Money>,
    /// When the newest order was placed.
    last_order_at: Option<DateTime>,
}

/// A customer, a member of staff or an administrator.
#[Object]
impl User {
    /// The id of the user.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Rises by one with each change of the profile, not with orders; hand it back as expectedVersion.
    async fn version(&self) -> i32 {
        int(self.0.version)
    }

    /// The address for mail; no two users share one.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// What the user is called.
    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    /// What the user may do.
    async fn role(&self) -> UserRole {
        self.0.role.into()
    }

    /// When the user was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Whether newer changes are held up. It is not sent when it changes; ask again, or subscribe again, to see it.
    async fn projection(&self) -> Projection {
        self.0.parked.into()
    }

    /// The sum of the user's orders.
    async fn order_summary(&self) -> OrderSummary {
        let summary = &self.0.summary;
        OrderSummary {
            order_count: int(summary.order_count),
            open_order_count: int(summary.open_order_count),
            total_spent: summary.spent.iter().map(|(currency, minor)| value::Money::new(*minor, *currency).into()).collect(),
            last_order_at: summary.last_order_at.map(DateTime),
        }
    }

    /// The user's orders.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many from the beginning, up to 100; 20 unless told.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most this many from the end, up to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which orders. Another customer's id finds nothing.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "How to sort; the newest first unless told.")] sort: Option<OrderSortInput>,
    ) -> Result<OrderConnection> {
        let mut filter = filter.unwrap_or_default();
        let own = self.0.id;
        let nobody = match filter.customer_id.take() {
            Some(id) => parse_id::<UserId>(&id)? != own,
            None => false,
        };
        let mut filter = filter.parse()?;
        filter.customer = Some(own);
        if nobody {
            filter.status = Some(Vec::new());
        }
        let (field, direction) = order_sort(sort.as_ref());
        let args = page_args(first, after, last, before);
        let page = reader(ctx)?.orders(viewer(ctx)?, &filter, field, direction, &args).await.map_err(query_error)?;
        Ok(OrderConnection::new(page, filter))
    }
}
