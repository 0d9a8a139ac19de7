//! What a run did, as its record says, and whether that is what it had to do.
//! Does not start runs.

use std::collections::BTreeMap;
use std::error::Error;

/// What a run did for one repository.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// `ran`, `restored`, `up-to-date`, …
    pub(super) status: String,
    /// `hit`, `miss`, `bypassed` or `off`.
    pub(super) cache: String,
    /// Seconds that its commands took in this run.
    pub(super) seconds: f64,
    /// Hits and misses that `--show-cache` counts for it.
    pub(super) counted: (u64, u64),
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// By repository.
    pub(super) rows: BTreeMap<String, Row>,
    /// Seconds of the whole run.
    pub(super) wall: f64,
    /// What the run said to people when it was done.
    pub(super) told: String,
}

impl Record {
    /// Reads the output of `--json --show-cache`, and what was said beside it.
    pub(super) fn read(text: &str, said: &str) -> Result<Record, Box<dyn Error>> {
        let json: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("no run record: {error}: {text}"))?;
        let number = |value: &serde_json::Value, name: &str| {
            let number = value[name].as_f64();
            number.ok_or_else(|| format!("the run record has no number `{name}`"))
        };
        let word = |value: &serde_json::Value, name: &str| {
            let word = value[name].as_str().map(str::to_owned);
            word.ok_or_else(|| format!("a task of the run record has no `{name}`"))
        };
        let shown = json["show_cache"]["projects"].as_array();
        let shown = shown.ok_or("the run record does not show what the cache did")?;
        let counted = |name: &str| {
            let mut projects = shown.iter();
            let project = projects.find(|project| project["project"] == name);
            let count = |what: &str| project.and_then(|project| project[what].as_u64());
            let counts = count("hits").zip(count("misses"));
            counts.ok_or_else(|| format!("hits and misses of {name} are not shown"))
        };
        let mut rows = BTreeMap::new();
        for task in json["tasks"]
            .as_array()
            .ok_or("the run record has no tasks")?
        {
            let id = word(task, "task")?;
            let (project, _) = id.split_once('#').ok_or("a task without a project")?;
            let row = Row {
                status: word(task, "status")?,
                cache: word(task, "cache")?,
                seconds: number(task, "seconds")?,
                counted: counted(project)?,
            };
            rows.insert(project.to_owned(), row);
        }
        Ok(Record {
            rows,
            wall: number(&json, "wall_seconds")?,
            told: told(said),
        })
    }

    /// Says where this run is not what it had to be: `changed` are the repositories with another end than `rest`.
    pub(super) fn expect(
        &self,
        repositories: &[String],
        rest: (&str, &str),
        changed: &[(&str, (&str, &str))],
    ) -> Result<(), String> {
        let mut wrong = Vec::new();
        for name in repositories {
            let wanted = changed.iter().find(|(other, _)| other == name);
            let (status, cache) = wanted.map_or(rest, |(_, wanted)| *wanted);
            match self.rows.get(name) {
                Some(row) if row.status == status && row.cache == cache => {}
                Some(row) => wrong.push(format!(
                    "{name}: {} ({}) instead of {status} ({cache})",
                    row.status, row.cache
                )),
                None => wrong.push(format!("{name}: not in the run")),
            }
            // One task a repository: the product has to have counted it, and nothing else.
            if let Some(row) = self.rows.get(name)
                && row.counted != (u64::from(cache == "hit"), u64::from(status == "ran"))
            {
                let (hits, misses) = row.counted;
                wrong.push(format!("{name}: {hits} hits and {misses} misses counted"));
            }
            // Seconds of commands say so too: what did not run took none.
            if let Some(row) = self.rows.get(name)
                && (row.status == "ran") != (row.seconds > 0.0)
            {
                wrong.push(format!("{name}: {} in {} s", row.status, row.seconds));
            }
        }
        if self.rows.len() != repositories.len() {
            let (there, wanted) = (self.rows.len(), repositories.len());
            wrong.push(format!("{there} tasks instead of {wanted}"));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    }
}

/// The closing lines of a run: its summary, and what the cache did by project.
fn told(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let summary = lines.iter().rposition(|line| line.starts_with("larder: "));
    let lines = &lines[summary.unwrap_or(0)..];
    let lines = lines.iter().take_while(|line| !line.starts_with("cache: "));
    lines.flat_map(|line| [*line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"wall_seconds": 1.5, "tasks": [
        {"task": "a#index", "status": "ran", "cache": "miss", "seconds": 1.25},
        {"task": "b#index", "status": "up-to-date", "cache": "hit", "seconds": 0.0}], "show_cache": {"projects": [
        {"project": "a", "hits": 0, "misses": 1}, {"project": "b", "hits": 1, "misses": 0}]}}"#;
    const SAID: &str = "larder: a\nx\nlarder: succeeded\n  a 0 1\ncache: c\n";

    #[test]
    fn a_run_is_held_against_what_it_had_to_be() {
        let record = Record::read(TEXT, SAID).unwrap();
        assert_eq!(record.told, "larder: succeeded\n  a 0 1\n");
        let both = ["a".to_owned(), "b".to_owned()];
        let hit = ("up-to-date", "hit");
        assert_eq!(record.expect(&both, hit, &[("a", ("ran", "miss"))]), Ok(()));
        let wrong = record.expect(&both, hit, &[]).unwrap_err();
        assert_eq!(
            wrong,
            "a: ran (miss) instead of up-to-date (hit)\na: 0 hits and 1 misses counted"
        );
        let wrong = record.expect(&both[..1], ("ran", "miss"), &[]).unwrap_err();
        assert_eq!(wrong, "2 tasks instead of 1");
        let mut twice = record.clone();
        twice.rows.get_mut("b").unwrap().counted = (2, 0);
        let wrong = twice.expect(&both, hit, &[("a", ("ran", "miss"))]);
        assert_eq!(wrong.unwrap_err(), "b: 2 hits and 0 misses counted");
        let mut slow = record.clone();
        slow.rows.get_mut("b").unwrap().seconds = 1.0;
        let wrong = slow.expect(&both, hit, &[("a", ("ran", "miss"))]);
        assert_eq!(wrong.unwrap_err(), "b: up-to-date in 1 s");
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for text in [
            "",
            "{}",
            r#"{"tasks": [{}]}"#,
            &TEXT.replace("\"b\", \"hits\"", "\"c\", \"hits\""),
        ] {
            assert!(Record::read(text, "").is_err(), "{text}");
        }
    }
}
