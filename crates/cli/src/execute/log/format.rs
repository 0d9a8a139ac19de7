//! The stored form of a log.
//! Does not know where it is stored.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `larlog` and the version, `0x00 0x01` |
//! | 32 | BLAKE3 of everything that follows |
//! | 8 | bytes that were dropped at the limit, little-endian |
//! | per frame: 1 | 1 standard output, 2 standard error |
//! | 8 | length of the frame in bytes, little-endian, not 0 |
//! | length | the bytes as they were written |
//!
//! Frames follow each other until the end. Anything else is damaged, and a damaged log is none.

use super::{LIMIT, Log};
use crate::execute::Stream;

const MAGIC: &[u8; 8] = b"larlog\x00\x01";

pub(super) fn encode(log: &Log) -> Vec<u8> {
    let mut body = log.dropped.to_le_bytes().to_vec();
    for (stream, bytes) in log.frames() {
        body.push(match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        });
        body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(bytes);
    }
    let digest = blake3::hash(&body);
    [&MAGIC[..], digest.as_bytes(), &body].concat()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Log> {
    let (digest, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
    if blake3::hash(body).as_bytes() != digest {
        return None;
    }
    let (dropped, mut rest) = body.split_first_chunk()?;
    let mut log = Log::with_limit(LIMIT.max(body.len()));
    while let Some((tag, tail)) = rest.split_first() {
        let (length, tail) = tail.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length))
            .ok()
            .filter(|length| *length > 0)?;
        let (frame, tail) = tail.split_at_checked(length)?;
        let stream = match tag {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        log.push(stream, frame);
        rest = tail;
    }
    log.limit = LIMIT;
    log.dropped = u64::from_le_bytes(*dropped);
    Some(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_none() {
        let mut log = Log::new();
        log.push(Stream::Stdout, b"a\xff");
        log.push(Stream::Stdout, b"\x00b");
        log.push(Stream::Stderr, b"\x1b[31mred");
        log.push(Stream::Stderr, b"");
        log.push(Stream::Stdout, b"\n");
        assert_eq!(log.frames().count(), 3);
        let stored = log.encode();
        assert_eq!(Log::decode(&stored), Some(log));
        for end in 0..stored.len() {
            assert_eq!(Log::decode(&stored[..end]), None, "cut at {end}");
            let mut flipped = stored.clone();
            flipped[end] ^= 1;
            assert_eq!(Log::decode(&flipped), None, "flipped at {end}");
        }
        let empty = Log::new();
        assert!(empty.is_empty());
        assert_eq!(Log::decode(&empty.encode()), Some(empty));
    }

    #[test]
    fn a_log_is_bounded_and_says_so() {
        let mut log = Log::with_limit(3);
        log.push(Stream::Stdout, b"ab");
        log.push(Stream::Stderr, b"cdef");
        assert_eq!((log.bytes(), log.dropped()), (b"abc".to_vec(), 3));
        assert_eq!(Log::decode(&log.encode()).unwrap().dropped(), 3);
    }
}
