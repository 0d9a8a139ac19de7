//! Where figures are kept: every session under its time, and baselines under their names.
//! It does not know what they say.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::compare::{self, Comparison};
use super::results::Results;

/// The folder of a session; made if it is not there.
pub(crate) fn folder(root: &Path, started: &str) -> io::Result<PathBuf> {
    let folder = root.join(".cache/perf").join(started.replace(':', "-"));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes the raw figures and what they were compared with, as data and as a text for a comment.
pub(crate) fn keep(
    folder: &Path,
    results: &Results,
    comparisons: &[Comparison],
    limit: Option<f64>,
) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join(format!("{}.json", results.fixture));
    fs::write(&path, serde_json::to_vec_pretty(results)?)?;
    if !comparisons.is_empty() {
        let path = folder.join(format!("{}-comparisons.json", results.fixture));
        fs::write(path, serde_json::to_vec_pretty(comparisons)?)?;
        let texts: Vec<String> = comparisons
            .iter()
            .map(|comparison| compare::markdown(comparison, limit))
            .collect();
        let path = folder.join(format!("{}-comparisons.md", results.fixture));
        fs::write(path, texts.join("\n"))?;
    }
    Ok(path)
}

/// Keeps figures under a name, in place of those that had it.
pub(crate) fn save_baseline(
    root: &Path,
    name: &str,
    results: &Results,
) -> Result<PathBuf, Box<dyn Error>> {
    let path = baseline(root, name, &results.fixture);
    fs::create_dir_all(path.parent().ok_or("no folder for baselines")?)?;
    // Another process reads either the old figures or the new ones.
    let part = path.with_extension("part");
    fs::write(&part, serde_json::to_vec_pretty(results)?)?;
    fs::rename(part, &path)?;
    Ok(path)
}

/// The figures that are kept under a name; `None` if there are none.
pub(crate) fn read_baseline(
    root: &Path,
    name: &str,
    fixture: &str,
) -> Result<Option<Results>, Box<dyn Error>> {
    let path = baseline(root, name, fixture);
    match fs::read(&path) {
        Ok(text) => {
            let told = |error| format!("{}: {error}; save the baseline anew", path.display());
            Ok(Some(serde_json::from_slice(&text).map_err(told)?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn baseline(root: &Path, name: &str, fixture: &str) -> PathBuf {
    let folder = root.join(".cache/perf/baselines").join(name);
    folder.join(format!("{fixture}.json"))
}

/// A name that a folder can have on every system.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let fine = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !text.is_empty() && !text.starts_with('.') && text.chars().all(fine) {
        return Ok(text.to_owned());
    }
    Err("a name has letters, digits, - and _ only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_found_under_its_name_and_fixture_alone() {
        let root = tempfile::tempdir().unwrap();
        let results = Results {
            fixture: "small".to_owned(),
            files: 400,
            ..Results::default()
        };
        let read = |name: &str, fixture: &str| {
            let found = read_baseline(root.path(), name, fixture).unwrap();
            found.map(|results| results.files)
        };
        assert_eq!(read("main", "small"), None);
        save_baseline(root.path(), "main", &results).unwrap();
        assert_eq!(read("main", "small"), Some(400));
        assert_eq!(read("main", "large"), None);
        assert_eq!(read("other", "small"), None);
        let path = baseline(root.path(), "main", "small");
        fs::write(path, "{").unwrap();
        let error = read_baseline(root.path(), "main", "small").unwrap_err();
        assert!(
            error.to_string().contains("save the baseline anew"),
            "{error}"
        );
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert_eq!(name("main-2.x_1"), Ok("main-2.x_1".to_owned()));
        for wrong in ["", "..", ".hidden", "a/b", "a b", "c:"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
