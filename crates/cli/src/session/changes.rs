//! What may have changed on disk since a session last looked.
//! Does not know how changes are noticed, nor what they reach.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A moment, as whoever tells changes counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Whose count it is: moments of another one say nothing.
    pub instance: [u8; 16],
    /// Grows with every change.
    pub tick: u64,
}

/// So many paths are told apart; beyond that everything is looked at, which is then cheaper.
pub const MOST_PATHS: usize = 2_000;

/// Paths that may have changed. What changed and is not in it will not be seen: whoever cannot tell says
/// [`everything`](ChangeSet::everything).
///
/// Paths are relative to the workspace, with slashes, or begin with the prefix of a mount. A path stands for itself and
/// for all that lies below it; the empty path is the whole workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    paths: BTreeSet<Vec<u8>>,
    everything: Option<String>,
}

impl ChangeSet {
    /// Nothing changed.
    pub fn new() -> ChangeSet {
        ChangeSet::default()
    }

    /// Anything may have changed; `why` continues "the whole workspace is looked at: …".
    pub fn everything(why: impl Into<String>) -> ChangeSet {
        ChangeSet {
            paths: BTreeSet::new(),
            everything: Some(why.into()),
        }
    }

    /// Adds a path, and with it all that lies below.
    pub fn add(&mut self, path: impl Into<Vec<u8>>) {
        if self.everything.is_some() {
            return;
        }
        self.paths.insert(path.into());
        if self.paths.len() > MOST_PATHS {
            *self = ChangeSet::everything(format!("more than {MOST_PATHS} paths changed"));
        }
    }

    /// Takes in what another set knows.
    pub fn merge(&mut self, other: ChangeSet) {
        match other.everything {
            Some(why) if self.everything.is_none() => *self = ChangeSet::everything(why),
            _ => other.paths.into_iter().for_each(|path| self.add(path)),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.everything.is_none() && self.paths.is_empty()
    }

    /// Why everything is to be looked at, if it is.
    pub fn why_everything(&self) -> Option<&str> {
        self.everything.as_deref()
    }

    /// Whether this very path is named.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }

    /// The paths, sorted; none of them tells anything while [`why_everything`](Self::why_everything) does.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths.iter().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_apart_is_everything_and_stays_so() {
        let mut changes = ChangeSet::new();
        assert!(changes.is_empty());
        changes.add("b");
        changes.add("a");
        changes.add("a");
        assert_eq!(changes.paths().collect::<Vec<_>>(), [b"a", b"b"]);
        let mut many = changes.clone();
        for number in 0..MOST_PATHS {
            many.add(number.to_string());
        }
        assert!(many.why_everything().is_some() && !many.is_empty());
        many.add("c");
        many.merge(changes.clone());
        assert_eq!(many.paths().count(), 0);
        changes.merge(many);
        assert!(changes.why_everything().is_some());
        let why = changes.why_everything().map(str::to_owned);
        changes.merge(ChangeSet::everything("another reason"));
        assert_eq!(changes.why_everything(), why.as_deref());
    }
}
