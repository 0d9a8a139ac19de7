//! `MemoryFiles`: a tree of files in memory, with a clock that moves by hand and an account of every call.
//! Knows nothing of the disk; it is stricter than one: a path with odd components is refused.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Digest;
use crate::files::{Files, Hashed, Kind, Listed, Moment, Stat, join, split};

/// A call that was made, with its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A path was stated.
    Stat(Vec<u8>),
    /// A folder was listed.
    List(Vec<u8>),
    /// A link was read.
    Link(Vec<u8>),
    /// A file was digested.
    Hash(Vec<u8>),
    /// A file was read whole.
    Read(Vec<u8>),
}

/// Files in memory. Writing makes missing folders; every change moves the time stamps to the clock's time.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    tree: Mutex<Tree>,
}

#[derive(Debug)]
struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    now_ns: i64,
    fine: bool,
    next_ino: u64,
    calls: Vec<Call>,
    during_hash: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct Node {
    stat: Stat,
    content: Vec<u8>,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            now_ns: 1_000_000_000_000,
            fine: false,
            next_ino: 1,
            calls: Vec::new(),
            during_hash: None,
        };
        tree.put(b"", Kind::Folder, Vec::new(), 0o755);
        tree
    }
}

impl MemoryFiles {
    /// An empty root folder, coarse time stamps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file in place, or makes one.
    pub fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.tree().write(path.as_ref(), content.as_ref());
    }

    /// Makes a link with this text.
    pub fn symlink(&self, path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) {
        self.tree()
            .put(path.as_ref(), Kind::Link, text.as_ref().to_vec(), 0o777);
    }

    /// Makes an empty folder.
    pub fn folder(&self, path: impl AsRef<[u8]>) {
        self.tree()
            .put(path.as_ref(), Kind::Folder, Vec::new(), 0o755);
    }

    /// Sets permission bits.
    pub fn chmod(&self, path: impl AsRef<[u8]>, mode: u32) {
        let mut tree = self.tree();
        let now = tree.now_ns;
        if let Some(node) = tree.nodes.get_mut(path.as_ref()) {
            node.stat.mode = mode;
            node.stat.ctime_ns = now;
        }
    }

    /// Removes a path and all below it.
    pub fn remove(&self, path: impl AsRef<[u8]>) {
        let mut tree = self.tree();
        let path = path.as_ref();
        tree.nodes
            .retain(|known, _| !crate::files::within(known, path));
        tree.touch_parent(path);
    }

    /// Moves the clock by so many nanoseconds, back when negative.
    pub fn advance(&self, by_ns: i64) {
        self.tree().now_ns += by_ns;
    }

    /// Whether time stamps are multigrain.
    pub fn set_fine(&self, fine: bool) {
        self.tree().fine = fine;
    }

    /// Lets the next digest of `path` see the file rewritten with `content` half-way.
    pub fn write_during_hash(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.tree().during_hash = Some((path.as_ref().to_vec(), content.as_ref().to_vec()));
    }

    /// The calls since the last time this was asked, in order.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.tree().calls)
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree {
    fn write(&mut self, path: &[u8], content: &[u8]) {
        let now = self.now_ns;
        if let Some(node) = self
            .nodes
            .get_mut(path)
            .filter(|node| node.stat.kind == Kind::File)
        {
            node.content = content.to_vec();
            node.stat.size = content.len() as u64;
            (node.stat.mtime_ns, node.stat.ctime_ns) = (now, now);
        } else {
            self.put(path, Kind::File, content.to_vec(), 0o644);
        }
    }

    fn put(&mut self, path: &[u8], kind: Kind, content: Vec<u8>, mode: u32) {
        if !path.is_empty() && !self.nodes.contains_key(split(path).0) {
            self.put(split(path).0, Kind::Folder, Vec::new(), 0o755);
        }
        let stat = Stat {
            kind,
            size: content.len() as u64,
            mtime_ns: self.now_ns,
            ctime_ns: self.now_ns,
            dev: 1,
            ino: self.next_ino,
            mode,
            nlink: 1,
        };
        self.next_ino += 1;
        self.nodes.insert(path.to_vec(), Node { stat, content });
        self.touch_parent(path);
    }

    fn touch_parent(&mut self, path: &[u8]) {
        let now = self.now_ns;
        if !path.is_empty()
            && let Some(parent) = self.nodes.get_mut(split(path).0)
        {
            (parent.stat.mtime_ns, parent.stat.ctime_ns) = (now, now);
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            at_ns: self.now_ns,
            fine: self.fine,
        }
    }

    /// The node at a path, followed as far as links lead within the tree.
    fn find(&self, path: &[u8], follow: bool) -> Option<(Vec<u8>, &Node)> {
        let mut path = path.to_vec();
        for _ in 0..40 {
            let node = self.nodes.get(&path)?;
            if !follow || node.stat.kind != Kind::Link {
                return Some((path, node));
            }
            path = resolve(split(&path).0, &node.content)?;
        }
        None
    }
}

