//! From events of users, products and stock to their documents. Pure.

use crate::{
    event::{Meta, ProductEvent, StockEvent, UserEvent},
    query::view::{ProductView, UserView, terms},
};

/// The user after `event`. The summary is not the user's events' concern and stays.
pub fn user(mut user: UserView, meta: &Meta, event: &UserEvent) -> UserView {
    match event {
        UserEvent::Created { email, display_name, role } => {
            email.as_str().clone_into(&mut user.email);
            display_name.as_str().clone_into(&mut user.display_name);
            user.role = *role;
            user.created_at = meta.recorded_at;
        }
        UserEvent::ProfileUpdated { email, display_name } => {
            if let Some(email) = email {
                email.as_str().clone_into(&mut user.email);
            }
            if let Some(display_name) = display_name {
                display_name.as_str().clone_into(&mut user.display_name);
            }
        }
    }
    user.version = meta.version;
    user
}

/// The product after `event`. Levels are the stock stream's concern and stay.
pub fn product(mut product: ProductView, meta: &Meta, event: &ProductEvent) -> ProductView {
    match event {
        ProductEvent::Created { sku, name, description, price } => {
            sku.as_str().clone_into(&mut product.sku);
            name.as_str().clone_into(&mut product.name);
            product.description = description.as_ref().map(|d| d.as_str().to_owned());
            product.price = price.minor;
            product.currency = Some(price.currency);
            product.active = true;
        }
        ProductEvent::Updated { name, description, price, active } => {
            if let Some(name) = name {
                name.as_str().clone_into(&mut product.name);
            }
            if let Some(description) = description {
                product.description = Some(description.as_str().to_owned());
            }
            if let Some(price) = price {
                product.price = price.minor;
                product.currency = Some(price.currency);
            }
            product.active = active.unwrap_or(product.active);
        }
        ProductEvent::StockAdjusted { .. } => {}
    }
    product.version = meta.version;
    product.updated_at = product.updated_at.max(meta.recorded_at);
    product.search = terms([product.sku.as_str(), product.name.as_str()]);
    product
}

/// The product at a new stock level.
pub fn stock(mut product: ProductView, meta: &Meta, event: &StockEvent) -> ProductView {
    let StockEvent::LevelChanged { available, units_sold } = event;
    product.available = *available;
    product.units_sold = *units_sold;
    product.stock_version = meta.version;
    product.updated_at = product.updated_at.max(meta.recorded_at);
    product
}
