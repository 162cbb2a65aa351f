//! Keeps the public keys fresh: looks at the key file and fetches the key set on a timer, and also, rarely enough that nobody can
//! make a flood of it, when a token names a key that is not there. Whatever goes wrong, the keys that were good serve on.

use super::{JwksUrl, Settings, jwks::Jwks, key::Key, key_set::KeySet};
use crate::shutdown::Shutdown;
use jsonwebtoken::Algorithm;
use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

/// Between two fetches that strangers' tokens can cause.
const COOLDOWN: Duration = Duration::from_secs(10);
/// After a failure it is tried again sooner than the timer says.
const RETRY: Duration = Duration::from_secs(30);
/// Bytes of a key file at most.
const LARGEST: u64 = 64 * 1024;
/// Keys that one token is tried with at most. More come together only when an issuer gives several keys one name, or none.
const TRIES: usize = 4;

/// The public keys of a moment.
#[derive(Clone, Default)]
pub(super) struct Current {
    /// Another number for other keys.
    pub generation: u64,
    file: Arc<KeySet>,
    published: Arc<KeySet>,
    has_url: bool,
}

impl Current {
    pub fn is_empty(&self) -> bool {
        self.file.keys.is_empty() && self.published.keys.is_empty()
    }

    /// The keys that may have signed a token: of the published ones the one that it names, or the only one if it names none
    /// (OpenID Connect Core, section 10.1), and those of the file, which have no names. The algorithm is always the key's.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let alone = self.published.keys.len() == 1;
        let named = self.published.keys.iter().filter(move |key| match (kid, key.kid.as_deref()) {
            (Some(wanted), Some(name)) => wanted == name,
            (Some(_), None) => false,
            (None, Some(_)) => alone,
            (None, None) => true,
        });
        named.chain(&self.file.keys).filter(move |key| key.algorithm == algorithm).take(TRIES)
    }

    /// Whether a key of this name may have been published since.
    pub fn might_know_later(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let ours = matches!(algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
        let unknown = |kid| !self.published.keys.iter().any(|key| key.kid.as_deref() == Some(kid));
        self.has_url && ours && kid.is_some_and(unknown)
    }
}

/// Looks at a key file, and says what is in it.
///
/// # Errors
/// It cannot be read or used; a sentence that begins with its name.
pub fn look_at_file(path: &Path) -> Result<String, String> {
    read_file(path).map(|set| set.to_string())
}

/// Fetches a key set, and says what is in it.
///
/// # Errors
/// It cannot be had or used; a sentence that begins with its address.
pub async fn look_at_url(url: &JwksUrl) -> Result<String, String> {
    fetch(&Jwks::new(url)?).await.map(|set| set.to_string())
}

fn read_file(path: &Path) -> Result<KeySet, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{} {why}", path.display());
    let mut text = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    file.map_err(|error| failed(&format_args!("cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(&format_args!("has more than {LARGEST} bytes")));
    }
    KeySet::from_pem(text).map_err(|why| failed(&why))
}

async fn fetch(jwks: &Jwks) -> Result<KeySet, String> {
    jwks.fetch().await.map_err(|why| format!("{} {why}", jwks.url))
}

/// The origins of public keys, and everybody's view of them.
pub(super) struct Rotation {
    file: Option<PathBuf>,
    jwks: Option<Jwks>,
    refresh: Duration,
    wanted: Arc<Notify>,
    current: watch::Sender<Arc<Current>>,
}

impl Rotation {
    /// Looks at every origin for the first time; none, if there is no origin.
    ///
    /// # Errors
    /// The keys of one cannot be had or used.
    pub async fn begin(
        settings: &Settings,
        wanted: &Arc<Notify>,
    ) -> Result<Option<(Self, watch::Receiver<Arc<Current>>)>, String> {
        if settings.key_file.is_none() && settings.jwks.is_none() {
            return Ok(None);
        }
        let (current, view) = watch::channel(Arc::default());
        let rotation = Self {
            file: settings.key_file.clone(),
            jwks: settings.jwks.as_ref().map(Jwks::new).transpose()?,
            refresh: settings.refresh,
            wanted: Arc::clone(wanted),
            current,
        };
        let problems = rotation.look().await;
        if problems.is_empty() { Ok(Some((rotation, view))) } else { Err(problems.join("; ")) }
    }

    /// Looks again and again until the drain.
    pub async fn run(self, shutdown: Shutdown) {
        let (mut next, mut free) = (Instant::now() + self.refresh, Instant::now());
        loop {
            let asked = async {
                self.wanted.notified().await;
                sleep_until(free).await;
            };
            let by_token = tokio::select! {
                () = sleep_until(next) => false,
                () = asked => true,
                () = shutdown.draining() => return,
            };
            let problems = tokio::select! {
                problems = self.look() => problems,
                () = shutdown.draining() => return,
            };
            for problem in &problems {
                tracing::warn!(problem, "the keys of tokens cannot be looked at again; the ones that were good serve on");
            }
            let now = Instant::now();
            if by_token {
                free = now + COOLDOWN.min(self.refresh);
            }
            let pause = if problems.is_empty() { self.refresh } else { RETRY.min(self.refresh) };
            // Not all processes at the same moment.
            next = now + pause.mul_f64(rand::random_range(0.9..=1.0));
        }
    }

    /// Looks at every origin once; tells those who verify what is new, and the caller what is wrong.
    pub async fn look(&self) -> Vec<String> {
        let file = match self.file.clone() {
            None => None,
            // A file may lie on a disk that hangs.
            Some(path) => {
                Some(tokio::task::spawn_blocking(move || read_file(&path)).await.unwrap_or_else(|e| Err(e.to_string())))
            }
        };
        let published = match &self.jwks {
            None => None,
            Some(jwks) => Some(fetch(jwks).await),
        };
        let (mut problems, old) = (Vec::new(), Arc::clone(&self.current.borrow()));
        let mut new = Current { has_url: self.jwks.is_some(), ..Current::clone(&old) };
        for (found, place) in [(file, &mut new.file), (published, &mut new.published)] {
            let outcome = match found {
                None => continue,
                Some(Err(problem)) => {
                    problems.push(problem);
                    "failed"
                }
                Some(Ok(set)) => {
                    if set.text != place.text {
                        tracing::info!(keys = %set, "the keys of tokens are new");
                        *place = Arc::new(set);
                        new.generation = old.generation + 1;
                    }
                    "ok"
                }
            };
            metrics::counter!("orderflow_key_refreshes_total", "outcome" => outcome).increment(1);
        }
        if new.generation != old.generation {
            self.current.send_replace(Arc::new(new));
        }
        problems
    }
}
