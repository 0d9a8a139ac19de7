//! `foreach` tasks: one chunk a source, and only chunks that something changed for are redone.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::sandbox::Sandbox;

/// A compiler of one file that counts its runs.
const CC: &str = r#"
[tasks.cc]
foreach = "src/**/*.c"
command = "echo cc {in} >> ../ran.log; cat {in} > {out}"
outputs = ["out/{in}.o"]
"#;

fn three() -> Sandbox {
    Sandbox::new(&[
        ("larder.toml", CC),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
        ("src/deep/c.c", "c\n"),
    ])
}

/// The counts of a run: total, up to date, restored, ran, failed, removed.
fn counts(sandbox: &Sandbox, line: &str, code: i32) -> [u64; 6] {
    let record = sandbox.record(line, code);
    let chunks = record["tasks"][0]["chunks"].clone();
    [
        "total",
        "up_to_date",
        "restored",
        "ran",
        "failed",
        "removed",
    ]
    .map(|name| {
        chunks[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{record:#}"))
    })
}

#[test]
fn only_what_changed_is_redone() {
    let sandbox = three();
    assert_eq!(counts(&sandbox, "cc", 0), [3, 0, 0, 3, 0, 0]);
    assert_eq!(
        sandbox.ran(),
        ["cc src/a.c", "cc src/b.c", "cc src/deep/c.c"]
    );
    assert_eq!(sandbox.read("out/src/deep/c.c.o"), "c\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    // Edited.
    sandbox.write("src/b.c", "B\n");
    assert_eq!(counts(&sandbox, "cc", 0), [3, 2, 0, 1, 0, 0]);
    assert_eq!(sandbox.ran(), ["cc src/b.c"]);
    assert_eq!(sandbox.read("out/src/b.c.o"), "B\n");
    // Back again: from the cache.
    sandbox.write("src/b.c", "b\n");
    assert_eq!(counts(&sandbox, "cc", 0), [3, 2, 1, 0, 0, 0]);
    assert_eq!(sandbox.read("out/src/b.c.o"), "b\n");
    // Added.
    sandbox.write("src/d.c", "d\n");
    assert_eq!(counts(&sandbox, "cc", 0), [4, 3, 0, 1, 0, 0]);
    assert_eq!(sandbox.ran(), ["cc src/d.c"]);
    // Renamed: another chunk.
    std::fs::rename(sandbox.path("src/d.c"), sandbox.path("src/e.c")).unwrap();
    assert_eq!(counts(&sandbox, "cc", 0), [4, 3, 0, 1, 0, 1]);
    assert_eq!(sandbox.ran(), ["cc src/e.c"]);
    assert!(!sandbox.exists("out/src/d.c.o"));
    // Removed, with the folder that was made for it.
    sandbox.remove("src/deep/c.c");
    assert_eq!(counts(&sandbox, "cc", 0), [3, 3, 0, 0, 0, 1]);
    assert!(!sandbox.exists("out/src/deep"));
    assert!(sandbox.exists("out/src/a.c.o"));
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    // Touched: nothing.
    sandbox.write("src/a.c", "a\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn lost_and_altered_outputs_come_back_one_by_one() {
    let sandbox = three();
    sandbox.larder("cc");
    sandbox.ran();
    sandbox.remove("out/src/a.c.o");
    assert_eq!(counts(&sandbox, "cc", 0), [3, 2, 1, 0, 0, 0]);
    sandbox.write("out/src/b.c.o", "mine\n");
    let outcome = sandbox.larder("cc");
    assert!(outcome.stderr.contains("rescued"), "{}", outcome.all());
    assert_eq!(sandbox.read("out/src/b.c.o"), "b\n");
    assert_eq!(sandbox.read(".larder/rescued/out/src/b.c.o"), "mine\n");
    // Of a source that is gone too.
    sandbox.write("out/src/a.c.o", "mine too\n");
    sandbox.remove("src/a.c");
    let outcome = sandbox.larder("cc");
    assert!(outcome.stderr.contains("rescued"), "{}", outcome.all());
    assert_eq!(sandbox.read(".larder/rescued/out/src/a.c.o"), "mine too\n");
    assert_eq!(sandbox.ran(), [""; 0]);
}

#[test]
fn a_change_of_what_all_share_redoes_all() {
    let sandbox = three();
    sandbox.larder("cc");
    sandbox.ran();
    sandbox.write("larder.toml", &format!("{CC}inputs = [\"inc/*.h\"]\n"));
    sandbox.write("inc/a.h", "1\n");
    assert_eq!(counts(&sandbox, "cc", 0), [3, 0, 0, 3, 0, 0]);
    sandbox.ran();
    sandbox.write("inc/a.h", "2\n");
    let why = sandbox.larder("explain cc");
    assert!(why.stdout.contains("inc/a.h was edited"), "{}", why.all());
    assert!(
        why.stdout.contains("3 of 3 chunks would run"),
        "{}",
        why.all()
    );
    assert_eq!(counts(&sandbox, "cc", 0), [3, 0, 0, 3, 0, 0]);
    sandbox.ran();
    sandbox.write(
        "larder.toml",
        &CC.replace("{out}\"", "{out}; true\"")
            .replace("cat", "cat -- "),
    );
    assert_eq!(counts(&sandbox, "cc", 0), [3, 0, 0, 3, 0, 0]);
}

#[test]
fn a_failed_chunk_fails_alone() {
    for (flags, begun) in [("--continue=always", 3), ("--concurrency=1", 2)] {
        let sandbox = three();
        sandbox.write(
            "larder.toml",
            &CC.replace("echo cc", "grep -q bad {in} && exit 3; echo cc"),
        );
        sandbox.write("src/b.c", "bad\n");
        let line = format!("cc {flags}");
        let outcome = sandbox.larder(&line);
        assert_eq!(outcome.code, 3, "{}", outcome.all());
        assert!(
            outcome.stderr.contains(".#cc[src/b.c]: exit code 3"),
            "{}",
            outcome.all()
        );
        assert_eq!(sandbox.ran().len(), begun - 1, "{flags}");
        // The others are kept, and only what failed or was not begun is tried again.
        let again = counts(&sandbox, &line, 3);
        assert_eq!((again[1], again[4]), (begun as u64 - 1, 1), "{flags}");
        assert_eq!(sandbox.ran(), [""; 0]);
        sandbox.write("src/b.c", "good\n");
        let mended = counts(&sandbox, &line, 0);
        assert_eq!(mended[1] + mended[3], 3, "{flags}");
        assert_eq!(mended[1], begun as u64 - 1, "{flags}");
        assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    }
}

#[test]
fn two_chunks_that_make_one_path_are_refused_by_name() {
    let sandbox = three();
    sandbox.write("src/deep/a.c", "other\n");
    sandbox.write("larder.toml", &CC.replace("out/{in}.o", "out/{stem}.o"));
    let outcome = sandbox.larder("cc");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    for part in ["out/a.o", "src/a.c", "src/deep/a.c", "{in} or {dir}"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.all());
    }
    assert_eq!(sandbox.ran(), [""; 0], "nothing runs");
    // By wildcards it shows only afterwards.
    sandbox.write(
        "larder.toml",
        "[tasks.cc]\nforeach = \"src/**/*.c\"\ncommand = \"mkdir -p out; cat {in} > out/{stem}.1\"\noutputs = [\"out/{stem}.*\"]\n",
    );
    let outcome = sandbox.larder("cc --continue=always");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    for part in ["out/a.1", "src/a.c", "src/deep/a.c"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.all());
    }
    sandbox.remove("src/deep/a.c");
    assert_eq!(sandbox.larder("cc").code, 0);
    assert_eq!(sandbox.read("out/a.1"), "a\n");
    assert_eq!(sandbox.read("out/c.1"), "c\n");
}

#[test]
fn one_path_of_two_chunks_is_refused_from_the_cache_too() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.cc]\nforeach = \"src/**/*.c\"\ncommand = \"mkdir -p out; cat {in} > out/{stem}.1\"\noutputs = [\"out/{stem}.*\"]\n",
        ),
        ("src/a.c", "one\n"),
    ]);
    // Each alone is a result like any other.
    sandbox.larder("cc");
    sandbox.remove("src/a.c");
    sandbox.write("src/deep/a.c", "two\n");
    sandbox.larder("cc");
    sandbox.write("src/a.c", "one\n");
    for _ in 0..2 {
        let outcome = sandbox.larder("cc --continue=always");
        assert_eq!(outcome.code, 1, "{}", outcome.all());
        assert!(
            outcome.stderr.contains("two of its chunks make out/a.1"),
            "{}",
            outcome.all()
        );
    }
    sandbox.remove("src/a.c");
    assert_eq!(sandbox.larder("cc").code, 0);
    assert_eq!(sandbox.read("out/a.1"), "two\n");
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
}

