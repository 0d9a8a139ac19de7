//! The written forms of moments and durations: RFC 3339 and decimal seconds.
//! Does not know which record they stand in; the record's own format is versioned where it is defined.

/// Wall nanoseconds as an RFC 3339 text in UTC.
pub(crate) mod wall {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    // serde's `with` asks for a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(wall_ns: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::clock::rfc3339(*wall_ns))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        crate::clock::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// A duration as a decimal number of seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(duration.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Moment, Span, Totals};

    #[test]
    fn a_span_is_written_as_people_read_it() {
        let span = Span {
            name: "web#build".into(),
            start: Moment {
                wall_ns: 1_700_000_000_000_000_001,
                monotonic_ns: 7,
            },
            end: Moment {
                wall_ns: 1_700_000_001_500_000_000,
                monotonic_ns: 1_500_000_006,
            },
        };
        let text = serde_json::to_string(&span).unwrap();
        assert_eq!(
            text,
            r#"{"name":"web#build","start":{"wall":"2023-11-14T22:13:20.000000001Z","monotonic_ns":7},"end":{"wall":"2023-11-14T22:13:21.500000000Z","monotonic_ns":1500000006}}"#
        );
        assert_eq!(serde_json::from_str::<Span>(&text).unwrap(), span);
    }

    #[test]
    fn totals_are_seconds() {
        let totals = Totals {
            wall: Duration::from_millis(1500),
            work: Duration::from_secs(3),
            saved: Duration::ZERO,
        };
        let text = serde_json::to_string(&totals).unwrap();
        assert_eq!(
            text,
            r#"{"wall_seconds":1.5,"work_seconds":3.0,"saved_seconds":0.0}"#
        );
        assert_eq!(serde_json::from_str::<Totals>(&text).unwrap(), totals);
    }

    #[test]
    fn bad_times_are_errors() {
        for bad in ["\"yesterday\"", "\"9999-01-01T00:00:00Z\"", "5"] {
            let text = format!(r#"{{"wall":{bad},"monotonic_ns":0}}"#);
            assert!(serde_json::from_str::<Moment>(&text).is_err(), "{bad}");
        }
        let negative = r#"{"wall_seconds":-1.0,"work_seconds":0.0,"saved_seconds":0.0}"#;
        assert!(serde_json::from_str::<Totals>(negative).is_err());
    }

    #[test]
    fn another_zone_is_the_same_moment() {
        let text = r#"{"wall":"2023-11-15T00:13:20+02:00","monotonic_ns":0}"#;
        assert_eq!(
            serde_json::from_str::<Moment>(text).unwrap().wall_ns,
            1_700_000_000_000_000_000
        );
    }
}
