//! Commits of dirty repositories, what became of them since, and tags.
//! Does not push.

use larder_archive::RepoCommit;
use larder_archive::repos::{
    RepoError, archived, check_tag, commit_dirty, moved, scan, tag, to_commit, untag,
};

use crate::sandbox::{MODULES, Sandbox, state};

#[test]
fn dirty_repositories_are_committed_from_within() {
    let sandbox = Sandbox::new();
    sandbox.write("work/libs/a/deep/new/file", "n\n");
    std::fs::remove_file(sandbox.at("work/libs/a/deep/file")).unwrap();
    sandbox.write("work/.hidden", "h\n");
    sandbox.git("work", &["init", "-q", "foreign"]);
    let before = sandbox.head("work/libs/b");
    let before_all = sandbox.scan();
    let planned: Vec<_> = to_commit(&before_all)
        .unwrap()
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(planned, ["libs/a/deep", "libs/a", ""]);

    let done = commit_dirty(&sandbox.root(), "kept by the archive").unwrap();
    let paths: Vec<_> = done.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["libs/a/deep", "libs/a", ""]);
    for one in &done {
        let folder = format!("work/{}", one.path);
        assert_eq!(sandbox.head(&folder), one.commit);
        let log = sandbox.git(&folder, &["log", "-1", "--format=%an <%ae> %s"]);
        assert_eq!(log, "A <a@example.org> kept by the archive");
        let status = sandbox.git(&folder, &["status", "--porcelain"]);
        assert_eq!(
            status,
            if one.path.is_empty() {
                "?? foreign/"
            } else {
                ""
            }
        );
    }
    assert_eq!(
        sandbox.git(
            "work/libs/a/deep",
            &["ls-tree", "-r", "--name-only", "HEAD"]
        ),
        "new/file"
    );
    assert_eq!(
        sandbox.git("work", &["rev-parse", "HEAD:libs/a"]),
        sandbox.head("work/libs/a")
    );
    assert_eq!(sandbox.head("work/libs/b"), before);
    assert!(sandbox.scan().iter().all(|state| !state.is_dirty()));
    assert_eq!(commit_dirty(&sandbox.root(), "again").unwrap(), []);
}

type Prepare<'a> = &'a dyn Fn(&Sandbox);

