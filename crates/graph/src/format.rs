//! The JSON form of a graph, field by field, with its version.
//! Does not know how labels are made or where the text goes.

use serde::Serialize;

/// The version of [`GraphJson`]; a reader that knows only lower ones must refuse the text.
pub const VERSION: u32 = 1;

/// A graph as JSON: `{"version": 1, "nodes": […], "edges": […]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphJson {
    /// [`VERSION`].
    pub version: u32,
    /// By ascending id.
    pub nodes: Vec<NodeJson>,
    /// By ascending dependent, then dependency.
    pub edges: Vec<EdgeJson>,
}

/// A node: `{"id": 0, "label": "web#build"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeJson {
    /// A number that edges of the same text refer to; numbers may be missing between two nodes.
    pub id: u32,
    /// The caller's label.
    pub label: String,
}

/// An edge: `{"from": 0, "to": 1, "label": "after"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EdgeJson {
    /// The dependent.
    pub from: u32,
    /// The dependency.
    pub to: u32,
    /// The caller's label; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}
