//! Ids of entries: ULIDs whose random part begins with the nanoseconds that a ULID's milliseconds leave out.
//! Does not know where randomness or the time come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::time::Time;

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// What is no digit.
const NONE: u8 = 255;
/// The digit that each byte is, in either case.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut digit = 0;
    while digit < 32 {
        let byte = ALPHABET[digit as usize];
        digits[byte as usize] = digit;
        digits[byte.to_ascii_lowercase() as usize] = digit;
        digit += 1;
    }
    digits
};
/// Characters of an id.
const LENGTH: usize = 26;
/// Bits of randomness.
const RANDOM_BITS: u32 = 60;
/// Bits that hold the nanoseconds within a millisecond.
const NANOS_BITS: u32 = 20;

/// The id of an entry: 48 bits of milliseconds, 20 of nanoseconds within one, 60 of randomness. As text, 26 characters that any reader
/// of ULIDs takes. Ids, and their texts, sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u128);

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no id of an entry: ids are 26 characters of 0-9 and A-Z without I, L, O and U"
)]
pub struct IdError {
    /// The refused text.
    pub text: String,
}

impl EntryId {
    /// The id of an entry made at `time`; the lower 60 bits of `random` keep it apart from others of the same nanosecond. Times before
    /// 1970 count as 1970.
    pub fn new(time: Time, random: u64) -> Self {
        let nanos = u128::try_from(time.nanos()).unwrap_or(0);
        let (millis, rest) = (nanos / 1_000_000, nanos % 1_000_000);
        let random = u128::from(random) & ((1 << RANDOM_BITS) - 1);
        Self(millis << (RANDOM_BITS + NANOS_BITS) | rest << RANDOM_BITS | random)
    }

    /// The same with randomness from the system.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn random(time: Time) -> std::io::Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self::new(time, u64::from_le_bytes(bytes)))
    }

    /// When the entry was made, to the millisecond: a ULID of another maker says no more.
    pub fn time(self) -> Time {
        let millis = i64::try_from(self.0 >> (RANDOM_BITS + NANOS_BITS)).unwrap_or(i64::MAX);
        Time::from_nanos(millis.saturating_mul(1_000_000))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..LENGTH)
            .rev()
            .map(|place| char::from(ALPHABET[(self.0 >> (5 * place)) as usize & 31]))
            .collect();
        to.pad(&text)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "EntryId({self})")
    }
}

impl FromStr for EntryId {
    type Err = IdError;

    /// Takes lower case as well; nothing else that would make two texts one id.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError { text: text.into() };
        if text.len() != LENGTH {
            return Err(refused());
        }
        let mut value = 0_u128;
        for (at, byte) in text.bytes().enumerate() {
            let digit = DIGITS[usize::from(byte)];
            // 26 digits hold 130 bits; the two highest have to be zero.
            if digit == NONE || (at == 0 && digit > 7) {
                return Err(refused());
            }
            value = value << 5 | u128::from(digit);
        }
        Ok(Self(value))
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_id_is_written_as_other_readers_expect() {
        // The milliseconds of the ULID specification's example.
        let time = Time::from_nanos(1_469_918_176_385 * 1_000_000);
        let id = EntryId::new(time, 0);
        assert_eq!(id.to_string(), "01ARYZ6S410000000000000000");
        assert_eq!(id.time(), time);
    }

    #[test]
    fn texts_that_are_no_ids_are_refused() {
        let good = EntryId::new(Time::from_nanos(5), 7).to_string();
        for bad in [
            "",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000I",
            "0000000000000000000000000/",
            "000000000000000000000000é",
            &good[1..],
            &(good.clone() + "0"),
            "../../../../../../etc/pass",
        ] {
            assert!(bad.parse::<EntryId>().is_err(), "{bad}");
        }
        assert_eq!(good.to_lowercase().parse(), good.parse::<EntryId>());
    }

    #[test]
    fn two_of_one_moment_are_two() {
        let time = Time::from_nanos(1_700_000_000_000_000_000);
        assert_ne!(
            EntryId::random(time).unwrap(),
            EntryId::random(time).unwrap()
        );
    }

    proptest! {
        #[test]
        fn texts_sort_by_time(early in 0..i64::MAX - 1, gap in 1..1_000_000_000_i64, a: u64, b: u64) {
            let late = early.saturating_add(gap);
            let (early, late) = (EntryId::new(Time::from_nanos(early), a), EntryId::new(Time::from_nanos(late), b));
            prop_assert!(early < late);
            prop_assert!(early.to_string() < late.to_string());
        }

        #[test]
        fn text_and_id_are_one(bits: u128) {
            let id = EntryId(bits);
            prop_assert_eq!(id.to_string().parse::<EntryId>().unwrap(), id);
        }
    }
}
