//! What a command wrote: raw bytes, tagged by stream, in the order of their arrival.
//! Does not know where logs are kept or how they are shown.

pub mod format;

use super::Stream;

/// Bytes that a log keeps at most; what comes later is counted and dropped.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// The captured output of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    frames: Vec<(Stream, Vec<u8>)>,
    kept: usize,
    limit: usize,
    dropped: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl Log {
    /// An empty log that keeps [`LIMIT`] bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log that keeps `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            frames: Vec::new(),
            kept: 0,
            limit,
            dropped: 0,
        }
    }

    /// Adds what arrived. Neighbours from one stream become one frame.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.kept);
        let (bytes, beyond) = bytes.split_at(bytes.len().min(room));
        self.dropped += beyond.len() as u64;
        self.kept += bytes.len();
        match self.frames.last_mut() {
            _ if bytes.is_empty() => {}
            Some((last, frame)) if *last == stream => frame.extend_from_slice(bytes),
            _ => self.frames.push((stream, bytes.to_vec())),
        }
    }

    /// The frames in order; none is empty, and neighbours differ in their stream.
    pub fn frames(&self) -> impl Iterator<Item = (Stream, &[u8])> {
        self.frames
            .iter()
            .map(|(stream, bytes)| (*stream, bytes.as_slice()))
    }

    /// Bytes that did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the command wrote nothing.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.dropped == 0
    }

    /// All bytes of both streams in order, for searching.
    pub fn bytes(&self) -> Vec<u8> {
        self.frames
            .iter()
            .flat_map(|(_, bytes)| bytes)
            .copied()
            .collect()
    }

    /// The stored form; see [`format`](mod@format).
    pub fn encode(&self) -> Vec<u8> {
        format::encode(self)
    }

    /// Reads the stored form; none when it is damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        format::decode(bytes)
    }
}
