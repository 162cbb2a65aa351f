//! Content negotiation as the GraphQL over HTTP specification asks.
//! <https://graphql.github.io/graphql-over-http/draft/>

use axum::http::{HeaderMap, StatusCode, header};

/// In which form the client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/graphql-response+json`: the status says how the request went.
    GraphqlResponse,
    /// `application/json`, for older clients: 200 whenever the request could be read.
    Json,
    /// `text/event-stream`: graphql-sse, distinct connections.
    EventStream,
}

impl Form {
    /// The first form of `Accept` that we speak. Without the header, or with wildcards, plain JSON: the specification's default
    /// until 2025 and what clients without the header are used to.
    pub fn wanted(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if given.peek().is_none() {
            return Some(Self::Json);
        }
        let mut ranges: Vec<(f32, Form)> = Vec::new();
        for range in given.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/graphql-response+json" => Self::GraphqlResponse,
                "application/json" | "application/*" | "*/*" => Self::Json,
                "text/event-stream" => Self::EventStream,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0);
            if quality > 0.0 {
                ranges.push((quality, form));
            }
        }
        // The first of the best; a stable sort keeps the client's order.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranges.first().map(|(_, form)| *form)
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        }
    }

    /// The status of an answer. `failed` says that execution never began.
    pub fn status(self, failed: bool) -> StatusCode {
        match self {
            // A stream that cannot begin has no other way to say so.
            Self::GraphqlResponse | Self::EventStream if failed => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        }
    }
}

/// Whether a body is declared as JSON in UTF-8. Anything else is refused: forms and plain text can be sent by any page without
/// asking (cross-site request forgery), JSON cannot.
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts
        .filter_map(|part| part.split_once('='))
        .all(|(name, value)| !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8"));
    json && utf8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> Option<Form> {
        Form::wanted(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
    }

    #[test]
    fn the_client_gets_the_best_form_that_we_speak() {
        assert_eq!(Form::wanted(&HeaderMap::new()), Some(Form::Json));
        assert_eq!(wanted("application/graphql-response+json, application/json;q=0.9"), Some(Form::GraphqlResponse));
        assert_eq!(wanted("application/json;q=0.1, application/graphql-response+json;q=0.5"), Some(Form::GraphqlResponse));
        assert_eq!(wanted("text/html, */*"), Some(Form::Json));
        assert_eq!(wanted("text/event-stream"), Some(Form::EventStream));
        assert_eq!(wanted("text/html"), None);
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        let kind = |value: &str| is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert!(kind("application/json") && kind("application/json; charset=\"UTF-8\""));
        assert!(!kind("text/plain") && !kind("application/x-www-form-urlencoded") && !kind("application/json; charset=latin1"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
