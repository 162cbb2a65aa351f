//! The list of what the system can do, and what each use case must say of itself.

use super::{
    AdjustStock, CancelOrder, Command, CreateProduct, CreateUser, DeliverOrder, PayOrder, PlaceOrder, RefundOrder, Refusal,
    ShipOrder, UpdateOrder, UpdateProduct, UpdateUserProfile,
    work::{Needs, Work, Written},
};
use crate::value::{OrderId, UserId};
use serde::Serialize;
use uuid::Uuid;

/// What a use case is decided from and by. Decisions see only what they asked for in `needs`.
pub(super) trait Decide {
    /// Names everything to load, before the transaction's state is read.
    fn needs(&self, needs: &mut Needs);

    /// Who may give this command. It is asked before anything is decided, and it has no default: a new use case must say.
    fn who(&self) -> May;

    /// Decides against the loaded state and, if the answer is yes, records the event there.
    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal>;

    /// The aggregate whose commands must not race each other: they share a lane.
    fn lane(&self) -> Uuid;
}

/// Who may give a command, with what others are told. Finer rules about single inputs are the use case's own.
pub(super) enum May {
    /// Staff and administrators.
    Staff(&'static str),
    /// This user, and staff for them; the input that names the user.
    User(UserId, &'static str, &'static str),
    /// Whoever ordered, and staff for them.
    CustomerOf(OrderId),
}

impl May {
    /// # Errors
    /// `FORBIDDEN`; `NOT_FOUND` for an order that does not exist.
    pub fn check(&self, command: &Command, work: &Work) -> Result<(), Refusal> {
        let actor = &command.actor;
        match *self {
            Self::Staff(told) if !actor.runs_the_shop() => Err(Refusal::forbidden(told)),
            Self::User(user, path, told) if !actor.may_act_for(user) => Err(Refusal::forbidden(told).at(path)),
            Self::CustomerOf(order) if !actor.may_act_for(work.order(order)?.customer_id) => {
                Err(Refusal::forbidden("This is somebody else's order.").at("orderId"))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! use_cases {
    ($($name:ident),+ $(,)?) => {
        /// A use case with its input. Its serialized form is the fingerprint of the input, so ids and times that the server
        /// chooses are left out of it.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "useCase")]
        pub enum UseCase {
            $($name($name)),+
        }

        $(impl From<$name> for UseCase {
            fn from(use_case: $name) -> Self {
                UseCase::$name(use_case)
            }
        })+

        impl UseCase {
            /// The name, for logs and metrics.
            pub fn name(&self) -> &'static str {
                match self { $(UseCase::$name(_) => stringify!($name)),+ }
            }

            pub(super) fn as_decide(&self) -> &dyn Decide {
                match self { $(UseCase::$name(use_case) => use_case),+ }
            }
        }
    };
}

use_cases!(
    CreateUser,
    UpdateUserProfile,
    CreateProduct,
    UpdateProduct,
    AdjustStock,
    PlaceOrder,
    UpdateOrder,
    PayOrder,
    ShipOrder,
    DeliverOrder,
    CancelOrder,
    RefundOrder,
);
