//! Names nodes by small dense numbers, and keeps sets of them as bits.
//! Does not know which of the numbers are nodes of a graph: that is the graph's to say.

use std::fmt;

/// A node of one graph: a small number, so that facts about nodes fit into plain vectors.
///
/// An id is stable for as long as its node stays in the graph. After the node is removed, the next
/// added node may receive the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id as an index into vectors of [`Graph::bound`](crate::Graph::bound) elements.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The id of a slot. Graphs refuse to grow past `u32::MAX` slots, so this holds for all of theirs.
    pub(crate) fn of(index: usize) -> Self {
        Self(u32::try_from(index).expect("a graph has fewer than 2^32 nodes"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const BITS: usize = u64::BITS as usize;

/// A set of nodes, one bit each. Iterates in ascending order of id.
// The last word is never zero, so that equal sets have equal words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSet {
    words: Vec<u64>,
    len: usize,
}

impl NodeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many nodes are in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no node is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: NodeId) -> bool {
        let word = self.words.get(id.index() / BITS).copied().unwrap_or(0);
        word & (1 << (id.index() % BITS)) != 0
    }

    /// Adds `id`; true if it was not in the set before.
    pub fn insert(&mut self, id: NodeId) -> bool {
        let at = id.index() / BITS;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1 << (id.index() % BITS);
        let added = self.words[at] & bit == 0;
        self.words[at] |= bit;
        self.len += usize::from(added);
        added
    }

    /// Takes `id` out; true if it was in the set.
    pub fn remove(&mut self, id: NodeId) -> bool {
        if !self.contains(id) {
            return false;
        }
        self.words[id.index() / BITS] &= !(1 << (id.index() % BITS));
        self.len -= 1;
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
        true
    }

    /// The nodes in ascending order.
    pub fn iter(&self) -> NodeSetIter<'_> {
        NodeSetIter {
            rest: &self.words,
            base: 0,
            word: 0,
        }
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(ids: I) -> Self {
        let mut set = Self::new();
        set.extend(ids);
        set
    }
}

impl Extend<NodeId> for NodeSet {
    fn extend<I: IntoIterator<Item = NodeId>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

impl<'a> IntoIterator for &'a NodeSet {
    type Item = NodeId;
    type IntoIter = NodeSetIter<'a>;

    fn into_iter(self) -> NodeSetIter<'a> {
        self.iter()
    }
}

/// The nodes of a [`NodeSet`] in ascending order.
#[derive(Clone, Debug)]
pub struct NodeSetIter<'a> {
    rest: &'a [u64],
    /// The index just past the bits of `word`.
    base: usize,
    word: u64,
}

impl Iterator for NodeSetIter<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        while self.word == 0 {
            let (&word, rest) = self.rest.split_first()?;
            self.word = word;
            self.rest = rest;
            self.base += BITS;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some(NodeId::of(self.base - BITS + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_equal_whatever_their_past() {
        let mut a: NodeSet = [3, 64, 200].map(NodeId).into_iter().collect();
        assert!(a.remove(NodeId(200)));
        assert!(!a.remove(NodeId(200)));
        assert!(!a.insert(NodeId(3)));
        let b: NodeSet = [64, 3].map(NodeId).into_iter().collect();
        assert_eq!(a, b);
        assert_eq!(a.len(), 2);
        assert_eq!(a.iter().map(|id| id.0).collect::<Vec<_>>(), [3, 64]);
        assert!(!a.contains(NodeId(u32::MAX)));
    }
}
