//! Fetches a published key set, within bounds. Redirects are not followed: whoever can redirect could choose the keys.

use super::key_set::KeySet;
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, Uri, header, uri::Scheme},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{error::Error, fmt, net::IpAddr, str::FromStr, time::Duration};

/// How long a fetch may take, from the name of the host to the last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a key set at most. A key with its certificates has a few thousand.
const LARGEST: usize = 256 * 1024;

/// The address of a key set. It is told without its query, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(Uri);

impl JwksUrl {
    /// Whether keys come by an open wire from another machine: whoever sits on it could sign anybody in.
    pub fn is_exposed(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.0.scheme() != Some(&Scheme::HTTPS) && !near
    }
}

impl FromStr for JwksUrl {
    type Err = &'static str;

    /// # Errors
    /// What is wrong with it, without repeating it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "is not an address such as https://id.example/.well-known/jwks.json";
        let uri: Uri = text.parse().map_err(|_| wanted)?;
        let carried = uri.scheme() == Some(&Scheme::HTTPS) || uri.scheme() == Some(&Scheme::HTTP);
        if !carried || uri.host().is_none_or(str::is_empty) {
            return Err(wanted);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("has a user in it: a key set is public and needs no password");
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A published key set, and how to get it.
pub(super) struct Jwks {
    pub url: JwksUrl,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

impl Jwks {
    /// # Errors
    /// The TLS library lacks what it needs.
    pub fn new(url: &JwksUrl) -> Result<Self, String> {
        // The same provider and roots as for broker and MongoDB.
        let builder = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider());
        let connector = builder.map_err(|error| error.to_string())?.https_or_http().enable_http1().build();
        // Minutes lie between two fetches: no connection is worth keeping, and a new one finds a host that has moved.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url: url.clone(), client })
    }

    /// Fetches the set.
    ///
    /// # Errors
    /// Why there is none, for the operator, and without the address.
    pub async fn fetch(&self) -> Result<KeySet, String> {
        let text = tokio::time::timeout(PATIENCE, self.text()).await;
        KeySet::from_jwks(text.map_err(|_| format!("does not answer within {} seconds", PATIENCE.as_secs()))??)
    }

    async fn text(&self) -> Result<Vec<u8>, String> {
        let request = Request::get(self.url.0.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, concat!("orderflow/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| format!("cannot be reached: {}", whole(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(format!("answers {}", response.status()));
        }
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
        Ok(body.map_err(|error| format!("was cut off, or has more than {LARGEST} bytes: {error}"))?.into())
    }
}

/// An error with its causes: the client's own text says only "client error".
fn whole(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_secrets() {
        let url: JwksUrl = "https://id.example:8443/keys?key=hunter2".parse().unwrap();
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            ("https://id.example:8443/keys".into(), "https://id.example:8443/keys".into())
        );
        for wrong in
            ["", "id.example/keys", "/keys", "ftp://id.example/keys", "http://", "https://me:hunter2@id.example/keys", "a b"]
        {
            let told = wrong.parse::<JwksUrl>().unwrap_err();
            assert!(!told.contains("hunter2"), "{wrong}: {told}");
        }
    }

    #[test]
    fn only_the_own_machine_is_near() {
        for (url, exposed) in [
            ("http://id.example/keys", true),
            ("http://10.0.0.1/keys", true),
            ("http://localhost.example/keys", true),
            ("https://id.example/keys", false),
            ("http://localhost:8080/keys", false),
            ("http://127.0.0.1/keys", false),
            ("http://[::1]:80/keys", false),
        ] {
            assert_eq!(url.parse::<JwksUrl>().unwrap().is_exposed(), exposed, "{url}");
        }
    }
}
