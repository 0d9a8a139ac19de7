//! Holds nodes, their edges and the inverse edges, and keeps the three in step under every update.
//! Does not know what an edge means beyond "depends on", and lets cycles stand until order is asked for.

use std::collections::BTreeSet;
use std::ops::Index;

use crate::id::{NodeId, NodeSet};

/// A directed graph: an edge leads from a node to one that it depends on.
///
/// Between two nodes there is at most one edge in each direction. Neighbours are kept in ascending
/// order of id, so every walk is deterministic and independent of the order of insertion. Adding an edge
/// costs a binary search plus an insertion, which is an append when nodes are added in order.
#[derive(Clone, Debug)]
pub struct Graph<N, E = ()> {
    slots: Vec<Option<Slot<N, E>>>,
    free: BTreeSet<u32>,
    edges: usize,
}

/// An edge names a node that the graph does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the graph has no node {0}")]
pub struct MissingNode(pub NodeId);

#[derive(Clone, Debug)]
struct Slot<N, E> {
    value: N,
    /// Ascending; `links[i]` is the edge to `dependencies[i]`.
    dependencies: Vec<NodeId>,
    links: Vec<E>,
    /// Ascending.
    dependents: Vec<NodeId>,
}

impl<N, E> Default for Graph<N, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N, E> Graph<N, E> {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: BTreeSet::new(),
            edges: 0,
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many edges there are.
    pub fn edge_count(&self) -> usize {
        self.edges
    }

    /// One more than the highest index any node ever had: the length of a vector indexed by node.
    /// Equals [`len`](Self::len) until a node is removed.
    pub fn bound(&self) -> usize {
        self.slots.len()
    }

    /// Whether `id` is a node of this graph.
    pub fn contains(&self, id: NodeId) -> bool {
        self.slot(id).is_some()
    }

    /// The node `id`, if it is there. `graph[id]` is the same for ids known to be there.
    pub fn get(&self, id: NodeId) -> Option<&N> {
        self.slot(id).map(|slot| &slot.value)
    }

