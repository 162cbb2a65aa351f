//! The commands. Each mutation parses its input into values, sends one command to the bus, and translates the outcome; it reads
//! nothing.

mod check;
mod order_input;
mod orders;
mod products;
mod rebuild;
mod users;

use super::{
    context::{caller, viewer},
    error::ErrorCode,
    payload::{Answer, CommandError, CommandErrorCode, Receipt},
    scalars::DateTime,
    types::int,
};
use crate::{
    clock::{Clock, Ids},
    command::{self, Bus, Code, Command, Fault, Outcome, Refusal, UseCase},
    event::{Stream, Token},
    value::CommandId,
};
use async_graphql::{Context, ID, MergedObject, Result};
use check::Check;
pub use rebuild::Rebuilds;

/// Everything that can be done. A mutation answers with a receipt or with the reasons for its refusal.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub struct MutationRoot(users::UserMutation, products::ProductMutation, orders::OrderMutation, rebuild::RebuildMutation);

/// The way to the write side, with what makes commands complete: time and ids.
#[derive(Clone)]
pub struct Writer {
    pub bus: Bus,
    pub clock: Clock,
    pub ids: Ids,
}

impl Writer {
    /// Sends a command, or answers with what is wrong with its input.
    async fn send(ctx: &Context<'_>, command_id: Option<ID>, use_case: Result<UseCase, Check>) -> Result<Answer> {
        let actor = viewer(ctx)?.clone();
        let writer = ctx.data::<Writer>()?;
        let id = match command_id {
            None => Ok(CommandId::from_uuid(writer.ids.next())),
            Some(id) => CommandId::try_from(id.0),
        };
        let (id, use_case) = match (id, use_case) {
            (Ok(id), Ok(use_case)) => (id, use_case),
            (id, use_case) => {
                let mut wrong = use_case.err().unwrap_or_default();
                wrong.take("commandId", id);
                return Ok(Answer {
                    receipt: None,
                    errors: wrong.into_errors().into_iter().map(CommandError::from).collect(),
                    token: None,
                });
            }
        };
        let command = Command { id, actor, at: writer.clock.now(), traceparent: caller(ctx).traceparent.clone(), use_case };
        match writer.bus.send(command).await {
            Ok(outcome) => Ok(Answer::from(outcome)),
            Err(Fault::Busy) => {
                Err(ErrorCode::Busy.error("The server has too many commands in hand; send it again under the same commandId."))
            }
            Err(Fault::Backlog) => Err(ErrorCode::Busy.error(
                "Too many changes wait to be passed on, so no new ones are taken; nothing was done. Send it again later under \
                 the same commandId.",
            )),
            Err(fault @ Fault::Unavailable) => Err(ErrorCode::Unavailable.fault(
                "The write side is unavailable, and it is not known whether the command was carried out; send it again \
                 under the same commandId.",
                &fault,
            )),
            Err(fault @ Fault::Internal) => Err(ErrorCode::Internal.fault("The command could not be carried out.", &fault)),
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome.result {
            Ok(receipt) => {
                let token = Token { stream: receipt.stream, version: receipt.version, stock_version: receipt.stock_version };
                let receipt = into_receipt(receipt, &token, outcome.replayed);
                Self { receipt: Some(receipt), errors: Vec::new(), token: Some(token) }
            }
            Err(refusals) => Self { receipt: None, errors: refusals.into_iter().map(CommandError::from).collect(), token: None },
        }
    }
}

fn into_receipt(receipt: command::Receipt, token: &Token, replayed: bool) -> Receipt {
    let aggregate = match receipt.stream {
        Stream::User(id) => id.to_string(),
        Stream::Product(id) | Stream::Stock(id) => id.to_string(),
        Stream::Order(id) => id.to_string(),
    };
    Receipt {
        command_id: String::from(receipt.command_id).into(),
        aggregate_id: aggregate.into(),
        version: Some(int(receipt.version)),
        token: token.to_string(),
        committed_at: Some(DateTime(receipt.committed_at)),
        replayed,
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: code(refusal.code),
            message: refusal.message,
            path: (!refusal.path.is_empty()).then_some(refusal.path),
            current_version: refusal.current_version.map(int),
        }
    }
}

fn code(code: Code) -> CommandErrorCode {
    match code {
        Code::InvalidInput => CommandErrorCode::InvalidInput,
        Code::NotFound => CommandErrorCode::NotFound,
        Code::Forbidden => CommandErrorCode::Forbidden,
        Code::Conflict => CommandErrorCode::Conflict,
        Code::CommandIdReused => CommandErrorCode::CommandIdReused,
        Code::EmailTaken => CommandErrorCode::EmailTaken,
        Code::SkuTaken => CommandErrorCode::SkuTaken,
        Code::EmptyOrder => CommandErrorCode::EmptyOrder,
        Code::ProductUnavailable => CommandErrorCode::ProductUnavailable,
        Code::InsufficientStock => CommandErrorCode::InsufficientStock,
        Code::CurrencyMismatch => CommandErrorCode::CurrencyMismatch,
        Code::WrongStatus => CommandErrorCode::WrongStatus,
        Code::AmountMismatch => CommandErrorCode::AmountMismatch,
        Code::QuantityExceeded => CommandErrorCode::QuantityExceeded,
    }
}
