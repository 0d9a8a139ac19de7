//! `larder archive upload` and pushes that fail: what is pushed then, what is said, and whether what is said helps.

use std::path::Path;

use serde_json::Value;

use crate::archive_git::{advance, git, head, hook, json, pushed, remote, workspace};
use crate::processes::wait_for;
use crate::sandbox::{Outcome, Sandbox};

/// Another clone pushes a commit.
fn advance_remote(sandbox: &Sandbox, name: &str) {
    let other = sandbox.base().join(format!("other-{name}"));
    let bare = remote(sandbox, name);
    let paths = [bare.to_str().unwrap(), other.to_str().unwrap()];
    git(sandbox.base(), &["clone", "-q", paths[0], paths[1]]);
    git(&other, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    git(&other, &["push", "-q", "origin", "main"]);
}

fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    head(folder)
}

fn tags(folder: &Path) -> String {
    git(folder, &["tag"])
}

/// The commit of the tag at a remote.
fn tagged(sandbox: &Sandbox, name: &str, tag: &str) -> String {
    let commit = format!("{tag}^{{commit}}");
    git(&remote(sandbox, name), &["rev-parse", &commit])
}

fn newest(sandbox: &Sandbox) -> String {
    let listed = json(&sandbox.larder("archive list --json"));
    listed["entries"][0]["id"].as_str().unwrap().to_owned()
}

/// The one command in the words that begins like this, without the word `larder`.
fn advised(outcome: &Outcome, beginning: &str) -> String {
    let start = format!("`{beginning}");
    let at = outcome.stderr.find(&start);
    let at = at.unwrap_or_else(|| panic!("{beginning}\n{}", outcome.all()));
    let command = &outcome.stderr[at + 1..];
    command[..command.find('`').unwrap()].to_owned()
}

fn fails(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{}", outcome.all());
    for words in words {
        assert!(outcome.stderr.contains(words), "{words}\n{}", outcome.all());
    }
}

#[test]
fn the_advice_for_a_diverged_branch_leads_to_its_end() {
    for tag in ["", ", tag = \"run-{id}\""] {
        let sandbox = workspace(&format!("git = {{ push = true{tag} }}\n"));
        advance(&sandbox, "a");
        advance_remote(&sandbox, "main");
        let outcome = sandbox.larder("archive upload");
        fails(&outcome, 3, &["step `sync` failed", ".: not pushed"]);
        assert!(!outcome.stderr.contains("--resume"), "{}", outcome.stderr);
        let old = newest(&sandbox);
        // Word for word, in its order.
        let pull = advised(&outcome, "git pull --rebase");
        let words: Vec<&str> = pull.split(' ').skip(1).collect();
        git(&sandbox.root(), &words);
        let told = sandbox.larder("archive status");
        let forget = advised(&outcome, "larder archive upload --forget=");
        assert!(told.stdout.contains(&forget), "{}", told.all());
        let given_up = sandbox.larder(forget.strip_prefix("larder ").unwrap());
        assert_eq!(given_up.code, 0, "{}", given_up.all());
        let words = format!("entry {old} stays in the archive; not all of it was pushed");
        assert!(given_up.stdout.contains(&words), "{}", given_up.all());
        assert!(outcome.stderr.contains("run the tasks again"));
        assert_eq!(sandbox.larder("build").code, 0);
        let outcome = sandbox.larder("archive upload");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
        let new = newest(&sandbox);
        assert_ne!(new, old);
        // The failed one left no tag anywhere.
        let tags_now = if tag.is_empty() {
            String::new()
        } else {
            format!("run-{new}")
        };
        for folder in [sandbox.root(), sandbox.path("sub/a"), remote(&sandbox, "a")] {
            assert_eq!(tags(&folder), tags_now, "{}", folder.display());
        }
    }
}

