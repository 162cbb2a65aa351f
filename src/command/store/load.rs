//! Reads all that a group needs, one statement a table, locking what will change in the order users, products, orders, stock, and
//! by id within each, so that two groups never wait for each other both ways. `FOR NO KEY UPDATE`, because new orders and stock
//! refer to users and products by foreign keys, whose checks would wait for the stronger `FOR UPDATE`. Ids go as one array, so
//! that the text of a statement is the same for any number of them and stays prepared.

use super::{
    broken,
    entity::{order, product, stock, user},
};
use crate::{
    command::work::{Level, Needs, Work},
    domain::{order::Order, product::Product, stock::Stock, user::User},
    value::{Currency, DisplayName, Email, Money, Note, OrderId, ProductId, ProductName, Role, Sku, UserId},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::LockType,
};
use std::collections::BTreeSet;

/// Fills `work` with everything in `needs`.
pub(in crate::command) async fn load(db: &impl ConnectionTrait, needs: &Needs, work: &mut Work) -> Result<(), DbErr> {
    load_users(db, needs, work).await?;
    load_products(db, needs, work).await?;
    load_orders(db, needs, work).await?;
    load_stock(db, needs, work).await?;
    if needs.order_numbers > 0 {
        let draw = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT nextval('order_number') AS number FROM generate_series(1, $1)",
            [i64::try_from(needs.order_numbers).unwrap_or(i64::MAX).into()],
        );
        for row in db.query_all_raw(draw).await? {
            work.order_numbers.push_back(row.try_get("", "number")?);
        }
    }
    Ok(())
}

async fn load_users(db: &impl ConnectionTrait, needs: &Needs, work: &mut Work) -> Result<(), DbErr> {
    let read: BTreeSet<UserId> = needs.users.difference(&needs.users_to_change).copied().collect();
    let mut rows = Vec::new();
    if !needs.users_to_change.is_empty() {
        let ids = needs.users_to_change.iter().map(|id| id.0);
        let query =
            user::Entity::find().filter(user::Column::Id.eq_any(ids)).order_by_asc(user::Column::Id).lock(LockType::NoKeyUpdate);
        rows.extend(query.all(db).await?);
    }
    if !read.is_empty() {
        rows.extend(user::Entity::find().filter(user::Column::Id.eq_any(read.iter().map(|id| id.0))).all(db).await?);
    }
    for row in rows {
        let id = UserId(row.id);
        work.users.insert(id, read_user(row)?);
    }
    if !needs.emails.is_empty() {
        let emails = needs.emails.iter().cloned();
        let taken = user::Entity::find().filter(user::Column::EmailFolded.eq_any(emails)).all(db).await?;
        work.emails.extend(taken.into_iter().map(|row| (row.email_folded, UserId(row.id))));
    }
    Ok(())
}

async fn load_products(db: &impl ConnectionTrait, needs: &Needs, work: &mut Work) -> Result<(), DbErr> {
    let read: BTreeSet<ProductId> = needs.products.difference(&needs.products_to_change).copied().collect();
    let mut rows = Vec::new();
    if !needs.products_to_change.is_empty() {
        let ids = needs.products_to_change.iter().map(|id| id.0);
        let query = product::Entity::find()
            .filter(product::Column::Id.eq_any(ids))
            .order_by_asc(product::Column::Id)
            .lock(LockType::NoKeyUpdate);
        rows.extend(query.all(db).await?);
    }
    if !read.is_empty() {
        rows.extend(product::Entity::find().filter(product::Column::Id.eq_any(read.iter().map(|id| id.0))).all(db).await?);
    }
    for row in rows {
        let id = ProductId(row.id);
        work.products.insert(id, read_product(row)?);
    }
    if !needs.skus.is_empty() {
        let skus = needs.skus.iter().cloned();
        let taken = product::Entity::find().filter(product::Column::Sku.eq_any(skus)).all(db).await?;
        work.skus.extend(taken.into_iter().map(|row| (row.sku, ProductId(row.id))));
    }
    Ok(())
}

async fn load_orders(db: &impl ConnectionTrait, needs: &Needs, work: &mut Work) -> Result<(), DbErr> {
    if needs.orders.is_empty() {
        return Ok(());
    }
    let ids = needs.orders.iter().map(|id| id.0);
    let query =
        order::Entity::find().filter(order::Column::Id.eq_any(ids)).order_by_asc(order::Column::Id).lock(LockType::NoKeyUpdate);
    for row in query.all(db).await? {
        let state: Order = serde_json::from_value(row.state).map_err(|e| broken("orders", &e))?;
        work.orders.insert(OrderId(row.id), state);
    }
    Ok(())
}

async fn load_stock(db: &impl ConnectionTrait, needs: &Needs, work: &mut Work) -> Result<(), DbErr> {
    let of_orders = needs.stock_of_orders.iter().filter_map(|id| work.orders.get(id)).flat_map(|order| &order.lines);
    let products: BTreeSet<ProductId> = needs.stock.iter().copied().chain(of_orders.map(|line| line.product_id)).collect();
    if products.is_empty() {
        return Ok(());
    }
    let ids = products.iter().map(|id| id.0);
    let query = stock::Entity::find()
        .filter(stock::Column::ProductId.eq_any(ids))
        .order_by_asc(stock::Column::ProductId)
        .lock(LockType::NoKeyUpdate);
    for row in query.all(db).await? {
        let stock = Stock { version: row.version, available: row.available, units_sold: row.units_sold };
        work.stock.insert(ProductId(row.product_id), Level { stock, moved_by: None });
    }
    Ok(())
}

fn read_user(row: user::Model) -> Result<User, DbErr> {
    let role = serde_json::from_value::<Role>(row.role.into()).map_err(|e| broken("users", &e))?;
    Ok(User {
        version: row.version,
        email: Email::parse(&row.email).map_err(|e| broken("users", &e))?,
        display_name: DisplayName::parse(&row.display_name).map_err(|e| broken("users", &e))?,
        role,
    })
}

fn read_product(row: product::Model) -> Result<Product, DbErr> {
    let currency: Currency = row.currency.parse().map_err(|e| broken("products", &e))?;
    Ok(Product {
        version: row.version,
        sku: Sku::parse(&row.sku).map_err(|e| broken("products", &e))?,
        name: ProductName::parse(&row.name).map_err(|e| broken("products", &e))?,
        description: row.description.map(|d| Note::parse(&d)).transpose().map_err(|e| broken("products", &e))?,
        price: Money::new(row.price_minor, currency),
        active: row.active,
    })
}
