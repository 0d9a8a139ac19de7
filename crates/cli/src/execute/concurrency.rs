//! Reads `--concurrency`: a number of tasks, or a share of the cores.
//! Does not know how many cores there are: the caller says.

use std::num::NonZeroUsize;

/// Why a text is no concurrency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no concurrency: {why}; give a number of tasks such as `4`, or a share of the cores such as `50%`"
)]
pub struct ConcurrencyError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// How many tasks may run at once: `4`, or `50%` of `cores`, rounded down but at least one.
///
/// # Errors
/// `text` is zero, not a number, or too large.
pub fn parse(text: &str, cores: NonZeroUsize) -> Result<NonZeroUsize, ConcurrencyError> {
    let fail = |why| ConcurrencyError {
        text: text.to_owned(),
        why,
    };
    let trimmed = text.trim();
    let (digits, share) = match trimmed.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (trimmed, false),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fail("it is not a whole number"));
    }
    let number: u32 = digits.parse().map_err(|_| fail("it is too large"))?;
    let number = NonZeroUsize::new(number as usize).ok_or_else(|| fail("nothing could run"))?;
    if !share {
        return Ok(number);
    }
    let tasks = cores.get().saturating_mul(number.get()) / 100;
    Ok(NonZeroUsize::new(tasks).unwrap_or(NonZeroUsize::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares() {
        let cores = NonZeroUsize::new(6).unwrap();
        let read = |text| {
            parse(text, cores)
                .map(NonZeroUsize::get)
                .map_err(|error| error.why)
        };
        assert_eq!(read("4"), Ok(4));
        assert_eq!(read("50%"), Ok(3));
        assert_eq!(read("1%"), Ok(1));
        assert_eq!(read("200%"), Ok(12));
        assert_eq!(read("0"), Err("nothing could run"));
        assert_eq!(read("0%"), Err("nothing could run"));
        for text in ["", "%", "-1", "+1", "two", "1.5", "5 %"] {
            assert_eq!(read(text), Err("it is not a whole number"), "{text}");
        }
        assert_eq!(read("99999999999"), Err("it is too large"));
    }
}
