//! `larder init` writes files that run as they stand.

use crate::sandbox::Sandbox;

#[test]
fn an_empty_folder_gets_an_example_that_runs() {
    let sandbox = Sandbox::new(&[]);
    let outcome = sandbox.larder("init");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let outcome = sandbox.larder("hello");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(
        sandbox.larder("init").code,
        2,
        "an existing file is not overwritten"
    );
}

#[test]
fn scripts_of_packages_become_tasks_with_edges() {
    let sandbox = Sandbox::new(&[
        (
            "package.json",
            r#"{ "private": true, "workspaces": ["packages/*"] }"#,
        ),
        (
            "packages/lib/package.json",
            r#"{ "name": "lib", "scripts": { "test": "true" } }"#,
        ),
        (
            "packages/app/package.json",
            r#"{ "name": "app", "scripts": { "test": "true" }, "dependencies": { "lib": "*" } }"#,
        ),
    ]);
    assert_eq!(sandbox.larder("init").code, 0);
    let outcome = sandbox.larder("ls --json");
    let list: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let app = list["projects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|project| project["name"] == "app")
        .unwrap();
    assert_eq!(app["depends_on"], serde_json::json!(["lib"]));
    assert_eq!(
        app["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|task| *task == "test")
            .count(),
        1
    );
}
