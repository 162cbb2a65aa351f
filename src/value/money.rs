//! Money as whole minor units (pence, cents) of one ISO 4217 currency. Never floats; every sum is checked.

use super::Invalid;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    pub const GBP: Currency = Currency(iso_currency::Currency::GBP);

    /// The three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals an amount has. Currencies without a minor unit have none.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        iso_currency::Currency::from_code(code)
            .map(Self)
            .ok_or_else(|| Invalid::new("a currency code is three capital letters of ISO 4217, such as EUR"))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(d)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount: `minor` counts the smallest unit of `currency`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// The largest amount taken from outside, in minor units: ten thousand million of most currencies. It leaves room for sums in
    /// 64 bits.
    pub const MAX_MINOR: i64 = 1_000_000_000_000;

    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Reads an exact, non-negative decimal.
    ///
    /// # Errors
    /// More decimals than the currency has, a negative amount, or one above [`Money::MAX_MINOR`].
    pub fn parse(amount: Decimal, currency: Currency) -> Result<Self, Invalid> {
        let decimals = currency.decimals();
        let amount = amount.normalize();
        if amount.scale() > decimals {
            return Err(Invalid::new(format!("{currency} has {decimals} decimals; the amount has more")));
        }
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(Invalid::new("an amount cannot be negative"));
        }
        Decimal::from(10_i64.pow(decimals))
            .checked_mul(amount)
            .and_then(|minor| i64::try_from(minor).ok())
            .filter(|minor| *minor <= Self::MAX_MINOR)
            .map(|minor| Self { minor, currency })
            .ok_or_else(|| Invalid::new("the amount is too large"))
    }

    /// The exact decimal, with all decimals of its currency: `19.90`.
    pub fn amount(self) -> Decimal {
        Decimal::new(self.minor, self.currency.decimals())
    }

    /// `self * count`, or nothing when it does not fit.
    pub fn times(self, count: i64) -> Option<Money> {
        Some(Money::new(self.minor.checked_mul(count)?, self.currency))
    }

    /// The sum, or nothing when the currencies differ or it does not fit.
    pub fn plus(self, other: Money) -> Option<Money> {
        (self.currency == other.currency).then_some(())?;
        Some(Money::new(self.minor.checked_add(other.minor)?, self.currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(amount: &str, code: &str) -> Result<Money, Invalid> {
        Money::parse(amount.parse().unwrap(), code.parse().unwrap())
    }

    #[test]
    fn amounts_are_exact_in_every_kind_of_currency() {
        assert_eq!(parse("19.99", "GBP").unwrap().minor, 1999);
        assert_eq!(parse("19.9", "GBP").unwrap().to_string(), "19.90 GBP");
        assert_eq!(parse("1999", "JPY").unwrap().minor, 1999);
        assert_eq!(parse("1.234", "KWD").unwrap().minor, 1234);
        assert_eq!(parse("2.500", "GBP").unwrap().minor, 250, "trailing zeros are no decimals");
    }

    #[test]
    fn what_cannot_be_paid_is_turned_away() {
        assert!(parse("0.001", "GBP").is_err());
        assert!(parse("0.5", "JPY").is_err());
        assert!(parse("-1", "GBP").is_err());
        assert!(parse("79228162514264337593543950335", "GBP").is_err());
        assert!("XYZ1".parse::<Currency>().is_err());
        assert!("gbp".parse::<Currency>().is_err());
    }

    #[test]
    fn sums_never_mix_currencies_or_overflow() {
        let pound = Money::new(100, Currency::GBP);
        assert_eq!(pound.plus(Money::new(1, "EUR".parse().unwrap())), None);
        assert_eq!(Money::new(i64::MAX, Currency::GBP).plus(pound), None);
        assert_eq!(Money::new(i64::MAX, Currency::GBP).times(2), None);
    }
}
