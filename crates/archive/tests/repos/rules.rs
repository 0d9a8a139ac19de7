//! Where a branch goes, and when it goes nowhere: the plan, which `--dry` prints.
//! Runs no push of the library.

use larder_archive::repos::{Action, Blocked, Skipped, plan, push, tag};

use crate::sandbox::{Sandbox, remote};

fn action(sandbox: &Sandbox, path: &str) -> Action {
    let plan = plan(&sandbox.scan(), &[]).unwrap();
    let mut steps = plan.steps.into_iter();
    steps.find(|step| step.path == path).unwrap().action
}

fn pushes(to: &str, refs: &str, commits: usize) -> Action {
    Action::Push {
        remote: to.into(),
        refs: vec![refs.into()],
        commits,
    }
}

const MAIN: &str = "refs/heads/main:refs/heads/main";

#[test]
fn the_plan_is_what_is_done() {
    let sandbox = Sandbox::new();
    sandbox.write("work/libs/b/file", "2\n");
    sandbox.commit("work/libs/b");
    sandbox.commit("work");
    sandbox.git("work/libs/c", &["checkout", "-q", "--detach"]);
    sandbox.git("work", &["submodule", "--quiet", "deinit", "-f", "libs/a"]);
    let plan = plan(&sandbox.scan(), &[]).unwrap();
    assert!(!plan.is_blocked());
    assert_eq!(
        plan.to_string(),
        "libs/c: nothing to push: HEAD is detached, at a commit that a remote has\n\
         libs/b: push main to origin, 1 commit\n\
         libs/a: nothing to push: the submodule is not checked out\n\
         .: push main to origin, 1 commit\n"
    );
    assert!(!sandbox.is_pushed("libs/b"));
    let report = push(&plan, &sandbox.program(), 4.try_into().unwrap());
    assert!(report.is_success(), "{report}");
    assert!(sandbox.is_pushed("libs/b") && sandbox.is_pushed(""));
}

#[test]
fn detached_commits_that_no_remote_has_block() {
    let sandbox = Sandbox::new();
    sandbox.git("work/libs/b", &["checkout", "-q", "--detach"]);
    sandbox.write("work/libs/b/file", "2\n");
    sandbox.commit("work/libs/b");
    let unpushed = 1;
    assert_eq!(
        action(&sandbox, "libs/b"),
        Action::Block(Blocked::Detached { unpushed })
    );
    sandbox.commit("work");
    let before = sandbox.remote_head("main");
    let report = sandbox.push(4);
    let text = report.to_string();
    assert!(text.contains("git switch -c NAME"), "{text}");
    assert!(
        text.contains(".: not pushed, since these were not: libs/b"),
        "{text}"
    );
    assert_eq!(sandbox.remote_head("main"), before);
}

#[test]
fn a_branch_without_upstream_goes_only_where_git_is_told() {
    let sandbox = Sandbox::new();
    sandbox.git("work", &["switch", "-q", "-c", "topic"]);
    assert_eq!(action(&sandbox, ""), Action::Skip(Skipped::NothingToPush));
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    assert_eq!(
        action(&sandbox, ""),
        Action::Block(Blocked::NoUpstream {
            branch: "topic".into(),
            remote: "origin".into()
        })
    );
    let topic = "refs/heads/topic:refs/heads/topic";
    sandbox.git("work", &["config", "push.autoSetupRemote", "true"]);
    assert_eq!(action(&sandbox, ""), pushes("origin", topic, 1));
    sandbox.git("work", &["config", "--unset", "push.autoSetupRemote"]);
    sandbox.git("work", &["config", "push.default", "current"]);
    assert_eq!(action(&sandbox, ""), pushes("origin", topic, 1));
    sandbox.git("work", &["config", "push.default", "nothing"]);
    assert_eq!(action(&sandbox, ""), Action::Block(Blocked::Nothing));
}

