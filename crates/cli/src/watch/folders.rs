//! The folders of a workspace that are watched: found by the plan, each watched before it is listed.
//! Does not read events, nor decide when folders are found anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use larder_fingerprint::{Kind, Scanner};

use crate::config::Workspace;
use crate::session::changes::ChangeSet;

use super::links::{Links, lies_in, within};
use super::plan::{Class, Plan};
use super::tops::Tops;
use super::watcher::{WatchError, Watcher};

/// Entries that no scan sees.
pub(super) const PRIVATE: [&[u8]; 2] = [b".git", b".larder"];

/// What is watched and why, and what is known of it.
pub(super) struct Folders {
    pub(super) plan: Plan,
    pub(super) tops: Tops,
    scanner: Scanner,
    /// Watched folders that matter, and why they do.
    pub(super) watched: BTreeMap<Vec<u8>, Class>,
    links: Links,
    /// Paths of globs that lead through a link to a folder: what lies there is not watched.
    through: BTreeSet<Vec<u8>>,
}

impl Folders {
    /// Those of a workspace; none is watched yet.
    ///
    /// # Errors
    /// When the root or a mount cannot be opened.
    pub(super) fn new(tops: Tops, workspace: &Workspace) -> io::Result<Folders> {
        Ok(Folders {
            plan: Plan::new(workspace),
            scanner: tops.scanner()?,
            tops,
            watched: BTreeMap::new(),
            links: Links::default(),
            through: BTreeSet::new(),
        })
    }

    /// Takes on where the root and the mounts lie now.
    ///
    /// # Errors
    /// When one cannot be opened; then nothing is different.
    pub(super) fn move_to(&mut self, tops: Tops, watcher: &mut dyn Watcher) -> io::Result<()> {
        let scanner = tops.scanner()?;
        if !tops.lie_as(&self.tops) {
            self.unwatch_all(watcher);
        }
        (self.tops, self.scanner) = (tops, scanner);
        Ok(())
    }

    pub(super) fn unwatch_all(&mut self, watcher: &mut dyn Watcher) {
        for folder in std::mem::take(&mut self.watched).into_keys() {
            watcher.unwatch(&self.tops.place_of(&folder));
        }
    }

    /// Finds and watches all that matter, and takes the watches of others back.
    ///
    /// # Errors
    /// In words, when one cannot be watched that has to be.
    pub(super) fn find_all(&mut self, watcher: &mut dyn Watcher) -> Result<(), String> {
        self.links.clear();
        self.through.clear();
        let before = std::mem::take(&mut self.watched);
        let found = self.place_tops(watcher);
        let gone = before
            .into_keys()
            .filter(|path| !self.watched.contains_key(path));
        for folder in gone {
            watcher.unwatch(&self.tops.place_of(&folder));
        }
        found
    }

    fn place_tops(&mut self, watcher: &mut dyn Watcher) -> Result<(), String> {
        for folder in self.tops.git_folders() {
            watcher
                .watch(&folder)
                .map_err(|error| format!("{} cannot be watched: {error}", folder.display()))?;
        }
        // Read after it is watched, by the same rule as folders.
        self.tops.tracked_changed();
        for at in 0..self.tops.0.len() {
            let prefix = self.tops.0[at].prefix.clone();
            let class = self.class_of(Class::default(), &prefix)?;
            self.place(&prefix, class.unwrap_or_default(), watcher)?;
        }
        Ok(())
    }

    /// Something new may lie at a path: watches it and all below as far as it matters.
    ///
    /// # Errors
    /// As for [`find_all`](Self::find_all).
    pub(super) fn place_again(
        &mut self,
        path: &[u8],
        above: Class,
        watcher: &mut dyn Watcher,
    ) -> Result<(), String> {
        for folder in within(&self.watched, path) {
            self.watched.remove(&folder);
            watcher.unwatch(&self.tops.place_of(&folder));
        }
        self.links.forget(path);
        self.through.retain(|link| !lies_in(link, path));
        self.scanner.forget_rules_in(path);
        match self.class_of(above, path)? {
            Some(class) => self.place(path, class, watcher),
            None => Ok(()),
        }
    }

    fn class_of(&self, above: Class, folder: &[u8]) -> Result<Option<Class>, String> {
        let entered = || self.scanner.enters(folder);
        self.plan.class(above, folder, entered).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })
    }

    /// Watches a folder and all below that matter: each before it is listed.
    fn place(
        &mut self,
        folder: &[u8],
        class: Class,
        watcher: &mut dyn Watcher,
    ) -> Result<(), String> {
        let mut open = vec![(folder.to_vec(), class)];
        while let Some((folder, class)) = open.pop() {
            match watcher.watch(&self.tops.place_of(&folder)) {
                Ok(()) => {}
                // It is told when it appears, or when its rights change.
                Err(WatchError::Gone | WatchError::Forbidden) if !self.is_top(&folder) => continue,
                Err(error) => return Err(self.refusal(&folder, &error)),
            }
            self.watched.insert(folder.clone(), class);
            let Ok(Some(listed)) = self.scanner.files().list(&folder) else {
                continue;
            };
            for (name, kind) in &listed.names {
                if PRIVATE.contains(&name.as_slice()) {
                    continue;
                }
                let path = joined(&folder, name);
                match kind {
                    Kind::Folder => {
                        if let Some(class) = self.class_of(class, &path)? {
                            open.push((path, class));
                        }
                    }
                    Kind::Link => {
                        if self.plan.leads_on(&path) {
                            self.through.insert(path.clone());
                        }
                        self.links.add(self.scanner.files(), path);
                    }
                    Kind::File | Kind::Other => {}
                }
            }
        }
        Ok(())
    }

    /// Whether a path is that of the root or of a mount.
    pub(super) fn is_top(&self, folder: &[u8]) -> bool {
        self.tops.0.iter().any(|top| top.prefix == folder)
    }

    fn refusal(&self, folder: &[u8], error: &WatchError) -> String {
        let place = self.tops.place_of(folder);
        let place = place.display();
        match error {
            WatchError::TooMany => format!(
                "the system does not watch more than {} folders for you, and {place} is one more: raise \
                 fs.inotify.max_user_watches, or ignore folders that are no inputs",
                self.watched.len()
            ),
            error => format!("{place} cannot be watched: {error}"),
        }
    }

    /// Adds the links whose targets changed, and what is read through links, after looking which paths are links.
    pub(super) fn add_links(&mut self, changes: &mut ChangeSet) {
        let files = self.scanner.files();
        for path in changes.paths() {
            if self.links.look(files, path) && self.plan.leads_on(path) {
                self.through.insert(path.to_vec());
            } else {
                self.through.remove(path);
            }
        }
        for path in self.links.changed(files) {
            changes.add(path);
        }
        for path in &self.through {
            changes.add(path.clone());
        }
    }
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, b"/", name].concat()
    }
}
