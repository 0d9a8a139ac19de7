//! What links lead to: their targets may lie where nothing is watched, so they are looked at.
//! Does not find links.

use std::collections::BTreeMap;
use std::ops::Bound;

use larder_fingerprint::{Files, Kind, Stat, stat};

/// Known links, with the stat tuple of what each led to; `None` when it led nowhere.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<Vec<u8>, Option<Stat>>);

fn target(files: &dyn Files, link: &[u8]) -> Option<Stat> {
    // What cannot be looked at is as good as missing, here as for the inputs themselves. Of a folder nothing counts but that it is one.
    let found = stat(files, link, true).ok().flatten()?;
    (found.kind != Kind::Folder).then_some(found)
}

impl Links {
    /// A link was found.
    pub(super) fn add(&mut self, files: &dyn Files, link: Vec<u8>) {
        let now = target(files, &link);
        self.0.insert(link, now);
    }

    /// Looks whether a path is a link now.
    pub(super) fn look(&mut self, files: &dyn Files, path: &[u8]) -> bool {
        let found = stat(files, path, false).ok().flatten();
        let is_link = found.is_some_and(|found| found.kind == Kind::Link);
        if is_link {
            self.add(files, path.to_vec());
        } else {
            self.0.remove(path);
        }
        is_link
    }

    /// Forgets all at a path and below.
    pub(super) fn forget(&mut self, path: &[u8]) {
        for link in within(&self.0, path) {
            self.0.remove(&link);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The links that lead to something else than before, or to something that was written.
    pub(super) fn changed(&mut self, files: &dyn Files) -> Vec<Vec<u8>> {
        let mut changed = Vec::new();
        for (link, before) in &mut self.0 {
            let now = target(files, link);
            if now != *before {
                *before = now;
                changed.push(link.clone());
            }
        }
        changed
    }
}

/// Whether a path is another one or lies below it.
pub(super) fn lies_in(path: &[u8], folder: &[u8]) -> bool {
    let rest = path.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The keys at a path and below; for the empty path, all.
pub(super) fn within<T>(map: &BTreeMap<Vec<u8>, T>, path: &[u8]) -> Vec<Vec<u8>> {
    if path.is_empty() {
        return map.keys().cloned().collect();
    }
    let below = [path, b"/"].concat();
    // The next byte after the slash ends what begins with it.
    let end = [path, b"0"].concat();
    let range = (Bound::Included(below), Bound::Excluded(end));
    let itself = map.get_key_value(path).map(|(key, _)| key.clone());
    let inside = map.range::<Vec<u8>, _>(range).map(|(key, _)| key.clone());
    itself.into_iter().chain(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_a_path_is_told_from_what_only_begins_like_it() {
        let all = ["", "a", "a-b", "a.c", "a/b", "a/b/c", "a0", "ab"];
        let map: BTreeMap<Vec<u8>, usize> = all.map(|path| (path.into(), path.len())).into();
        assert_eq!(within(&map, b"a"), [&b"a"[..], b"a/b", b"a/b/c"]);
        assert_eq!(within(&map, b"a/b"), [&b"a/b"[..], b"a/b/c"]);
        assert!(within(&map, b"b").is_empty());
        assert_eq!(within(&map, b"").len(), all.len());
        for path in map.keys() {
            let found = within(&map, b"a").contains(path);
            assert_eq!(lies_in(path, b"a"), found, "{path:?}");
        }
    }
}
