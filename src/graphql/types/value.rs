//! Money and addresses.

use crate::{
    graphql::scalars::{CountryCode, CurrencyCode, Decimal},
    value,
};
use async_graphql::{InputObject, SimpleObject};

/// An exact amount of one currency.
#[derive(Debug, Clone, SimpleObject)]
pub struct Money {
    /// With all decimals of the currency.
    pub amount: Decimal,
    /// The currency.
    pub currency_code: CurrencyCode,
}

impl From<value::Money> for Money {
    fn from(money: value::Money) -> Self {
        Self { amount: Decimal(money.amount()), currency_code: CurrencyCode(money.currency) }
    }
}

/// An exact amount of one currency.
#[derive(Debug, Clone, InputObject)]
pub struct MoneyInput {
    /// Not negative, with at most as many decimals as the currency has.
    pub amount: Decimal,
    /// The currency.
    pub currency_code: CurrencyCode,
}

impl MoneyInput {
    /// # Errors
    /// The amount is not one of its currency.
    pub fn parse(&self) -> Result<value::Money, value::Invalid> {
        value::Money::parse(self.amount.0, self.currency_code.0)
    }
}

/// A postal address.
#[derive(Clone, SimpleObject)]
pub struct Address {
    /// Who receives it, if not the customer.
    pub name: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Whatever else the address needs.
    pub line2: Option<String>,
    /// City or place.
    pub city: String,
    /// State, county or province.
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country_code: CountryCode,
}

impl From<&value::Address> for Address {
    fn from(address: &value::Address) -> Self {
        let address = address.clone();
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country_code: CountryCode(address.country_code),
        }
    }
}

/// A postal address.
#[derive(InputObject)]
pub struct AddressInput {
    /// Who receives it, if not the customer. At most 200 characters, as all other parts but the postal code.
    pub name: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Whatever else the address needs.
    pub line2: Option<String>,
    /// City or place.
    pub city: String,
    /// State, county or province.
    pub region: Option<String>,
    /// Postal code, at most 32 characters.
    pub postal_code: String,
    /// Country.
    pub country_code: CountryCode,
}

impl AddressInput {
    /// # Errors
    /// The part that is wrong, and why.
    pub fn parse(self) -> Result<value::Address, (&'static str, value::Invalid)> {
        value::Address {
            name: self.name,
            line1: self.line1,
            line2: self.line2,
            city: self.city,
            region: self.region,
            postal_code: self.postal_code,
            country_code: self.country_code.0,
        }
        .checked()
    }
}
