//! The same command id gives the same outcome: its fingerprint, and the stored form of its outcome.

use super::{Code, Command, Outcome, Receipt, Refusal, store::Remembered};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The stored form of an outcome.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Stored {
    Receipt(Receipt),
    Refusals(Vec<Refusal>),
}

/// A digest of the input as the client gave it. What is absent is left out of it, so that an optional field of a later release
/// does not make a stranger of the same command. Not the input itself: it may be personal, and comparing is all it is for.
pub(super) fn fingerprint(command: &Command) -> Result<Vec<u8>, serde_json::Error> {
    Ok(Sha256::digest(serde_json::to_vec(&command.use_case)?).to_vec())
}

pub(super) fn store(fingerprint: Vec<u8>, result: &Result<Receipt, Vec<Refusal>>) -> Result<Remembered, serde_json::Error> {
    let stored = match result {
        Ok(receipt) => Stored::Receipt(receipt.clone()),
        Err(refusals) => Stored::Refusals(refusals.clone()),
    };
    Ok(Remembered { fingerprint, outcome: serde_json::to_value(stored)? })
}

/// The answer to a command whose id is known: what it was the first time or, with another input, that the id is spent.
pub(super) fn replay(fingerprint: &[u8], remembered: &Remembered) -> Result<Outcome, serde_json::Error> {
    if remembered.fingerprint != fingerprint {
        let refusal = Refusal::new(
            Code::CommandIdReused,
            "This commandId was used for another command before. Every command needs an id of its own.",
        );
        return Ok(Outcome { result: Err(vec![refusal.at("commandId")]), replayed: false });
    }
    let result = match serde_json::from_value(remembered.outcome.clone())? {
        Stored::Receipt(receipt) => Ok(receipt),
        Stored::Refusals(refusals) => Err(refusals),
    };
    Ok(Outcome { result, replayed: true })
}
