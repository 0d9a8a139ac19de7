//! Pushes to bare remotes on disk, with hooks, and what is said when they fail.
//! Asserts no times; how much side by side gains is measured by the ignored test.

use std::time::Instant;

use larder_archive::repos::{Blocked, Outcome, Rejection, Skipped, Stop, push};

use crate::sandbox::{MODULES, Sandbox, outcome, remote, run, state};

const NAMES: [&str; 4] = ["c", "b", "deep", "a"];

#[test]
fn all_is_pushed_and_then_there_is_nothing_to_push() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    let report = sandbox.push(4);
    assert!(report.is_success(), "{report}");
    let paths: Vec<_> = report.steps.iter().map(|step| step.path.as_str()).collect();
    assert_eq!(paths, ["libs/c", "libs/b", "libs/a/deep", "libs/a", ""]);
    for path in paths {
        assert_eq!(outcome(&report, path), &Outcome::Pushed);
        assert!(sandbox.is_pushed(path), "{path}");
    }
    // Git noted what the remotes have by now.
    let report = sandbox.push(4);
    for step in &report.steps {
        assert_eq!(step.outcome, Outcome::Skipped(Skipped::NothingToPush));
    }
    assert!(report.is_success());
}

#[test]
fn submodules_are_pushed_side_by_side_and_the_main_repository_after_them() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    // Three can be pushed at once. Each waits until all three have begun, for a minute at most.
    let begun = sandbox.at("begun");
    std::fs::create_dir(&begun).unwrap();
    let begun = begun.display();
    for name in ["deep", "b", "c"] {
        let script = format!(
            "touch {begun}/{name}\nn=0\n\
             until [ -e {begun}/deep ] && [ -e {begun}/b ] && [ -e {begun}/c ]; do\n\
             n=$((n+1)); [ $n -lt 6000 ] || exit 1\nsleep 0.01\ndone\n\
             [ ! -e {begun}/main ] || exit 1"
        );
        sandbox.hook(&remote(name), "pre-receive", &script);
    }
    // The one that holds another begins when that has ended, the main one when all have.
    let pushed = |name: &str| {
        let remote = sandbox.at(&remote(name));
        format!(
            "[ \"$(git -C {} rev-parse main)\" != {} ]",
            remote.display(),
            sandbox.remote_head(name)
        )
    };
    let unset = "unset $(git rev-parse --local-env-vars)\n";
    sandbox.hook(
        &remote("a"),
        "pre-receive",
        &format!("{unset}{}", pushed("deep")),
    );
    let all = NAMES.map(pushed).join(" && ");
    sandbox.hook(
        &remote("main"),
        "pre-receive",
        &format!("{unset}touch {begun}/main\n{all}"),
    );
    let report = sandbox.push(4);
    assert!(report.is_success(), "{report}");
}

#[test]
fn one_worker_pushes_one_after_the_other() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    let lock = sandbox.at("lock");
    let lock = lock.display();
    for name in ["deep", "a", "b", "c", "main"] {
        let script = format!("mkdir {lock} || exit 1\nsleep 0.05\nrmdir {lock}");
        sandbox.hook(&remote(name), "pre-receive", &script);
    }
    let report = sandbox.push(1);
    assert!(report.is_success(), "{report}");
}

