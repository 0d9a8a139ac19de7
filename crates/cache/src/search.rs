//! Looks for byte strings in what is packed, also where they lie across two pieces of a file.
//! Knows nothing of why they matter.

use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;

/// What is looked for in all contents, and whether any of it was found yet.
pub(crate) struct Search<'n> {
    finders: Vec<Finder<'n>>,
    longest: usize,
    found: AtomicBool,
}

impl<'n> Search<'n> {
    pub(crate) fn new(needles: &'n [Vec<u8>]) -> Self {
        let needles = needles.iter().filter(|needle| !needle.is_empty());
        Self {
            longest: needles.clone().map(Vec::len).max().unwrap_or(0),
            finders: needles.map(Finder::new).collect(),
            found: AtomicBool::new(false),
        }
    }

    pub(crate) fn found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// Looks through a whole content.
    pub(crate) fn look(&self, content: &[u8]) {
        if !self.found()
            && self
                .finders
                .iter()
                .any(|finder| finder.find(content).is_some())
        {
            self.found.store(true, Ordering::Relaxed);
        }
    }

    /// Looks through the next piece of a content; `tail` holds the end of what came before, and is empty at the start.
    pub(crate) fn look_on(&self, tail: &mut Vec<u8>, piece: &[u8]) {
        let overlap = self.longest.saturating_sub(1);
        let head = &piece[..piece.len().min(overlap)];
        tail.extend_from_slice(head);
        self.look(tail);
        self.look(piece);
        if piece.len() >= overlap {
            tail.clear();
            tail.extend_from_slice(&piece[piece.len() - overlap..]);
        } else {
            tail.drain(..tail.len().saturating_sub(overlap));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_searched_as_the_whole(
            needles in prop::collection::vec(prop::collection::vec(0_u8..2, 0..6), 0..3),
            pieces in prop::collection::vec(prop::collection::vec(0_u8..2, 0..6), 0..6),
        ) {
            let whole = pieces.concat();
            let wanted = needles.iter().any(|needle| {
                !needle.is_empty() && whole.windows(needle.len()).any(|window| window == needle)
            });
            let search = Search::new(&needles);
            let mut tail = Vec::new();
            for piece in &pieces {
                search.look_on(&mut tail, piece);
            }
            prop_assert_eq!(search.found(), wanted);
            let at_once = Search::new(&needles);
            at_once.look(&whole);
            prop_assert_eq!(at_once.found(), wanted);
        }
    }
}
