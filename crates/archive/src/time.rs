//! A moment of the calendar, to the nanosecond, written as RFC 3339.
//! Does not know any clock: whoever calls says what time it is.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A moment between the years 1677 and 2262. Serialised as RFC 3339 in UTC with nine digits of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A text that is no RFC 3339 time, or one that 64-bit nanoseconds do not reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an RFC 3339 time between the years 1677 and 2262")]
pub struct TimeError {
    /// The refused text.
    pub text: String,
}

impl Time {
    /// The moment so many nanoseconds after 1970-01-01T00:00:00Z.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    #[allow(clippy::cast_precision_loss)] // 53 bits of nanoseconds are 104 days; a day's worth of seconds stays exact enough.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (i128::from(self.0) - i128::from(earlier.0)) as f64 / 1e9
    }
}

impl fmt::Display for Time {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_nanos(self.0);
        to.write_str(&time.to_rfc3339_opts(SecondsFormat::Nanos, true))
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| time.timestamp_nanos_opt())
            .map(Self)
            .ok_or_else(|| TimeError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_and_read_as_rfc3339() {
        let time = Time::from_nanos(1_700_000_000_000_000_001);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000000001Z");
        assert_eq!("2023-11-15T00:13:20.000000001+02:00".parse(), Ok(time));
        for bad in ["", "yesterday", "9999-01-01T00:00:00Z", "2023-11-14"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_may_be_negative_and_never_overflow() {
        let (early, late) = (Time::from_nanos(0), Time::from_nanos(1_500_000_000));
        assert!((late.seconds_since(early) - 1.5).abs() < f64::EPSILON);
        assert!((early.seconds_since(late) + 1.5).abs() < f64::EPSILON);
        let ages = Time::from_nanos(i64::MAX).seconds_since(Time::from_nanos(i64::MIN));
        assert!(ages > 1e10);
    }
}
