//! Reads requests: the JSON body of a POST, the parameters of a GET.

use crate::graphql::{Documents, Question};
use async_graphql::ServerError;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The body of a request. Fields of other types than the specification's are errors, not guesses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    #[serde(default)]
    query: Option<String>,
    /// The id of a persisted document, in place of the query.
    #[serde(default)]
    document_id: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    #[serde(default)]
    extensions: Option<Map<String, Value>>,
}

impl Body {
    /// Whether there is anything to execute.
    pub fn is_request(&self) -> bool {
        self.query.is_some() || self.document_id().is_some()
    }

    /// # Errors
    /// The document is not there and not known.
    pub fn into_question(self, documents: &Documents) -> Result<Question, ServerError> {
        let id = self.document_id();
        Ok(Question {
            text: documents.resolve(self.query, id)?,
            operation_name: self.operation_name,
            variables: self.variables.unwrap_or_default(),
        })
    }

    fn document_id(&self) -> Option<String> {
        let apollo =
            self.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery")?.get("sha256Hash")?.as_str());
        self.document_id.as_deref().or(apollo).map(str::to_owned)
    }
}

/// The parameters of a GET.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl Params {
    /// # Errors
    /// A parameter that should be JSON is not, or there is nothing to execute.
    pub fn into_body(self) -> Result<Body, &'static str> {
        let body = Body {
            query: self.query,
            document_id: self.document_id,
            operation_name: self.operation_name.filter(|name| !name.is_empty()),
            variables: object(self.variables).map_err(|()| "The parameter variables is not a JSON object.")?,
            extensions: object(self.extensions).map_err(|()| "The parameter extensions is not a JSON object.")?,
        };
        if body.is_request() { Ok(body) } else { Err("The parameter query is missing.") }
    }
}

fn object(text: Option<String>) -> Result<Option<Map<String, Value>>, ()> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => serde_json::from_str(&text).map_err(|_| ()),
        None => Ok(None),
    }
}
