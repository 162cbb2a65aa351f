//! The token of a receipt: which append a reader asks for. The write side makes it, the read side answers by it, clients carry
//! it.

use super::Stream;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};

/// "At least this version of this stream." It names one append, not a position among all: that a global position has been passed
/// proves nothing about one append (johanhaleby/occurrent#739).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub stream: Stream,
    pub version: i64,
    /// With products: the version of the stock that the same append moved to.
    pub stock_version: Option<i64>,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stock = self.stock_version.map(|version| format!(":{version}")).unwrap_or_default();
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{}:{}{stock}", self.stream, self.version)))
    }
}

/// The text is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the token of a receipt; pass receipt.token as it was given")]
pub struct NotAToken;

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        // The longest we make has far fewer characters.
        if text.len() > 200 {
            return Err(NotAToken);
        }
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAToken)?).map_err(|_| NotAToken)?;
        let mut parts = plain.split(':');
        let stream = parts.next().and_then(|part| part.parse().ok()).ok_or(NotAToken)?;
        let version = parts.next().and_then(|part| part.parse().ok()).filter(|v| *v > 0).ok_or(NotAToken)?;
        let stock_version = parts.next().map(|part| part.parse().map_err(|_| NotAToken)).transpose()?;
        if parts.next().is_some() {
            return Err(NotAToken);
        }
        Ok(Self { stream, version, stock_version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{OrderId, ProductId};
    use uuid::Uuid;

    #[test]
    fn a_token_survives_the_journey_through_a_client() {
        for token in [
            Token { stream: Stream::Order(OrderId(Uuid::from_u128(7))), version: 3, stock_version: None },
            Token { stream: Stream::Product(ProductId(Uuid::from_u128(7))), version: 1, stock_version: Some(1) },
        ] {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn anything_else_is_turned_away() {
        for text in ["", "x", "b3JkZXI", "b3JkZXIvMDo6", &"a".repeat(10_000), "é"] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
    }
}
