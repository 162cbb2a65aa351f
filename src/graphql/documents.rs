//! Documents that clients need not send whole: automatic persisted queries, and a manifest of trusted documents.
//!
//! Automatic persisted queries (the protocol of Apollo's clients) save bytes: a client sends a hash, and the text only if this
//! process does not know it yet. A manifest closes the door: when one is given, nothing else is executed.
//! <https://www.apollographql.com/docs/apollo-server/performance/apq>,
//! <https://github.com/graphql/graphql-over-http/pull/264>

use super::error::ErrorCode;
use async_graphql::ServerError;
use lru::LruCache;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt::{self, Write},
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Documents remembered at most; the least used goes first, and its client is asked for the text again.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);
/// Longer documents are executed but not remembered.
const LONGEST: usize = 16 * 1024;

/// What is known of documents. Cheap to clone.
#[derive(Clone)]
pub struct Documents(Arc<Inner>);

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(&*self.0, Inner::Trusted(_)) { "Documents(trusted)" } else { "Documents(open)" })
    }
}

enum Inner {
    /// By the SHA-256 of the text. Held for a look-up, never over an await.
    Remembered(Mutex<LruCache<String, Arc<str>>>),
    /// By whatever id the manifest gives.
    Trusted(HashMap<String, String>),
}

impl Documents {
    /// Executes everything, and remembers what clients ask to have remembered.
    pub fn open() -> Self {
        Self(Arc::new(Inner::Remembered(Mutex::new(LruCache::new(REMEMBERED)))))
    }

    /// Executes only what stands in a manifest: a JSON object of ids and texts (as GraphQL Code Generator and Relay write it), or
    /// Apollo's `{"operations":[{"id":…,"body":…}]}`.
    ///
    /// # Errors
    /// The file cannot be read, or is neither.
    pub fn trusted(manifest: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(manifest).map_err(|e| format!("{} cannot be read: {e}", manifest.display()))?;
        let wrong = || format!("{} is no manifest: a JSON object of ids and documents, or Apollo's format", manifest.display());
        let json: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
        let pairs: Option<HashMap<String, String>> = match json.get("operations").and_then(Value::as_array) {
            Some(operations) => {
                let pair = |o: &Value| Some((o.get("id")?.as_str()?.to_owned(), o.get("body")?.as_str()?.to_owned()));
                operations.iter().map(pair).collect()
            }
            None => json
                .as_object()
                .and_then(|object| object.iter().map(|(id, text)| Some((id.clone(), text.as_str()?.to_owned()))).collect()),
        };
        Ok(Self(Arc::new(Inner::Trusted(pairs.filter(|pairs| !pairs.is_empty()).ok_or_else(wrong)?))))
    }

    /// The text of a document, from the text itself or from what stands for it.
    ///
    /// # Errors
    /// It is not known, not trusted, or not what its hash says.
    pub fn resolve(&self, query: Option<String>, id: Option<String>) -> Result<String, ServerError> {
        match (&*self.0, query, id) {
            (Inner::Trusted(documents), _, Some(id)) => {
                // Clients write hashes with or without their kind.
                let found = documents.get(&id).or_else(|| documents.get(&format!("sha256:{id}")));
                found.cloned().ok_or_else(|| ErrorCode::PersistedQueryNotFound.server_error("PersistedQueryNotFound"))
            }
            (Inner::Trusted(_), _, None) => {
                Err(ErrorCode::DocumentNotTrusted
                    .server_error("Only documents of this server's manifest are executed; send an id."))
            }
            (Inner::Remembered(_), Some(query), None) => Ok(query),
            (Inner::Remembered(_), None, None) => Err(ErrorCode::BadUserInput.server_error("The request has no query.")),
            (Inner::Remembered(known), None, Some(id)) => {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                let found = known.get(&id).map(std::string::ToString::to_string);
                found.ok_or_else(|| ErrorCode::PersistedQueryNotFound.server_error("PersistedQueryNotFound"))
            }
            (Inner::Remembered(known), Some(query), Some(id)) => {
                if hash(&query) != id {
                    return Err(ErrorCode::PersistedQueryMismatch.server_error("The hash is not that of the query."));
                }
                if query.len() <= LONGEST {
                    known.lock().unwrap_or_else(PoisonError::into_inner).put(id, query.as_str().into());
                }
                Ok(query)
            }
        }
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<String, ServerError>) -> String {
        let error = result.unwrap_err();
        let extensions = serde_json::to_value(error.extensions.unwrap()).unwrap();
        extensions["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_document_is_known_by_its_hash_once_it_was_sent() {
        let documents = Documents::open();
        let (query, id) = ("{ me { id } }".to_owned(), hash("{ me { id } }"));
        assert_eq!(code(documents.resolve(None, Some(id.clone()))), "PERSISTED_QUERY_NOT_FOUND");
        assert_eq!(code(documents.resolve(Some("{ other }".into()), Some(id.clone()))), "PERSISTED_QUERY_MISMATCH");
        assert_eq!(documents.resolve(Some(query.clone()), Some(id.clone())), Ok(query.clone()));
        assert_eq!(documents.resolve(None, Some(id)), Ok(query));
    }

    #[test]
    fn with_a_manifest_nothing_else_is_executed() {
        let file = std::env::temp_dir().join(format!("orderflow-manifest-{}.json", std::process::id()));
        for manifest in [r#"{"a1":"{ me { id } }"}"#, r#"{"operations":[{"id":"a1","body":"{ me { id } }"}]}"#] {
            std::fs::write(&file, manifest).unwrap();
            let documents = Documents::trusted(&file).unwrap();
            assert_eq!(documents.resolve(None, Some("a1".into())), Ok("{ me { id } }".into()));
            assert_eq!(code(documents.resolve(Some("{ me { id } }".into()), None)), "DOCUMENT_NOT_TRUSTED");
            assert_eq!(code(documents.resolve(Some("{ x }".into()), Some("b".into()))), "PERSISTED_QUERY_NOT_FOUND");
        }
        for wrong in ["", "[]", "{}", r#"{"a":1}"#] {
            std::fs::write(&file, wrong).unwrap();
            assert!(Documents::trusted(&file).is_err(), "{wrong}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(Documents::trusted(&file).is_err(), "there is no such file");
    }
}
