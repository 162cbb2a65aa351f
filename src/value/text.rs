//! Bounded texts: trimmed, without control characters, never empty.

use super::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Trims, and refuses what is empty, too long (in characters) or has control characters other than line breaks.
///
/// One line, unless `lines` is true.
pub(super) fn clean(text: &str, what: &str, max: usize, lines: bool) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::new(format!("{what} must not be empty")));
    }
    if text.chars().count() > max {
        return Err(Invalid::new(format!("{what} has at most {max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))) {
        let breaks = if lines { "" } else { " or line breaks" };
        return Err(Invalid::new(format!("{what} must not contain control characters{breaks}")));
    }
    Ok(text.to_owned())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $lines:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The longest text, in characters.
            pub const MAX: usize = $max;

            /// # Errors
            /// Empty after trimming, longer than [`Self::MAX`], or with control characters.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                clean(text, $what, $max, $lines).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            // Texts may be personal: logs and panics get their length only.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} characters)"), self.0.chars().count())
            }
        }
    };
}

text!(/// What a user is called.
    DisplayName, "a display name",
    200,
    false
);
text!(/// What a product is called.
    ProductName, "a product name",
    300,
    false
);
text!(/// The shop's own number of a product; unique.
    Sku, "a SKU",
    64,
    false
);
text!(/// Somebody else's number for something of ours: an invoice, a payment.
    Reference, "a reference",
    128,
    false
);
text!(/// Free text: a note, a reason, a description.
    Note, "a text", 4000, true
);

/// An address for mail, kept as written and compared in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// Anything that RFC 5321 would not call a mailbox.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        email_address::EmailAddress::parse_with_options(
            text,
            email_address::Options::default().without_display_text().without_domain_literal(),
        )
        .map_err(|_| Invalid::new("this is not an email address"))?;
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which two addresses are the same: the key of uniqueness.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_bounded_and_never_empty() {
        assert_eq!(Sku::parse("  MUG-1 ").unwrap().as_str(), "MUG-1");
        assert!(Sku::parse(" \n ").is_err());
        assert!(Sku::parse(&"ä".repeat(Sku::MAX)).is_ok(), "characters count, not bytes");
        assert!(Sku::parse(&"a".repeat(Sku::MAX + 1)).is_err());
        assert!(Note::parse("two\nlines").is_ok());
        assert!(Note::parse("nothing\0hidden").is_err());
    }

    #[test]
    fn an_address_for_mail_is_kept_as_written_and_compared_in_lower_case() {
        let email = Email::parse(" Ada@Example.COM ").unwrap();
        assert_eq!((email.as_str(), email.folded().as_str()), ("Ada@Example.COM", "ada@example.com"));
        for wrong in ["", "ada", "ada@", "@example.com", "Ada <ada@example.com>", "ada@[127.0.0.1]"] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_may_be_personal_is_not_printed() {
        assert_eq!(format!("{:?}", Note::parse("secret").unwrap()), "Note(6 characters)");
        assert_eq!(format!("{:?}", Email::parse("ada@example.com").unwrap()), "Email(…)");
    }
}
