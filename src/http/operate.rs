//! Runs operations, by whatever way they came: queries and mutations within the operation timeout, subscriptions as long as they
//! last.

use super::Api;
use crate::graphql::{Caller, ErrorCode, OperationKind, Prepared};
use async_graphql::{Response, ServerError};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::time::Instant;

/// Runs a query or a mutation.
///
/// # Errors
/// `TIMEOUT`. Whether a command was carried out is not known then.
pub async fn once(api: &Api, prepared: Prepared, caller: Caller) -> Result<Response, ServerError> {
    let started = Instant::now();
    let executed = tokio::time::timeout(api.settings.operation_timeout, api.executor.execute(prepared, caller)).await;
    metrics::histogram!("orderflow_http_operation_seconds").record(started.elapsed().as_secs_f64());
    executed.map_err(|_| {
        metrics::counter!("orderflow_timeouts_total", "of" => "operation").increment(1);
        ErrorCode::Timeout.server_error("The operation took too long and was cut off.")
    })
}

/// The results of an operation of any kind.
pub fn stream(api: &Api, prepared: Prepared, caller: Caller) -> BoxStream<'static, Response> {
    if prepared.kind == OperationKind::Subscription {
        return api.executor.stream(prepared, caller).boxed();
    }
    let api = api.clone();
    stream::once(async move { once(&api, prepared, caller).await.unwrap_or_else(|late| Response::from_errors(vec![late])) })
        .boxed()
}
