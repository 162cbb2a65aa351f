//! The stock of one product: units free to order, and units sold net of cancelled orders and refunds. Free units never go below
//! zero.

use super::{Code, Refusal};
use crate::{event::StockEvent, value::ProductId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    pub version: i64,
    pub available: i64,
    pub units_sold: i64,
}

/// What one decision does to the stock of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    pub product_id: ProductId,
    pub available: i64,
    pub units_sold: i64,
    /// Where in the input the wish stands, for a refusal.
    pub path: String,
}

impl Stock {
    /// The most units of a product that may be free at once; counts fit into the API's `Int` with room to spare.
    pub const MAX: i64 = 1_000_000_000;

    /// The levels after a movement.
    ///
    /// # Errors
    /// `INSUFFICIENT_STOCK` when fewer units are free than wanted, `INVALID_INPUT` when there would be more than [`Stock::MAX`].
    pub fn moved(self, movement: &Movement) -> Result<Stock, Refusal> {
        let available = self.available.saturating_add(movement.available);
        if available < 0 {
            let message = format!("Only {} available, {} wanted.", self.available, movement.available.unsigned_abs());
            return Err(Refusal::new(Code::InsufficientStock, message).at(&movement.path));
        }
        // Only for what is put on the shelf by hand: giving back what an order had reserved is never refused.
        if available > Self::MAX && movement.available > 0 && movement.units_sold == 0 {
            return Err(Refusal::invalid("A product can have at most 1000000000 units in stock.").at(&movement.path));
        }
        Ok(Stock { available, units_sold: self.units_sold.saturating_add(movement.units_sold), ..self })
    }
}

/// The next state.
pub fn evolve(state: Stock, event: &StockEvent) -> Stock {
    match event {
        StockEvent::LevelChanged { available, units_sold } => {
            Stock { version: state.version + 1, available: *available, units_sold: *units_sold }
        }
    }
}
