//! Who is calling: JSON Web Tokens, checked. Identity comes from here and from nowhere else.
//!
//! A token is checked by HS256 with a secret, or by RS256, ES256 or EdDSA with public keys from a file or from the address of a
//! key set (JWKS). The algorithm is the key's and never the token's choice, which ends the confusions of RFC 8725, section 2.1.
//! Public keys are looked at again on a timer, so that they can be changed while the process runs (`rotation.rs`).
//!
//! What is not here: passwords, sessions, and issuing tokens to anybody but developers.

mod claims;
mod jwks;
mod key;
mod key_set;
mod rotation;
mod seen;
mod settings;

pub use claims::Rules;
pub use jwks::JwksUrl;
pub use rotation::{look_at_file, look_at_url};
pub use settings::Settings;

use crate::{
    clock::Clock,
    shutdown::Shutdown,
    value::{Time, Viewer},
};
use claims::Verified;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use key::Key;
use rotation::Rotation;
use seen::Seen;
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

/// Bytes of a token at most. Those of large issuers have two or three thousand; nothing longer is even read.
const LONGEST: usize = 16 * 1024;

/// Checks and makes tokens. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    clock: Clock,
    rules: Rules,
    /// HS256: checks, and signs for developers.
    secret: Option<(Key, EncodingKey)>,
    /// The public keys of this moment.
    public: watch::Receiver<Arc<rotation::Current>>,
    /// Says that a token names a key that is not there.
    wanted: Arc<Notify>,
    seen: Seen,
}

/// A caller, and until when.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub viewer: Viewer,
    /// Seconds since 1970.
    pub expires_at: i64,
}

/// The token is none of ours, or no longer. The reason is not told: it helps nobody honest. An operator finds it in a metric, and
/// in the log at the level `debug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid or has expired")]
pub struct BadToken;

/// A token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CannotSign {
    #[error("there is no secret to sign with: tokens come from whoever has the private keys")]
    NoSecret,
    #[error("the token cannot be signed: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

impl Keys {
    /// A secret and the machine's clock: enough to make tokens and to look at them.
    pub fn hs256(secret: &str) -> Self {
        Self::by_secret(&Settings { secret: Some(secret.to_owned()), ..Settings::default() }, &Clock::system())
    }

    /// The secret's part of the settings, without public keys.
    pub fn by_secret(settings: &Settings, clock: &Clock) -> Self {
        let (_, public) = watch::channel(Arc::default());
        Self::new(settings, clock, public, Arc::default())
    }

    /// Everything that is set. Reads the key file and fetches the key set, once and within a few seconds, and starts the task
    /// that keeps both fresh.
    ///
    /// # Errors
    /// The file or the key set cannot be had or used. A process that could let nobody in does not start; whoever supervises it
    /// tries again, as when a database is away.
    pub async fn open(settings: &Settings, clock: &Clock, shutdown: &Shutdown) -> Result<Self, String> {
        let wanted = Arc::new(Notify::new());
        let Some((rotation, public)) = Rotation::begin(settings, &wanted).await? else {
            return Ok(Self::by_secret(settings, clock));
        };
        shutdown.supervise("keys", rotation.run(shutdown.clone()));
        Ok(Self::new(settings, clock, public, wanted))
    }

    fn new(settings: &Settings, clock: &Clock, public: watch::Receiver<Arc<rotation::Current>>, wanted: Arc<Notify>) -> Self {
        // An empty secret is none: everybody knows it.
        let secret = settings.secret.as_ref().filter(|secret| !secret.is_empty());
        Self(Arc::new(Inner {
            clock: clock.clone(),
            rules: settings.rules.clone(),
            secret: secret.map(|secret| (Key::secret(secret), EncodingKey::from_secret(secret.as_bytes()))),
            public,
            wanted,
            seen: Seen::default(),
        }))
    }

    /// Makes a token that these keys accept, by HS256.
    ///
    /// # Errors
    /// There is no secret.
    pub fn sign(&self, viewer: &Viewer, now: Time, ttl: Duration) -> Result<String, CannotSign> {
        let (_, key) = self.0.secret.as_ref().ok_or(CannotSign::NoSecret)?;
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let claims = self.0.rules.write(viewer, now.unix_timestamp().saturating_add(ttl));
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)?)
    }

    /// Checks a token. Never waits: a token whose key is not known yet is bad, and the key is looked for meanwhile.
    ///
    /// # Errors
    /// [`BadToken`], whatever is wrong with it.
    pub fn verify(&self, token: &str) -> Result<SignedIn, BadToken> {
        self.look_at(token).map_err(|reason| {
            metrics::counter!("orderflow_tokens_refused_total", "reason" => reason).increment(1);
            tracing::debug!(reason, "a token is refused");
            BadToken
        })
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

    /// The errors are labels of a metric: a word for each reason, and nothing of the token.
    fn look_at(&self, token: &str) -> Result<SignedIn, &'static str> {
        if token.len() > LONGEST {
            return Err("too_long");
        }
        let public = Arc::clone(&self.0.public.borrow());
        let verified = match self.0.seen.get(token, &public) {
            Some(verified) => verified,
            None => self.read(token, &public)?,
        };
        self.0.rules.in_time(&verified, self.0.clock.now().unix_timestamp())?;
        Ok(SignedIn { viewer: verified.viewer.clone(), expires_at: verified.expires_at })
    }

    /// Finds the key, checks the signature, and reads the claims, all but the times.
    fn read(&self, token: &str, public: &rotation::Current) -> Result<Arc<Verified>, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "malformed")?;
        if header.crit.is_some() {
            // Extensions that must be understood (RFC 7515, section 4.1.11), and none is.
            return Err("critical_extension");
        }
        if header.alg == Algorithm::HS256 {
            let (key, _) = self.0.secret.as_ref().ok_or("unknown_key")?;
            let claims = key.verify(token).ok_or("signature")?;
            return Ok(Arc::new(self.0.rules.read(&claims)?));
        }
        let (kid, mut tried) = (header.kid.as_deref(), false);
        let claims = public.candidates(kid, header.alg).find_map(|key| {
            tried = true;
            key.verify(token)
        });
        let Some(claims) = claims else {
            if public.might_know_later(kid, header.alg) {
                self.0.wanted.notify_one();
            }
            return Err(if tried { "signature" } else { "unknown_key" });
        };
        let verified = Arc::new(self.0.rules.read(&claims)?);
        self.0.seen.put(token, public, &verified);
        Ok(verified)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

#[cfg(test)]
mod tests;
