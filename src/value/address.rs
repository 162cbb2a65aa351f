//! Where an order goes.

use super::{Invalid, text::clean};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An ISO 3166-1 alpha-2 country code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CountryCode([u8; 2]);

impl FromStr for CountryCode {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        <[u8; 2]>::try_from(code.as_bytes())
            .ok()
            .filter(|letters| letters.iter().all(u8::is_ascii_uppercase) && isocountry::CountryCode::for_alpha2(code).is_ok())
            .map(Self)
            .ok_or_else(|| Invalid::new("a country code is two capital letters of ISO 3166-1, such as GB"))
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for CountryCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CountryCode {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(d)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

/// A postal address. Personal: it is never printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    pub line1: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line2: Option<String>,
    pub city: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    pub postal_code: String,
    pub country_code: CountryCode,
}

impl Address {
    /// Cleans every part.
    ///
    /// # Errors
    /// The name of the first part that is empty, too long (200 characters, 32 for the postal code) or has control
    /// characters, with the reason.
    pub fn checked(self) -> Result<Self, (&'static str, Invalid)> {
        let part =
            |field: &'static str, text: &str, max| clean(text, "this part of an address", max, false).map_err(|e| (field, e));
        let optional =
            |field, text: Option<String>| text.filter(|t| !t.trim().is_empty()).map(|t| part(field, &t, 200)).transpose();
        Ok(Self {
            name: optional("name", self.name)?,
            line1: part("line1", &self.line1, 200)?,
            line2: optional("line2", self.line2)?,
            city: part("city", &self.city, 200)?,
            region: optional("region", self.region)?,
            postal_code: part("postalCode", &self.postal_code, 32)?,
            country_code: self.country_code,
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address(in {})", self.country_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn london() -> Address {
        Address {
            name: Some(" ".into()),
            line1: " 12 St James's Square ".into(),
            line2: None,
            city: "London".into(),
            region: None,
            postal_code: "SW1Y 4JH".into(),
            country_code: "GB".parse().unwrap(),
        }
    }

    #[test]
    fn parts_are_cleaned_and_what_is_blank_is_left_out() {
        let checked = london().checked().unwrap();
        assert_eq!((checked.name, checked.line1.as_str()), (None, "12 St James's Square"));
    }

    #[test]
    fn the_first_part_that_is_wrong_is_named() {
        let wrong = |address: Address| address.checked().unwrap_err().0;
        assert_eq!(wrong(Address { line1: String::new(), city: String::new(), ..london() }), "line1");
        assert_eq!(wrong(Address { postal_code: "9".repeat(33), ..london() }), "postalCode");
        assert_eq!(wrong(Address { region: Some("a\0b".into()), ..london() }), "region");
    }

    #[test]
    fn a_country_is_one_of_the_standard() {
        for wrong in ["gb", "GBR", "ZZ", "", "G"] {
            assert!(wrong.parse::<CountryCode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        assert_eq!(format!("{:?}", london()), "Address(in GB)");
    }
}
