//! What a scan tells of repositories and submodules.
//! Does not commit or push by the library.

use larder_archive::repos::{Changes, Upstream, scan};

use crate::sandbox::{Sandbox, state};

#[test]
fn a_clean_clone_is_clean_with_all_its_submodules_in_order() {
    let sandbox = Sandbox::new();
    let states = sandbox.scan();
    let paths: Vec<_> = states.iter().map(|state| state.path.as_str()).collect();
    assert_eq!(paths, ["", "libs/a", "libs/a/deep", "libs/b", "libs/c"]);
    for state in &states {
        let head = state.head.as_ref().unwrap();
        let folder = format!("work/{}", state.path);
        assert_eq!(head.commit, Some(sandbox.head(&folder)));
        assert_eq!(head.branch.as_deref(), Some("main"));
        assert_eq!(head.changes, Changes::default());
        let upstream = Upstream {
            name: "origin/main".into(),
            ahead: 0,
            behind: 0,
        };
        assert_eq!(head.upstream, Some(upstream));
        assert!(!state.is_dirty());
    }
    // From a folder within, the same.
    let within = scan(&sandbox.at("work/libs")).unwrap();
    assert_eq!(within, states);
}

#[test]
fn changes_are_counted_by_kind_and_a_moved_submodule_is_one() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.gitignore", "*.tmp\n");
    sandbox.commit("work");
    sandbox.write("work/file", "staged\n");
    sandbox.write("work/both", "staged\n");
    sandbox.git("work", &["add", "file", "both"]);
    sandbox.write("work/both", "and not\n");
    sandbox.write("work/new/one", "");
    sandbox.write("work/new/two", "");
    sandbox.write("work/ignored.tmp", "");
    sandbox.write("work/libs/b/file", "dirty\n");
    sandbox.write("work/libs/c/file", "moved\n");
    sandbox.commit("work/libs/c");
    let states = sandbox.scan();
    let of = |path| state(&states, path).head.clone().unwrap();
    let main = Changes {
        staged: 2,
        // `both`, and the commit of libs/c. That libs/b is dirty is told there.
        unstaged: 2,
        untracked: 2,
        conflicted: 0,
    };
    assert_eq!(of("").changes, main);
    assert_eq!(of("").upstream.unwrap().ahead, 1);
    assert_eq!(of("libs/b").changes.unstaged, 1);
    assert_eq!(of("libs/c").changes, Changes::default());
    assert_eq!(of("libs/c").upstream.unwrap().ahead, 1);
    sandbox.git("work", &["add", "libs/c"]);
    let states = sandbox.scan();
    let changes = state(&states, "").head.as_ref().unwrap().changes;
    assert_eq!((changes.staged, changes.unstaged), (3, 1));
}

#[test]
fn detached_unborn_absent_and_foreign_repositories_are_told_apart() {
    let sandbox = Sandbox::new();
    sandbox.git("work/libs/a", &["checkout", "-q", "--detach"]);
    sandbox.git("work", &["submodule", "--quiet", "deinit", "-f", "libs/b"]);
    sandbox.git("work", &["init", "-q", "-b", "trunk", "foreign"]);
    sandbox.write("work/foreign/file", "");
    let states = sandbox.scan();
    let head = |path| state(&states, path).head.clone();
    assert_eq!(head("libs/a").unwrap().branch, None);
    assert!(head("libs/a").unwrap().upstream.is_none());
    assert_eq!(head("libs/b"), None);
    assert!(!state(&states, "libs/b").is_dirty());
    assert_eq!(head("").unwrap().changes, Changes::default());

    let unborn = scan(&sandbox.at("work/foreign")).unwrap();
    let unborn = unborn[0].head.as_ref().unwrap();
    assert_eq!(unborn.commit, None);
    assert_eq!(unborn.branch.as_deref(), Some("trunk"));
    assert_eq!(unborn.changes.untracked, 1);

    assert_eq!(scan(&sandbox.at("home")).unwrap(), []);
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_not_deleted() {
    let sandbox = Sandbox::new();
    sandbox.write("work/in/file", "");
    sandbox.write("work/out/file", "");
    sandbox.commit("work");
    sandbox.git("work", &["sparse-checkout", "set", "in"]);
    assert!(!sandbox.at("work/out").exists());
    let states = sandbox.scan();
    let head = state(&states, "").head.clone().unwrap();
    assert_eq!(head.changes, Changes::default());
}

#[test]
fn conflicts_are_counted_and_who_is_behind_is_told() {
    let sandbox = Sandbox::new();
    sandbox.clone_of("b", "other");
    sandbox.write("other/file", "theirs\n");
    sandbox.commit("other");
    sandbox.git("other", &["push", "-q"]);
    sandbox.write("work/libs/b/file", "ours\n");
    sandbox.commit("work/libs/b");
    let merged = sandbox.try_git("work/libs/b", &["pull", "-q", "--no-rebase"]);
    assert!(!merged.status.success());
    let states = sandbox.scan();
    let head = state(&states, "libs/b").head.clone().unwrap();
    assert_eq!(head.changes.conflicted, 1);
    let upstream = head.upstream.unwrap();
    assert_eq!((upstream.ahead, upstream.behind), (1, 1));
}