#[test]
fn errors_of_all_are_shown_together_and_the_main_repository_stays() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    let before = sandbox.remote_head("main");
    let words = "echo 'no pushes on Saturdays' >&2; exit 1";
    sandbox.hook(&remote("deep"), "pre-receive", words);
    std::fs::rename(sandbox.at(&remote("b")), sandbox.at("gone")).unwrap();
    let report = sandbox.push(4);
    assert!(!report.is_success());
    let Outcome::Failed(deep) = outcome(&report, "libs/a/deep") else {
        panic!("{report}");
    };
    assert_eq!(
        deep.why,
        Rejection::ByRemote {
            reference: "refs/heads/main".into(),
            reason: "pre-receive hook declined".into()
        }
    );
    assert!(
        deep.said.contains("no pushes on Saturdays"),
        "{}",
        deep.said
    );
    let Outcome::Failed(b) = outcome(&report, "libs/b") else {
        panic!("{report}");
    };
    assert_eq!(b.why, Rejection::Unreachable);
    assert_eq!(outcome(&report, "libs/c"), &Outcome::Pushed);
    assert!(sandbox.is_pushed("libs/c"));
    let because = vec!["libs/a/deep".to_owned()];
    assert_eq!(outcome(&report, "libs/a"), &Outcome::NotTried { because });
    let Outcome::NotTried { because } = outcome(&report, "") else {
        panic!("{report}");
    };
    assert_eq!(because, &["libs/b", "libs/a/deep", "libs/a"]);
    assert_eq!(sandbox.remote_head("main"), before);
    let text = report.to_string();
    for words in [
        "no pushes on Saturdays",
        "libs/b: not pushed: the remote cannot be reached",
        ".: not pushed, since these were not: libs/b, libs/a/deep, libs/a",
    ] {
        assert!(text.contains(words), "{text}");
    }

    // What was mended is pushed by the next call.
    std::fs::rename(sandbox.at("gone"), sandbox.at(&remote("b"))).unwrap();
    sandbox.hook(&remote("deep"), "pre-receive", "exit 0");
    let report = sandbox.push(4);
    assert!(report.is_success(), "{report}");
    for path in MODULES {
        assert!(sandbox.is_pushed(path), "{path}");
    }
    assert!(sandbox.is_pushed(""));
}

#[test]
fn what_the_remote_has_got_meanwhile_is_never_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    sandbox.advance_remote("c");
    let theirs = sandbox.remote_head("c");
    // Even where the configuration would force.
    let forced = ["config", "remote.origin.push", "+refs/heads/*:refs/heads/*"];
    sandbox.git("work/libs/c", &forced);
    let report = sandbox.push(4);
    let Outcome::Failed(failure) = outcome(&report, "libs/c") else {
        panic!("{report}");
    };
    assert!(
        matches!(failure.why, Rejection::NotFastForward { .. }),
        "{failure}"
    );
    assert!(
        failure.to_string().contains("git pull --rebase"),
        "{failure}"
    );
    assert_eq!(sandbox.remote_head("c"), theirs);
    assert!(!sandbox.is_pushed(""));

    // Once that is known here, git is not even asked.
    sandbox.git("work/libs/c", &["fetch", "-q"]);
    let report = sandbox.push(4);
    assert!(
        matches!(outcome(&report, "libs/c"), Outcome::Blocked(_)),
        "{report}"
    );
    assert!(report.to_string().contains("git pull --rebase"), "{report}");
    assert_eq!(sandbox.remote_head("c"), theirs);
}

#[test]
fn hooks_of_the_repository_run_and_may_refuse() {
    let sandbox = Sandbox::new();
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    sandbox.hook(
        "work/.git",
        "pre-push",
        "echo 'run the tests first' >&2; exit 3",
    );
    let report = sandbox.push(4);
    let Outcome::Failed(failure) = outcome(&report, "") else {
        panic!("{report}");
    };
    assert_eq!(failure.why, Rejection::Other { code: Some(1) });
    assert!(failure.said.contains("run the tests first"));
    assert!(!sandbox.is_pushed(""));
}

#[test]
fn a_commit_that_no_remote_of_a_submodule_has_is_not_referred_to() {
    for is_on_a_branch in [false, true] {
        let sandbox = Sandbox::new();
        let old = sandbox.head("work/libs/b");
        sandbox.write("work/libs/b/file", "2\n");
        let lost = sandbox.commit("work/libs/b");
        sandbox.commit("work");
        if is_on_a_branch {
            sandbox.git("work/libs/b", &["branch", "side"]);
        }
        sandbox.git("work/libs/b", &["reset", "-q", "--hard", &old]);
        let before = sandbox.remote_head("main");
        let report = sandbox.push(4);
        let missing = Blocked::SubmoduleMissing {
            submodule: "libs/b".into(),
            commit: lost,
        };
        assert_eq!(outcome(&report, ""), &Outcome::Blocked(missing));
        assert_eq!(sandbox.remote_head("main"), before);
    }
}

#[test]
fn an_earlier_commit_of_a_submodule_that_its_remote_lacks_is_found_by_git() {
    let sandbox = Sandbox::new();
    let old = sandbox.head("work/libs/b");
    sandbox.write("work/libs/b/file", "2\n");
    sandbox.commit("work/libs/b");
    sandbox.commit("work");
    sandbox.git("work/libs/b", &["branch", "side"]);
    sandbox.git("work/libs/b", &["reset", "-q", "--hard", &old]);
    sandbox.commit("work");
    let before = sandbox.remote_head("main");
    let report = sandbox.push(4);
    let Outcome::Failed(failure) = outcome(&report, "") else {
        panic!("{report}");
    };
    assert_eq!(failure.why, Rejection::SubmoduleMissing, "{failure}");
    assert_eq!(sandbox.remote_head("main"), before);
}

