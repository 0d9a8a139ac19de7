//! The walk of one folder: its names from the memo or the disk, judged by the rules, each stated once.
//! Does not know which subtree is scanned, nor digests.

use std::io;
use std::sync::Arc;

use super::{PRIVATE, ScanError, Scanner};
use crate::files::{Kind, Stat, join};
use crate::format::{Fate, Tuple};
use crate::ignores::{SOURCES, Shape};
use crate::memo::Listing;
use crate::scan::{NO_HINT, Scan};

/// A folder to be walked.
pub(super) struct Todo {
    pub(super) path: Vec<u8>,
    pub(super) stat: Stat,
    /// The rules of the folder above; `None` when none count.
    pub(super) rules: Option<Arc<Shape>>,
}

impl Scanner {
    /// One folder: its entries, and the folders below.
    pub(super) fn walk(&self, todo: &Todo) -> Result<(Scan, Vec<Todo>), ScanError> {
        let failed = |source| ScanError {
            path: todo.path.clone(),
            source,
        };
        let mut part = Scan::default();
        let mut below = Vec::new();
        let tuple = Tuple::from(&todo.stat);
        let known = self
            .memo
            .listing(&todo.path)
            .filter(|listing| listing.tuple == Some(tuple));
        let view = self.memo.view();
        let record = match known {
            Some(_) => None,
            None => view
                .find_folder(&todo.path)
                .filter(|record| record.tuple == Some(tuple)),
        };
        let fresh = known.is_none();
        let listing = match (known, record) {
            (Some(listing), _) => Some(listing),
            (None, Some(_)) => None,
            (None, None) => match self.list(&todo.path).map_err(failed)? {
                Some(listing) => Some(listing),
                None => return Ok((part, below)),
            },
        };
        let mut names: Vec<(&[u8], Kind, Fate, u32)> = match (&listing, &record) {
            (Some(listing), _) => {
                let names = listing.names.iter();
                names
                    .map(|(name, kind, fate)| (&**name, *kind, *fate, NO_HINT))
                    .collect()
            }
            (None, Some(record)) => (record.first..record.first.saturating_add(record.count))
                .filter_map(|index| view.name(index as usize).map(|name| (index, name)))
                .map(|(index, name)| (name.name, name.kind, name.fate, index))
                .collect(),
            (None, None) => Vec::new(),
        };
        let shape = listing.as_ref().map_or_else(
            || record.map_or([0; 32], |record| record.shape),
            |listing| listing.shape,
        );
        let rules = match &todo.rules {
            None => None,
            Some(above) => {
                let own = |source: &&'static [u8]| {
                    let known = names.binary_search_by(|(name, ..)| (*name).cmp(*source));
                    known.is_ok_and(|index| names[index].1 == Kind::File)
                };
                let own: Vec<_> = SOURCES.into_iter().filter(own).collect();
                Some(self.rules_with(above, &todo.path, &own)?)
            }
        };
        let mut judged = shape;
        if let Some(rules) = &rules
            && rules.digest != shape
        {
            // A name that was judged by the same rules before keeps its fate: to judge an excluded one anew, the
            // files that git tracks would have to be read.
            let before = view
                .find_folder(&todo.path)
                .filter(|record| record.shape == rules.digest);
            let known = |name: &[u8], kind: Kind| {
                let record = view.name(view.find_name(before.as_ref()?, name)?)?;
                (record.kind == kind).then_some(record.fate)
            };
            for (name, kind, fate, _) in &mut names {
                *fate = match known(name, *kind) {
                    Some(fate) => fate,
                    None => self.fate(rules, &join(&todo.path, name), *kind)?,
                };
            }
            judged = rules.digest;
        }
        if judged != shape || (listing.is_some() && fresh) {
            let tuple = listing
                .as_ref()
                .map_or(Some(tuple), |listing| listing.tuple);
            let names = names
                .iter()
                .map(|(name, kind, fate, _)| ((*name).into(), *kind, *fate))
                .collect();
            self.memo.put_listing(
                &todo.path,
                Some(Arc::new(Listing {
                    tuple,
                    shape: judged,
                    names,
                })),
            );
        }
        self.stat_names(todo, rules.as_ref(), names, &mut part, &mut below)?;
        Ok((part, below))
    }

    /// Stats the names that count, and tells entries from folders below.
    fn stat_names(
        &self,
        todo: &Todo,
        rules: Option<&Arc<Shape>>,
        mut names: Vec<(&[u8], Kind, Fate, u32)>,
        part: &mut Scan,
        below: &mut Vec<Todo>,
    ) -> Result<(), ScanError> {
        if names.is_empty() && !todo.path.is_empty() {
            part.push(&todo.path, b"", b"", todo.stat, NO_HINT);
            return Ok(());
        }
        names.retain(|(name, kind, fate, _)| {
            *kind != Kind::Other
                && (rules.is_none() || *fate != Fate::Ignored)
                && !PRIVATE.contains(name)
        });
        part.records.reserve(names.len());
        part.arena.reserve(
            names
                .iter()
                .map(|(name, ..)| todo.path.len() + 1 + name.len())
                .sum(),
        );
        let plain: Vec<&[u8]> = names.iter().map(|(name, ..)| *name).collect();
        self.count(&self.memo.counters.stat_calls, plain.len() as u64);
        let mut failure = None;
        self.files
            .stat_all(&todo.path, &plain, false, &mut |index, stat| {
                let (name, _, fate, hint) = names[index];
                let stat = match stat {
                    Ok(Some(stat)) => stat,
                    Ok(None) => return,
                    Err(source) => {
                        failure = Some(ScanError {
                            path: join(&todo.path, name),
                            source,
                        });
                        return;
                    }
                };
                match stat.kind {
                    Kind::File => part.push(&todo.path, name, b"", stat, hint),
                    Kind::Link => match self.link_text(&join(&todo.path, name), &stat) {
                        Ok(text) => part.push(&todo.path, name, &text, stat, hint),
                        Err(source) => {
                            failure = Some(ScanError {
                                path: join(&todo.path, name),
                                source,
                            });
                        }
                    },
                    Kind::Folder => {
                        let bury = |rules: &Arc<Shape>| match fate {
                            Fate::Buried => rules.bury(),
                            Fate::Kept | Fate::Ignored => Arc::clone(rules),
                        };
                        let rules = rules.map(bury);
                        below.push(Todo {
                            path: join(&todo.path, name),
                            stat,
                            rules,
                        });
                    }
                    Kind::Other => {}
                }
            });
        failure.map_or(Ok(()), Err)
    }

    pub(super) fn link_text(&self, path: &[u8], stat: &Stat) -> io::Result<Vec<u8>> {
        if stat.kind == Kind::Link {
            self.files.link(path)
        } else {
            Ok(Vec::new())
        }
    }

    /// Reads a folder's names; believed later only if it stood still and long enough.
    fn list(&self, folder: &[u8]) -> io::Result<Option<Arc<Listing>>> {
        self.count(&self.memo.counters.folders_listed, 1);
        let Some(listed) = self.files.list(folder)? else {
            return Ok(None);
        };
        let stamp = listed.before.ctime_ns.max(listed.before.mtime_ns);
        let still = listed.before.same_content(&listed.after) && listed.moment.trusts(stamp);
        let mut names: Vec<_> = listed
            .names
            .into_iter()
            .map(|(name, kind)| (name.into_boxed_slice(), kind, Fate::Kept))
            .collect();
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let tuple = still.then(|| Tuple::from(&listed.before));
        Ok(Some(Arc::new(Listing {
            tuple,
            shape: [0; 32],
            names,
        })))
    }
}
