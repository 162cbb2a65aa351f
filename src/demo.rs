//! A small shop to look at, loaded through the command bus like everything else. Loading it again changes nothing: every command
//! has a fixed id, and dates count from when it was first loaded.

use crate::{
    clock::{Clock, Ids},
    command::{
        Bus, CancelOrder, Command, CreateProduct, CreateUser, DeliverOrder, Fault, LineWish, PayOrder, PlaceOrder, RefundOrder,
        Refusal, ShipOrder, UseCase,
    },
    event::{LineQuantity, Stream},
    value::{
        Address, CommandId, Currency, DisplayName, Email, Invalid, LineId, Money, Note, OrderId, ProductId, ProductName,
        Quantity, Reference, Role, ShipmentId, Sku, Time, UserId, Viewer,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// The people of the demo shop have fixed ids, so that tokens for them can be made before they exist.
///
/// Products and the first order have fixed ids too: the example tabs of the explorer name them.
pub mod people {
    use crate::value::UserId;
    use uuid::Uuid;

    pub const ADA: UserId = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    pub const ALAN: UserId = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
    pub const GRACE: UserId = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003));
    pub const EDSGER: UserId = UserId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004));
}

/// What was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    pub users: usize,
    pub products: usize,
    pub orders: usize,
    /// Whether it was there already.
    pub replayed: bool,
}

/// Why loading stopped.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the shop refused a command of the demo: {0:?}")]
    Refused(Vec<Refusal>),
    #[error("a value of the demo is not valid: {0}")]
    Invalid(#[from] Invalid),
}

const PRODUCTS: [(&str, &str, i64, i64); 8] = [
    ("TEA-001", "Earl Grey, 100 g", 650, 400),
    ("TEA-002", "Darjeeling First Flush, 50 g", 1_490, 120),
    ("POT-001", "Cast iron teapot, 0.8 l", 5_900, 40),
    ("CUP-001", "Porcelain cup", 1_250, 300),
    ("CUP-002", "Glass cup, double-walled", 990, 250),
    ("TIN-001", "Tea tin, blue", 780, 180),
    ("BOOK-01", "The Book of Tea", 1_199, 60),
    ("SET-001", "Tea for two: pot, two cups, tin", 8_900, 25),
];

const FIRST_PRODUCT: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0101;
const FIRST_ORDER: OrderId = OrderId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0201));

const ORDERS: usize = 28;

/// Loads the shop.
///
/// # Errors
/// [`DemoError`]; loading again goes on where it stopped.
pub async fn load(bus: &Bus, clock: &Clock, ids: &Ids) -> Result<Loaded, DemoError> {
    let mut shop = Shop { bus, clock, ids, rng: StdRng::seed_from_u64(1_843), replayed: true };
    let people = [
        (people::ADA, "ada@example.com", "Ada Lovelace", Role::Customer),
        (people::ALAN, "alan@example.com", "Alan Turing", Role::Customer),
        (people::GRACE, "grace@example.com", "Grace Hopper", Role::Staff),
        (people::EDSGER, "edsger@example.com", "Edsger Dijkstra", Role::Customer),
    ];
    // The recorded time of a command, not the clock's: a second loading must ask for exactly the same.
    let mut begun: Option<Time> = None;
    for (user_id, email, name, role) in people {
        let user = CreateUser { user_id, email: Email::parse(email)?, display_name: DisplayName::parse(name)?, role };
        let receipt = shop.send(format!("demo:user:{email}"), user).await?;
        begun.get_or_insert(receipt.committed_at);
    }
    let begun = begun.unwrap_or_else(|| clock.now());
    let mut products = Vec::new();
    for (sku, name, minor, stock) in PRODUCTS {
        let product = CreateProduct {
            product_id: ProductId(Uuid::from_u128(FIRST_PRODUCT + products.len() as u128)),
            sku: Sku::parse(sku)?,
            name: ProductName::parse(name)?,
            description: None,
            price: Money::new(minor, Currency::GBP),
            stock,
        };
        if let Stream::Product(id) = shop.send(format!("demo:product:{sku}"), product).await?.stream {
            products.push(id);
        }
    }
    for index in 0..ORDERS {
        shop.order(index, &products, begun).await?;
    }
    Ok(Loaded { users: people.len(), products: products.len(), orders: ORDERS, replayed: shop.replayed })
}