#[test]
fn variables_of_a_git_hook_lead_no_push_astray() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    let states = sandbox.scan();
    let plan = larder_archive::repos::plan(&states, &[]).unwrap();
    let mut git = sandbox.program();
    let folder = sandbox.at("work/.git");
    git.environment.push(("GIT_DIR".into(), folder.into()));
    let report = run(&plan, &git, 4);
    assert!(report.is_success(), "{report}");
    assert!(MODULES.iter().all(|path| sandbox.is_pushed(path)));
    assert!(!state(&states, "").is_dirty());
}

#[test]
fn a_git_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    sandbox.commit_everywhere();
    let plan = larder_archive::repos::plan(&sandbox.scan(), &[]).unwrap();
    let mut git = sandbox.program();
    git.program = sandbox.at("no/git");
    let report = run(&plan, &git, 4);
    let text = report.to_string();
    assert!(
        text.contains("git cannot be started") && text.contains("no/git"),
        "{text}"
    );
}

#[test]
fn a_stop_ends_git_and_its_hooks_and_begins_no_other_push() {
    for (own_group, urgency) in [(true, Stop::Soon), (true, Stop::Now), (false, Stop::Soon)] {
        let sandbox = Sandbox::new();
        sandbox.commit_everywhere();
        let begun = sandbox.at("begun");
        let pid = begun.display();
        // Git waits for it for ever; in a group of its own it dies with git.
        let script = format!("echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000");
        sandbox.hook(&remote("b"), "pre-receive", &script);
        let before = sandbox.remote_head("b");
        let plan = larder_archive::repos::plan(&sandbox.scan(), &[]).unwrap();
        let mut git = sandbox.program();
        git.own_group = own_group;
        let stop = || if begun.exists() { urgency } else { Stop::Not };
        let report = push(&plan, &git, 1.try_into().unwrap(), &stop);
        assert!(!report.is_success());
        assert_eq!(outcome(&report, "libs/c"), &Outcome::Pushed);
        assert_eq!(outcome(&report, "libs/b"), &Outcome::Interrupted);
        assert_eq!(outcome(&report, "libs/a/deep"), &Outcome::Interrupted);
        assert!(matches!(outcome(&report, ""), Outcome::NotTried { .. }));
        assert!(
            report
                .to_string()
                .contains("libs/b: not pushed: interrupted")
        );
        assert_eq!(sandbox.remote_head("b"), before);
        let hook = std::fs::read_to_string(&begun).unwrap().trim().to_owned();
        if own_group {
            let lives = std::path::Path::new("/proc").join(&hook).exists();
            assert!(!lives, "the hook {hook} is gone");
        } else {
            let killed = std::process::Command::new("kill").arg(&hook).status();
            assert!(killed.is_ok());
        }
        // What was stopped is pushed by the next call.
        sandbox.hook(&remote("b"), "pre-receive", "exit 0");
        let report = sandbox.push(4);
        assert!(report.is_success(), "{report}");
        assert!(sandbox.is_pushed("libs/b") && sandbox.is_pushed(""));
    }
}

/// `cargo test -p larder-archive --test repos -- --ignored --nocapture measured`
#[test]
#[ignore = "measures; asserts nothing"]
#[allow(clippy::print_stdout)]
fn measured_three_submodules_with_a_hook_of_one_second() {
    let mut times = Vec::new();
    for workers in [1, 4] {
        let sandbox = Sandbox::new();
        for name in ["a", "b", "c"] {
            sandbox.write(&format!("work/libs/{name}/file"), "2\n");
            sandbox.commit(&format!("work/libs/{name}"));
            sandbox.hook(&remote(name), "pre-receive", "sleep 1");
        }
        sandbox.commit("work");
        let start = Instant::now();
        let report = sandbox.push(workers);
        times.push(start.elapsed().as_secs_f64());
        assert!(report.is_success(), "{report}");
    }
    let (serial, parallel) = (times[0], times[1]);
    println!(
        "serial {serial:.2} s, four workers {parallel:.2} s: {:.2} x",
        serial / parallel
    );
}
