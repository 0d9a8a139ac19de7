//! Explicit invalidation: a scan brought up to date by a list of changed paths, asking the disk for nothing else.
//! Knows nothing of who found out what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::files::{Kind, Stat, join, split, within};
use crate::format::Fate;
use crate::ignores::SOURCES;
use crate::scan::{NO_HINT, Scan};
use crate::scanner::{Ignore, ScanError, Scanner};

/// Paths that changed, relative to the root of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Paths that are new; a new folder stands for all it holds.
    pub created: Vec<Vec<u8>>,
    /// Paths whose content or metadata changed.
    pub updated: Vec<Vec<u8>>,
    /// Paths that are gone, with all they held.
    pub deleted: Vec<Vec<u8>>,
}

/// What a path of the new scan is: its link's text, its stat tuple, its record in the memo.
type Found = (Vec<u8>, Stat, u32);

impl Scanner {
    /// A scan as it is after these changes. Asks the disk for the created and updated paths alone, plus: a folder that
    /// lost its last entry is stated and listed, ignore files above a path are read if this scanner has not read them yet,
    /// and a changed ignore file, of which everything may depend, scans again.
    ///
    /// # Errors
    /// When a changed path cannot be read.
    pub fn apply(&mut self, scan: &Scan, changes: &ChangeSet) -> Result<Scan, ScanError> {
        let all = || {
            changes
                .created
                .iter()
                .chain(&changes.updated)
                .chain(&changes.deleted)
        };
        let ignore = if scan.honour {
            Ignore::Honour
        } else {
            Ignore::Never
        };
        let is_rule = |path: &Vec<u8>| SOURCES.contains(&split(path).1);
        if scan.honour && all().any(is_rule) {
            self.forget_rules();
            return self.scan(&scan.under, ignore);
        }
        let mut found: BTreeMap<Vec<u8>, Found> = scan
            .iter()
            .map(|entry| {
                (
                    entry.path.to_vec(),
                    (entry.link.to_vec(), entry.stat, entry.hint),
                )
            })
            .collect();
        let mut shrunk = BTreeSet::new();
        for path in &changes.deleted {
            forget(&mut found, path, &mut shrunk);
        }
        let touched: BTreeSet<_> = changes.created.iter().chain(&changes.updated).collect();
        for path in touched {
            if within(path, &scan.under) {
                self.look_at(scan, path, &mut found, &mut shrunk)?;
            }
        }
        for folder in shrunk {
            self.emptied(scan, &folder, &mut found)?;
        }
        let mut fresh = Scan {
            under: scan.under.clone(),
            honour: scan.honour,
            ..Scan::default()
        };
        for (path, (link, stat, hint)) in &found {
            fresh.push(b"", path, link, *stat, *hint);
        }
        Ok(fresh)
    }

    fn look_at(
        &self,
        scan: &Scan,
        path: &[u8],
        found: &mut BTreeMap<Vec<u8>, Found>,
        shrunk: &mut BTreeSet<Vec<u8>>,
    ) -> Result<(), ScanError> {
        let failed = |source| ScanError {
            path: path.to_vec(),
            source,
        };
        let Some(stat) = self.stat(path, false).map_err(failed)? else {
            forget(found, path, shrunk);
            return Ok(());
        };
        if !self.counts(scan, path, stat.kind)? {
            forget(found, path, shrunk);
            // An ignored name fills a folder all the same.
            fill(found, path);
            shrunk.remove(split(path).0);
            return Ok(());
        }
        match stat.kind {
            Kind::Other => forget(found, path, shrunk),
            Kind::File | Kind::Link => {
                let text = if stat.kind == Kind::Link {
                    self.files().link(path).map_err(failed)?
                } else {
                    Vec::new()
                };
                forget(found, path, shrunk);
                found.insert(path.to_vec(), (text, stat, NO_HINT));
            }
            Kind::Folder => {
                // A known folder that was touched: what happened in it is named by itself.
                let inside = join(path, b"/");
                let known = found.range(inside[..=path.len()].to_vec()..).next();
                if !known.is_some_and(|(entry, _)| within(entry, path)) {
                    found.remove(path);
                    let ignore = if scan.honour {
                        Ignore::Honour
                    } else {
                        Ignore::Never
                    };
                    for entry in self.scan(path, ignore)?.iter() {
                        found.insert(
                            entry.path.to_vec(),
                            (entry.link.to_vec(), entry.stat, entry.hint),
                        );
                    }
                }
            }
        }
        fill(found, path);
        Ok(())
    }

    /// Whether a path would be found by a scan: no name on its way below the scanned folder is private or excluded.
    fn counts(&self, scan: &Scan, path: &[u8], kind: Kind) -> Result<bool, ScanError> {
        let mut buried = false;
        let start = if scan.under.is_empty() {
            0
        } else {
            scan.under.len() + 1
        };
        let rest = path.get(start..).unwrap_or(b"");
        let ends = rest
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        for end in ends.chain([rest.len()]).filter(|_| !rest.is_empty()) {
            let here = &path[..start + end];
            let (folder, name) = split(here);
            if name == b".git" || name == b".larder" {
                return Ok(false);
            }
            if !scan.honour {
                continue;
            }
            let mut rules = self.rules_in(folder)?;
            if buried {
                rules = rules.bury();
            }
            let kind = if end == rest.len() {
                kind
            } else {
                Kind::Folder
            };
            match self.fate(&rules, here, kind)? {
                Fate::Kept => {}
                Fate::Buried => buried = true,
                Fate::Ignored => return Ok(false),
            }
        }
        Ok(true)
    }

    /// A folder that lost an entry is one itself when nothing is left in it.
    fn emptied(
        &self,
        scan: &Scan,
        folder: &[u8],
        found: &mut BTreeMap<Vec<u8>, Found>,
    ) -> Result<(), ScanError> {
        if folder.is_empty() || !within(folder, &scan.under) {
            return Ok(());
        }
        let next = found
            .range(folder.to_vec()..)
            .find(|(path, _)| !path.starts_with(folder) || within(path, folder));
        if next.is_some_and(|(path, _)| within(path, folder)) {
            return Ok(());
        }
        let failed = |source: io::Error| ScanError {
            path: folder.to_vec(),
            source,
        };
        let listed = self.files().list(folder).map_err(failed)?;
        if let Some(listed) = listed.filter(|listed| listed.names.is_empty()) {
            found.insert(folder.to_vec(), (Vec::new(), listed.after, NO_HINT));
        }
        Ok(())
    }
}

/// Removes a path and all it holds.
fn forget(found: &mut BTreeMap<Vec<u8>, Found>, path: &[u8], shrunk: &mut BTreeSet<Vec<u8>>) {
    let inside = join(path, b"/");
    let inside = &inside[..=path.len()];
    let mut lost: Vec<_> = found
        .range(inside.to_vec()..)
        .map_while(|(known, _)| known.starts_with(inside).then(|| known.clone()))
        .collect();
    lost.extend(found.contains_key(path).then(|| path.to_vec()));
    for known in &lost {
        found.remove(known);
    }
    if !lost.is_empty() {
        shrunk.insert(split(path).0.to_vec());
    }
}

/// Folders above a path hold something, so they are no entries.
fn fill(found: &mut BTreeMap<Vec<u8>, Found>, path: &[u8]) {
    let mut path = path;
    while !path.is_empty() {
        path = split(path).0;
        found.remove(path);
    }
}
