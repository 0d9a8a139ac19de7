//! Tests of `larder init`: the texts, that they load, and what is refused.
//! It does not know anything but the public functions.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{InitError, plan, write};
use crate::config::{Workspace, load};

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let full = root.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
    }
    root
}

/// Plans, writes, reads back what is on disk, and loads it.
fn made(files: &[(&str, &str)]) -> (String, Workspace) {
    let root = tree(files);
    let planned = plan(root.path()).unwrap();
    assert_eq!(planned, plan(root.path()).unwrap());
    write(root.path(), &planned).unwrap();
    let mut shown = String::new();
    for file in &planned {
        let text = fs::read_to_string(root.path().join(&file.path)).unwrap();
        assert_eq!(text, file.text);
        let path = file.path.display().to_string();
        shown.extend(["==> ", &path, "\n", &text]);
    }
    match load(root.path(), &|_| None) {
        Ok(workspace) => (shown, workspace),
        Err(error) => panic!("{shown}\n{error}"),
    }
}

fn refused(files: &[(&str, &str)]) -> String {
    let root = tree(files);
    let shown = plan(root.path()).unwrap_err().to_string();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), files.len());
    shown.replace(&root.path().display().to_string(), "ROOT")
}

/// Each task with what it waits for.
fn tasks(workspace: &Workspace) -> Vec<String> {
    let name = |index: usize| {
        let task = &workspace.tasks[index];
        format!("{}#{}", workspace.projects[task.project].name, task.name)
    };
    (0..workspace.tasks.len())
        .map(|index| {
            let deps = workspace.tasks[index].deps.iter();
            let deps: Vec<String> = deps.map(|dep| name(dep.task)).collect();
            format!("{} <- {}", name(index), deps.join(" "))
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[test]
fn an_unknown_folder_gets_an_example() {
    let (shown, workspace) = made(&[("main.c", "")]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    # The configuration of Larder: which folders are projects, and which tasks they have.

    # The root of the workspace. Without `projects` the root is the only project.
    [workspace]
    # projects = ["packages/*"]

    # `larder run hello` runs this command, and skips it while no file of the project changes.
    [tasks.hello]
    command = "echo hello"
    # The command creates no files. List those that yours creates, as in outputs = ["dist/**"].
    outputs = []
    "#);
    assert_eq!(tasks(&workspace), [".#hello <-"]);
    assert!(
        workspace.tasks[0]
            .outputs
            .as_ref()
            .is_some_and(Vec::is_empty)
    );
}

#[test]
fn npm_workspaces() {
    let (shown, workspace) = made(&[
        (
            "package.json",
            r#"{"name": "mono", "workspaces": {"packages": ["packages/*", "!packages/old"]},
                "scripts": {"build": "npm run build --workspaces", "lint": "eslint .",
                            "prepare": "husky", "test": "node --test > log"}}"#,
        ),
        ("package-lock.json", "{}"),
        (
            "packages/web/package.json",
            r#"{"name": "@acme/web", "dependencies": {"ui": "*", "react": "19"},
                "devDependencies": {"config": "*"},
                "scripts": {"build": "vite build", "prebuild": "rm -rf dist", "dev": "vite",
                            "test": "vitest run", "lint": "eslint .", "lint:fix": "eslint --fix ."}}"#,
        ),
        (
            "packages/ui/package.json",
            r#"{"name": "ui", "devDependencies": {"@acme/web": "*"},
                "scripts": {"build": "tsc", "test": "vitest run", "watch": "tsc --watch"}}"#,
        ),
        ("packages/config/package.json", r#"{"name": "config"}"#),
        ("packages/old/package.json", r#"{"name": "old"}"#),
        (
            "packages/ui/node_modules/x/package.json",
            r#"{"name": "x"}"#,
        ),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    # Scripts left out, the package manager runs them itself: prepare.
    # Scripts left out, they call the scripts of projects: build.

    [workspace]
    projects = [".", "packages/config", "packages/ui", "packages/web"]
    # Files of the root that count for every task.
    global-inputs = [
        ".editorconfig",
        ".eslintrc*",
        ".prettierrc*",
        ".swcrc",
        "babel.config.*",
        "biome.json*",
        "eslint.config.*",
        "jest.config.*",
        "jest.preset.*",
        "package-lock.json",
        "package.json",
        "pnpm-workspace.yaml",
        "prettier.config.*",
        "tsconfig*.json",
        "vitest.*",
    ]

    [project]
    name = "mono"

    [tasks.build]
    depends-on = ["^build"]

    [tasks.lint]
    command = "npm run lint"
    depends-on = ["^build"]
    projects = ["."]
    tools = ["node --version"]
    outputs = []

    [tasks."lint:fix"]
    depends-on = ["^build"]

    [tasks.test]
    command = "npm run test"
    depends-on = ["build", "^build"]
    projects = ["."]
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.
    ==> packages/config/larder.toml
    [project]
    name = "config"

    # Nothing to build: through this task the project's files count for those that use it.
    [tasks.build]
    command = "true"
    ==> packages/ui/larder.toml
    # Scripts left out, they keep running: watch.
    # Not in depends-on, since that would close a circle: @acme/web.

    [project]
    name = "ui"

    [tasks.build]
    command = "npm run build"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks.test]
    command = "npm run test"
    depends-on = ["build", "^build", "@acme/web#build"]
    tools = ["node --version"]
    outputs = []
    ==> packages/web/larder.toml
    # Scripts left out, the package manager runs them itself: prebuild.
    # Scripts left out, they keep running: dev.

    [project]
    name = "@acme/web"
    depends-on = ["config", "ui"]

    [tasks.build]
    command = "npm run build"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks.lint]
    command = "npm run lint"
    tools = ["node --version"]
    outputs = []

    [tasks."lint:fix"]
    command = "npm run lint:fix"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks.test]
    command = "npm run test"
    tools = ["node --version"]
    outputs = []
    "#);
    insta::assert_snapshot!(tasks(&workspace).join("\n"), @r#"
    mono#lint <-
    mono#test <-
    config#build <-
    ui#build <-
    ui#test <- ui#build @acme/web#build
    @acme/web#build <- config#build ui#build
    @acme/web#lint <- config#build ui#build
    @acme/web#lint:fix <- config#build ui#build
    @acme/web#test <- config#build ui#build @acme/web#build
    "#);
}

#[test]
fn pnpm_workspaces() {
    let (shown, _) = made(&[
        (
            "package.json",
            r#"{"scripts": {"build": "pnpm -r build", "start": "x"}}"#,
        ),
        (
            "pnpm-workspace.yaml",
            "# here\npackages:\n  # all\n  - 'apps/*' # and\n  - \"libs/**\"\n  - '!**/fixtures/**'\ncatalog:\n  react: ^19\n",
        ),
        (
            "apps/web/package.json",
            r#"{"name": "web", "dependencies": {"deep": "workspace:*"},
                "scripts": {"build": "next build", "typecheck": "tsc"}}"#,
        ),
        (
            "libs/a/deep/package.json",
            r#"{"name": "deep", "scripts": {"build": "tsc", "generate": "x"}}"#,
        ),
        ("libs/a/fixtures/b/package.json", r#"{"name": "no"}"#),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    # Scripts left out, they call the scripts of projects: build.
    # Scripts left out, they keep running: start.

    [workspace]
    projects = ["apps/*", "libs/a/deep"]
    # Files of the root that count for every task.
    global-inputs = [
        ".editorconfig",
        ".eslintrc*",
        ".prettierrc*",
        ".swcrc",
        "babel.config.*",
        "biome.json*",
        "eslint.config.*",
        "jest.config.*",
        "jest.preset.*",
        "package.json",
        "pnpm-workspace.yaml",
        "prettier.config.*",
        "tsconfig*.json",
        "vitest.*",
    ]

    [tasks.build]
    depends-on = ["^build"]

    [tasks.typecheck]
    depends-on = ["^build"]
    ==> apps/web/larder.toml
    [project]
    name = "web"
    depends-on = ["deep"]

    [tasks.build]
    command = "pnpm run build"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks.typecheck]
    command = "pnpm run typecheck"
    tools = ["node --version"]
    outputs = []
    ==> libs/a/deep/larder.toml
    [project]
    name = "deep"

    [tasks.build]
    command = "pnpm run build"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks.generate]
    command = "pnpm run generate"
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.
    "#);
}

#[test]
fn the_lock_file_names_the_runner() {
    for (lock, runner) in [
        ("yarn.lock", "yarn"),
        ("bun.lock", "bun"),
        ("pnpm-lock.yaml", "pnpm"),
        ("other", "npm"),
    ] {
        let (shown, _) = made(&[
            ("package.json", r#"{"scripts": {"build": "x"}}"#),
            (lock, ""),
        ]);
        assert!(
            shown.contains(&format!("command = \"{runner} run build\"\n")),
            "{shown}"
        );
    }
}

#[test]
fn cargo_workspaces() {
    let (shown, workspace) = made(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/out\"]\n\
             [workspace.dependencies]\ncore = { path = \"crates/core\" }\n",
        ),
        ("Cargo.lock", ""),
        (
            "crates/app/Cargo.toml",
            "[package]\nname = \"app\"\n[dependencies]\ncore.workspace = true\n\
             [target.'cfg(unix)'.dependencies]\nextra = { path = \"../../extra\" }\n",
        ),
        (
            "crates/core/Cargo.toml",
            "[package]\nname = \"acme-core\"\n[dev-dependencies]\napp = { path = \"../app\" }\n",
        ),
        ("crates/out/Cargo.toml", "[package]\nname = \"out\"\n"),
        ("extra/Cargo.toml", "[package]\nname = \"extra\"\n"),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    [workspace]
    projects = ["crates/app", "crates/core", "extra"]
    # Files of the root that count for every task.
    global-inputs = [
        ".cargo/config.toml",
        ".clippy.toml",
        "Cargo.lock",
        "Cargo.toml",
        "clippy.toml",
    ]

    [tasks.build]
    depends-on = ["^build"]
    ==> crates/app/larder.toml
    [project]
    name = "app"
    depends-on = ["acme-core", "extra"]

    # Cargo keeps what it builds in its own `target`: this runs every time and costs little.
    [tasks.build]
    command = "cargo build"

    [tasks.clippy]
    command = "cargo clippy --all-targets"
    depends-on = ["^build"]
    tools = ["rustc -vV"]
    outputs = []

    [tasks.test]
    command = "cargo test"
    depends-on = ["^build"]
    tools = ["rustc -vV"]
    outputs = []
    ==> crates/core/larder.toml
    # Not in depends-on, since that would close a circle: app.

    [project]
    name = "acme-core"

    # Cargo keeps what it builds in its own `target`: this runs every time and costs little.
    [tasks.build]
    command = "cargo build"

    [tasks.clippy]
    command = "cargo clippy --all-targets"
    depends-on = ["^build", "app#build"]
    tools = ["rustc -vV"]
    outputs = []

    [tasks.test]
    command = "cargo test"
    depends-on = ["^build", "app#build"]
    tools = ["rustc -vV"]
    outputs = []
    ==> extra/larder.toml
    # Cargo keeps what it builds in its own `target`: this runs every time and costs little.
    [tasks.build]
    command = "cargo build"

    [tasks.clippy]
    command = "cargo clippy --all-targets"
    depends-on = ["^build"]
    tools = ["rustc -vV"]
    outputs = []

    [tasks.test]
    command = "cargo test"
    depends-on = ["^build"]
    tools = ["rustc -vV"]
    outputs = []
    "#);
    insta::assert_snapshot!(tasks(&workspace).join("\n"), @r#"
    app#build <- acme-core#build extra#build
    app#clippy <- acme-core#build extra#build
    app#test <- acme-core#build extra#build
    acme-core#build <-
    acme-core#clippy <- app#build
    acme-core#test <- app#build
    extra#build <-
    extra#clippy <-
    extra#test <-
    "#);
}

#[test]
fn go_workspaces() {
    let (shown, _) = made(&[
        (
            "go.work",
            "go 1.24\n\nuse (\n\t./api // the server\n\t./lib\n\t\"./one two\"\n)\nuse ../elsewhere\n",
        ),
        (
            "api/go.mod",
            "module example.com/api\n\nrequire (\n\texample.com/lib v1.0.0\n\tgolang.org/x/net v0.1.0\n)\nreplace example.com/two v1 => ../one\u{20}two\n",
        ),
        ("lib/go.mod", "module example.com/lib\n"),
        (
            "one two/go.mod",
            "module \"example.com/two\"\nrequire example.com/lib v1.0.0\n",
        ),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    # Left out, since it lies outside of this folder: ../elsewhere.

    [workspace]
    projects = ["api", "lib", "one two"]
    # Files of the root that count for every task.
    global-inputs = ["go.work"]

    [tasks.build]
    depends-on = ["^build"]

    [tasks.test]
    depends-on = ["^build"]
    ==> api/larder.toml
    # Built from what is no project here, so that its files do not count: ../elsewhere, one.
    # To keep results, add it to `projects` and `depends-on`; only then give tasks `outputs`.

    [project]
    name = "example.com/api"
    depends-on = ["example.com/lib"]

    # Compiles only. For a program, give `-o` a path and put that path in `outputs`.
    [tasks.build]
    command = "go build -o /dev/null ./..."

    # Runs every time: files that do not count enter it, as said at the head of this file.
    [tasks.test]
    command = "go test ./..."
    tools = ["go version"]
    ==> lib/larder.toml
    # Built from what is no project here, so that its files do not count: ../elsewhere.
    # To keep results, add it to `projects` and `depends-on`; only then give tasks `outputs`.

    [project]
    name = "example.com/lib"

    # Compiles only. For a program, give `-o` a path and put that path in `outputs`.
    [tasks.build]
    command = "go build -o /dev/null ./..."

    # Runs every time: files that do not count enter it, as said at the head of this file.
    [tasks.test]
    command = "go test ./..."
    tools = ["go version"]
    ==> one two/larder.toml
    # Built from what is no project here, so that its files do not count: ../elsewhere.
    # To keep results, add it to `projects` and `depends-on`; only then give tasks `outputs`.

    [project]
    name = "example.com/two"
    depends-on = ["example.com/lib"]

    # Compiles only. For a program, give `-o` a path and put that path in `outputs`.
    [tasks.build]
    command = "go build -o /dev/null ./..."

    # Runs every time: files that do not count enter it, as said at the head of this file.
    [tasks.test]
    command = "go test ./..."
    tools = ["go version"]
    "#);
}

#[test]
fn uv_workspaces() {
    let (shown, _) = made(&[
        (
            "pyproject.toml",
            "[tool.uv.workspace]\nmembers = [\"py/*\"]\nexclude = [\"py/out\"]\n",
        ),
        ("uv.lock", ""),
        (
            "py/app/pyproject.toml",
            "[project]\nname = \"app\"\ndependencies = [\"Acme_Core[x]>=1 ; python_version > '3'\"]\n\
             [dependency-groups]\ntest = [\"pytest>=8\"]\ndev = [\"ruff\", { include-group = \"test\" }]\n",
        ),
        (
            "py/core/pyproject.toml",
            "[project]\nname = \"acme-core\"\n[project.optional-dependencies]\ntest = [\"pytest\"]\n",
        ),
        ("py/out/pyproject.toml", "[project]\nname = \"out\"\n"),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    [workspace]
    projects = ["py/app", "py/core"]
    # Files of the root that count for every task.
    global-inputs = [
        "conftest.py",
        "mypy.ini",
        "pyproject.toml",
        "pytest.ini",
        "ruff.toml",
        "setup.cfg",
        "tox.ini",
        "uv.lock",
    ]

    [tasks.build]
    depends-on = ["^build"]

    [tasks.lint]
    depends-on = ["^build"]

    [tasks.test]
    depends-on = ["^build"]
    ==> py/app/larder.toml
    [project]
    name = "app"
    depends-on = ["acme-core"]

    [tasks.lint]
    command = "uv run ruff check ."
    outputs = []

    [tasks.test]
    command = "uv run --group test pytest"
    outputs = []
    ==> py/core/larder.toml
    [project]
    name = "acme-core"

    # Nothing to build: through this task the project's files count for those that use it.
    [tasks.build]
    command = "true"

    [tasks.test]
    command = "uv run --extra test pytest"
    outputs = []
    "#);
}

#[test]
fn two_tools_in_one_folder_share_it() {
    let (_, workspace) = made(&[
        (
            "package.json",
            r#"{"name": "x", "scripts": {"build": "y"}}"#,
        ),
        ("Cargo.toml", "[package]\nname = \"z\"\n"),
    ]);
    assert_eq!(
        tasks(&workspace),
        ["x#build <-", "x#cargo-build <-", "x#clippy <-", "x#test <-"]
    );
}

#[test]
fn odd_names_are_written_so_that_they_load() {
    let (shown, workspace) = made(&[
        ("package.json", r#"{"workspaces": ["a/*", "!x"]}"#),
        (
            "a/[id] {x}/package.json",
            r#"{"name": "na\"me\\é", "scripts": {"say\"hi\\": "x", "bau:ü": "x", "two words": "x",
                "-n": "x", "line\nbreak": "x", "check'": "x"}}"#,
        ),
        ("a/*/package.json", r#"{"name": "@s/ü"}"#),
        ("a/plain/readme", ""),
        ("a/b c/package.json", r#"{"name": "has space"}"#),
        ("a/z/package.json", r#"{"name": "a/b c"}"#),
    ]);
    insta::assert_snapshot!(shown, @r#"
    ==> larder.toml
    [workspace]
    projects = ["a/[*]", "a/[[]id] [{]x[}]", "a/b c", "a/z"]
    # Files of the root that count for every task.
    global-inputs = [
        ".editorconfig",
        ".eslintrc*",
        ".prettierrc*",
        ".swcrc",
        "babel.config.*",
        "biome.json*",
        "eslint.config.*",
        "jest.config.*",
        "jest.preset.*",
        "package.json",
        "pnpm-workspace.yaml",
        "prettier.config.*",
        "tsconfig*.json",
        "vitest.*",
    ]
    ==> a/*/larder.toml
    [project]
    name = "@s/ü"
    ==> a/[id] {x}/larder.toml
    # Scripts left out, no good names for tasks: -n, "line\nbreak", two words.

    [project]
    name = "na\"me\\é"

    [tasks."bau:ü"]
    command = ["npm", "run", "bau:ü"]
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks."check'"]
    command = ["npm", "run", "check'"]
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.

    [tasks."say\"hi\\"]
    command = ["npm", "run", "say\"hi\\"]
    # Runs every time. Add the files it creates, as in outputs = ["dist/**"], to keep them.
    ==> a/b c/larder.toml
    # This project has no tasks of its own.
    ==> a/z/larder.toml
    # This project has no tasks of its own.
    "#);
    let dirs: Vec<String> = workspace
        .projects
        .iter()
        .map(|p| String::from_utf8_lossy(&p.dir).into_owned())
        .collect();
    assert_eq!(dirs, ["a/*", "a/[id] {x}", "a/b c", "a/z"]);
    let task = |name: &str| workspace.tasks.iter().any(|task| task.name == name);
    assert!(task("say\"hi\\") && task("bau:ü") && task("check'"));
}

#[test]
fn names_that_are_taken_give_way_to_paths() {
    let (_, workspace) = made(&[
        ("package.json", r#"{"workspaces": ["*"]}"#),
        ("a/package.json", r#"{"name": "b"}"#),
        ("b/package.json", r#"{"name": "same"}"#),
        ("c/package.json", r#"{"name": "same"}"#),
    ]);
    let names: Vec<&str> = workspace.projects.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a", "same", "c"]);
}

#[test]
fn a_workspace_inside_of_a_workspace_is_one_project() {
    let (_, workspace) = made(&[
        ("package.json", r#"{"workspaces": ["packages/*"]}"#),
        (
            "packages/inner/package.json",
            r#"{"name": "inner", "workspaces": ["deep/*"],
                "scripts": {"build": "npm run build -ws", "lint": "eslint ."}}"#,
        ),
        (
            "packages/inner/deep/x/package.json",
            r#"{"name": "x", "scripts": {"build": "y"}}"#,
        ),
    ]);
    assert_eq!(tasks(&workspace), ["inner#lint <-"]);
}

#[test]
fn a_task_of_the_root_is_not_promised_for_others() {
    let (_, workspace) = made(&[
        (
            "package.json",
            r#"{"workspaces": ["p"], "scripts": {"test": "node --test"}}"#,
        ),
        (
            "p/package.json",
            r#"{"scripts": {"test": "vitest --coverage"}}"#,
        ),
    ]);
    assert_eq!(workspace.tasks.len(), 2);
    for task in &workspace.tasks {
        assert_eq!(task.outputs, None);
    }
}

#[test]
fn a_circle_of_projects_is_opened() {
    let (_, workspace) = made(&[
        ("package.json", r#"{"workspaces": ["a", "b"]}"#),
        (
            "a/package.json",
            r#"{"name": "a", "dependencies": {"b": "*"}, "scripts": {"lint": "x"}}"#,
        ),
        (
            "b/package.json",
            r#"{"name": "b", "dependencies": {"a": "*"}, "scripts": {"lint": "x"}}"#,
        ),
    ]);
    assert_eq!(
        tasks(&workspace),
        [
            "a#build <- b#build",
            "a#lint <- b#build",
            "b#build <-",
            "b#lint <- a#build"
        ]
    );
}

#[test]
fn an_existing_configuration_is_left_alone() {
    let shown = refused(&[("larder.toml", "# mine\n"), ("package.json", "{}")]);
    insta::assert_snapshot!(shown, @"`ROOT/larder.toml` exists already; nothing was written");
    let root = tree(&[
        ("package.json", r#"{"workspaces": ["p"]}"#),
        ("p/package.json", "{}"),
    ]);
    let planned = plan(root.path()).unwrap();
    fs::write(root.path().join("p/larder.toml"), "# mine\n").unwrap();
    for error in [
        plan(root.path()).unwrap_err(),
        write(root.path(), &planned).unwrap_err(),
    ] {
        let InitError::Exists { path } = error else {
            panic!("{error}");
        };
        assert_eq!(path, root.path().join("p/larder.toml"));
    }
    assert!(!root.path().join("larder.toml").exists());
    let mine = fs::read(root.path().join("p/larder.toml")).unwrap();
    assert_eq!(mine, b"# mine\n");
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let root = tree(&[
        ("package.json", r#"{"workspaces": ["p"]}"#),
        ("p/package.json", "{}"),
    ]);
    let planned = plan(root.path()).unwrap();
    fs::remove_dir_all(root.path().join("p")).unwrap();
    let error = write(root.path(), &planned).unwrap_err();
    assert!(matches!(error, InitError::Write { .. }), "{error}");
    assert!(!root.path().join(Path::new("larder.toml")).exists());
}

#[test]
fn malformed_manifests_are_named_with_their_line() {
    let shown = [
        refused(&[("package.json", "{\n  \"name\": \"x\",\n  oops\n}")]),
        refused(&[("package.json", "[]")]),
        refused(&[("Cargo.toml", "[workspace]\nmembers = [\"a\"\nx = 1\n")]),
        refused(&[
            ("package.json", "{}"),
            ("pnpm-workspace.yaml", "\npackages: [\"a\"]\n"),
        ]),
        refused(&[
            ("package.json", "{}"),
            ("pnpm-workspace.yaml", "packages:\n  - &a x\n"),
        ]),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    ROOT/package.json:3: key must be a string at line 3 column 3
    ROOT/package.json:1: invalid type: sequence, expected a map at line 1 column 0
    ROOT/Cargo.toml:3: missing comma between array elements, expected `,`
    ROOT/pnpm-workspace.yaml:2: the list of packages is in no form known here; write `packages:` and below it one line `- "pattern"` for each
    ROOT/pnpm-workspace.yaml:2: this pattern is in no form known here; write `packages:` and below it one line `- "pattern"` for each
    "#);
}
