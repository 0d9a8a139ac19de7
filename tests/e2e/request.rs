//! What is asked for on the command line is what is done.

use crate::early_cutoff::chain;
use crate::sandbox::Sandbox;

#[test]
fn a_project_task_brings_its_dependencies_and_nothing_else() {
    let sandbox = chain();
    let statuses = sandbox.statuses("packages/app:build", 0);
    assert_eq!(
        statuses.keys().collect::<Vec<_>>(),
        ["packages/app#build", "packages/lib#build"]
    );
    assert_eq!(sandbox.ran(), ["app", "lib"]);
}

#[test]
fn filters_choose_projects() {
    let sandbox = chain();
    let names = |line: &str| -> Vec<String> {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let list: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        list["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|project| {
                project["name"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("packages/")
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(names("ls --json"), ["app", "lib", "top"]);
    assert_eq!(names("ls --json --filter packages/app"), ["app"]);
    assert_eq!(names("ls --json --filter ...packages/app"), ["app", "top"]);
    assert_eq!(names("ls --json --filter packages/app..."), ["app", "lib"]);
    assert_eq!(names("ls --json --filter ...^packages/app"), ["top"]);
    assert_eq!(names("ls --json --filter packages/app^..."), ["lib"]);
    assert_eq!(
        names("ls --json --filter ./packages/*"),
        ["app", "lib", "top"]
    );
    assert_eq!(names("ls --json --filter !packages/app"), ["lib", "top"]);
}

#[test]
fn force_runs_what_it_names_and_still_stores() {
    let sandbox = chain();
    sandbox.larder("build");
    sandbox.ran();
    sandbox.larder("build --force=packages/app");
    assert_eq!(sandbox.ran(), ["app"]);
    let outcome = sandbox.larder_env(
        "build",
        &[("LARDER_FORCE", "packages/lib,packages/top#build")],
    );
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(sandbox.ran(), ["lib", "top"]);
    sandbox.larder_env("build", &[("LARDER_FORCE", "")]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn dry_says_and_does_nothing() {
    let sandbox = Sandbox::simple();
    let outcome = sandbox.larder("build --dry");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stdout.contains(".#build"), "{}", outcome.all());
    assert!(sandbox.ran().is_empty());
    assert!(!sandbox.exists("out"));
}

#[test]
fn an_unknown_task_is_a_usage_error_with_the_nearest_name() {
    let sandbox = chain();
    let outcome = sandbox.larder("biuld");
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.stderr.contains("did you mean `build`?"),
        "{}",
        outcome.all()
    );
}

#[test]
fn a_cycle_is_reported_with_its_path() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"true\"\ndepends-on = [\"b\"]\n[tasks.b]\ncommand = \"true\"\ndepends-on = [\"a\"]\n",
    )]);
    let outcome = sandbox.larder("a");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains(".#a -> .#b -> .#a"),
        "{}",
        outcome.all()
    );
}

#[test]
fn the_help_shows_no_value_of_the_environment() {
    let sandbox = Sandbox::simple();
    for line in ["run --help", "explain --help", "cache --help"] {
        let outcome = sandbox.larder_env(line, &[("LARDER_CACHE_DIR", "/hunter2")]);
        assert!(outcome.stdout.contains("LARDER_CACHE_DIR"), "{line}");
        assert!(!outcome.all().contains("hunter2"), "{}", outcome.all());
    }
}

#[test]
fn the_cache_lies_where_the_flag_says_and_else_where_the_variable_does() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build --cache-dir elsewhere");
    assert!(sandbox.exists("elsewhere") && !sandbox.cache().exists());
    sandbox.larder("build --force");
    assert!(sandbox.cache().exists());
}

#[test]
fn dry_speaks_json_when_asked_in_either_way() {
    let sandbox = Sandbox::simple();
    for line in ["build --dry=json", "build --dry --json"] {
        let outcome = sandbox.larder(line);
        let told: serde_json::Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}", outcome.all()));
        assert_eq!(told["tasks"][0]["verdict"], "would-run", "{told:#}");
    }
    assert_eq!(sandbox.ran(), [""; 0]);
}
