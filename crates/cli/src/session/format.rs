//! The stored form of the lists of discovered inputs that are known for a base key, version 1; see `docs/formats.md`.
//! Does not know where it is kept.

/// First bytes: name and version.
const MAGIC: &[u8; 8] = b"LRDLIST1";

/// One list: paths relative to the workspace, or absolute where they lie outside of it.
pub type List = Vec<Vec<u8>>;

/// Encodes lists, newest first; `None` when they cannot be.
pub fn encode(lists: &[List]) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(postcard::to_stdvec(lists).ok()?);
    Some(bytes)
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode(bytes: &[u8]) -> Option<Vec<List>> {
    postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_no_lists() {
        let lists = vec![vec![b"a.h".to_vec(), b"/usr/\xff".to_vec()], Vec::new()];
        let bytes = encode(&lists).unwrap();
        assert_eq!(decode(&bytes), Some(lists));
        let mut newer = bytes.clone();
        newer[7] = b'2';
        assert_eq!(decode(&newer), None);
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(b""), None);
    }
}
