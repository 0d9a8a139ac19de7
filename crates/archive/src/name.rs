//! Names of records: relative, '/'-separated, and safe as a path on every system.
//! Does not know where they lead.

use std::fmt;

/// A checked name, such as `runs/2026-01-02.json`. Names sort by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A name that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no name for a record: {why}")]
pub struct NameError {
    /// The refused text.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Windows opens a device under these names, whatever extension follows.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

impl Name {
    /// Checks a name. Its components are not empty, do not begin with a dot (so neither `.` nor `..`, and no temporary file of
    /// a destination), hold none of `\ : * ? " < > |` and no control character, do not end in a dot or a space, are no
    /// device of Windows, and have at most 200 bytes.
    ///
    /// # Errors
    /// [`NameError`] names the first rule that is broken.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        match name.split('/').find_map(fault) {
            Some(why) => Err(NameError { name, why }),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, first to last; never empty.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

fn fault(component: &str) -> Option<&'static str> {
    let stem = component
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_lowercase();
    if component.is_empty() {
        Some("a component is empty, or the name begins or ends with a slash")
    } else if component.starts_with('.') {
        Some("a component begins with a dot")
    } else if component.len() > 200 {
        Some("a component has more than 200 bytes")
    } else if component.contains(|c: char| c.is_control() || r#"\:*?"<>|"#.contains(c)) {
        Some(r#"a component holds a control character or one of \ : * ? " < > |"#)
    } else if component.ends_with(['.', ' ']) {
        Some("a component ends in a dot or a space")
    } else if DEVICES.contains(&stem.as_str()) {
        Some("a component is the name of a device on Windows")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(201);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/.hidden",
            r"a\b",
            "c:a",
            "a\0b",
            "a\nb",
            "a.",
            "a ",
            "nul",
            "NUL.txt",
            "com1.a.b",
            "a/aux",
            "a*",
            &long,
        ] {
            let refused = Name::new(bad).unwrap_err();
            assert_eq!(refused.name, bad);
        }
    }

    #[test]
    fn plain_names_are_kept_as_they_are() {
        for good in [
            "a",
            "a/b.json",
            "2026-01-02T03-04-05Z.json",
            "grün/ß",
            "nullary",
            "a..b",
        ] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        assert_eq!(
            Name::new("a/b/c").unwrap().components().collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
    }
}