    /// The node `id`, to change.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut N> {
        self.slot_mut(id).map(|slot| &mut slot.value)
    }

    /// The ids of all nodes, ascending.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes().map(|(id, _)| id)
    }

    /// All nodes, by ascending id.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &N)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((NodeId::of(index), &slot.as_ref()?.value)))
    }

    /// What `id` depends on directly, ascending; empty for a node that is not there.
    pub fn dependencies(&self, id: NodeId) -> &[NodeId] {
        self.slot(id).map_or(&[], |slot| &slot.dependencies)
    }

    /// What depends on `id` directly, ascending; empty for a node that is not there.
    pub fn dependents(&self, id: NodeId) -> &[NodeId] {
        self.slot(id).map_or(&[], |slot| &slot.dependents)
    }

    /// The edges of `id` to its dependencies, by ascending dependency.
    pub fn edges_of(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &E)> {
        let slot = self.slot(id).into_iter();
        slot.flat_map(|slot| slot.dependencies.iter().copied().zip(&slot.links))
    }

    /// All edges as (dependent, dependency, edge), by ascending dependent and dependency.
    pub fn edges(&self) -> impl Iterator<Item = (NodeId, NodeId, &E)> {
        self.ids()
            .flat_map(|from| self.edges_of(from).map(move |(to, edge)| (from, to, edge)))
    }

    /// The edge by which `from` depends on `to`, if it does directly.
    pub fn edge(&self, from: NodeId, to: NodeId) -> Option<&E> {
        let slot = self.slot(from)?;
        let at = slot.dependencies.binary_search(&to).ok()?;
        Some(&slot.links[at])
    }

    /// Adds a node without edges. It receives the lowest free id.
    ///
    /// # Panics
    /// When the graph already has 2^32 nodes.
    pub fn add_node(&mut self, value: N) -> NodeId {
        let slot = Some(Slot {
            value,
            dependencies: Vec::new(),
            links: Vec::new(),
            dependents: Vec::new(),
        });
        if let Some(index) = self.free.pop_first() {
            self.slots[index as usize] = slot;
            NodeId(index)
        } else {
            let id = NodeId::of(self.slots.len());
            self.slots.push(slot);
            id
        }
    }

    /// Removes a node and all its edges. A node that is not there is no error: `None`.
    pub fn remove_node(&mut self, id: NodeId) -> Option<N> {
        let slot = self.slots.get_mut(id.index())?.take()?;
        self.free.insert(id.0);
        self.edges -= slot.dependencies.len();
        for &dependency in &slot.dependencies {
            if let Some(other) = self.slot_mut(dependency) {
                remove_sorted(&mut other.dependents, id);
            }
        }
        for &dependent in &slot.dependents {
            // The node itself, if it depended on itself, is gone and was counted above.
            let Some(other) = self.slot_mut(dependent) else {
                continue;
            };
            if let Some(at) = remove_sorted(&mut other.dependencies, id) {
                other.links.remove(at);
                self.edges -= 1;
            }
        }
        Some(slot.value)
    }

    /// Makes `from` depend on `to`. An edge that was there is replaced and returned.
    ///
    /// # Errors
    /// [`MissingNode`] when either node is not in the graph; nothing is changed then.
    pub fn add_edge(
        &mut self,
        from: NodeId,
        to: NodeId,
        edge: E,
    ) -> Result<Option<E>, MissingNode> {
        let at = self.open_edge(from, to)?;
        let Some(slot) = self.slot_mut(from) else {
            return Err(MissingNode(from));
        };
        Ok(match at {
            Ok(at) => Some(std::mem::replace(&mut slot.links[at], edge)),
            Err(at) => {
                slot.links.insert(at, edge);
                None
            }
        })
    }

    /// Makes `from` depend on `to`, or lets `merge` fold `edge` into the edge that is already there.
    ///
    /// # Errors
    /// [`MissingNode`] when either node is not in the graph; nothing is changed then.
    pub fn merge_edge(
        &mut self,
        from: NodeId,
        to: NodeId,
        edge: E,
        merge: impl FnOnce(&mut E, E),
    ) -> Result<(), MissingNode> {
        let at = self.open_edge(from, to)?;
        let Some(slot) = self.slot_mut(from) else {
            return Err(MissingNode(from));
        };
        match at {
            Ok(at) => merge(&mut slot.links[at], edge),
            Err(at) => slot.links.insert(at, edge),
        }
        Ok(())
    }

    /// Removes the edge by which `from` depends on `to`; `None` if there was none.
    pub fn remove_edge(&mut self, from: NodeId, to: NodeId) -> Option<E> {
        let slot = self.slot_mut(from)?;
        let at = remove_sorted(&mut slot.dependencies, to)?;
        let edge = slot.links.remove(at);
        if let Some(other) = self.slot_mut(to) {
            remove_sorted(&mut other.dependents, from);
        }
        self.edges -= 1;
        Some(edge)
    }

    /// Removes every node that is not in `keep`, in one pass. The ids of the others stay.
    pub fn retain(&mut self, keep: &NodeSet) {
        for (index, entry) in self.slots.iter_mut().enumerate() {
            let id = NodeId::of(index);
            if !keep.contains(id) {
                if entry.take().is_some() {
                    self.free.insert(id.0);
                }
                continue;
            }
            let Some(slot) = entry else { continue };
            slot.dependents.retain(|&id| keep.contains(id));
            let mut kept = slot.dependencies.iter().map(|&id| keep.contains(id));
            slot.links.retain(|_| kept.next() == Some(true));
            slot.dependencies.retain(|&id| keep.contains(id));
        }
        let slots = self.slots.iter().flatten();
        self.edges = slots.map(|slot| slot.dependencies.len()).sum();
    }

    fn slot(&self, id: NodeId) -> Option<&Slot<N, E>> {
        self.slots.get(id.index())?.as_ref()
    }

    fn slot_mut(&mut self, id: NodeId) -> Option<&mut Slot<N, E>> {
        self.slots.get_mut(id.index())?.as_mut()
    }

    /// Where the edge stands (`Ok`), or, both adjacencies having been widened, where its value is to
    /// be inserted (`Err`).
    fn open_edge(&mut self, from: NodeId, to: NodeId) -> Result<Result<usize, usize>, MissingNode> {
        if !self.contains(to) {
            return Err(MissingNode(to));
        }
        let slot = self.slot_mut(from).ok_or(MissingNode(from))?;
        let found = slot.dependencies.binary_search(&to);
        if let Err(at) = found {
            slot.dependencies.insert(at, to);
            self.edges += 1;
            if let Some(other) = self.slot_mut(to)
                && let Err(at) = other.dependents.binary_search(&from)
            {
                other.dependents.insert(at, from);
            }
        }
        Ok(found)
    }
}

impl<N, E> Index<NodeId> for Graph<N, E> {
    type Output = N;

    /// # Panics
    /// When the node is not in the graph, as indexing a vector does; see [`Graph::get`].
    fn index(&self, id: NodeId) -> &N {
        match self.get(id) {
            Some(value) => value,
            None => panic!("{}", MissingNode(id)),
        }
    }
}

fn remove_sorted(ids: &mut Vec<NodeId>, id: NodeId) -> Option<usize> {
    let at = ids.binary_search(&id).ok()?;
    ids.remove(at);
    Some(at)
}