#[test]
fn nothing_but_the_archived_commits_is_pushed() {
    let sandbox = workspace("git.push = true\n");
    let root = sandbox.root();
    let archived = commit(&root, "archived");
    let before = pushed(&sandbox, "main");
    hook(&sandbox, "main", "exit 1");
    let outcome = sandbox.larder("archive upload");
    fails(&outcome, 3, &["--resume"]);
    hook(&sandbox, "main", "exit 0");
    let later = commit(&root, "passed no gate");
    let id = newest(&sandbox);
    for command in ["archive upload --resume", "archive upload"] {
        let outcome = sandbox.larder(command);
        let moved = format!(
            ".: the entry has it at {} of `main`, and it is at {} of `main`",
            &archived[..12],
            &later[..12]
        );
        let forget = format!("larder archive upload --forget={id}");
        fails(&outcome, 3, &["nothing was pushed", &moved, &forget]);
        assert!(!outcome.stderr.contains("--resume"), "{}", outcome.stderr);
        assert_eq!(pushed(&sandbox, "main"), before);
    }
    // Back where it was, it goes on.
    git(&root, &["reset", "-q", "--hard", &archived]);
    assert_eq!(sandbox.larder("archive upload --resume").code, 0);
    assert_eq!(pushed(&sandbox, "main"), archived);
}

#[test]
fn a_branch_that_was_switched_since_is_told_and_a_detached_head_may_get_one() {
    let sandbox = workspace("git.push = true\n");
    let submodule = sandbox.path("sub/b");
    git(&submodule, &["checkout", "-q", "--detach"]);
    let lost = commit(&submodule, "detached");
    git(&sandbox.root(), &["add", "."]);
    commit(&sandbox.root(), "main");
    let outcome = sandbox.larder("archive upload");
    fails(&outcome, 3, &["git switch -c NAME", "--resume"]);
    git(&submodule, &["switch", "-q", "-c", "kept"]);
    let outcome = sandbox.larder("archive upload --resume");
    fails(&outcome, 3, &["`kept` has no upstream"]);
    let push = advised(&outcome, "git push");
    let words: Vec<&str> = push.split(' ').skip(1).collect();
    git(&submodule, &words);
    let outcome = sandbox.larder("archive upload --resume");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(git(&remote(&sandbox, "b"), &["rev-parse", "kept"]), lost);
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));

    commit(&sandbox.root(), "again");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.larder("archive upload").code, 3);
    git(&sandbox.root(), &["switch", "-q", "-c", "topic"]);
    let outcome = sandbox.larder("archive upload --resume");
    fails(&outcome, 3, &["of `main`, and it is at", "of `topic`"]);
}

