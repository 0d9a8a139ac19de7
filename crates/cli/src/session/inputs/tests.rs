//! What counts as a change of a task's inputs.
//! Does not run tasks.

use std::sync::Arc;

use larder_fingerprint::{Digest, Files, Kind, Memo, MemoryFiles, RowKind, Scanner};

use crate::config::Glob;

use super::*;

/// Inputs from paths with the first byte of their digest and the time of their last change, and git trees.
fn inputs(files: &[(&str, u8, i64)], git: &[(&str, u8)]) -> Inputs {
    let digest = |byte| Digest([byte; 32]);
    let row = |(path, byte, _): &(&str, u8, i64)| Row {
        path: path.as_bytes().to_vec(),
        kind: RowKind::File,
        executable: false,
        digest: digest(*byte),
    };
    let stat = |(_, _, time): &(&str, u8, i64)| Stat {
        kind: Kind::File,
        size: 1,
        mtime_ns: *time,
        ctime_ns: *time,
        dev: 1,
        ino: 1,
        mode: 0o644,
        nlink: 1,
    };
    Inputs {
        rows: files.iter().map(row).collect(),
        stats: files.iter().map(|file| Some(stat(file))).collect(),
        git: git
            .iter()
            .map(|(path, byte)| {
                let input = GitInput {
                    digest: digest(1),
                    stamp: digest(*byte),
                };
                ((*path).to_owned(), input)
            })
            .collect(),
        discovered: None,
    }
}

#[test]
fn every_kind_of_change_is_a_difference_and_names_what_changed() {
    let files: &[(&str, u8, i64)] = &[("a", 1, 5), ("b", 2, 5)];
    let trees: &[(&str, u8)] = &[("s", 8), ("t", 9)];
    let before = inputs(files, trees);
    for (what, later, difference) in [
        ("nothing", inputs(files, trees), None),
        (
            "equal content written again",
            inputs(&[("a", 1, 5), ("b", 2, 6)], trees),
            Some(("b", "was written")),
        ),
        (
            // What a link leads to: its own stat tuple stays.
            "content under an equal stat tuple",
            inputs(&[("a", 1, 5), ("b", 3, 5)], trees),
            Some(("b", "was written")),
        ),
        (
            "one file less",
            inputs(&files[..1], trees),
            Some(("b", "vanished")),
        ),
        (
            "another name",
            inputs(&[("a", 1, 5), ("c", 2, 5)], trees),
            Some(("b", "vanished")),
        ),
        (
            "one file more",
            inputs(&[("a", 1, 5), ("b", 2, 5), ("c", 2, 5)], trees),
            Some(("c", "appeared")),
        ),
        (
            "a git tree",
            inputs(files, &[("s", 8), ("t", 7)]),
            Some(("t", "was written")),
        ),
    ] {
        let found = before.first_difference(&later);
        let wanted = difference.map(|(path, how)| (path.as_bytes().to_vec(), how));
        assert_eq!(found, wanted, "{what}");
    }
}

/// Something done to files.
type Change<'c> = &'c dyn Fn(&MemoryFiles);

/// Globs from texts; `!` takes out again.
fn globs(texts: &[&str]) -> Rule {
    let items: Vec<_> = texts.iter().map(|text| item(text)).collect();
    rule_of(b"", &items).unwrap()
}

fn item(text: &str) -> InputItem {
    InputItem::Glob(Glob {
        glob: text.trim_start_matches('!').to_owned(),
        negated: text.starts_with('!'),
        from_root: false,
    })
}

#[test]
fn a_new_look_notices_what_a_comparison_of_rows_notices() {
    let rule = globs(&[
        "src/*.c",
        "src/**",
        "lib/*",
        "!src/*.o",
        "named",
        "other/named",
    ]);
    let no_git = |_: &str| -> Result<GitInput, Fault> { Err(Fault::words("no git here")) };
    let change = |what: Change<'_>| {
        let files = Arc::new(MemoryFiles::new());
        for path in ["src/a.c", "src/b.c", "src/x.o", "lib/a", "named", "target"] {
            files.write(path, "1");
        }
        files.symlink("src/link", "../target");
        let tree = Tree::new(Scanner::new(
            Arc::clone(&files) as Arc<dyn Files>,
            Memo::empty([0; 32]),
        ));
        let before = rule.collect(&tree, &no_git).unwrap();
        assert_eq!(before.rows.len(), 6);
        what(&files);
        tree.forget_scans();
        let holds = rule.still_holds(&before, &tree, &no_git).unwrap();
        let after = rule.collect(&tree, &no_git).unwrap();
        assert_eq!(holds, before.first_difference(&after).is_none());
        holds
    };
    assert!(change(&|_| {}));
    assert!(change(&|files| files.write("src/x.o", "2")), "taken out");
    assert!(change(&|files| files.write("elsewhere", "2")));
    let changes: [(&str, Change<'_>); 9] = [
        ("content in the same moment", &|files| {
            files.write("src/a.c", "2");
        }),
        ("length", &|files| files.write("src/a.c", "22")),
        ("time", &|files| {
            files.advance(1);
            files.write("src/a.c", "1");
        }),
        ("mode", &|files| files.chmod("src/b.c", 0o755)),
        ("one more", &|files| files.write("src/c.c", "1")),
        ("one less", &|files| files.remove("src/b.c")),
        ("another name", &|files| {
            files.remove("lib/a");
            files.write("lib/b", "1");
        }),
        ("a missing one came", &|files| {
            files.write("other/named", "1");
        }),
        ("what a link leads to", &|files| files.write("target", "2")),
    ];
    for (what, how) in changes {
        assert!(!change(how), "{what}");
    }
}

#[test]
fn a_new_look_notices_what_changed_in_git_alone() {
    let rule = rule_of(b"", &[InputItem::Git("sub".to_owned())]).unwrap();
    let tree = Tree::new(Scanner::new(
        Arc::new(MemoryFiles::new()),
        Memo::empty([0; 32]),
    ));
    let git = |stamp| {
        move |_: &str| -> Result<GitInput, Fault> {
            Ok(GitInput {
                digest: Digest([1; 32]),
                stamp: Digest([stamp; 32]),
            })
        }
    };
    let before = rule.collect(&tree, &git(8)).unwrap();
    assert!(rule.still_holds(&before, &tree, &git(8)).unwrap());
    assert!(!rule.still_holds(&before, &tree, &git(9)).unwrap());
}

#[test]
fn a_folder_reaches_the_default_unless_it_is_hidden() {
    let mut rule = rule_of(b"p/q", &[InputItem::Default, item("!gen")]).unwrap();
    let out = Glob {
        glob: "out/**".to_owned(),
        negated: false,
        from_root: false,
    };
    rule.own.push(compiled(b"p/q", [&out]).unwrap());
    rule.own_folders.push(b"p/q/out".to_vec());
    for (path, folder, hidden, reached) in [
        ("p/q/file", false, false, true),
        ("p/q/file", false, true, false),
        ("p/other", true, false, false),
        // Above the project.
        ("p", true, false, true),
        ("", true, false, true),
        ("p", false, false, false),
        // Itself left out, but not what lies below it.
        ("p/q/gen", true, false, true),
        ("p/q/gen", true, true, false),
        ("p/q/gen", false, false, false),
        // An output; but a folder there may hold what is none.
        ("p/q/out/x", false, false, false),
        ("p/q/out", true, false, true),
        ("p/q/out/deep", true, false, true),
    ] {
        let found = rule.reaches(path.as_bytes(), folder, hidden);
        assert_eq!(found, reached, "{path} {folder} {hidden}");
    }
}
