//! Reads by the names that other systems know: SKU, address, customer and product. Lists go as one array, as in `load`.

use super::{
    broken,
    entity::{order, product, stock, user},
};
use crate::{
    domain::{order::Order, stock::Stock},
    event::{Event, OrderEvent},
    value::{Money, OrderId, ProductId, Sku, Time, UserId},
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement};
use std::collections::HashMap;
use uuid::Uuid;

/// One page of a customer's orders with a product in them, latest first. What `state` holds is `domain::order::Order` as JSON; of
/// two orders of the same moment the one with the higher number is the later.
const ORDERS_WITH: &str = "
SELECT o.* FROM orders o
WHERE o.customer_id = $1
  AND o.state->'lines' @> jsonb_build_array(jsonb_build_object('product_id', $2::text))
  AND (o.state->>'placed_at')::timestamptz <= $3
  AND o.id <> ALL($4::uuid[])
ORDER BY (o.state->>'placed_at')::timestamptz DESC, o.number DESC
LIMIT $5 OFFSET $6";

/// Events of orders by their place in the stream.
const ORDER_EVENTS: &str = "
SELECT e.stream_id, e.version, e.kind, e.data
FROM unnest($1::uuid[], $2::bigint[]) AS k (id, version)
JOIN event_log e ON e.stream_id = k.id AND e.stream_kind = 'order' AND e.version = k.version";

/// Which of a customer's orders are asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::command) struct OrdersWith<'a> {
    pub customer_id: UserId,
    pub product_id: ProductId,
    pub until: Time,
    pub except: &'a [OrderId],
}

pub(in crate::command) async fn products_by_sku(
    db: &impl ConnectionTrait,
    skus: &[Sku],
) -> Result<HashMap<Sku, (ProductId, Stock)>, DbErr> {
    let names = skus.iter().map(|sku| sku.as_str().to_owned());
    let products = product::Entity::find().filter(product::Column::Sku.eq_any(names)).all(db).await?;
    let ids: Vec<Uuid> = products.iter().map(|row| row.id).collect();
    let levels = stock::Entity::find().filter(stock::Column::ProductId.eq_any(ids)).all(db).await?;
    let levels: HashMap<Uuid, Stock> = levels
        .into_iter()
        .map(|row| (row.product_id, Stock { version: row.version, available: row.available, units_sold: row.units_sold }))
        .collect();
    products
        .into_iter()
        .map(|row| {
            let sku = Sku::parse(&row.sku).map_err(|e| broken("products", &e))?;
            Ok((sku, (ProductId(row.id), levels.get(&row.id).copied().unwrap_or_default())))
        })
        .collect()
}

/// The users with these addresses, by the folded form of the address.
pub(in crate::command) async fn users_by_email(
    db: &impl ConnectionTrait,
    folded: Vec<String>,
) -> Result<HashMap<String, UserId>, DbErr> {
    let rows = user::Entity::find().filter(user::Column::EmailFolded.eq_any(folded)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.email_folded, UserId(row.id))).collect())
}

pub(in crate::command) async fn orders_with(
    db: &impl ConnectionTrait,
    wanted: OrdersWith<'_>,
    limit: i64,
    offset: i64,
) -> Result<Vec<(OrderId, Order)>, DbErr> {
    let except: Vec<Uuid> = wanted.except.iter().map(|id| id.0).collect();
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        ORDERS_WITH,
        [
            wanted.customer_id.0.into(),
            wanted.product_id.to_string().into(),
            wanted.until.into(),
            except.into(),
            limit.into(),
            offset.into(),
        ],
    );
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            let row = order::Model::from_query_result(row, "")?;
            Ok((OrderId(row.id), serde_json::from_value(row.state).map_err(|e| broken("orders", &e))?))
        })
        .collect()
}

/// What was paid back by the refunds at these places of the log.
pub(in crate::command) async fn refund_amounts(
    db: &impl ConnectionTrait,
    refunds: &[(OrderId, i64)],
) -> Result<HashMap<(OrderId, i64), Money>, DbErr> {
    let (ids, versions): (Vec<Uuid>, Vec<i64>) = refunds.iter().map(|(id, version)| (id.0, *version)).unzip();
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ORDER_EVENTS, [ids.into(), versions.into()]);
    let mut amounts = HashMap::with_capacity(refunds.len());
    for row in db.query_all_raw(statement).await? {
        let kind: String = row.try_get("", "kind")?;
        let event = Event::read(&kind, row.try_get("", "data")?).map_err(|e| broken("event_log", &e))?;
        if let Event::Order(OrderEvent::Refunded { amount, .. }) = event {
            let id: Uuid = row.try_get("", "stream_id")?;
            amounts.insert((OrderId(id), row.try_get("", "version")?), amount);
        }
    }
    Ok(amounts)
}
