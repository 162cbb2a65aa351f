//! Commands on products.

use super::{Check, Writer};
use crate::{
    clock::Ids,
    command::{AdjustStock, CreateProduct, UpdateProduct, UseCase},
    graphql::{payload::ProductPayload, types::MoneyInput},
    value::{Note, ProductId, ProductName, Sku},
};
use async_graphql::{Context, ID, InputObject, Object, Result};

/// A new product.
#[derive(InputObject)]
pub struct CreateProductInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// The shop's own number of it, 1 to 64 characters; no two products share one. Upper and lower case differ.
    sku: String,
    /// What it is called, 1 to 300 characters.
    name: String,
    /// What it is, up to 4000 characters.
    description: Option<String>,
    /// What one unit costs.
    price: MoneyInput,
    /// Units on the shelf.
    #[graphql(default = 0)]
    stock: i32,
}

impl CreateProductInput {
    fn parse(self, ids: &Ids) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let sku = check.take("sku", Sku::parse(&self.sku));
        let name = check.take("name", ProductName::parse(&self.name));
        let description = check.optional("description", self.description.map(|text| Note::parse(&text)));
        let price = check.take("price.amount", self.price.parse());
        let (Some(sku), Some(name), Some(price), true) = (sku, name, price, check.is_clean()) else { return Err(check) };
        let product_id = ProductId(ids.next());
        Ok(CreateProduct { product_id, sku, name, description, price, stock: i64::from(self.stock) }.into())
    }
}

/// Changes of a product; what is left out stays.
#[derive(InputObject)]
pub struct UpdateProductInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// The product.
    product_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// The new name, 1 to 300 characters. Orders keep the name as bought.
    name: Option<String>,
    /// The new description, up to 4000 characters.
    description: Option<String>,
    /// The new price. Orders keep the price as bought.
    price: Option<MoneyInput>,
    /// Put it on sale, or take it off.
    active: Option<bool>,
}

impl UpdateProductInput {
    fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let product_id = check.id("productId", &self.product_id);
        let name = check.optional("name", self.name.map(|name| ProductName::parse(&name)));
        let description = check.optional("description", self.description.map(|text| Note::parse(&text)));
        let price = check.optional("price.amount", self.price.map(|price| price.parse()));
        let (Some(product_id), true) = (product_id, check.is_clean()) else { return Err(check) };
        let expected_version = self.expected_version.map(i64::from);
        Ok(UpdateProduct { product_id, expected_version, name, description, price, active: self.active }.into())
    }
}

/// Goods that came in or went out other than by orders.
#[derive(InputObject)]
pub struct AdjustStockInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// The product.
    product_id: ID,
    /// Units to add, or with a minus to take away; never more than are available.
    delta: i32,
    /// Why, for the record.
    reason: Option<String>,
}

impl AdjustStockInput {
    fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let product_id = check.id("productId", &self.product_id);
        let reason = check.optional("reason", self.reason.map(|text| Note::parse(&text)));
        let (Some(product_id), true) = (product_id, check.is_clean()) else { return Err(check) };
        Ok(AdjustStock { product_id, delta: i64::from(self.delta), reason }.into())
    }
}

#[derive(Default)]
pub struct ProductMutation;

#[Object]
impl ProductMutation {
    /// Adds a product. For staff.
    async fn create_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new product.")] input: CreateProductInput,
    ) -> Result<ProductPayload> {
        let id = input.command_id.clone();
        let use_case = input.parse(&ctx.data::<Writer>()?.ids);
        Writer::send(ctx, id, use_case).await.map(ProductPayload)
    }

    /// Changes a product. For staff. Orders keep name and price as bought.
    async fn update_product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What changes.")] input: UpdateProductInput,
    ) -> Result<ProductPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(ProductPayload)
    }

    /// Books goods in or out. For staff.
    async fn adjust_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, and why.")] input: AdjustStockInput,
    ) -> Result<ProductPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(ProductPayload)
    }
}
