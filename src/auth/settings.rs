//! What is set: the keys that are trusted, and the rules for claims.

use super::{JwksUrl, Rules};
use std::{fmt, path::PathBuf, time::Duration};

/// Whose tokens are accepted. Several kinds of keys may be set; a token is checked by the one that it names and that has its
/// algorithm.
#[derive(Clone)]
pub struct Settings {
    /// HS256.
    pub secret: Option<String>,
    /// Public keys in PEM: RS256, ES256 or EdDSA, as the key is.
    pub key_file: Option<PathBuf>,
    /// Where a key set is published.
    pub jwks: Option<JwksUrl>,
    /// How often file and key set are looked at again.
    pub refresh: Duration,
    pub rules: Rules,
}

impl Default for Settings {
    /// No keys, so nobody is let in.
    fn default() -> Self {
        Self { secret: None, key_file: None, jwks: None, refresh: Duration::from_secs(300), rules: Rules::default() }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "…");
        f.debug_struct("Settings")
            .field("secret", &secret)
            .field("key_file", &self.key_file)
            .field("jwks", &self.jwks)
            .field("refresh", &self.refresh)
            .field("rules", &self.rules)
            .finish()
    }
}
