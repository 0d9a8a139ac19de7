//! Inputs that cannot be read, that vanish or change, and names and links of every odd kind.
//! Knows nothing of caches and state; damage to those is in `damage.rs`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::rights;
use crate::sandbox::Sandbox;

/// A task that copies each file of `src` under its own name to `out`.
fn copies() -> Sandbox {
    Sandbox::new(&[(
        "larder.toml",
        "[tasks.build]\ncommand = '''echo ran >> ../ran.log; mkdir -p out; for file in src/*; do cp \"$file\" \"out/${file#src/}\"; done'''\ninputs = [\"src/**\"]\noutputs = [\"out/**\"]\n",
    )])
}

fn raw(sandbox: &Sandbox, folder: &str, name: &[u8]) -> PathBuf {
    sandbox.path(folder).join(OsStr::from_bytes(name))
}

#[test]
fn an_input_that_may_not_be_read_fails_its_task_by_name_before_it_runs() {
    for (locked, words) in [("src/a", "cannot read"), ("src/deep", "cannot scan")] {
        let sandbox = copies();
        sandbox.write("src/a", "1");
        sandbox.write("src/deep/b", "2");
        sandbox.write("out/mine", "mine");
        rights::give_away(sandbox.base());
        rights::set_mode(&sandbox.path(locked), 0o000);
        let outcome = rights::larder_without_rights(&sandbox, "build");
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        for part in [words, locked, "Permission denied"] {
            assert!(outcome.stderr.contains(part), "{part}: {}", outcome.all());
        }
        assert!(sandbox.ran().is_empty());
        assert_eq!(sandbox.read("out/mine"), "mine");
        rights::set_mode(&sandbox.path(locked), 0o755);
        sandbox.remove("out");
        sandbox.remove("src/deep");
        let outcome = rights::larder_without_rights(&sandbox, "build");
        assert_eq!(
            outcome.code,
            0,
            "once readable, it is built: {}",
            outcome.all()
        );
        assert_eq!(sandbox.read("out/a"), "1");
    }
}

#[test]
fn an_input_that_vanishes_during_the_run_is_named_and_the_result_not_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; cat src/* > out.txt; rm src/b\"\ninputs = [\"src/*\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src/a", "1"),
        ("src/b", "2"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("not stored") && outcome.stderr.contains("src/b"),
        "{}",
        outcome.all()
    );
    assert_eq!(sandbox.read("out.txt"), "12");
    for state in ["12", "1"] {
        if state == "12" {
            sandbox.write("src/b", "2");
        } else {
            sandbox.write("src/b", "");
        }
        let record = sandbox.record("build", 0);
        assert_eq!(record["tasks"][0]["status"], "ran", "never from the cache");
        assert_eq!(sandbox.read("out.txt"), state);
    }
    assert_eq!(sandbox.ran().len(), 3);
}

#[test]
fn an_input_replaced_by_rename_during_the_run_is_named_and_the_result_not_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; cat src/a > out.txt; mv ../new src/a\"\ninputs = [\"src/*\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src/a", "1"),
    ]);
    std::fs::write(sandbox.base().join("new"), "2").unwrap();
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stderr.contains("src/a"), "{}", outcome.all());
    assert_eq!(sandbox.read("out.txt"), "1");
    std::fs::write(sandbox.base().join("new"), "2").unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out.txt"), "2");
}

#[test]
fn a_task_that_edits_its_input_is_told_the_line_to_add_and_never_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p src; echo x >> src/log; echo done > src/out\"\ninputs = [\"src/**\"]\noutputs = [\"src/out\", \"src/log\"]\n",
        ),
        ("src/a", "1"),
    ]);
    for runs in 1..=3 {
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert!(
            outcome.stderr.contains("one of its own inputs") && outcome.stderr.contains("\"!src/"),
            "{}",
            outcome.all()
        );
        assert_eq!(sandbox.ran().len(), 1, "run {runs}");
        assert_eq!(sandbox.read("src/a"), "1");
    }
}

#[test]
fn names_of_every_kind_are_inputs_outputs_restored_and_rescued() {
    let names: [&[u8]; 9] = [
        b"caf\xe9",
        b"\xff\xfe",
        b"a b",
        b" ",
        b"x\ny",
        b"tab\tquote\"dollar$HOME",
        b"\x1b[31mred",
        b"-rf",
        "ü".as_bytes(),
    ];
    let sandbox = copies();
    sandbox.write("src/keep", "keep");
    for name in names {
        std::fs::write(raw(&sandbox, "src", name), name).unwrap();
    }
    let whole = || {
        for name in names {
            assert_eq!(std::fs::read(raw(&sandbox, "out", name)).unwrap(), name);
        }
        assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 10);
    };
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    whole();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    whole();
    for name in names {
        // Each is an input of its own: an edit of any is seen, and undoing it restores.
        std::fs::write(raw(&sandbox, "src", name), "edited").unwrap();
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
        assert_eq!(
            std::fs::read(raw(&sandbox, "out", name)).unwrap(),
            b"edited"
        );
        std::fs::write(raw(&sandbox, "src", name), name).unwrap();
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
        whole();
        // Each is an output that is rescued under its own name.
        std::fs::write(raw(&sandbox, "out", name), "precious").unwrap();
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
        whole();
        let rescued = raw(&sandbox, ".larder/rescued/out", name);
        assert_eq!(std::fs::read(rescued).unwrap(), b"precious");
    }
}

#[test]
fn loops_of_links_are_links_among_inputs_and_outputs() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p out; cat src/a > out/r; ln -sf loop out/loop; ln -sf .. out/up; ln -sf nowhere out/dangling\"\noutputs = [\"out/**\"]\n",
        ),
        ("src/a", "1"),
    ]);
    for (text, name) in [
        ("loop", "src/loop"),
        ("y", "src/x"),
        ("x", "src/y"),
        ("..", "src/up"),
        ("nowhere", "src/dangling"),
        ("/", "src/slash"),
    ] {
        symlink(text, sandbox.path(name)).unwrap();
    }
    let whole = || {
        assert_eq!(sandbox.read("out/r"), "1");
        for (name, text) in [("loop", "loop"), ("up", ".."), ("dangling", "nowhere")] {
            let link = std::fs::read_link(sandbox.path("out").join(name)).unwrap();
            assert_eq!(link.to_str(), Some(text));
        }
        assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 4);
    };
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    whole();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    whole();
    // The text of a link is what enters the key.
    sandbox.remove("src/loop");
    symlink("./loop", sandbox.path("src/loop")).unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    whole();
}

#[test]
fn a_link_to_a_file_is_an_input_with_the_files_content() {
    let sandbox = copies();
    sandbox.write("elsewhere", "1");
    sandbox.write("src/a", "a");
    symlink("../elsewhere", sandbox.path("src/link")).unwrap();
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/link"), "1");
    sandbox.write("elsewhere", "2");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/link"), "2");
}
