//! Inverse edges: which chunks use a file, and which use what a chunk made.
//! Does not look at files; it knows what the last successes left.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Session;
use super::super::outputs::project_dir;
use super::expand::{name, relative};
use super::format::{self, Table};

/// A chunk: its task and the path of its source in the workspace.
type ChunkOf = (usize, Vec<u8>);

/// Who uses what, as of the last successes.
#[derive(Debug, Default)]
pub struct Users {
    /// By the path of a file in the workspace: chunks whose source it is, or whose depfile named it.
    files: BTreeMap<Vec<u8>, Vec<ChunkOf>>,
    /// By `project#task[path]`, or `project#task`: chunks whose keys hold what it made.
    made: BTreeMap<String, Vec<ChunkOf>>,
    /// The task of each chunk, and the chunk's own name.
    names: BTreeMap<ChunkOf, (String, String)>,
}

impl Users {
    /// Of all tasks with chunks of a workspace.
    pub fn of(session: &Session<'_>) -> Users {
        let mut users = Users::default();
        let workspace = &session.workspace;
        for (task, spec) in workspace.tasks.iter().enumerate() {
            if spec.foreach.is_none() {
                continue;
            }
            let id = crate::plan::task_id(workspace, task);
            let table = session.state.chunks(&id);
            let Some(table) = table.as_deref().and_then(format::decode) else {
                continue;
            };
            let dir = project_dir(workspace, task);
            users.add((task, &id), &table, &|source| {
                name(&id, &relative(session, dir, source).unwrap_or_default())
            });
        }
        users
    }

    fn add(&mut self, (task, id): (usize, &str), table: &Table, name: &dyn Fn(&[u8]) -> String) {
        for (source, kept) in &table.chunks {
            let chunk = (task, source.clone());
            let read = table.list(kept).unwrap_or_default();
            for file in read.into_iter().chain([source.clone()]) {
                self.files.entry(file).or_default().push(chunk.clone());
            }
            for (dep, _) in &kept.deps {
                self.made
                    .entry(dep.clone())
                    .or_default()
                    .push(chunk.clone());
            }
            self.names.insert(chunk, (id.to_owned(), name(source)));
        }
    }

    /// Each chunk by name with its task, and the name of each chunk or task of which it uses something by itself.
    pub fn edges(&self) -> BTreeMap<&str, (&str, BTreeSet<&str>)> {
        let mut edges: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
        for (task, name) in self.names.values() {
            edges.insert(name, (task, BTreeSet::new()));
        }
        for (used, users) in &self.made {
            for (_, name) in users.iter().filter_map(|chunk| self.names.get(chunk)) {
                if let Some((_, uses)) = edges.get_mut(name.as_str()) {
                    uses.insert(used);
                }
            }
        }
        edges
    }

    /// The names of all chunks that a change of a file may reach, directly or through what other chunks make of it.
    pub fn reached(&self, file: &[u8]) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&ChunkOf> = self.files.get(file).into_iter().flatten().collect();
        while let Some(chunk) = open.pop() {
            let Some((task, name)) = self.names.get(chunk) else {
                continue;
            };
            if reached.insert(name.clone()) {
                for id in [name, task] {
                    open.extend(self.made.get(id).into_iter().flatten());
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::chunks::format::Kept;

    fn table(chunks: &[(&str, &[u32], &[&str])]) -> Table {
        let kept = |discovered: &[u32], deps: &[&str]| Kept {
            key: [0; 32],
            source: [0; 32],
            deps: deps.iter().map(|id| ((*id).to_owned(), [0; 32])).collect(),
            rows: Vec::new(),
            discovered: Some(discovered.to_vec()),
            depfile: None,
            duration_ms: 0,
            log: Vec::new(),
        };
        Table {
            files: vec![(b"x.h".to_vec(), [0; 32]), (b"y.h".to_vec(), [0; 32])],
            chunks: chunks
                .iter()
                .map(|(source, read, deps)| (source.as_bytes().to_vec(), kept(read, deps)))
                .collect(),
        }
    }

    #[test]
    fn a_change_reaches_users_and_their_users() {
        let mut users = Users::default();
        let named = |task: &'static str| {
            move |source: &[u8]| format!("{task}[{}]", String::from_utf8_lossy(source))
        };
        let gen_ = table(&[("a.in", &[0], &[]), ("b.in", &[0, 1], &[])]);
        users.add((0, "p#gen"), &gen_, &named("p#gen"));
        let cc = table(&[
            ("a.c", &[], &["p#gen[a.in]"]),
            ("b.c", &[], &["p#gen[b.in]"]),
            ("own.c", &[], &["p#gen"]),
        ]);
        users.add((1, "p#cc"), &cc, &named("p#cc"));
        let reached =
            |file: &str| -> Vec<String> { users.reached(file.as_bytes()).into_iter().collect() };
        assert_eq!(reached("y.h"), ["p#cc[b.c]", "p#cc[own.c]", "p#gen[b.in]"]);
        assert_eq!(
            reached("x.h"),
            [
                "p#cc[a.c]",
                "p#cc[b.c]",
                "p#cc[own.c]",
                "p#gen[a.in]",
                "p#gen[b.in]"
            ]
        );
        assert_eq!(reached("own.c"), ["p#cc[own.c]"]);
        assert_eq!(reached("nobody"), [""; 0]);
    }
}