#[test]
fn an_upstream_of_another_name_is_not_pushed_to_by_chance() {
    let sandbox = Sandbox::new();
    sandbox.git("work", &["switch", "-q", "-c", "topic", "origin/main"]);
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    assert_eq!(
        action(&sandbox, ""),
        Action::Block(Blocked::OtherName {
            branch: "topic".into(),
            upstream: "main".into()
        })
    );
    sandbox.git("work", &["config", "push.default", "upstream"]);
    let refs = "refs/heads/topic:refs/heads/main";
    assert_eq!(action(&sandbox, ""), pushes("origin", refs, 1));
    // A branch that follows another one here goes nowhere.
    sandbox.git("work", &["config", "--unset", "push.default"]);
    sandbox.git("work", &["branch", "-q", "--set-upstream-to=main"]);
    assert!(matches!(
        action(&sandbox, ""),
        Action::Block(Blocked::NoUpstream { .. })
    ));
}

#[test]
fn another_remote_to_push_to_is_kept_to() {
    let sandbox = Sandbox::new();
    sandbox.git(".", &["init", "-q", "--bare", &remote("fork")]);
    let fork = sandbox.at(&remote("fork"));
    sandbox.git("work", &["remote", "add", "fork", fork.to_str().unwrap()]);
    sandbox.git("work", &["config", "remote.pushDefault", "fork"]);
    assert_eq!(action(&sandbox, ""), pushes("fork", MAIN, 1));
    let report = sandbox.push(4);
    assert!(report.is_success(), "{report}");
    assert_eq!(sandbox.remote_head("fork"), sandbox.head("work"));
    assert_eq!(action(&sandbox, ""), Action::Skip(Skipped::NothingToPush));
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    assert_eq!(action(&sandbox, ""), pushes("fork", MAIN, 1));
    let before = sandbox.remote_head("main");
    assert!(sandbox.push(4).is_success());
    assert_eq!(sandbox.remote_head("fork"), sandbox.head("work"));
    assert_eq!(sandbox.remote_head("main"), before);
    sandbox.git("work", &["config", "branch.main.pushRemote", "origin"]);
    assert_eq!(action(&sandbox, ""), pushes("origin", MAIN, 1));
}

#[test]
fn no_remote_and_no_commit_are_nothing_to_push() {
    let sandbox = Sandbox::new();
    sandbox.git("work", &["remote", "remove", "origin"]);
    assert_eq!(action(&sandbox, ""), Action::Skip(Skipped::NoRemote));
    sandbox.git(".", &["init", "-q", "empty"]);
    let states = larder_archive::repos::scan(&sandbox.at("empty")).unwrap();
    let plan = plan(&states, &[]).unwrap();
    assert_eq!(plan.steps[0].action, Action::Skip(Skipped::NoCommit));
}

#[test]
fn tags_go_along_and_are_never_moved() {
    let sandbox = Sandbox::new();
    sandbox.write("work/libs/b/file", "2\n");
    sandbox.commit("work/libs/b");
    sandbox.commit("work");
    let states = sandbox.scan();
    let tags = ["runs/1".to_owned()];
    for state in &states {
        if ["", "libs/b", "libs/c"].contains(&state.path.as_str()) {
            tag(state, "runs/1", "why").unwrap();
        }
    }
    let plan = plan(&states, &tags).unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("libs/c: push runs/1 to origin, 0 commits"),
        "{text}"
    );
    assert!(
        text.contains("libs/b: push main, runs/1 to origin, 1 commit"),
        "{text}"
    );
    let report = push(&plan, &sandbox.program(), 4.try_into().unwrap());
    assert!(report.is_success(), "{report}");
    let at = |name: &str| sandbox.git(&remote(name), &["rev-parse", "runs/1^{commit}"]);
    assert_eq!(at("main"), sandbox.head("work"));
    assert_eq!(at("c"), sandbox.head("work/libs/c"));

    // The same again is fine; another one of that name is refused.
    let report = push(&plan, &sandbox.program(), 4.try_into().unwrap());
    assert!(report.is_success(), "{report}");
    sandbox.write("work/libs/c/file", "2\n");
    sandbox.commit("work/libs/c");
    sandbox.git("work/libs/c", &["tag", "-f", "-m", "x", "runs/1"]);
    let old = at("c");
    let plan = larder_archive::repos::plan(&sandbox.scan(), &tags).unwrap();
    let report = push(&plan, &sandbox.program(), 4.try_into().unwrap());
    let text = report.to_string();
    assert!(
        text.contains("`refs/tags/runs/1` is another one at the remote"),
        "{text}"
    );
    assert_eq!(at("c"), old);
}
