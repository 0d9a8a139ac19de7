//! Where a branch goes, and when it goes nowhere: the plan, which `--dry` prints.
//! Runs no push of the library.

use larder_archive::repos::{Action, Blocked, Skipped, plan, plan_tag, tag};

use crate::sandbox::{Sandbox, remote, run};

fn action(sandbox: &Sandbox, path: &str) -> Action {
    let plan = plan(&sandbox.scan(), &[]).unwrap();
    let mut steps = plan.steps.into_iter();
    steps.find(|step| step.path == path).unwrap().action
}

/// The commit of the main repository goes to this branch, by its digits.
fn pushes(sandbox: &Sandbox, to: &str, branch: &str, commits: usize) -> Action {
    Action::Push {
        remote: to.into(),
        refs: vec![format!("{}:refs/heads/{branch}", sandbox.head("work"))],
        commits,
    }
}

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
    let report = run(&plan, &sandbox.program(), 4);
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
    sandbox.git("work", &["config", "push.autoSetupRemote", "true"]);
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "origin", "topic", 1));
    sandbox.git("work", &["config", "--unset", "push.autoSetupRemote"]);
    sandbox.git("work", &["config", "push.default", "current"]);
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "origin", "topic", 1));
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
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "origin", "main", 1));
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
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "fork", "main", 1));
    let report = sandbox.push(4);
    assert!(report.is_success(), "{report}");
    assert_eq!(sandbox.remote_head("fork"), sandbox.head("work"));
    assert_eq!(action(&sandbox, ""), Action::Skip(Skipped::NothingToPush));
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "fork", "main", 1));
    let before = sandbox.remote_head("main");
    assert!(sandbox.push(4).is_success());
    assert_eq!(sandbox.remote_head("fork"), sandbox.head("work"));
    assert_eq!(sandbox.remote_head("main"), before);
    sandbox.git("work", &["config", "branch.main.pushRemote", "origin"]);
    assert_eq!(action(&sandbox, ""), pushes(&sandbox, "origin", "main", 1));
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
fn a_remote_that_is_given_by_its_path_is_pushed_to() {
    let sandbox = Sandbox::new();
    let path = sandbox.at(&remote("main"));
    let path = path.to_str().unwrap();
    sandbox.git("work", &["config", "branch.main.remote", path]);
    let commits = |sandbox: &Sandbox| {
        let Action::Push { remote, refs, .. } = action(sandbox, "") else {
            panic!("{:?}", action(sandbox, ""));
        };
        assert_eq!(remote, path);
        refs
    };
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    let refs = vec![format!("{}:refs/heads/main", sandbox.head("work"))];
    assert_eq!(commits(&sandbox), refs);
    assert!(sandbox.push(4).is_success());
    assert!(sandbox.is_pushed(""));
    // Also where no remote has a name.
    sandbox.git("work", &["remote", "remove", "origin"]);
    sandbox.git("work", &["config", "branch.main.remote", path]);
    sandbox.git("work", &["config", "branch.main.merge", "refs/heads/main"]);
    sandbox.write("work/file", "3\n");
    sandbox.commit("work");
    assert!(sandbox.push(4).is_success());
    assert!(sandbox.is_pushed(""));
    // And for the branch alone, or for all.
    let key = ["branch.main.pushRemote", "remote.pushDefault"];
    for (at, key) in key.into_iter().enumerate() {
        sandbox.git("work", &["config", "--remove-section", "branch.main"]);
        sandbox.git("work", &["config", key, path]);
        sandbox.git("work", &["config", "branch.main.description", "x"]);
        sandbox.write("work/file", &format!("4{at}\n"));
        sandbox.commit("work");
        let report = sandbox.push(4);
        assert!(report.is_success(), "{report}");
        assert!(sandbox.is_pushed(""), "{key}: {report}");
    }
}

#[test]
fn commits_to_come_are_planned_and_what_cannot_be_pushed_holds_back_what_holds_it() {
    let sandbox = Sandbox::new();
    let coming = ["libs/b".to_owned(), String::new()];
    let text = |sandbox: &Sandbox| plan(&sandbox.scan(), &coming).unwrap().to_string();
    assert_eq!(
        text(&sandbox),
        "libs/c: nothing to push\n\
         libs/b: push main to origin, 1 commit\n\
         libs/a/deep: nothing to push\n\
         libs/a: nothing to push\n\
         .: push main to origin, 1 commit\n"
    );
    sandbox.advance_remote("b");
    sandbox.git("work/libs/b", &["fetch", "-q"]);
    let text = text(&sandbox);
    let words = "libs/b: cannot be pushed: it has 1 commit that `origin/main` lacks";
    assert!(text.contains(words), "{text}");
    let words = "\n.: not pushed, since these cannot be: libs/b\n";
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_commit_that_comes_after_the_plan_is_not_pushed() {
    let sandbox = Sandbox::new();
    sandbox.write("work/file", "2\n");
    let planned = sandbox.commit("work");
    let plan = plan(&sandbox.scan(), &[]).unwrap();
    sandbox.write("work/file", "3\n");
    sandbox.commit("work");
    assert!(run(&plan, &sandbox.program(), 4).is_success());
    assert_eq!(sandbox.remote_head("main"), planned);
}

#[test]
fn tags_follow_and_are_never_moved() {
    let sandbox = Sandbox::new();
    sandbox.write("work/libs/b/file", "2\n");
    sandbox.commit("work/libs/b");
    sandbox.commit("work");
    sandbox.git("work/libs/a", &["remote", "remove", "origin"]);
    let states = sandbox.scan();
    for state in &states {
        tag(state, "runs/1", "why").unwrap();
    }
    assert!(sandbox.push(4).is_success());
    let plan = plan_tag(&states, &[], "runs/1").unwrap();
    assert_eq!(
        plan.to_string(),
        "libs/c: push runs/1 to origin\n\
         libs/b: push runs/1 to origin\n\
         libs/a/deep: push runs/1 to origin\n\
         libs/a: nothing to push to: there is no remote\n\
         .: push runs/1 to origin\n"
    );
    let report = run(&plan, &sandbox.program(), 4);
    assert!(report.is_success(), "{report}");
    let at = |name: &str| sandbox.git(&remote(name), &["rev-parse", "runs/1^{commit}"]);
    assert_eq!(at("main"), sandbox.head("work"));
    assert_eq!(at("c"), sandbox.head("work/libs/c"));

    // The same again is fine; another one of that name is refused.
    let report = run(&plan, &sandbox.program(), 4);
    assert!(report.is_success(), "{report}");
    sandbox.write("work/libs/c/file", "2\n");
    sandbox.commit("work/libs/c");
    sandbox.git("work/libs/c", &["tag", "-f", "-m", "x", "runs/1"]);
    let old = at("c");
    let report = run(&plan, &sandbox.program(), 4);
    let text = report.to_string();
    assert!(
        text.contains("`refs/tags/runs/1` is another one at the remote"),
        "{text}"
    );
    assert_eq!(at("c"), old);
}
