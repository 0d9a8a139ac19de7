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
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// By repository.
    pub(super) rows: BTreeMap<String, Row>,
    /// Seconds of the whole run.
    pub(super) wall: f64,
    /// The record itself, as JSON.
    pub(super) text: String,
}

impl Record {
    /// Reads the output of `--json`.
    pub(super) fn read(text: &str) -> Result<Record, Box<dyn Error>> {
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
            };
            rows.insert(project.to_owned(), row);
        }
        Ok(Record {
            rows,
            wall: number(&json, "wall_seconds")?,
            text: text.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"wall_seconds": 1.5, "tasks": [
        {"task": "a#index", "status": "ran", "cache": "miss", "seconds": 1.25},
        {"task": "b#index", "status": "up-to-date", "cache": "hit", "seconds": 0.0}]}"#;

    #[test]
    fn a_run_is_held_against_what_it_had_to_be() {
        let record = Record::read(TEXT).unwrap();
        let both = ["a".to_owned(), "b".to_owned()];
        let hit = ("up-to-date", "hit");
        assert_eq!(record.expect(&both, hit, &[("a", ("ran", "miss"))]), Ok(()));
        let wrong = record.expect(&both, hit, &[]).unwrap_err();
        assert_eq!(wrong, "a: ran (miss) instead of up-to-date (hit)");
        let wrong = record.expect(&both[..1], ("ran", "miss"), &[]).unwrap_err();
        assert_eq!(wrong, "2 tasks instead of 1");
        let mut slow = record.clone();
        slow.rows.get_mut("b").unwrap().seconds = 1.0;
        let wrong = slow.expect(&both, hit, &[("a", ("ran", "miss"))]);
        assert_eq!(wrong.unwrap_err(), "b: up-to-date in 1 s");
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for text in ["", "{}", r#"{"tasks": [{}]}"#] {
            assert!(Record::read(text).is_err(), "{text}");
        }
    }
}
