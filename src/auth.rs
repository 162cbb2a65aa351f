//! Tokens: JWT by HS256, with the claims `sub`, `role` and `exp`. Identity comes from here and from nowhere else.

use crate::value::{Role, Time, Viewer};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};

/// Checks and makes tokens. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// The claims that are read; others are ignored.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: Role,
    /// Seconds since 1970.
    exp: i64,
}

/// A caller, and until when.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub viewer: Viewer,
    /// Seconds since 1970.
    pub expires_at: i64,
}

/// The token is none of ours, or no longer. The reason is not told: it helps nobody honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid or has expired")]
pub struct BadToken;

impl Keys {
    pub fn hs256(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        // Clocks of different machines differ a little.
        validation.leeway = 10;
        validation.validate_aud = false;
        Self(Arc::new(Inner {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            validation,
        }))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// None in practice; the signature is the library's.
    pub fn sign(&self, viewer: &Viewer, now: Time, ttl: Duration) -> Result<String, jsonwebtoken::errors::Error> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims { sub: viewer.subject.clone(), role: viewer.role, exp: now.unix_timestamp().saturating_add(ttl) };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding)
    }

    /// Checks a token.
    ///
    /// # Errors
    /// [`BadToken`], whatever is wrong with it.
    pub fn verify(&self, token: &str) -> Result<SignedIn, BadToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.0.decoding, &self.0.validation).map_err(|_| BadToken)?.claims;
        // It becomes the scope of command ids and the actor of events.
        if claims.sub.is_empty() || claims.sub.len() > 200 || claims.sub.chars().any(char::is_control) {
            return Err(BadToken);
        }
        Ok(SignedIn { viewer: Viewer { subject: claims.sub, role: claims.role }, expires_at: claims.exp })
    }

    /// Checks the value of an `Authorization` header, or of the same field of `connection_init`.
    ///
    /// # Errors
    /// [`BadToken`], also for another scheme than `Bearer`.
    pub fn verify_header(&self, value: &str) -> Result<SignedIn, BadToken> {
        let (scheme, token) = value.trim().split_once(' ').ok_or(BadToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BadToken);
        }
        self.verify(token.trim())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::hs256("a secret of at least thirty-two characters")
    }

    fn ada() -> Viewer {
        Viewer { subject: "ada".into(), role: Role::Customer }
    }

    #[test]
    fn a_token_says_who_and_what() {
        let token = keys().sign(&ada(), Time::now_utc(), Duration::from_secs(60)).unwrap();
        assert_eq!(keys().verify_header(&format!("Bearer {token}")).unwrap().viewer, ada());
        assert_eq!(keys().verify_header(&format!("bearer  {token} ")).unwrap().viewer, ada());
    }

    #[test]
    fn strangers_and_the_late_are_turned_away() {
        let now = Time::now_utc();
        let late = keys().sign(&ada(), now - time::Duration::HOUR, Duration::from_secs(60)).unwrap();
        assert!(keys().verify(&late).is_err(), "expired");
        let foreign = Keys::hs256("another secret of at least thirty-two").sign(&ada(), now, Duration::from_secs(60)).unwrap();
        assert!(keys().verify(&foreign).is_err(), "signed by somebody else");
        assert!(keys().verify_header("Basic YWRhOmFkYQ==").is_err());
        // {"alg":"none"}: the oldest trick.
        assert!(keys().verify("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJyb2xlIjoiQURNSU4iLCJleHAiOjk5OTk5OTk5OTl9.").is_err());
    }
}
