//! The written form of a delta's manifest, version 2: JSON with a checksum at its end, paths escaped to text.
//! Knows nothing of files: bytes in, plain data out, and anything unexpected is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Delta, LeftOut, UnitDelta, manifest_refused};
use crate::id::Hex;
use crate::{ArtifactId, Error, Kind, Result, Row, Why};

/// The version of the manifest's form; another one is refused.
pub const VERSION: u64 = 2;

const FORMAT: &str = "larder delta";
/// What stands before and after the hexadecimal digits of the checksum, at the very end of the manifest.
const TAIL: (&[u8], &[u8]) = (b",\"checksum\":\"", b"\"}\n");

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u64,
    archive: Option<Archive>,
    units: Vec<UnitText>,
    left_out: Vec<LeftOutText>,
    /// Written by hand behind the rest.
    #[serde(skip_serializing, rename = "checksum")]
    _checksum: Option<Hex>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Archive {
    digest: ArtifactId,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitText {
    name: String,
    before: Option<Hex>,
    after: Hex,
    unchanged: u64,
    added: Vec<RowText>,
    changed: Vec<Changed>,
    removed: Vec<RowText>,
    extra: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    before: RowText,
    after: RowText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOutText {
    name: String,
    why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    path: String,
    kind: KindText,
    mode: String,
    size: u64,
    digest: Hex,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindText {
    File,
    Link,
    EmptyDir,
}

/// The bytes of a manifest.
///
/// # Errors
/// [`Error::Refused`] for a delta that could not be read again, such as one that names a path twice.
pub fn encode(delta: &Delta) -> Result<Vec<u8>> {
    delta.check()?;
    let document = Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        archive: delta
            .archive
            .map(|(digest, bytes)| Archive { digest, bytes }),
        units: delta.units.iter().map(unit_to_text).collect(),
        left_out: delta
            .left_out
            .iter()
            .map(|left| LeftOutText {
                name: left.name.clone(),
                why: left.why.clone(),
            })
            .collect(),
        _checksum: None,
    };
    let mut bytes =
        serde_json::to_vec(&document).map_err(|error| Error::Other(error.to_string()))?;
    // The brace that closes the document comes after the checksum.
    bytes.pop();
    let checksum = Hex(*blake3::hash(&bytes).as_bytes()).to_string();
    bytes.extend_from_slice(TAIL.0);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes.extend_from_slice(TAIL.1);
    Ok(bytes)
}

/// The manifest in `bytes`.
///
/// # Errors
/// [`Error::Refused`] when they are not exactly the bytes of a sound manifest of this version.
pub fn decode(bytes: &[u8]) -> Result<Delta> {
    let body = proved(bytes).ok_or(manifest_refused("its checksum is wrong"))?;
    // The brace is in the tail.
    let head: Head = serde_json::from_slice(&[body, b"}"].concat())
        .map_err(|_| manifest_refused("it is not JSON of that form"))?;
    if head.format != FORMAT {
        return Err(manifest_refused("it is not JSON of that form"));
    }
    if head.version != VERSION {
        return Err(Error::refused(
            super::MANIFEST.as_bytes(),
            Why::Version(head.version),
        ));
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|_| manifest_refused("it is not JSON of that form"))?;
    let units: Option<Vec<UnitDelta>> = document.units.into_iter().map(unit_of_text).collect();
    let delta = Delta {
        archive: document
            .archive
            .map(|archive| (archive.digest, archive.bytes)),
        units: units.ok_or(manifest_refused("a row that means nothing"))?,
        left_out: document
            .left_out
            .into_iter()
            .map(|left| LeftOut {
                name: left.name,
                why: left.why,
            })
            .collect(),
    };
    delta.check()?;
    Ok(delta)
}

/// What the checksum at the end is of, if it is right.
fn proved(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_suffix(TAIL.1)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    let body = rest.strip_suffix(TAIL.0)?;
    let checksum: Hex = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (blake3::hash(body) == checksum.0).then_some(body)
}

fn unit_to_text(unit: &UnitDelta) -> UnitText {
    UnitText {
        name: unit.name.clone(),
        before: unit.before.map(Hex),
        after: Hex(unit.after),
        unchanged: unit.unchanged,
        added: unit.added.iter().map(row_to_text).collect(),
        changed: unit
            .changed
            .iter()
            .map(|(before, after)| Changed {
                before: row_to_text(before),
                after: row_to_text(after),
            })
            .collect(),
        removed: unit.removed.iter().map(row_to_text).collect(),
        extra: unit.extra.clone(),
    }
}

fn unit_of_text(text: UnitText) -> Option<UnitDelta> {
    let rows = |rows: &[RowText]| rows.iter().map(row_of_text).collect::<Option<_>>();
    Some(UnitDelta {
        name: text.name,
        before: text.before.map(|digest| digest.0),
        after: text.after.0,
        unchanged: text.unchanged,
        added: rows(&text.added)?,
        changed: text
            .changed
            .iter()
            .map(|changed| Some((row_of_text(&changed.before)?, row_of_text(&changed.after)?)))
            .collect::<Option<_>>()?,
        removed: rows(&text.removed)?,
        extra: text.extra,
    })
}

fn row_to_text(row: &Row) -> RowText {
    RowText {
        path: escape(&row.path),
        kind: match row.kind {
            Kind::File => KindText::File,
            Kind::Link => KindText::Link,
            Kind::EmptyDir => KindText::EmptyDir,
        },
        mode: format!("{:03o}", row.mode),
        size: row.size,
        digest: Hex(row.digest),
    }
}

fn row_of_text(text: &RowText) -> Option<Row> {
    let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
    if text.mode.len() != 3 || !text.mode.as_bytes().iter().all(octal) {
        return None;
    }
    Some(Row {
        path: unescape(&text.path)?,
        kind: match text.kind {
            KindText::File => Kind::File,
            KindText::Link => Kind::Link,
            KindText::EmptyDir => Kind::EmptyDir,
        },
        mode: u32::from_str_radix(&text.mode, 8).ok()?,
        size: text.size,
        digest: text.digest.0,
    })
}

/// A path as text: UTF-8 stands for itself, `%` is `%25`, and each byte that is not part of UTF-8 is `%` and two upper-case
/// hexadecimal digits.
pub fn escape(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The path that [`escape`] made this text of; `None` for any other text.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    path.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // A sign is no digit.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        path.push(u8::from_str_radix(digits, 16).ok()?);
        path.extend_from_slice(rest.as_bytes());
    }
    (escape(&path) == text).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &[u8], content: &str, mode: u32) -> Row {
        Row {
            path: path.to_vec(),
            kind: Kind::File,
            mode,
            size: content.len() as u64,
            digest: *blake3::hash(content.as_bytes()).as_bytes(),
        }
    }

    fn sample() -> Delta {
        Delta {
            archive: Some((ArtifactId([9; 32]), 77)),
            units: vec![UnitDelta {
                name: "web#build".into(),
                before: Some([1; 32]),
                after: [2; 32],
                unchanged: 3,
                added: vec![row(b"out/100%\xff", "a", 0o600)],
                changed: vec![(row(b"out/c", "c", 0o644), row(b"out/c", "c", 0o755))],
                removed: vec![row(b"out/\"\n", "r", 0o444)],
                extra: [("key".to_owned(), "k".to_owned())].into(),
            }],
            left_out: vec![LeftOut {
                name: "web#test".into(),
                why: "it failed".into(),
            }],
        }
    }

    /// A manifest with another body and a checksum that is right for it.
    fn changed(change: impl Fn(&str) -> String) -> Vec<u8> {
        let bytes = encode(&sample()).unwrap();
        let body = std::str::from_utf8(proved(&bytes).unwrap()).unwrap();
        let other = change(body);
        let checksum = Hex(*blake3::hash(other.as_bytes()).as_bytes());
        format!("{other},\"checksum\":\"{checksum}\"}}\n").into_bytes()
    }

    #[test]
    fn a_manifest_is_json_that_reads_back() {
        let bytes = encode(&sample()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["units"][0]["added"][0]["path"], "out/100%25%FF");
        assert_eq!(json["units"][0]["added"][0]["mode"], "600");
        assert_eq!(json["checksum"].as_str().unwrap().len(), 64);
        assert_eq!(decode(&bytes).unwrap(), sample());
        let empty = Delta::default();
        assert_eq!(decode(&encode(&empty).unwrap()).unwrap(), empty);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let bytes = encode(&sample()).unwrap();
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert!(decode(&[&bytes[..], b"\n"].concat()).is_err());
    }

    #[test]
    fn another_form_with_a_right_checksum_is_refused() {
        assert_eq!(decode(&changed(str::to_owned)).unwrap(), sample());
        let newer = decode(&changed(|body| {
            body.replace("\"version\":2", "\"version\":3,\"new\":0")
        }));
        let Err(Error::Refused(refusal)) = newer else {
            panic!("a newer form was read");
        };
        assert_eq!(refusal.why, Why::Version(3));
        for (from, to) in [
            ("larder delta", "larder folder"),
            ("\"unchanged\":3", "\"unchanged\":3,\"new\":0"),
            ("\"unchanged\":3,", ""),
            ("\"600\"", "\"0600\""),
            ("\"600\"", "\"800\""),
            ("\"600\"", "\"+60\""),
            ("\"kind\":\"file\"", "\"kind\":\"device\""),
            ("%FF", "%ff"),
            ("%FF", "%41"),
            ("%FF", "%F"),
            ("%FF", "%+F"),
            ("out/100%25%FF", "out/../../x"),
            ("out/100%25%FF", "/out/x"),
            ("out/100%25%FF", "out/c"),
            // Removed and added are one change.
            ("out/100%25%FF", "out/\\\"\\n"),
            (
                "\"units\":[{",
                "\"units\":[{\"name\":\"z\",\"before\":null,\"after\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"unchanged\":0,\"added\":[],\"changed\":[],\"removed\":[],\"extra\":{}},{",
            ),
            ("\"before\":\"01", "\"before\":\"0g"),
        ] {
            let bad = changed(|body| {
                assert!(body.contains(from), "{from}");
                body.replace(from, to)
            });
            assert!(
                matches!(decode(&bad), Err(Error::Refused(_))),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        let of = |change: fn(&mut Delta)| {
            let mut delta = sample();
            change(&mut delta);
            encode(&delta)
        };
        assert!(of(|_| ()).is_ok());
        for change in [
            (|delta| delta.archive = None) as fn(&mut Delta),
            |delta| delta.units[0].before = None,
            |delta| delta.units[0].added[0].mode = 0o1777,
            |delta| delta.units[0].added[0].kind = Kind::EmptyDir,
            |delta| delta.units[0].added[0].kind = Kind::Link,
            |delta| delta.units[0].changed[0].1.path = b"out/d".to_vec(),
            |delta| delta.units[0].changed[0].1.mode = 0o644,
            |delta| delta.units[0].removed.push(row(b"out/!", "", 0)),
            |delta| delta.units.push(delta.units[0].clone()),
            |delta| {
                // Another unit makes the same path.
                let mut other = delta.units[0].clone();
                other.name.push('2');
                other.changed.clear();
                other.removed.clear();
                delta.units.push(other);
            },
            |delta| {
                delta.units.clear();
            },
        ] {
            assert!(matches!(of(change), Err(Error::Refused(_))));
        }
    }

    #[test]
    fn paths_of_any_bytes_are_text_and_come_back() {
        for (path, text) in [
            (&b"a/b c"[..], "a/b c"),
            (b"100%", "100%25"),
            ("\u{e9}".as_bytes(), "\u{e9}"),
            (b"\xc3", "%C3"),
            (b"\xffa\xfe", "%FFa%FE"),
        ] {
            assert_eq!(escape(path), text);
            assert_eq!(unescape(text).unwrap(), path);
        }
        for bad in ["%", "%4", "%41", "%ff", "%C3%A9", "%\u{e9}", "a%2"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
