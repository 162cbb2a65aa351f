//! Runs operations, by whatever way they came: queries and mutations within the operation timeout, subscriptions as long as they
//! last.

use super::Api;
use crate::graphql::ErrorCode;
use async_graphql::{Request, Response, ServerError, parser::types::OperationType};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::time::Instant;

/// Runs a query or a mutation.
///
/// # Errors
/// `TIMEOUT`. Whether a command was carried out is not known then.
pub async fn once(api: &Api, request: Request) -> Result<Response, ServerError> {
    let started = Instant::now();
    let executed = tokio::time::timeout(api.settings.operation_timeout, api.schema.execute(request)).await;
    metrics::histogram!("orderflow_http_operation_seconds").record(started.elapsed().as_secs_f64());
    executed.map_err(|_| {
        metrics::counter!("orderflow_timeouts_total", "of" => "operation").increment(1);
        ErrorCode::Timeout.server_error("The operation took too long and was cut off.")
    })
}

/// The results of an operation of any kind.
pub fn stream(api: &Api, request: Request, kind: Option<OperationType>) -> BoxStream<'static, Response> {
    if kind == Some(OperationType::Subscription) {
        return api.schema.execute_stream(request).boxed();
    }
    let api = api.clone();
    stream::once(async move { once(&api, request).await.unwrap_or_else(|late| Response::from_errors(vec![late])) }).boxed()
}
