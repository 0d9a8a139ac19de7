//! Inputs discovered while a task ran: the second step of a key, over the base key and the files of one list.
//! Knows nothing of where lists are kept or how files are digested.

use crate::Digest;

/// The key of a base key and the files of one list: each with its digest, and with its path where that is relative. Of
/// an absolute path only the position enters, so that another machine computes the same key. A missing file has no digest,
/// which is a fact like any other.
///
/// [`key`](crate::key) does this by itself when the description has a list; the key of a description without one is
/// the base key, under which the known lists are to be kept.
pub fn discovered_key<'p>(
    base: Digest,
    files: impl IntoIterator<Item = (&'p [u8], Option<Digest>)>,
) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"discovered 2").update(&base.0);
    for (path, digest) in files {
        let told = if path.starts_with(b"/") { b"" } else { path };
        hasher
            .update(&(told.len() as u64).to_le_bytes())
            .update(told);
        match digest {
            Some(digest) => hasher.update(&[1]).update(&digest.0),
            None => hasher.update(&[0]),
        };
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Description, Row, RowKind, diff, explain, key};

    fn row(path: &str, content: &str) -> Row {
        Row {
            path: path.into(),
            kind: RowKind::File,
            executable: false,
            digest: Digest::of(content.as_bytes()),
        }
    }

    fn with<'a>(salt: &'a str, discovered: Option<&'a [Row]>) -> Description<'a> {
        Description {
            discovered,
            salt,
            ..Description::default()
        }
    }

    #[test]
    fn position_and_digest_enter_and_relative_paths() {
        let of = |salt: &str, rows: &[Row]| key(&with(salt, Some(rows)));
        let first = of("", &[row("/x/a", "1"), row("/x/b", "2")]);
        assert_eq!(first, of("", &[row("/y/a", "1"), row("/c", "2")]));
        assert_ne!(of("", &[row("a", "1")]), of("", &[row("b", "1")]));
        assert_ne!(of("", &[row("a", "1")]), of("", &[row("/a", "1")]));
        assert_ne!(first, of("", &[row("/x/b", "2"), row("/x/a", "1")]));
        assert_ne!(first, of("x", &[row("/x/a", "1"), row("/x/b", "2")]));
        assert_ne!(first, of("", &[row("/x/a", "1")]));
        let absent = [Row::absent(b"a")];
        assert_ne!(of("", &absent), of("", &[]));
        assert_ne!(of("", &absent), of("", &[row("a", "")]));
        assert_ne!(of("", &[]), key(&with("", None)), "an empty list is a list");
        let base = key(&with("", None));
        assert_eq!(of("", &absent), discovered_key(base, [(&b"a"[..], None)]));
    }

    #[test]
    fn an_explanation_names_the_discovered_file_that_changed() {
        let story = |content: &str| explain(&with("", Some(&[row("/x/a.h", content)])), &[0; 32]);
        let changes = diff(&story("1"), &story("2"));
        let [Change::FileEdited(file)] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!(file.path, b"/x/a.h");
    }
}
