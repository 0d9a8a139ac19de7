//! The JSON schema and the page that documents its keys.
//! It does not know how values are read.

use serde_json::Value;
use toml::de::DeTable;

use super::super::archive::{
    ArchiveTable, GatesTable, KeepTable, MetricTable, MirrorTable, RepositoriesTable,
    ValidatorsTable,
};
use super::super::schema;
use super::super::syntax::{
    CacheTable, DepTable, GitTable, HooksTable, ProjectFile, ProjectTable, RootFile, TaskTable,
    TimingsTable, WorkspaceTable,
};

const TABLES: &[(&str, &[&str])] = &[
    ("RootFile", RootFile::KEYS),
    ("ProjectFile", ProjectFile::KEYS),
    ("WorkspaceTable", WorkspaceTable::KEYS),
    ("CacheTable", CacheTable::KEYS),
    ("TimingsTable", TimingsTable::KEYS),
    ("ArchiveTable", ArchiveTable::KEYS),
    ("RepositoriesTable", RepositoriesTable::KEYS),
    ("GatesTable", GatesTable::KEYS),
    ("MetricTable", MetricTable::KEYS),
    ("ValidatorsTable", ValidatorsTable::KEYS),
    ("MirrorTable", MirrorTable::KEYS),
    ("KeepTable", KeepTable::KEYS),
    ("ProjectTable", ProjectTable::KEYS),
    ("TaskTable", TaskTable::KEYS),
    ("HooksTable", HooksTable::KEYS),
    ("DepTable", DepTable::KEYS),
    ("GitTable", GitTable::KEYS),
];

#[test]
fn the_schema_has_the_keys_that_the_parser_takes() {
    let schema = schema();
    for (name, keys) in TABLES {
        let table = &schema["$defs"][name];
        let mut known: Vec<&str> = keys.to_vec();
        known.sort_unstable();
        let properties = table["properties"].as_object().unwrap();
        let mut described: Vec<&str> = properties.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(known, described, "{name}");
        assert_eq!(table["additionalProperties"], Value::Bool(false), "{name}");
        for (key, property) in properties {
            assert!(
                property["description"].is_string(),
                "{name}.{key} is not described"
            );
        }
    }
    let text = schema.to_string();
    assert!(!text.contains("\"null\""), "TOML has no null");
}

#[test]
fn every_key_of_the_schema_is_documented() {
    let page = include_str!("../../../../../docs/configuration.md");
    for (table, keys) in TABLES {
        for key in *keys {
            let heading = page.contains(&format!("`{key}`")) || page.contains(&format!("`[{key}"));
            assert!(
                heading,
                "docs/configuration.md does not explain `{key}` of {table}"
            );
        }
    }
}

/// The examples of the page are files that load, with the folders they speak of in place.
#[test]
fn the_examples_of_the_page_fit_the_schema() {
    let page = include_str!("../../../../../docs/configuration.md");
    let schema = schema();
    let mut count = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        DeTable::parse(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let value: Value = toml::from_str(text).unwrap();
        let fits = schema["anyOf"]
            .as_array()
            .unwrap()
            .iter()
            .any(|kind| fits(&value, kind, &schema));
        assert!(fits, "not by the schema:\n{text}");
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn the_example_of_the_design_fits_the_schema_and_wrong_ones_do_not() {
    let schema = schema();
    let root = &schema["anyOf"][0];
    let example: Value = toml::from_str(
        r#"
[workspace]
projects = ["packages/*", "!packages/legacy"]
global-inputs = ["pnpm-lock.yaml"]
global-env = ["CI"]
global-pass-through-env = ["HTTPS_PROXY"]
env-mode = "strict"
[cache]
dir = "x"
max-size = "20GB"
max-age = "30d"
level = 3
[timings]
runs-per-task = 20
[tasks.build]
projects = ["packages/*"]
command = "tsc -p ."
depends-on = ["^build", "codegen", "app#lint", { task = "^build", transitive = false }]
inputs = ["$DEFAULT$", "!**/*.md", "$ROOT$/tsconfig.base.json", { git = "../schema" }]
outputs = ["dist/**"]
env = ["NODE_ENV", "VITE_*"]
pass-through-env = ["SSH_AUTH_SOCK"]
tools = ["node --version"]
output-logs = "full"
timeout = "10m"
before = ["prepare"]
after = ["notify"]
[hooks]
before-all = ["lint"]
after-all = ["report"]
"#,
    )
    .unwrap();
    assert!(fits(&example, root, &schema));
    for wrong in [
        "unknown = 1",
        "[tasks.a]\ncommand = 1",
        "[tasks.a]\ninputs = [{ gti = \"x\" }]",
        "[tasks.a]\noutput-logs = \"some\"",
        "[tasks.a]\nforeach = 1",
        "[cache]\nlevel = 20",
        "[timings]\nruns-per-task = 0",
    ] {
        let value: Value = toml::from_str(wrong).unwrap();
        assert!(!fits(&value, root, &schema), "{wrong}");
    }
}

/// A validator for the part of JSON schema that the generator uses; anything else is refused.
fn fits(value: &Value, schema: &Value, top: &Value) -> bool {
    let Some(rules) = schema.as_object() else {
        return schema != &Value::Bool(false);
    };
    rules.iter().all(|(rule, operand)| match rule.as_str() {
        "description" | "title" | "additionalProperties" | "pattern" | "default" | "format" => true,
        "$ref" => {
            let name = operand.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            fits(value, &top["$defs"][name], top)
        }
        "anyOf" => operand
            .as_array()
            .unwrap()
            .iter()
            .any(|one| fits(value, one, top)),
        "enum" => operand.as_array().unwrap().contains(value),
        "minimum" => value
            .as_i64()
            .is_some_and(|n| n >= operand.as_i64().unwrap()),
        "maximum" => value
            .as_i64()
            .is_some_and(|n| n <= operand.as_i64().unwrap()),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| fits(item, operand, top))),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, item)| match operand.get(key) {
                Some(property) => fits(item, property, top),
                None => rules.get("additionalProperties") != Some(&Value::Bool(false)),
            })
        }),
        "type" => match operand.as_str().unwrap() {
            "object" => {
                let open = rules
                    .get("additionalProperties")
                    .filter(|_| !rules.contains_key("properties"));
                value.as_object().is_some_and(|object| {
                    open.is_none_or(|open| object.values().all(|item| fits(item, open, top)))
                })
            }
            "array" => value.is_array(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            other => panic!("the type {other} is not expected here"),
        },
        other => panic!("the rule {other} is not expected here"),
    })
}
