//! Reads requests: the JSON body of a POST, the parameters of a GET.

use async_graphql::{Request, Variables};
use serde::Deserialize;

/// The body of a request. Fields of other types than the specification's are errors, not guesses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Body {
    pub fn into_request(self) -> Request {
        let mut request = Request::new(self.query);
        request.operation_name = self.operation_name;
        if let Some(variables) = self.variables {
            request = request.variables(Variables::from_json(variables.into()));
        }
        drop(self.extensions);
        request
    }
}

/// The parameters of a GET.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    query: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<String>,
}

impl Params {
    pub fn into_request(self) -> Result<Request, &'static str> {
        let query = self.query.ok_or("The parameter query is missing.")?;
        let variables = match self.variables.filter(|text| !text.is_empty()) {
            Some(text) => serde_json::from_str(&text).map_err(|_| "The parameter variables is not a JSON object.")?,
            None => None,
        };
        Ok(Body { query, operation_name: self.operation_name.filter(|name| !name.is_empty()), variables, extensions: None }
            .into_request())
    }
}
