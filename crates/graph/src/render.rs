//! Writes a graph as DOT, Mermaid or JSON; the same graph and labels give the same text, byte for byte.
//! Does not know what labels mean, and trusts none: whatever they contain stays label text.

use std::fmt::Write as _;

use crate::format::{EdgeJson, GraphJson, NodeJson, VERSION};
use crate::graph::Graph;
use crate::id::NodeId;

/// The graph in Graphviz's DOT language: an arrow leads from a node to its dependency. `edge_label` gives
/// `None` for a bare arrow.
pub fn to_dot<N, E>(
    graph: &Graph<N, E>,
    label: impl Fn(NodeId, &N) -> String,
    edge_label: impl Fn(NodeId, NodeId, &E) -> Option<String>,
) -> String {
    // Writing to a string cannot fail.
    let mut text = String::from("digraph {\n");
    for (id, node) in graph.nodes() {
        let _ = writeln!(text, "  n{id} [label=\"{}\"]", dot_text(&label(id, node)));
    }
    for (from, to, edge) in graph.edges() {
        let _ = match edge_label(from, to, edge) {
            None => writeln!(text, "  n{from} -> n{to}"),
            Some(label) => {
                let label = dot_text(&label);
                writeln!(text, "  n{from} -> n{to} [label=\"{label}\"]")
            }
        };
    }
    text.push_str("}\n");
    text
}

/// The graph as a Mermaid flowchart: an arrow leads from a node to its dependency. `edge_label` gives
/// `None` for a bare arrow.
pub fn to_mermaid<N, E>(
    graph: &Graph<N, E>,
    label: impl Fn(NodeId, &N) -> String,
    edge_label: impl Fn(NodeId, NodeId, &E) -> Option<String>,
) -> String {
    let mut text = String::from("flowchart LR\n");
    for (id, node) in graph.nodes() {
        let _ = writeln!(text, "  n{id}[\"{}\"]", mermaid_text(&label(id, node)));
    }
    for (from, to, edge) in graph.edges() {
        let _ = match edge_label(from, to, edge) {
            None => writeln!(text, "  n{from} --> n{to}"),
            Some(label) => writeln!(text, "  n{from} -->|\"{}\"| n{to}", mermaid_text(&label)),
        };
    }
    text
}

/// The graph as one line of JSON; [`format`](crate::format) documents the fields. `edge_label` gives
/// `None` for an edge without label.
pub fn to_json<N, E>(
    graph: &Graph<N, E>,
    label: impl Fn(NodeId, &N) -> String,
    edge_label: impl Fn(NodeId, NodeId, &E) -> Option<String>,
) -> String {
    let value = GraphJson {
        version: VERSION,
        nodes: graph
            .nodes()
            .map(|(id, node)| NodeJson {
                id: id.0,
                label: label(id, node),
            })
            .collect(),
        edges: graph
            .edges()
            .map(|(from, to, edge)| EdgeJson {
                from: from.0,
                to: to.0,
                label: edge_label(from, to, edge),
            })
            .collect(),
    };
    // Numbers and strings alone: there is nothing in it that JSON cannot hold.
    serde_json::to_string(&value).expect("plain data has a JSON form")
}

/// The inside of a quoted DOT label. Graphviz reads escapes and HTML entities in it, so both are escaped.
fn dot_text(label: &str) -> String {
    escape(label, "\\n", |c| match c {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '&' => Some("&amp;"),
        _ => None,
    })
}

/// The inside of a quoted Mermaid label. Mermaid reads HTML, Markdown between backticks, and entities that
/// open with `#`; it also cuts a semicolon from a line with `style`, a colon and an entity in it, so colons
/// are escaped as well.
fn mermaid_text(label: &str) -> String {
    escape(label, "<br/>", |c| match c {
        '"' => Some("#34;"),
        '#' => Some("#35;"),
        '&' => Some("#38;"),
        ':' => Some("#58;"),
        '<' => Some("#60;"),
        '>' => Some("#62;"),
        '\\' => Some("#92;"),
        '`' => Some("#96;"),
        _ => None,
    })
}

/// Puts `newline` for line ends, what `special` says for the characters it names, and the replacement
/// character for all other control characters.
fn escape(label: &str, newline: &str, special: impl Fn(char) -> Option<&'static str>) -> String {
    let mut text = String::with_capacity(label.len());
    let mut chars = label.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => text.push_str(newline),
            '\t' => text.push(' '),
            c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            c => match special(c) {
                Some(escaped) => text.push_str(escaped),
                None => text.push(c),
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "a\"b\\N &lt; <i>`x`</i>\r\nstyle: #quot;\u{0}\t];";

    fn graph() -> Graph<&'static str, &'static str> {
        let mut graph = Graph::new();
        let web = graph.add_node("web#build");
        let gone = graph.add_node("gone");
        let nasty = graph.add_node(NASTY);
        graph.remove_node(gone);
        graph.add_edge(web, nasty, "af\"ter").unwrap();
        graph.add_edge(nasty, web, "").unwrap();
        graph
    }

    fn label(_: NodeId, name: &&str) -> String {
        (*name).to_owned()
    }

    fn edge_label(_: NodeId, _: NodeId, edge: &&str) -> Option<String> {
        (!edge.is_empty()).then(|| (*edge).to_owned())
    }

    #[test]
    fn dot_labels_cannot_leave_their_quotes() {
        let expected = r#"digraph {
  n0 [label="web#build"]
  n2 [label="a\"b\\N &amp;lt; <i>`x`</i>\nstyle: #quot;� ];"]
  n0 -> n2 [label="af\"ter"]
  n2 -> n0
}
"#;
        assert_eq!(to_dot(&graph(), label, edge_label), expected);
    }

    #[test]
    fn mermaid_labels_cannot_leave_their_quotes() {
        let expected = r#"flowchart LR
  n0["web#35;build"]
  n2["a#34;b#92;N #38;lt; #60;i#62;#96;x#96;#60;/i#62;<br/>style#58; #35;quot;� ];"]
  n0 -->|"af#34;ter"| n2
  n2 --> n0
"#;
        assert_eq!(to_mermaid(&graph(), label, edge_label), expected);
    }

    #[test]
    fn json_keeps_labels_exactly() {
        let text = to_json(&graph(), label, edge_label);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "nodes": [{"id": 0, "label": "web#build"}, {"id": 2, "label": NASTY}],
            "edges": [{"from": 0, "to": 2, "label": "af\"ter"}, {"from": 2, "to": 0}],
        });
        assert_eq!(value, expected);
        assert!(text.starts_with(r#"{"version":1,"nodes":[{"id":0,"#));
    }

    #[test]
    fn an_empty_graph_is_valid_everywhere() {
        let empty: Graph<&'static str, &'static str> = Graph::new();
        assert_eq!(to_dot(&empty, label, edge_label), "digraph {\n}\n");
        assert_eq!(to_mermaid(&empty, label, edge_label), "flowchart LR\n");
        let json = to_json(&empty, label, edge_label);
        assert_eq!(json, r#"{"version":1,"nodes":[],"edges":[]}"#);
    }
}
