//! Ignore rules: which names `.gitignore` and `.larderignore` files exclude, folder by folder.
//! Knows nothing of walking; user-level excludes never count and no repository is needed.

use std::sync::{Arc, OnceLock};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::Digest;
use crate::files::{Files, join};

/// Names of ignore files, the stronger one last.
pub(crate) const SOURCES: [&[u8]; 2] = [b".gitignore", b".larderignore"];

/// The rules that hold in a folder: its own and those of the folders above.
#[derive(Debug)]
pub(crate) struct Shape {
    parent: Option<Arc<Shape>>,
    /// The folder whose ignore files these are.
    folder: Vec<u8>,
    sources: Vec<&'static [u8]>,
    compiled: OnceLock<Gitignore>,
    /// Whether all but tracked files is excluded here.
    pub(crate) buried: bool,
    /// Stands for all these rules; equal digests judge equal names equally.
    pub(crate) digest: [u8; 32],
}

impl Shape {
    /// No rules; `tracked` is the digest of the set of tracked files, zeros when there is none.
    pub(crate) fn root(tracked: [u8; 32]) -> Arc<Self> {
        let digest = blake3::Hasher::new()
            .update(b"rules 1")
            .update(&tracked)
            .finalize();
        Arc::new(Self {
            parent: None,
            folder: Vec::new(),
            sources: Vec::new(),
            compiled: OnceLock::new(),
            buried: false,
            digest: *digest.as_bytes(),
        })
    }

    /// These rules with those of a folder's own ignore files, given with their digests.
    pub(crate) fn with(
        self: &Arc<Self>,
        folder: &[u8],
        own: &[(&'static [u8], Digest)],
    ) -> Arc<Self> {
        if own.is_empty() {
            return Arc::clone(self);
        }
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(b"own")
            .update(&self.digest)
            .update(&(folder.len() as u64).to_le_bytes());
        hasher.update(folder);
        for (name, digest) in own {
            hasher
                .update(&[u8::from(*name == SOURCES[1])])
                .update(&digest.0);
        }
        Arc::new(Self {
            parent: Some(Arc::clone(self)),
            folder: folder.to_vec(),
            sources: own.iter().map(|(name, _)| *name).collect(),
            compiled: OnceLock::new(),
            buried: self.buried,
            digest: *hasher.finalize().as_bytes(),
        })
    }

    /// These rules inside an excluded folder.
    pub(crate) fn bury(self: &Arc<Self>) -> Arc<Self> {
        if self.buried {
            return Arc::clone(self);
        }
        let digest = blake3::Hasher::new()
            .update(b"buried")
            .update(&self.digest)
            .finalize();
        Arc::new(Self {
            parent: Some(Arc::clone(self)),
            folder: Vec::new(),
            sources: Vec::new(),
            compiled: OnceLock::new(),
            buried: true,
            digest: *digest.as_bytes(),
        })
    }

    /// Whether the rules exclude a path; the deepest rule that says anything decides.
    pub(crate) fn excludes(&self, files: &dyn Files, path: &[u8], folder: bool) -> bool {
        if self.buried {
            return true;
        }
        let mut shape = Some(self);
        while let Some(rules) = shape {
            if !rules.sources.is_empty() {
                let matcher = rules.compiled.get_or_init(|| rules.compile(files));
                let skip = if rules.folder.is_empty() {
                    0
                } else {
                    rules.folder.len() + 1
                };
                let inside = crate::path_of(path.get(skip..).unwrap_or(path));
                match inside.map(|inside| matcher.matched(inside, folder)) {
                    Ok(Match::Ignore(_)) => return true,
                    Ok(Match::Whitelist(_)) => return false,
                    Ok(Match::None) | Err(_) => {}
                }
            }
            shape = rules.parent.as_deref();
        }
        false
    }

    fn compile(&self, files: &dyn Files) -> Gitignore {
        let mut builder = GitignoreBuilder::new("");
        for name in &self.sources {
            // An unreadable file was reported when its digest was asked for.
            let Ok(Some(content)) = files.read(&join(&self.folder, name)) else {
                continue;
            };
            let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
            for line in content.split(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                // A line that is no pattern excludes nothing, as in git.
                let _ = builder.add_line(None, &String::from_utf8_lossy(line));
            }
        }
        builder.build().unwrap_or_else(|_| Gitignore::empty())
    }
}