struct Shop<'a> {
    bus: &'a Bus,
    clock: &'a Clock,
    ids: &'a Ids,
    rng: StdRng,
    replayed: bool,
}

impl Shop<'_> {
    async fn send(&mut self, id: String, use_case: impl Into<UseCase>) -> Result<crate::command::Receipt, DemoError> {
        let command = Command {
            id: CommandId::try_from(id)?,
            actor: Viewer { subject: "demo".into(), role: Role::Admin },
            at: self.clock.now(),
            traceparent: None,
            use_case: use_case.into(),
        };
        let outcome = self.bus.send(command).await?;
        self.replayed &= outcome.replayed;
        outcome.result.map_err(DemoError::Refused)
    }

    /// One order, taken some way through its life, so that every status is there.
    async fn order(&mut self, index: usize, products: &[ProductId], begun: Time) -> Result<(), DemoError> {
        let customer_id = [people::ADA, people::ALAN, people::EDSGER][index % 3];
        let mut lines: Vec<LineWish> = Vec::new();
        for _ in 0..self.rng.random_range(1..=3) {
            let product_id = products[self.rng.random_range(0..products.len())];
            let quantity = Quantity::try_from(self.rng.random_range(1..=3))?;
            lines.push(LineWish { line_id: LineId(self.ids.next()), product_id, quantity, unit_price: None });
        }
        let placed_at =
            begun - time::Duration::hours(26 * i64::try_from(ORDERS - index).unwrap_or(1)) + time::Duration::minutes(7);
        let placed = PlaceOrder {
            order_id: if index == 0 { FIRST_ORDER } else { OrderId(self.ids.next()) },
            customer_id,
            lines,
            shipping_address: Some(address(customer_id)?),
            note: None,
            reference: Some(Reference::parse(&format!("DEMO-{:03}", index + 1))?),
            placed_at: Some(placed_at),
        };
        let Stream::Order(order_id) = self.send(format!("demo:order:{index}"), placed).await?.stream else { return Ok(()) };
        // Pending, paid, partly and wholly shipped, delivered, cancelled, refunded: each comes round.
        let step = index % 8;
        let name = |verb: &str| format!("demo:{verb}:{index}");
        if step == 6 {
            let reason = Some(Note::parse("Ordered twice by mistake")?);
            self.send(name("cancel"), CancelOrder { order_id, expected_version: None, reason }).await?;
            return Ok(());
        }
        if step >= 1 {
            let reference = Reference::parse(&format!("PAY-{index:04}"))?;
            self.send(name("pay"), PayOrder { order_id, expected_version: None, amount: None, reference }).await?;
        }
        if (3..=5).contains(&step) {
            let (carrier, tracking_number) =
                (Some(Reference::parse("Royal Mail")?), Some(Reference::parse(&format!("RM{index:09}GB"))?));
            let ship = ShipOrder {
                order_id,
                shipment_id: ShipmentId(self.ids.next()),
                expected_version: None,
                lines: None::<Vec<LineQuantity>>,
                carrier,
                tracking_number,
            };
            self.send(name("ship"), ship).await?;
        }
        if (4..=5).contains(&step) {
            self.send(name("deliver"), DeliverOrder { order_id, expected_version: None }).await?;
        }
        if step == 7 {
            let reason = Some(Note::parse("Arrived broken")?);
            self.send(name("refund"), RefundOrder { order_id, expected_version: None, lines: None, reason }).await?;
        }
        Ok(())
    }
}

fn address(customer: UserId) -> Result<Address, DemoError> {
    let (line1, city, postal_code) = match customer {
        people::ADA => ("12 St James's Square", "London", "SW1Y 4JH"),
        people::ALAN => ("43 Adlington Road", "Wilmslow", "SK9 2BJ"),
        _ => ("5 Portland Street", "Edinburgh", "EH6 5AB"),
    };
    Ok(Address {
        name: None,
        line1: line1.into(),
        line2: None,
        city: city.into(),
        region: None,
        postal_code: postal_code.into(),
        country_code: "GB".parse()?,
    })
}
