//! The scalars of the contract.

use crate::value;
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use time::format_description::well_known::Rfc3339;

/// A moment in RFC 3339, such as `2026-11-23T09:30:00.000Z`. Answers are in UTC with milliseconds; any offset is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub value::Time);

/// A moment in RFC 3339, such as `2026-11-23T09:30:00.000Z`. Answers are in UTC with milliseconds; any offset is accepted.
#[Scalar(specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let at = value::Time::parse(text, &Rfc3339).map_err(|_| "a moment looks like 2026-11-23T09:30:00Z")?;
        Ok(Self(value::to_millis(at)))
    }

    fn to_value(&self) -> Value {
        const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let text = self.0.to_offset(time::UtcOffset::UTC).format(FORMAT);
        // Every moment of our range can be written so.
        Value::String(text.unwrap_or_default())
    }
}

/// An exact decimal, written as a string: `"19.99"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(pub rust_decimal::Decimal);

/// An exact decimal, written as a string: `"19.99"`.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let read = match &value {
            Value::String(text) => text.parse(),
            // Whole and short numbers are exact in JSON too; clients that send them mean what they wrote.
            Value::Number(number) => number.to_string().parse(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        read.map(Self).map_err(|_| "a decimal looks like \"19.99\"".into())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An ISO 4217 currency code: three capital letters, such as `GBP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyCode(pub value::Currency);

/// An ISO 4217 currency code: three capital letters, such as `GBP`.
#[Scalar(specified_by_url = "https://www.iso.org/iso-4217-currency-codes.html")]
impl ScalarType for CurrencyCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        text.parse().map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.code().to_owned())
    }
}

/// An ISO 3166-1 alpha-2 country code: two capital letters, such as `GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountryCode(pub value::CountryCode);

/// An ISO 3166-1 alpha-2 country code: two capital letters, such as `GB`.
#[Scalar(specified_by_url = "https://www.iso.org/iso-3166-country-codes.html")]
impl ScalarType for CountryCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        text.parse().map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
