//! The written form of moments: RFC 3339.
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

#[cfg(test)]
mod tests {
    use crate::Moment;

    #[test]
    fn a_moment_is_written_as_people_read_it() {
        let moment = Moment {
            wall_ns: 1_700_000_000_000_000_001,
            monotonic_ns: 7,
        };
        let text = serde_json::to_string(&moment).unwrap();
        assert_eq!(
            text,
            r#"{"wall":"2023-11-14T22:13:20.000000001Z","monotonic_ns":7}"#
        );
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), moment);
    }

    #[test]
    fn bad_times_are_errors() {
        for bad in ["\"yesterday\"", "\"9999-01-01T00:00:00Z\"", "5"] {
            let text = format!(r#"{{"wall":{bad},"monotonic_ns":0}}"#);
            assert!(serde_json::from_str::<Moment>(&text).is_err(), "{bad}");
        }
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
