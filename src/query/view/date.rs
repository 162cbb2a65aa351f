//! Moments as BSON dates, so that indexes and range queries see dates and not texts.

use crate::value::Time;
use mongodb::bson::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// To the millisecond, which is all that BSON keeps and all that our clock gives.
pub fn to_bson(at: Time) -> DateTime {
    DateTime::from_millis(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}

/// The inverse; moments outside of what `time` knows become 1970.
pub fn from_bson(at: DateTime) -> Time {
    Time::from_unix_timestamp_nanos(i128::from(at.timestamp_millis()) * 1_000_000).unwrap_or(Time::UNIX_EPOCH)
}

pub fn serialize<S: Serializer>(at: &Time, s: S) -> Result<S::Ok, S::Error> {
    to_bson(*at).serialize(s)
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Time, D::Error> {
    DateTime::deserialize(d).map(from_bson)
}

pub mod option {
    use super::{DateTime, Deserialize, Deserializer, Serialize, Serializer, Time, from_bson, to_bson};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub fn serialize<S: Serializer>(at: &Option<Time>, s: S) -> Result<S::Ok, S::Error> {
        at.map(to_bson).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Time>, D::Error> {
        Ok(Option::<DateTime>::deserialize(d)?.map(from_bson))
    }
}