#[test]
fn any_name_is_one_word() {
    let names: [&[u8]; 8] = [
        b"with blank.c",
        b"it's.c",
        b"a\"b$HOME`id`\\.c",
        b"two\nlines.c",
        b"-n.c",
        b"star*[x]?{y}.c",
        b"\xff\xfe.c",
        b".c",
    ];
    for argv in [false, true] {
        let sandbox = Sandbox::new(&[(
            "larder.toml",
            if argv {
                "[tasks.cc]\nforeach = \"**/*.c\"\ncommand = [\"cp\", \"--\", \"{in}\", \"{out}\"]\noutputs = [\"out/{name}.o\"]\n"
            } else {
                "[tasks.cc]\nforeach = \"**/*.c\"\ncommand = \"cat {in} > {out}; echo \\\"{in}\\\" '{in}' > /dev/null\"\noutputs = [\"out/{name}.o\"]\n"
            },
        )]);
        for name in names {
            let path = sandbox.root().join(OsString::from_vec(name.to_vec()));
            std::fs::write(path, name).unwrap();
        }
        let outcome = sandbox.larder("cc");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
        sandbox.remove("out");
        assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "restored");
        for name in names {
            let made = [name, b".o"].concat();
            let path = sandbox.path("out").join(OsString::from_vec(made));
            assert_eq!(std::fs::read(path).unwrap(), name);
        }
        assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 8);
    }
}

