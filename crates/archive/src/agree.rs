//! Where two JSON values differ, as paths and words; and where an entry says something else than the record that its bundle proves.
//! Does not know which of the two is right, nor how the record was proven.

use serde_json::{Map, Value};

use crate::format::ArchiveEntry;

/// Characters of a value that are shown.
const SHOWN: usize = 60;
/// Fields that a bundle's record lacks, or that each revision has its own of.
const OWN: [&str; 4] = ["version", "revision", "bundle", "attestation"];
/// Metrics that may come later begin with this.
const LATER: &str = "mirror.";

/// A place where two values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// Such as `commits[0].commit`.
    pub(crate) path: String,
    /// What the one has, shortened.
    pub(crate) have: String,
    /// What the other has, shortened.
    pub(crate) other: String,
}

/// Where an entry says something else than the record in its bundle, the first place of each field. Later revisions may add the time of
/// steps that came after the record, and metrics of mirrors; all else was known when the record was made.
pub(crate) fn contradictions(entry: &ArchiveEntry, record: &ArchiveEntry) -> Vec<Disagreement> {
    let (mut entry, mut record) = (fields(entry), fields(record));
    for name in OWN {
        entry.remove(name);
        record.remove(name);
    }
    for (name, prefix) in [("archive_timings", ""), ("metrics", LATER)] {
        let known = record.get(name).cloned().unwrap_or_default();
        if let Some(Value::Object(all)) = entry.get_mut(name) {
            all.retain(|key, _| known.get(key).is_some() || !key.starts_with(prefix));
        }
    }
    let mut names: Vec<&String> = entry.keys().chain(record.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let mut of_field = Vec::new();
        let (have, other) = (entry.get(name), record.get(name));
        compare(name, have, other, &mut of_field);
        found.extend(of_field.drain(..).next());
    }
    found
}

/// All places where two values differ, in order. Numbers that differ in the last digits alone do not: they may have been written and read in between.
#[cfg(any(test, feature = "attest"))]
pub(crate) fn disagreements(have: &Value, other: &Value) -> Vec<Disagreement> {
    let mut found = Vec::new();
    compare("", Some(have), Some(other), &mut found);
    found
}

fn fields(entry: &ArchiveEntry) -> Map<String, Value> {
    // An entry is an object of texts, numbers and lists of them: it can be put as JSON.
    match serde_json::to_value(entry) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn compare(path: &str, have: Option<&Value>, other: Option<&Value>, found: &mut Vec<Disagreement>) {
    match (have, other) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                let inside = format!("{path}{dot}{name}");
                compare(&inside, one.get(name), two.get(name), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for at in 0..one.len().max(two.len()) {
                let inside = format!("{path}[{at}]");
                compare(&inside, one.get(at), two.get(at), found);
            }
        }
        _ if have == other || close(have, other) => {}
        _ => found.push(Disagreement {
            path: path.to_owned(),
            have: short(have),
            other: short(other),
        }),
    }
}

fn close(have: Option<&Value>, other: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match (number(have), number(other)) {
        (Some(one), Some(two)) => (one - two).abs() <= 1e-12 * one.abs().max(two.abs()),
        _ => false,
    }
}

fn short(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_named_and_last_digits_are_not() {
        let have = json!({ "a": [1, { "b": "x" }], "c": 0.300_000_000_000_000_04, "d": null });
        let other = json!({ "a": [1, { "b": "y" }, 2], "c": 0.3, "e": "long".repeat(99) });
        let found = disagreements(&have, &other);
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["a[1].b", "a[2]", "d", "e"]);
        assert_eq!(
            (found[0].have.as_str(), found[0].other.as_str()),
            ("\"x\"", "\"y\"")
        );
        assert_eq!(found[1].have, "nothing");
        assert!(found[3].other.len() < 70, "{}", found[3].other);
        assert_eq!(
            disagreements(&json!({ "a": 1 }), &json!({ "a": 1.01 })).len(),
            1
        );
    }
}
