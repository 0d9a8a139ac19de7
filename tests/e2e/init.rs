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

/// A workspace whose tools are scripts that succeed, with a folder `ext` beside it.
fn with_tools(files: &[(&str, &str)]) -> Sandbox {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new(files);
    for tool in ["cargo", "rustc", "go", "npm", "node", "uv"] {
        let path = sandbox.base().join("bin").join(tool);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\necho $0 $*\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    sandbox
}

/// The status of each `test` in the second of two runs in which nothing changed.
fn second_run(files: &[(&str, &str)]) -> Vec<String> {
    let sandbox = with_tools(files);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", sandbox.base().join("bin").display());
    let larder = |line: &str| {
        let outcome = sandbox.larder_env(line, &[("PATH", &path)]);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        outcome.stdout
    };
    larder("init");
    larder("test --json");
    let record: serde_json::Value = serde_json::from_str(&larder("test --json")).unwrap();
    let tasks = record["tasks"].as_array().unwrap().iter();
    let tasks = tasks.filter(|task| task["task"].as_str().unwrap().ends_with("#test"));
    tasks
        .map(|task| format!("{} {}", task["task"], task["status"]).replace('"', ""))
        .collect()
}

#[test]
fn what_is_built_from_outside_is_never_up_to_date() {
    let cargo = |dependency: &str| {
        let app = format!("[package]\nname = \"app\"\n{dependency}\n");
        second_run(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"lib\", \"app\", \"top\"]\nexclude = [\"out\"]\n[workspace.dependencies]\nshared = { path = \"../ext\" }\n",
            ),
            ("lib/Cargo.toml", "[package]\nname = \"lib\"\n"),
            ("out/Cargo.toml", "[package]\nname = \"out\"\n"),
            ("app/Cargo.toml", &app),
            (
                "top/Cargo.toml",
                "[package]\nname = \"top\"\n[dependencies]\napp = { path = \"../app\" }\n",
            ),
        ])
    };
    let kept = [
        "app#test up-to-date",
        "lib#test up-to-date",
        "top#test up-to-date",
    ];
    // Whatever is built from `app` is built from what that is built from.
    let unkept = ["app#test ran", "lib#test up-to-date", "top#test ran"];
    assert_eq!(cargo("[dependencies]\nlib = { path = \"../lib\" }"), kept);
    assert_eq!(
        cargo("[dependencies]\next = { path = \"../../ext\" }"),
        unkept
    );
    assert_eq!(
        cargo("[dev-dependencies]\next = { path = \"/somewhere/ext\" }"),
        unkept
    );
    assert_eq!(cargo("[dependencies]\nshared.workspace = true"), unkept);
    assert_eq!(cargo("[dependencies]\nout = { path = \"../out\" }"), unkept);

    let patch = second_run(&[(
        "Cargo.toml",
        "[package]\nname = \"a\"\n[patch.crates-io]\next = { path = \"../ext\" }\n",
    )]);
    assert_eq!(patch, ["a#test ran"]);
}

#[test]
fn other_tools_lead_outside_as_well() {
    let go = |line: &str| second_run(&[("go.mod", &format!("module m\n{line}\n"))]);
    assert_eq!(go("replace x => ./x"), ["m#test up-to-date"]);
    assert_eq!(go("replace (\n\tx v1.0.0 => ../ext\n)"), ["m#test ran"]);
    assert_eq!(go("replace x => /somewhere/ext"), ["m#test ran"]);
    let work = |line: &str| {
        let work = format!("use ./a\n{line}\n");
        second_run(&[("go.work", &work), ("a/go.mod", "module m\n")])
    };
    assert_eq!(work(""), ["m#test up-to-date"]);
    assert_eq!(work("use ../ext"), ["m#test ran"]);
    assert_eq!(work("replace x => ../ext"), ["m#test ran"]);

    let npm = |more: &str| {
        let text = format!(r#"{{"name": "m", "scripts": {{"test": "true"}}, {more}}}"#);
        second_run(&[("package.json", &text)])
    };
    assert_eq!(
        npm(r#""dependencies": {"x": "~1.2.3", "y": "workspace:^"}"#),
        ["m#test up-to-date"]
    );
    for path in [
        "file:../ext",
        "link:../ext",
        "portal:/x",
        "workspace:../ext",
        "../ext",
        "file:~/x",
    ] {
        assert_eq!(
            npm(&format!(r#""dependencies": {{"x": "{path}"}}"#)),
            ["m#test ran"],
            "{path}"
        );
        assert_eq!(
            npm(&format!(r#""devDependencies": {{"x": "{path}"}}"#)),
            ["m#test ran"],
            "{path}"
        );
    }
    assert_eq!(
        npm(r#""pnpm": {"overrides": {"x": "link:../ext"}}"#),
        ["m#test ran"]
    );

    let uv = |more: &str| {
        let text = format!("[project]\nname = \"m\"\n{more}\n");
        second_run(&[("pyproject.toml", &text)])
    };
    assert_eq!(uv("dependencies = [\"pytest\"]"), ["m#test up-to-date"]);
    assert_eq!(
        uv("dependencies = [\"pytest\", \"x\"]\n[tool.uv.sources]\nx = { path = \"../ext\" }"),
        ["m#test ran"]
    );
    assert_eq!(
        uv("dependencies = [\"pytest\", \"x\"]\n[tool.uv.sources]\nx = [{ path = \"../ext\" }]"),
        ["m#test ran"]
    );
    assert_eq!(
        uv("dependencies = [\"pytest\", \"x @ file:///x\"]"),
        ["m#test ran"]
    );
}