fn resolve(folder: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    if text.first() == Some(&b'/') {
        return None;
    }
    let mut path = folder.to_vec();
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if path.is_empty() => return None,
            b".." => path = split(&path).0.to_vec(),
            part => path = join(&path, part),
        }
    }
    Some(path)
}

fn sound(path: &[u8]) -> io::Result<()> {
    let odd = |part: &[u8]| part.is_empty() || part == b"." || part == b"..";
    if !path.is_empty() && path.split(|byte| *byte == b'/').any(odd) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an odd path"));
    }
    Ok(())
}

impl Files for MemoryFiles {
    fn stat_all(
        &self,
        folder: &[u8],
        names: &[&[u8]],
        follow: bool,
        found: &mut dyn FnMut(usize, io::Result<Option<Stat>>),
    ) {
        for (index, name) in names.iter().enumerate() {
            let path = join(folder, name);
            let answer = sound(&path).map(|()| {
                let mut tree = self.tree();
                tree.calls.push(Call::Stat(path.clone()));
                tree.find(&path, follow).map(|(_, node)| node.stat)
            });
            found(index, answer);
        }
    }

    fn list(&self, folder: &[u8]) -> io::Result<Option<Listed>> {
        sound(folder)?;
        let mut tree = self.tree();
        tree.calls.push(Call::List(folder.to_vec()));
        let Some((_, node)) = tree
            .find(folder, false)
            .filter(|(_, n)| n.stat.kind == Kind::Folder)
        else {
            return Ok(None);
        };
        let inside = |path: &[u8]| !path.is_empty() && split(path).0 == folder;
        let children = tree.nodes.iter().filter(|(path, _)| inside(path));
        let names = children
            .map(|(path, node)| (split(path).1.to_vec(), node.stat.kind))
            .collect();
        Ok(Some(Listed {
            before: node.stat,
            after: node.stat,
            moment: tree.moment(),
            names,
        }))
    }

    fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        sound(path)?;
        let mut tree = self.tree();
        tree.calls.push(Call::Link(path.to_vec()));
        let (_, node) = tree.find(path, false).ok_or(io::ErrorKind::NotFound)?;
        match node.stat.kind {
            Kind::Link => Ok(node.content.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn hash(&self, path: &[u8], follow: bool, buffer: &mut [u8]) -> io::Result<Hashed> {
        sound(path)?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut tree = self.tree();
        tree.calls.push(Call::Hash(path.to_vec()));
        let (path, node) = tree.find(path, follow).ok_or(io::ErrorKind::NotFound)?;
        if node.stat.kind != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (before, content, moment) = (node.stat, node.content.clone(), tree.moment());
        if let Some((_, new)) = tree.during_hash.take_if(|(victim, _)| *victim == path) {
            tree.write(&path, &new);
        }
        let after = tree.nodes.get(&path).map_or(before, |node| node.stat);
        let bytes = content.len() as u64;
        Ok(Hashed {
            before,
            after,
            moment,
            digest: Digest::of(&content),
            bytes,
        })
    }

    fn read(&self, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
        sound(path)?;
        let mut tree = self.tree();
        tree.calls.push(Call::Read(path.to_vec()));
        Ok(tree.find(path, true).map(|(_, node)| node.content.clone()))
    }
}
