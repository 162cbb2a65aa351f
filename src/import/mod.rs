//! Brings the data of other systems into the shop: through the command bus like everybody, so an import has no way around the
//! rules, and what it did stands in the log under its own name.
//!
//! One folder a format. Nothing here knows the read side, GraphQL or a driver.

pub mod online_retail;

use crate::command::Fault;
use std::path::PathBuf;

/// Why an import ended before its end. A row that cannot be imported is none of these: it is in the report.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is larger than {limit_mib} MiB; split it, and import the parts one after another", .path.display())]
    TooLarge { path: PathBuf, limit_mib: u64 },
    /// The first line does not name the columns.
    #[error("{} is not of the expected shape: {problem}", .path.display())]
    Header { path: PathBuf, problem: String },
    #[error("the import stopped: {0}; what is done stays done, and running it again continues from there")]
    Stopped(Fault),
}
