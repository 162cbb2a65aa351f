//! Tokens that were found good. Checking a signature by a public key takes longer than a small query; the same client sends the
//! same token with every request.

use super::{claims::Verified, rotation::Current};
use lru::LruCache;
use sha2::{Digest, Sha256};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// Tokens remembered at most; the least used goes first, and is checked again. A few hundred bytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);

/// Good tokens, by the SHA-256 of their text. Held for a look-up, never over an await.
pub(super) struct Seen(Mutex<LruCache<[u8; 32], Good>>);

struct Good {
    /// Of the keys by which the token was good.
    generation: u64,
    verified: Arc<Verified>,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Seen {
    /// What the token said, if its signature was good by these same keys. A key that is withdrawn takes its tokens with it.
    pub fn get(&self, token: &str, keys: &Current) -> Option<Arc<Verified>> {
        if keys.is_empty() {
            return None; // A secret is quicker than looking here.
        }
        let id = Sha256::digest(token).into();
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let good = tokens.get::<[u8; 32]>(&id)?;
        (good.generation == keys.generation).then(|| Arc::clone(&good.verified))
    }

    pub fn put(&self, token: &str, keys: &Current, verified: &Arc<Verified>) {
        let id = Sha256::digest(token).into();
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.put(id, Good { generation: keys.generation, verified: Arc::clone(verified) });
    }
}