#[test]
fn a_tag_is_made_once_all_is_pushed_and_its_text_may_be_mended() {
    let sandbox = workspace("git = { push = true, tag = \"release\" }\n");
    git(&sandbox.path("sub/b"), &["tag", "release"]);
    advance(&sandbox, "b");
    advance(&sandbox, "a");
    let before = (pushed(&sandbox, "a"), pushed(&sandbox, "main"));
    let outcome = sandbox.larder("archive upload");
    let words = "the tag `release` of `sub/b` is at another commit";
    fails(&outcome, 3, &[words, "choose another name", "--resume"]);
    // That was seen before anything was pushed or tagged.
    assert_eq!((pushed(&sandbox, "a"), pushed(&sandbox, "main")), before);
    assert_eq!(tags(&sandbox.root()), "");
    git(&sandbox.path("sub/b"), &["tag", "-d", "release"]);
    let config = sandbox.read("larder.toml");
    sandbox.write("larder.toml", &config.replace("release", "kept-{id}"));

    hook(&sandbox, "main", "exit 1");
    fails(&sandbox.larder("archive upload --resume"), 3, &["refused"]);
    let nowhere = |sandbox: &Sandbox| {
        for name in ["a", "b", "c"] {
            assert_eq!(tags(&remote(sandbox, name)), "");
            assert_eq!(tags(&sandbox.path(&format!("sub/{name}"))), "");
        }
        assert_eq!(tags(&sandbox.root()), "");
    };
    nowhere(&sandbox);
    assert_eq!(pushed(&sandbox, "a"), head(&sandbox.path("sub/a")));

    // A remote that wants no tags: those that are there stay, the others are taken back.
    hook(&sandbox, "main", "grep -q refs/tags && exit 1; exit 0");
    fails(
        &sandbox.larder("archive upload --resume"),
        3,
        &["refs/tags"],
    );
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
    assert_eq!(tags(&sandbox.root()), "");
    hook(&sandbox, "main", "exit 0");
    let outcome = sandbox.larder("archive upload --resume --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let tag = format!("kept-{}", newest(&sandbox));
    assert_eq!(tags(&sandbox.root()), tag);
    assert_eq!(tagged(&sandbox, "main", &tag), head(&sandbox.root()));
    for name in ["a", "b", "c"] {
        let there = head(&sandbox.path(&format!("sub/{name}")));
        assert_eq!(tagged(&sandbox, name, &tag), there);
    }
}

#[test]
fn tags_without_pushes_are_at_the_archived_commits() {
    let sandbox = workspace("git.tag = \"run-{id}\"\n");
    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let tag = format!("run-{}^{{commit}}", newest(&sandbox));
    let at = git(&sandbox.root(), &["rev-parse", &tag]);
    assert_eq!(at, head(&sandbox.root()));
    assert_eq!(tags(&remote(&sandbox, "main")), "");
}

#[test]
fn a_remote_that_is_given_by_its_path_is_read_and_pushed_to() {
    for settings in ["", "git.push = true\n"] {
        let sandbox = workspace(settings);
        let main = remote(&sandbox, "main");
        let key = "branch.main.remote";
        git(&sandbox.root(), &["config", key, main.to_str().unwrap()]);
        let there = pushed(&sandbox, "main");
        let new = commit(&sandbox.root(), "new");
        let outcome = sandbox.larder("archive upload");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let expected = if settings.is_empty() { there } else { new };
        assert_eq!(pushed(&sandbox, "main"), expected);
    }
}

#[test]
fn an_interrupted_push_ends_git_and_its_hook_and_goes_on_later() {
    let sandbox = workspace("git.push = true\n");
    let new = commit(&sandbox.root(), "new");
    let pid = sandbox.base().join("pid");
    let text = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000",
        pid.display()
    );
    hook(&sandbox, "main", &text);
    let mut child = sandbox
        .command()
        .args(["archive", "upload"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&pid);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("step `sync` failed: interrupted"), "{said}");
    assert!(said.contains("--resume"), "{said}");
    let hook_id = std::fs::read_to_string(pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let hook_id = rustix::process::Pid::from_raw(hook_id).unwrap();
    assert!(
        rustix::process::test_kill_process(hook_id).is_err(),
        "{said}"
    );
    assert_ne!(pushed(&sandbox, "main"), new);
    hook(&sandbox, "main", "exit 0");
    assert_eq!(sandbox.larder("archive upload --resume").code, 0);
    assert_eq!(pushed(&sandbox, "main"), new);
}

#[test]
fn what_is_foreseen_is_what_is_done() {
    let sandbox = workspace("git = { push = true, commit = true, tag = \"run-{id}\" }\n");
    std::fs::write(sandbox.path("sub/a/new.txt"), "new\n").unwrap();
    let dry = sandbox.larder("archive upload --dry");
    let plan = "commit    sub/a
commit    .
push      sub/c: nothing to push
          sub/b: nothing to push
          sub/a: push main to origin, 1 commit
          .: push main to origin, 1 commit
git tag   run-{id}
          sub/c: push run-{id} to origin
          sub/b: push run-{id} to origin
          sub/a: push run-{id} to origin
          .: push run-{id} to origin
";
    assert!(dry.stdout.contains(plan), "{}", dry.all());
    assert_eq!(tags(&sandbox.root()), "");
    let value = json(&sandbox.larder("archive upload --dry --json"));
    assert_eq!(value["commits"], serde_json::json!(["sub/a", "."]));
    assert_eq!(value["pushes"].as_array().unwrap().len(), 4);
    assert_eq!(value["tag_pushes"][3]["action"], "push");
    let outcome = sandbox.larder("archive upload --json");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let commits = json(&outcome)["entry"]["commits"].clone();
    let committed = |at: usize| commits[at]["committed"] == Value::Bool(true);
    assert_eq!([0, 1, 2, 3].map(committed), [true, true, false, false]);
    assert_eq!(pushed(&sandbox, "main"), head(&sandbox.root()));
    assert_eq!(pushed(&sandbox, "a"), head(&sandbox.path("sub/a")));
}

#[test]
fn what_would_fail_is_foreseen() {
    // What cannot be committed.
    let sandbox = workspace("git = { push = true, commit = true }\n");
    git(&sandbox.path("sub/a"), &["checkout", "-q", "--detach"]);
    std::fs::write(sandbox.path("sub/a/new.txt"), "new\n").unwrap();
    let dry = sandbox.larder("archive upload --dry");
    let words = "fails     `sub/a` cannot be committed: HEAD is detached";
    assert!(dry.stdout.contains(words), "{}", dry.all());
    assert!(!dry.stdout.contains("\npush "), "{}", dry.all());
    let outcome = sandbox.larder("archive upload");
    fails(&outcome, 3, &["`sub/a` cannot be committed"]);

    // What holds one that cannot be pushed.
    let sandbox = workspace("git = { push = true, tag = \"run-{id}\" }\n");
    git(&sandbox.path("sub/a"), &["checkout", "-q", "--detach"]);
    advance(&sandbox, "a");
    let dry = sandbox.larder("archive upload --dry");
    for words in [
        "sub/a: cannot be pushed: HEAD is detached, and 1 commit is on no branch of a remote",
        "          .: not pushed, since these cannot be: sub/a\n",
        "git tag   none, since not all can be pushed\n",
    ] {
        assert!(dry.stdout.contains(words), "{words}\n{}", dry.all());
    }
    let value = json(&sandbox.larder("archive upload --dry --json"));
    assert_eq!(value["pushes"][3]["action"], "hold");
    assert_eq!(value["tag_pushes"], serde_json::json!([]));
    assert_eq!(sandbox.larder("archive upload").code, 3);
}

#[test]
fn gates_of_timings_and_validators_are_foreseen() {
    let sandbox = workspace(
        "gates.timing-regressions = \"reject\"\n[archive.validators]\nrequired-files = [\"x\"]\nsize-budget = \"1GB\"\ncommands = { own = \"true\" }\n",
    );
    let dry = sandbox.larder("archive upload --dry");
    let gates = "gate      timing
gate      validator required-files
gate      validator size-budget
gate      validator own
";
    assert!(dry.stdout.contains(gates), "{}", dry.all());
}

#[test]
fn flags_that_an_upload_under_way_cannot_take_are_refused() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    hook(&sandbox, "main", "exit 0");
    for flag in ["--tag v1", "--note n", "--no-gates", "--trigger ci"] {
        for what in ["--resume", "--forget=0"] {
            let outcome = sandbox.larder(&format!("archive upload {what} {flag}"));
            let name = flag.split(' ').next().unwrap();
            fails(&outcome, 2, &["cannot be used with", name]);
        }
    }
    assert_eq!(sandbox.larder("archive upload --resume --wait").code, 0);
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_can_be_given_up() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    let id = newest(&sandbox);
    let journal = sandbox.path(&format!(".larder/archive/uploads/{id}.json"));
    std::fs::write(&journal, "{\"version\": 9}").unwrap();
    let status = sandbox.larder("archive status");
    let forget = format!("archive upload --forget={id}");
    for words in [id.as_str(), "it has version 9", &forget, "uploads/"] {
        assert!(status.stdout.contains(words), "{words}\n{}", status.all());
    }
    let value = json(&sandbox.larder("archive status --json"));
    assert_eq!(value["uploads"][0]["id"], id.as_str());
    let resumed = sandbox.larder(&format!("archive upload --resume={id}"));
    fails(&resumed, 2, &["it has version 9"]);
    let given_up = sandbox.larder(&forget);
    assert_eq!(given_up.code, 0, "{}", given_up.all());
    let words = format!("entry {id} stays in the archive; it may not have been pushed");
    assert!(given_up.stdout.contains(&words), "{}", given_up.all());
    assert!(!journal.exists());
    let status = sandbox.larder("archive status");
    assert_eq!(status.stdout, "nothing is on its way\n");
}

