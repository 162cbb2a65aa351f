//! The wish that the read model be rebuilt. Like every mutation it reads nothing: the wish is kept, and who has both
//! sides fulfils it.

use super::Check;
use crate::{
    clock::{Clock, Ids},
    command::{Fault, RebuildRequests, RebuildWish},
    graphql::{
        context::viewer,
        error::ErrorCode,
        payload::{CommandError, RebuildReadModelPayload, RebuildReceipt},
        scalars::DateTime,
    },
    value::CommandId,
};
use async_graphql::{Context, ID, InputObject, Object, Result};

/// How wishes are kept, with what makes them complete.
#[derive(Clone)]
pub struct Rebuilds {
    pub requests: RebuildRequests,
    /// The version of the fold of whoever is asked: that version rebuilds.
    pub fold: i32,
    pub clock: Clock,
    pub ids: Ids,
}

/// A read model to be rebuilt from the event log.
#[derive(InputObject)]
pub struct RebuildReadModelInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// Make the previous read model live again instead of building one.
    #[graphql(default = false)]
    undo: bool,
    /// Fail, and leave everything as it is, if the new read model differs from the live one.
    #[graphql(default = false)]
    strict: bool,
}

#[derive(Default)]
pub struct RebuildMutation;

#[Object]
impl RebuildMutation {
    /// Asks for the read model to be built anew beside the live one, which is then switched, or for the previous one to be live
    /// again. rebuildProgress follows it. For administrators.
    async fn rebuild_read_model(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: RebuildReadModelInput,
    ) -> Result<RebuildReadModelPayload> {
        let viewer = viewer(ctx)?;
        let rebuilds = ctx.data::<Rebuilds>()?;
        let mut check = Check::default();
        let id = match input.command_id {
            None => Some(CommandId::from_uuid(rebuilds.ids.next())),
            Some(id) => check.take("commandId", CommandId::try_from(id.0)),
        };
        let Some(id) = id else { return Ok(refused(check.into_errors().into_iter().map(CommandError::from))) };
        let wish = RebuildWish { undo: input.undo, strict: input.strict };
        match rebuilds.requests.ask(viewer, &id, wish, rebuilds.fold, rebuilds.clock.now()).await {
            Ok(Ok(request)) => Ok(RebuildReadModelPayload {
                receipt: Some(RebuildReceipt {
                    command_id: String::from(id).into(),
                    requested_at: DateTime(request.requested_at),
                    replayed: request.replayed,
                }),
                errors: Vec::new(),
            }),
            Ok(Err(refusal)) => Ok(refused([CommandError::from(refusal)])),
            // A wish goes past the lanes of commands, which alone have a backlog.
            Err(fault @ (Fault::Busy | Fault::Backlog | Fault::Unavailable)) => Err(ErrorCode::Unavailable.fault(
                "The write side is unavailable, and it is not known whether the wish was kept; send it again under the same \
                 commandId.",
                &fault,
            )),
            Err(fault @ Fault::Internal) => Err(ErrorCode::Internal.fault("The wish could not be kept.", &fault)),
        }
    }
}

fn refused(errors: impl IntoIterator<Item = CommandError>) -> RebuildReadModelPayload {
    RebuildReadModelPayload { receipt: None, errors: errors.into_iter().collect() }
}