#[test]
fn one_that_cannot_be_committed_stops_all_before_the_first() {
    let detach = |sandbox: &Sandbox| {
        sandbox.git("work/libs/a", &["checkout", "-q", "--detach"]);
    };
    let merge = |sandbox: &Sandbox| {
        sandbox.write("work/libs/a/.git-is-elsewhere", "");
        let git = sandbox.git("work/libs/a", &["rev-parse", "--absolute-git-dir"]);
        let head = sandbox.head("work/libs/a");
        std::fs::write(format!("{git}/MERGE_HEAD"), format!("{head}\n")).unwrap();
    };
    let config = |name: &'static str| {
        move |sandbox: &Sandbox| {
            sandbox.git("work/libs/a", &["config", name, "true"]);
        }
    };
    let filter = |sandbox: &Sandbox| {
        sandbox.write("work/libs/a/.gitattributes", "*.bin filter=lfs\n");
        sandbox.write("work/libs/a/x.bin", "content\n");
    };
    let cases: [(&str, Prepare<'_>); 5] = [
        ("detached", &detach),
        ("merge", &merge),
        ("signed", &config("commit.gpgSign")),
        ("sparse", &config("core.sparseCheckout")),
        ("`x.bin` has `filter=lfs`", &filter),
    ];
    for (words, prepare) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("work/libs/a/deep/file", "dirty\n");
        sandbox.write("work/libs/a/file", "dirty\n");
        prepare(&sandbox);
        let before = MODULES.map(|module| sandbox.head(&format!("work/{module}")));
        let refused = commit_dirty(&sandbox.root(), "m").unwrap_err();
        assert!(matches!(refused, RepoError::Unfit { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(words) && text.contains("libs/a"), "{text}");
        let after = MODULES.map(|module| sandbox.head(&format!("work/{module}")));
        assert_eq!(before, after, "{words}");
    }
}

#[test]
fn without_an_author_nothing_is_committed() {
    let sandbox = Sandbox::new();
    sandbox.git("work", &["config", "--unset", "user.email"]);
    sandbox.write("work/libs/b/file", "dirty\n");
    let before = sandbox.head("work/libs/b");
    let refused = commit_dirty(&sandbox.root(), "m").unwrap_err();
    assert!(matches!(refused, RepoError::NoAuthor { .. }), "{refused}");
    assert!(refused.to_string().contains("git config user.email"));
    assert_eq!(sandbox.head("work/libs/b"), before);
}

#[test]
fn a_commit_that_fails_names_those_before_it_and_the_next_call_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("work/libs/b/file", "dirty\n");
    // Another git process is at work there.
    sandbox.write("work/.git/index.lock", "");
    let refused = commit_dirty(&sandbox.root(), "m").unwrap_err();
    let RepoError::Commit { path, done, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(path, ".");
    assert_eq!(done[0].path, "libs/b");
    assert!(refused.to_string().contains("kept: libs/b"), "{refused}");
    std::fs::remove_file(sandbox.at("work/.git/index.lock")).unwrap();
    let done = commit_dirty(&sandbox.root(), "m").unwrap();
    assert_eq!(done.len(), 1);
    assert_eq!(
        sandbox.git("work", &["rev-parse", "HEAD:libs/b"]),
        sandbox.head("work/libs/b")
    );
}

#[test]
fn a_tag_is_made_once_and_never_moved() {
    let sandbox = Sandbox::new();
    let states = sandbox.scan();
    let main = state(&states, "");
    let made = tag(main, "runs/1", "why").unwrap();
    assert!(made.created);
    assert_eq!(made.commit, sandbox.head("work"));
    assert_eq!(
        sandbox.git("work", &["cat-file", "-t", "refs/tags/runs/1"]),
        "tag"
    );
    let again = tag(main, "runs/1", "other words").unwrap();
    assert!(!again.created);
    sandbox.write("work/file", "2\n");
    sandbox.commit("work");
    // It is at the commit that was seen, whatever HEAD is by now.
    assert!(!tag(main, "runs/1", "why").unwrap().created);
    assert_eq!(tag(main, "runs/2", "why").unwrap().commit, made.commit);
    let states = sandbox.scan();
    let later = state(&states, "");
    let refused = tag(later, "runs/1", "why").unwrap_err();
    assert!(matches!(refused, RepoError::TagExists { .. }), "{refused}");
    assert!(check_tag(&states, "runs/3").is_ok());
    let refused = check_tag(&states, "runs/1").unwrap_err();
    assert!(matches!(refused, RepoError::TagExists { .. }), "{refused}");
    // Taken back only where it names the commit.
    untag(later, "runs/1").unwrap();
    untag(main, "runs/2").unwrap();
    untag(main, "runs/3").unwrap();
    assert_eq!(sandbox.git("work", &["tag"]), "runs/1");
    assert_eq!(
        sandbox.git("work", &["rev-parse", "runs/1^{commit}"]),
        made.commit
    );
    for bad in ["", "-x", "a..b", "a b", "x.lock"] {
        let refused = tag(main, bad, "").unwrap_err();
        assert!(matches!(refused, RepoError::TagName { .. }), "{bad}");
    }
}

#[test]
fn repositories_that_left_their_commits_are_told() {
    let sandbox = Sandbox::new();
    sandbox.git("work/libs/c", &["checkout", "-q", "--detach"]);
    let states = sandbox.scan();
    let commits: Vec<RepoCommit> = states
        .iter()
        .map(|state| {
            let head = state.head.clone().unwrap();
            RepoCommit {
                path: state.shown().to_owned(),
                submodule: !state.path.is_empty(),
                commit: head.commit,
                branch: head.branch,
                dirty: false,
                committed: false,
            }
        })
        .collect();
    assert_eq!(moved(&states, &commits), []);
    assert_eq!(archived(&states, &commits), states);

    // A branch for what was detached changes nothing of the commit.
    sandbox.git("work/libs/c", &["switch", "-q", "-c", "kept"]);
    assert_eq!(moved(&sandbox.scan(), &commits), []);

    let old = sandbox.head("work");
    sandbox.write("work/file", "2\n");
    let new = sandbox.commit("work");
    sandbox.git("work/libs/b", &["switch", "-q", "-c", "topic"]);
    sandbox.git("work", &["submodule", "--quiet", "deinit", "-f", "libs/a"]);
    let now = scan(&sandbox.root()).unwrap();
    let told: Vec<String> = moved(&now, &commits)
        .iter()
        .map(ToString::to_string)
        .collect();
    let (b, a) = (sandbox.head("work/libs/b"), &commits[1].commit);
    let (b, a) = (&b[..12], &a.as_ref().unwrap()[..12]);
    assert_eq!(
        told[0],
        format!(
            ".: the entry has it at {} of `main`, and it is at {} of `main`",
            &old[..12],
            &new[..12]
        )
    );
    assert_eq!(
        told[1],
        format!("libs/a: the entry has it at {a} of `main`, and it is not checked out")
    );
    assert!(
        told.iter().any(|one| *one
            == format!("libs/b: the entry has it at {b} of `main`, and it is at {b} of `topic`")),
        "{told:?}"
    );
    let main = archived(&now, &commits);
    let main = state(&main, "").head.clone().unwrap();
    assert_eq!(main.commit, Some(old));
}