#[test]
fn an_entry_that_is_still_to_be_pushed_is_not_pruned() {
    let sandbox = workspace("git.push = true\n");
    commit(&sandbox.root(), "new");
    hook(&sandbox, "main", "exit 1");
    assert_eq!(sandbox.larder("archive upload").code, 3);
    let unfinished = newest(&sandbox);
    hook(&sandbox, "main", "exit 0");
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.larder("archive upload").code, 0);
    let entries = |outcome: &Outcome| json(outcome)["entries"].clone();
    let none = serde_json::json!([]);
    for command in [
        "archive prune --count 1 --dry --json",
        "archive prune --count 1 --json",
    ] {
        assert_eq!(entries(&sandbox.larder(command)), none, "{command}");
    }
    let resumed = sandbox.larder(&format!("archive upload --resume={unfinished}"));
    assert_eq!(resumed.code, 0, "{}", resumed.all());
    let pruned = entries(&sandbox.larder("archive prune --count 1 --json"));
    assert_eq!(pruned, serde_json::json!([unfinished]));
}

#[test]
fn an_artifact_that_changed_meanwhile_is_no_upload_to_resume() {
    // The gate's command is between the two looks at the file.
    let sandbox = workspace(
        "[archive.gates.metrics.size]\ncommand = \"[ -e ../calm ] || echo more >> dist/result.txt; echo 1\"\n",
    );
    let outcome = sandbox.larder("archive upload");
    fails(
        &outcome,
        3,
        &["step `index_save` failed", "changed while it was archived"],
    );
    assert!(!outcome.stderr.contains("--resume"), "{}", outcome.stderr);
    fails(&outcome, 3, &["nothing of it was archived"]);
    let status = sandbox.larder("archive status");
    assert!(status.stdout.contains("--forget="), "{}", status.all());
    assert!(!status.stdout.contains("--resume"), "{}", status.all());
    std::fs::write(sandbox.base().join("calm"), "").unwrap();
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let status = sandbox.larder("archive status");
    assert_eq!(status.stdout, "nothing is on its way\n");
}

#[test]
fn a_resumed_upload_is_signed_if_it_began_so_and_not_otherwise() {
    let sandbox = workspace("git.commit = true\n");
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out", "key.pem"])
        .current_dir(sandbox.base())
        .output()
        .unwrap();
    assert!(made.status.success());
    let signed = " --attest ../key.pem";
    for (begun, other, words) in [
        (signed, "", "the upload began with `--attest`"),
        ("", signed, "the upload began without `--attest`"),
    ] {
        sandbox.write("README", begun);
        let lock = sandbox.path(".git/index.lock");
        std::fs::write(&lock, "").unwrap();
        let outcome = sandbox.larder(&format!("archive upload{begun}"));
        fails(&outcome, 3, &["step `repo_commits` failed", "--resume"]);
        std::fs::remove_file(&lock).unwrap();
        let outcome = sandbox.larder(&format!("archive upload --resume{other}"));
        fails(&outcome, 2, &[words]);
        let outcome = sandbox.larder(&format!("archive upload --resume{begun}"));
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        let id = newest(&sandbox);
        let there = format!(".larder/archive/attestations/{id}.dsse.json");
        assert_eq!(sandbox.exists(&there), !begun.is_empty());
    }
}
