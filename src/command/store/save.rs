//! Writes the changed state of a group, one statement a table. The rows that existed are locked by `load`, so what is written is
//! the successor of what was read.

use super::{
    broken,
    entity::{order, product, stock, user},
};
use crate::command::work::Work;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Set, sea_query::OnConflict};

/// A statement has at most 65,535 parameters; with at most eight columns a row, this many rows always fit.
const ROWS: usize = 4_000;

pub(in crate::command) async fn save(db: &impl ConnectionTrait, work: &Work) -> Result<(), DbErr> {
    save_users(db, work).await?;
    save_products(db, work).await?;
    save_orders(db, work).await?;
    save_stock(db, work).await
}

async fn save_users(db: &impl ConnectionTrait, work: &Work) -> Result<(), DbErr> {
    use user::Column::{DisplayName, Email, EmailFolded, Id, Version};
    let changed = work.changed_users.iter().filter_map(|id| Some((id, work.users.get(id)?)));
    let rows: Vec<_> = changed
        .map(|(id, user)| user::ActiveModel {
            id: Set(id.0),
            version: Set(user.version),
            email: Set(user.email.as_str().to_owned()),
            email_folded: Set(user.email.folded()),
            display_name: Set(user.display_name.as_str().to_owned()),
            role: Set(user.role.name().to_owned()),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let replace = OnConflict::column(Id).update_columns([Version, Email, EmailFolded, DisplayName]).to_owned();
    user::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(db).await.map(|_| ())
}

async fn save_products(db: &impl ConnectionTrait, work: &Work) -> Result<(), DbErr> {
    use product::Column::{Active, Currency, Description, Id, Name, PriceMinor, Version};
    let changed = work.changed_products.iter().filter_map(|id| Some((id, work.products.get(id)?)));
    let rows: Vec<_> = changed
        .map(|(id, product)| product::ActiveModel {
            id: Set(id.0),
            version: Set(product.version),
            sku: Set(product.sku.as_str().to_owned()),
            name: Set(product.name.as_str().to_owned()),
            description: Set(product.description.as_ref().map(|d| d.as_str().to_owned())),
            price_minor: Set(product.price.minor),
            currency: Set(product.price.currency.code().to_owned()),
            active: Set(product.active),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let replace = OnConflict::column(Id).update_columns([Version, Name, Description, PriceMinor, Currency, Active]).to_owned();
    product::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(db).await.map(|_| ())
}

async fn save_orders(db: &impl ConnectionTrait, work: &Work) -> Result<(), DbErr> {
    use order::Column::{Id, State, Status, Version};
    let mut rows = Vec::with_capacity(work.changed_orders.len());
    for id in &work.changed_orders {
        let Some(order) = work.orders.get(id) else { continue };
        rows.push(order::ActiveModel {
            id: Set(id.0),
            version: Set(order.version),
            number: Set(order.number),
            customer_id: Set(order.customer_id.0),
            status: Set(order.status().name().to_owned()),
            state: Set(serde_json::to_value(order).map_err(|e| broken("orders", &e))?),
        });
    }
    if rows.is_empty() {
        return Ok(());
    }
    let replace = OnConflict::column(Id).update_columns([Version, Status, State]).to_owned();
    order::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(db).await.map(|_| ())
}

async fn save_stock(db: &impl ConnectionTrait, work: &Work) -> Result<(), DbErr> {
    use stock::Column::{Available, ProductId, UnitsSold, Version};
    let moved = work.stock.iter().filter(|(_, level)| level.moved_by.is_some());
    let rows: Vec<_> = moved
        .map(|(id, level)| stock::ActiveModel {
            product_id: Set(id.0),
            version: Set(level.stock.version),
            available: Set(level.stock.available),
            units_sold: Set(level.stock.units_sold),
        })
        .collect();
    for rows in rows.chunks(ROWS) {
        let replace = OnConflict::column(ProductId).update_columns([Version, Available, UnitsSold]).to_owned();
        stock::Entity::insert_many(rows.to_vec()).on_conflict(replace).exec_without_returning(db).await?;
    }
    Ok(())
}
