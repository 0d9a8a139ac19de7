//! The in-toto Statement v1 of an entry, with the SLSA provenance v1 predicate.
//! Does not know keys and signatures.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::AttestError;
use crate::agree::{Disagreement, disagreements};
use crate::format::{ArchiveEntry, RepoCommit};
use crate::time::Time;

/// The type of the statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What a build is: a run of Larder. `docs/formats.md` describes its parameters.
pub const BUILD_TYPE: &str = "urn:larder:run:v1";

/// The statement of an entry: its artifacts and its bundle were made by this run. `builder` is the URI of who made them and is trusted by
/// whoever trusts the key.
pub fn statement(entry: &ArchiveEntry, builder: &str) -> Value {
    let subjects: Vec<Value> = subjects(entry)
        .into_iter()
        .map(|(name, sha256)| json!({ "name": name, "digest": { "sha256": sha256 } }))
        .collect();
    let run = entry.run.summary();
    let mut metadata = Map::new();
    metadata.insert("invocationId".into(), json!(entry.id));
    if let Ok(started) = run.started.parse::<Time>() {
        metadata.insert("startedOn".into(), json!(started));
        metadata.insert(
            "finishedOn".into(),
            json!(finished(started, run.wall_seconds)),
        );
    }
    json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "workspace": entry.workspace,
                    "request": run.request,
                    "trigger": entry.trigger,
                },
                "internalParameters": {
                    "os": entry.host.os,
                    "arch": entry.host.arch,
                },
                "resolvedDependencies": entry.commits.iter().filter_map(dependency).collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": { "id": builder, "version": { "larder": entry.host.larder } },
                "metadata": metadata,
            },
        },
    })
}

/// Compares the subjects of a statement with an entry.
///
/// # Errors
/// [`AttestError::Differs`] names the first that is missing, another, or too much.
pub fn check_subjects(statement: &Value, entry: &ArchiveEntry) -> Result<(), AttestError> {
    let differs = |why: String| Err(AttestError::Differs { why });
    let id = &statement["predicate"]["runDetails"]["metadata"]["invocationId"];
    if *id != json!(entry.id) {
        return differs(format!("it is for the entry {id}"));
    }
    let mut wanted = subjects(entry);
    let empty = Vec::new();
    for subject in statement["subject"].as_array().unwrap_or(&empty) {
        let name = subject["name"].as_str().unwrap_or_default();
        match wanted.remove(name) {
            None => return differs(format!("the entry has no `{name}`")),
            Some(sha256) if subject["digest"]["sha256"] != *sha256 => {
                return differs(format!("`{name}` has another digest"));
            }
            Some(_) => {}
        }
    }
    match wanted.keys().next() {
        Some(name) => differs(format!("it does not name `{name}`")),
        None => Ok(()),
    }
}

/// Compares all that a statement says of a run with an entry: its commits, parameters, machine and times. Who built it is for whoever
/// trusts the key.
///
/// # Errors
/// [`AttestError::Differs`] names every field that differs.
pub fn check_predicate(statement: &Value, entry: &ArchiveEntry) -> Result<(), AttestError> {
    let signed = &statement["predicate"];
    let builder = signed["runDetails"]["builder"]["id"].as_str();
    let said = self::statement(entry, builder.unwrap_or_default());
    let mut differing = disagreements(&said["predicate"], signed);
    differing.retain(|one| !is_same_moment(one));
    if differing.is_empty() {
        return Ok(());
    }
    let field = |one: &Disagreement| {
        // What a reader of the statement looks for.
        let path = one.path.strip_prefix("buildDefinition.");
        let path = path.or_else(|| one.path.strip_prefix("runDetails."));
        let path = path.unwrap_or(&one.path);
        format!(
            "the entry's `{path}` is {}, and {} is signed",
            one.have, one.other
        )
    };
    let fields: Vec<String> = differing.iter().map(field).collect();
    Err(AttestError::Differs {
        why: fields.join("; "),
    })
}

/// The end of a run is computed from a number of seconds, whose last digit may have been lost.
fn is_same_moment(one: &Disagreement) -> bool {
    let time = |text: &str| text.trim_matches('"').parse::<Time>().ok();
    one.path.ends_with("finishedOn")
        && match (time(&one.have), time(&one.other)) {
            (Some(have), Some(other)) => have.seconds_since(other).abs() < 1e-6,
            _ => false,
        }
}

/// Names and SHA-256 of what an entry vouches for.
fn subjects(entry: &ArchiveEntry) -> BTreeMap<String, &str> {
    let artifacts = entry.artifacts.iter();
    let artifacts = artifacts.map(|one| (format!("artifacts/{}", one.name), one.sha256.as_str()));
    let bundle = entry.bundle.iter();
    let bundle = bundle.map(|one| (one.name.clone(), one.sha256.as_str()));
    artifacts.chain(bundle).collect()
}

/// A commit. That files differed from it is said, for then it does not tell what was built.
fn dependency(repo: &RepoCommit) -> Option<Value> {
    let commit = repo.commit.as_ref()?;
    Some(json!({
        "name": repo.path,
        "digest": { "gitCommit": commit },
        "annotations": { "dirty": repo.dirty },
    }))
}

#[allow(clippy::cast_possible_truncation)] // Larger times than the calendar has are cut to its end.
fn finished(started: Time, seconds: f64) -> Time {
    Time::from_nanos(started.nanos().saturating_add((seconds * 1e9) as i64))
}
