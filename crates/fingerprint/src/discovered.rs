//! Inputs discovered while a task ran, in two steps: the base key names lists of paths, a list's contents give the key.
//! Knows nothing of where lists are kept or how files are digested.

use crate::Digest;

/// The key of a base key and the digests of one list's files. Only position and digest enter, never a path; a
/// missing file has no digest, which is a fact like any other.
pub fn discovered_key(base: Digest, digests: impl IntoIterator<Item = Option<Digest>>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"discovered 1").update(&base.0);
    for digest in digests {
        match digest {
            Some(digest) => hasher.update(&[1]).update(&digest.0),
            None => hasher.update(&[0]),
        };
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The keys that known lists give, in their order (newest first), each worked out only when it is asked for: the
/// first under which an entry is found is the one. `digest` gives a path's digest, `None` for a missing file.
pub fn candidate_keys<'l, L, P, E>(
    base: Digest,
    lists: &'l [L],
    mut digest: impl FnMut(&P) -> Result<Option<Digest>, E> + 'l,
) -> impl Iterator<Item = Result<Digest, E>> + 'l
where
    L: AsRef<[P]>,
    P: 'l,
    E: 'l,
{
    lists.iter().map(move |list| {
        let digests: Vec<_> = list
            .as_ref()
            .iter()
            .map(&mut digest)
            .collect::<Result<_, _>>()?;
        Ok(discovered_key(base, digests))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(base: Digest, list: &[&str], content: impl Fn(&str) -> Option<&'static str>) -> Digest {
        let digest =
            |path: &&str| Ok::<_, ()>(content(path).map(|text| Digest::of(text.as_bytes())));
        candidate_keys(base, &[list], digest)
            .next()
            .unwrap()
            .unwrap()
    }

    #[test]
    fn position_and_digest_enter_but_no_path() {
        let base = Digest([1; 32]);
        let same = |path: &str| Some(if path.ends_with('a') { "1" } else { "2" });
        let key = one(base, &["/x/a", "/x/b"], same);
        assert_eq!(key, one(base, &["/y/a", "/y/b"], same));
        assert_ne!(key, one(base, &["/x/b", "/x/a"], same));
        assert_ne!(key, one(Digest([2; 32]), &["/x/a", "/x/b"], same));
        assert_ne!(key, one(base, &["/x/a"], same));
        assert_ne!(one(base, &["a"], |_| None), one(base, &[], |_| None));
        assert_ne!(one(base, &["a"], |_| None), one(base, &["a"], |_| Some("")));
    }

    #[test]
    fn later_lists_are_not_read_before_they_are_asked_for() {
        let read = std::cell::Cell::new(0);
        let lists = [vec!["a", "b"], vec!["c"]];
        let mut keys = candidate_keys(Digest([1; 32]), &lists, |_| {
            read.set(read.get() + 1);
            Ok::<_, ()>(None)
        });
        keys.next().unwrap().unwrap();
        assert_eq!(read.get(), 2);
    }

    #[test]
    fn an_error_is_no_key() {
        let mut keys = candidate_keys(Digest([1; 32]), &[["a"]], |_| Err("unreadable"));
        assert_eq!(keys.next(), Some(Err("unreadable")));
    }
}