#[test]
fn another_clone_restores_every_chunk_and_each_costs_one_file() {
    let one = three();
    one.larder("cc");
    let files = crate::sandbox::files(&one.cache().join("v1"));
    let kept = files.iter().filter(|path| {
        let text = path.to_str().unwrap();
        text.contains("/entries/") || text.contains("/artifacts/")
    });
    assert_eq!(kept.count(), 3);
    let two = three();
    let mut command = two.command();
    command
        .env("LARDER_CACHE_DIR", one.cache())
        .args(["cc", "--json"]);
    let outcome = two.run(&mut command);
    assert!(
        outcome.stdout.contains("\"restored\": 3"),
        "{}",
        outcome.all()
    );
    assert_eq!(two.ran(), [""; 0]);
    assert_eq!(two.read("out/src/deep/c.c.o"), "c\n");
    // They count for their task.
    let status = one.larder("cache status --json");
    assert!(status.stdout.contains("\".#cc\""), "{}", status.all());
    let listed = one.larder("ls");
    assert!(
        listed.stdout.contains("cc  (foreach src/**/*.c)"),
        "{}",
        listed.all()
    );
    let verified = one.larder("cache verify");
    assert_eq!(verified.code, 0, "{}", verified.all());
    // A large output is an artifact of its own.
    one.write(
        "larder.toml",
        &CC.replace("cat {in}", "head -c 300000 /dev/urandom"),
    );
    one.larder("cc");
    one.remove("out");
    assert_eq!(counts(&one, "cc", 0), [3, 0, 3, 0, 0, 0]);
}

#[test]
fn two_thousand_chunks_that_are_up_to_date_run_nothing() {
    let sandbox = Sandbox::new(&[("larder.toml", CC)]);
    for number in 0..2000 {
        sandbox.write(&format!("src/{}/f{number}.c", number % 20), "x\n");
    }
    let record = sandbox.record("cc", 0);
    assert_eq!(record["tasks"][0]["chunks"]["ran"], 2000);
    assert_eq!(sandbox.ran().len(), 2000);
    let record = sandbox.record("cc", 0);
    assert_eq!(record["tasks"][0]["status"], "up-to-date");
    assert_eq!(sandbox.ran(), [""; 0]);
    // One for each source, one for each output, and a few for the folders.
    let looks = record["counters"]["stat_calls"].as_u64().unwrap();
    assert!(looks < 4200, "{looks}");
    assert_eq!(record["counters"]["bytes_hashed"], 0);
}

#[test]
fn forced_chunks_run_and_with_the_cache_off_nothing_is_kept_there() {
    let sandbox = three();
    assert_eq!(counts(&sandbox, "cc --cache=local:", 0)[3], 3);
    assert!(
        !sandbox.cache().join("v1/entries").exists() || {
            crate::sandbox::files(&sandbox.cache().join("v1/entries")).is_empty()
        }
    );
    assert_eq!(sandbox.statuses("cc", 0)[".#cc"], "up-to-date");
    assert_eq!(counts(&sandbox, "cc --force", 0)[3], 3);
    sandbox.remove("out");
    assert_eq!(counts(&sandbox, "cc --cache=local:", 0)[3], 3);
}

#[test]
fn what_is_shown_names_the_chunk() {
    let sandbox = three();
    sandbox.write("larder.toml", &CC.replace("cat", "echo hello; cat"));
    let outcome = sandbox.larder("cc");
    assert!(
        outcome.stdout.contains(".#cc[src/a.c]: hello"),
        "{}",
        outcome.all()
    );
    // A hit tells again what it told.
    let outcome = sandbox.larder("cc");
    assert_eq!(
        outcome.stdout.matches("hello").count(),
        3,
        "{}",
        outcome.all()
    );
    sandbox.write("src/a.c", "A\n");
    let dry = sandbox.larder("cc --dry");
    assert!(dry.stdout.contains(".#cc: would run"), "{}", dry.all());
    assert!(dry.stdout.contains("src/a.c was edited"), "{}", dry.all());
    let outcome = sandbox.larder("cc -v");
    assert!(
        outcome
            .stderr
            .contains(".#cc: ran: [src/a.c]: file src/a.c was edited"),
        "{}",
        outcome.all()
    );
    assert_eq!(
        outcome.stdout.matches("hello").count(),
        3,
        "{}",
        outcome.all()
    );
    sandbox.write("src/a.c", "a\n");
    let dry = sandbox.larder("cc --dry");
    assert!(dry.stdout.contains("would be restored"), "{}", dry.all());
}

