//! A parcel leaves: the whole order, or some of it.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::OrderCommand,
    event::LineQuantity,
    value::{OrderId, Reference, ShipmentId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct ShipOrder {
    pub order_id: OrderId,
    #[serde(skip)]
    pub shipment_id: ShipmentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// Without lines, all that has not been shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_number: Option<Reference>,
}

impl Decide for ShipOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
    }

    fn who(&self) -> May {
        May::Staff("Only staff take this step.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        let ship = OrderCommand::Ship {
            shipment_id: self.shipment_id,
            lines: self.lines.clone(),
            carrier: self.carrier.clone(),
            tracking_number: self.tracking_number.clone(),
            at: command.at,
        };
        work.change_order(command, self.order_id, ship)
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
