//! What is answered on standard output: always readable by programs, and never lost in silence.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::Sandbox;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_folder_whose_name_is_no_text_has_a_status() {
    let sandbox = Sandbox::simple();
    let odd = sandbox.base().join(OsStr::from_bytes(b"w\xff"));
    std::fs::rename(sandbox.root(), &odd).unwrap();
    for line in [
        "build",
        "cache status",
        "cache status --json",
        "cache verify --json",
        "ls --json",
        "explain build --json",
    ] {
        let outcome = sandbox.run(sandbox.command_in(&odd).args(line.split(' ')));
        assert_eq!(outcome.code, 0, "{line}: {}", outcome.all());
        if line.ends_with("--json") {
            json(&outcome.stdout);
        }
    }
    // The cache may be named so as well.
    let mut command = sandbox.command_in(&odd);
    command.env("LARDER_CACHE_DIR", odd.join(OsStr::from_bytes(b"c\xfe")));
    let outcome = sandbox.run(command.args(["cache", "status", "--json"]));
    assert_eq!(outcome.code, 0, "{}", outcome.all());
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let sandbox = Sandbox::simple();
    std::fs::create_dir(sandbox.base().join("empty")).unwrap();
    for line in [
        "build",
        "build --json",
        "build --dry",
        "ls",
        "ls --json",
        "graph",
        "explain build",
        "cache status",
        "schema",
        "completions bash",
    ] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = sandbox.command();
        command
            .args(line.split(' '))
            .stdout(full)
            .stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(
            stderr.contains("the output cannot be written"),
            "{line}: {stderr}"
        );
    }
    assert_eq!(sandbox.ran(), ["build"], "the run itself was kept");
    let closed = |line: &str| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command();
        command
            .args(line.split(' '))
            .stdout(writer)
            .stderr(Stdio::null());
        command.status().unwrap().code()
    };
    for line in ["build", "build --json", "ls"] {
        assert_eq!(closed(line), Some(0), "a closed pipe is the reader's wish");
    }
}

#[test]
fn errors_are_json_where_json_was_asked_for() {
    let sandbox = Sandbox::new(&[("larder.toml", "[tasks.a]\ncommnd = \"x\"\n")]);
    for line in [
        "run a --json",
        "ls --json",
        "graph --json",
        "graph --format json",
        "explain a --json",
        "cache status --json",
    ] {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 2, "{line}: {}", outcome.all());
        let error = json(&outcome.stdout);
        assert_eq!(error["error"]["kind"], "configuration", "{line}: {error}");
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("commnd"),
            "{error}"
        );
        assert_eq!(error["exit_code"], 2);
    }
    assert_eq!(sandbox.larder("ls").stdout, "");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let sandbox = Sandbox::simple();
    for line in [
        "-C nope build",
        "-C nope ls",
        "-C nope init",
        "-C src.txt ls",
    ] {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 2, "{}", outcome.all());
        assert!(
            outcome.stderr.contains("does not exist"),
            "{}",
            outcome.all()
        );
    }
}

#[test]
fn explained_paths_are_text() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.write("src.txt", "two\n");
    let outcome = sandbox.larder("explain build --json");
    let story = json(&outcome.stdout);
    assert_eq!(
        story["tasks"][0]["changes"][0]["file-edited"]["path"], "src.txt",
        "{story:#}"
    );
}

#[test]
fn the_secret_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    let secret = sandbox.path(".larder/secret").metadata().unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_project_outside_is_chosen_by_the_folder_that_is_listed() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[workspace]\nprojects = [\"in\", \"../ext\"]\n[tasks.a]\ncommand = \"true\"\n",
        ),
        ("in/larder.toml", "[project]\ndepends-on = [\"ext\"]\n"),
        ("../ext/x", ""),
    ]);
    let names = |line: &str| {
        let outcome = sandbox.larder(line);
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let list = json(&outcome.stdout);
        let projects = list["projects"].as_array().unwrap().iter();
        projects
            .map(|project| project["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("ls --json --filter ../ext"), ["ext"]);
    assert_eq!(names("ls --json --filter ../e*/"), ["ext"]);
    assert_eq!(names("ls --json --filter !../ext"), ["in"]);
    assert_eq!(names("ls --json --filter ...../ext"), ["ext", "in"]);
    assert_eq!(names("ls --json --filter ./in"), ["in"]);
}