#[test]
fn what_chunks_make_is_no_source() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            &CC.replace("src/**/*.c", "**/*.c")
                .replace("{in}.o", "{name}"),
        ),
        ("a.c", "a\n"),
    ]);
    for _ in 0..2 {
        assert_eq!(counts(&sandbox, "cc", 0)[0], 1);
    }
    assert!(sandbox.exists("out/a.c"));
}

#[test]
fn no_source_is_no_work() {
    let sandbox = Sandbox::new(&[("larder.toml", CC)]);
    let outcome = sandbox.larder("cc -v");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("no file matches"),
        "{}",
        outcome.all()
    );
}

#[test]
fn sources_of_the_root_are_named_from_the_project() {
    let sandbox = Sandbox::new(&[
        ("larder.toml", "[workspace]\nprojects = [\"p\"]\n"),
        (
            "p/larder.toml",
            "[tasks.cc]\nforeach = [\"$ROOT$/shared/*.c\", \"own/*.c\"]\ncommands = [\"echo {in} {dir} {name} {stem} {out} > {out}\", [\"sh\", \"-c\", \"cat \\\"$0\\\" >> \\\"$1\\\"; echo $2\", \"{in}\", \"{out}\"]]\noutputs = [\"$ROOT$/out/{stem}.o\"]\n",
        ),
        ("shared/a.x.c", "a\n"),
        ("p/own/b.c", "b\n"),
    ]);
    let outcome = sandbox.larder("cc -- more");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(
        sandbox.read("out/a.x.o"),
        "../shared/a.x.c ../shared a.x.c a.x ../out/a.x.o\na\n"
    );
    assert_eq!(sandbox.read("out/b.o"), "own/b.c own b.c b ../out/b.o\nb\n");
    assert!(
        outcome.stdout.contains("p#cc[../shared/a.x.c]: more"),
        "{}",
        outcome.all()
    );
    let config = sandbox.read("p/larder.toml").replace("{stem}.o", "{in}.o");
    sandbox.write("p/larder.toml", &config);
    let outcome = sandbox.larder("cc");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("leads out of its folder"),
        "{}",
        outcome.all()
    );
}

#[test]
fn the_depfile_of_a_source_that_is_gone_goes_if_it_is_as_it_was_written() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.cc]\nforeach = \"src/**/*.c\"\ncommand = \"echo cc {in} >> ../ran.log; cat {in} > {out}; echo '{out}:' {in} > {out}.d\"\noutputs = [\"out/{in}.o\"]\ndepfile = \"{out}.d\"\n",
        ),
        ("src/a.c", "a\n"),
        ("src/b.c", "b\n"),
        ("src/c.c", "c\n"),
        ("src/deep/d.c", "d\n"),
    ]);
    sandbox.larder("cc");
    sandbox.ran();
    sandbox.write("out/src/b.c.o.d", "mine");
    sandbox.remove("src/b.c");
    sandbox.remove("src/deep");
    // What a filter leaves out is not forgotten.
    sandbox.write("src/a.c", "A\n");
    sandbox.larder("cc --graph-filter .#cc[src/a.c]");
    assert!(sandbox.exists("out/src/deep/d.c.o.d"));
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc src/a.c"]);
    assert!(!sandbox.exists("out/src/deep"));
    assert!(!sandbox.exists("out/src/b.c.o"));
    assert_eq!(sandbox.read("out/src/b.c.o.d"), "mine");
    assert!(!sandbox.exists(".larder/rescued"));
    // One that came from the cache wrote none here.
    sandbox.write("src/deep/d.c", "d\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), Vec::<String>::new());
    sandbox.write("out/src/deep/d.c.o.d", "out/src/deep/d.c.o: src/deep/d.c\n");
    sandbox.remove("src/deep/d.c");
    sandbox.larder("cc");
    assert!(sandbox.exists("out/src/deep/d.c.o.d"));
    // Restored over, what an earlier run wrote is still its own.
    sandbox.write("src/c.c", "C\n");
    sandbox.larder("cc");
    sandbox.write("src/c.c", "c\n");
    sandbox.larder("cc");
    assert_eq!(sandbox.ran(), ["cc src/c.c"]);
    sandbox.remove("src/c.c");
    sandbox.larder("cc");
    assert!(!sandbox.exists("out/src/c.c.o.d"));
}
