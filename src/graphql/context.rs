//! What a request carries: who asks, and under which trace.

use super::error::ErrorCode;
use crate::{query::Reader, value::Viewer};
use async_graphql::{Context, Result};
use std::time::Duration;

/// Who sent the request. Made from the token at the edge, and from nothing else.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub viewer: Option<Viewer>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Bounds of a request.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Tokens of a document.
    pub tokens: usize,
    /// Selections that are walked when fragments are merged: the size of the tree.
    pub selections: u64,
    /// Bytes of the variables.
    pub variables: u64,
    /// Levels.
    pub depth: u64,
    /// Points: one a field, times the items of the lists it is in.
    pub cost: u64,
    pub aliases: u64,
    pub directives: u64,
    pub introspection: bool,
    pub payload_wait: PayloadWait,
}

/// How long a payload's object field waits for the read side before it is null.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayloadWait(pub Duration);

pub fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    static NOBODY: Caller = Caller { viewer: None, traceparent: None };
    ctx.data_opt().unwrap_or(&NOBODY)
}

/// The signed-in caller. Every root field begins with it.
///
/// # Errors
/// `UNAUTHENTICATED` without a token.
pub fn viewer<'a>(ctx: &Context<'a>) -> Result<&'a Viewer> {
    let message = "Sign in: send a token as \"Authorization: Bearer …\" (over WebSocket in the payload of connection_init).";
    caller(ctx).viewer.as_ref().ok_or_else(|| ErrorCode::Unauthenticated.error(message))
}

pub fn reader<'a>(ctx: &Context<'a>) -> Result<&'a Reader> {
    ctx.data()
}
