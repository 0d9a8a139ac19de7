//! Tasks with chunks in a session: which changes reach them, and that nothing is missed.
//! Does not know what a run makes of single chunks.

use larder::session::run::Beside;

use super::random::Random;
use super::*;

const CHUNKS: &[(&str, &str)] = &[
    (
        "larder.toml",
        r#"
[tasks.gen]
foreach = "idl/*.idl"
command = "cat {in} > {out}"
outputs = ["gen/{stem}.c"]

[tasks.cc]
foreach = ["src/**/*.c", "gen/*.c"]
command = "h=inc/$(cat {in}).h; cat {in} $h > {out} && echo '{out}:' {in} $h > {out}.d"
inputs = ["flags"]
outputs = ["out/{in}.o"]
depfile = "{out}.d"
depends-on = ["gen"]

[tasks.all]
command = "find out -type f -not -name '*.d' | sort | xargs cat > all.txt"
depends-on = ["cc"]
outputs = ["all.txt"]

[tasks.lint]
command = "cat notes.md > lint.txt"
inputs = ["notes.md"]
outputs = ["lint.txt"]
"#,
    ),
    (".gitignore", "/lint.txt\n/gen\n/idl\n/inc\n"),
    ("idl/p.idl", "1"),
    ("src/a.c", "0"),
    ("src/d/b.c", "1"),
    ("inc/0.h", "zero"),
    ("inc/1.h", "one"),
    ("inc/2.h", "two"),
    ("flags", ""),
    ("notes.md", ""),
];

#[test]
fn what_chunks_take_make_and_discover_reaches_their_task() {
    let host = Host::new(CHUNKS);
    let mut session = host.load();
    assert_eq!(which(&run(&mut session), Status::Ran).len(), 4);
    session
        .update(&ChangeSet::everything("the test begins"))
        .unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);
    for (path, reached) in [
        // What `all` takes of its folder hangs on what the chunks of `cc` declare, so on their sources.
        ("src/a.c", &["cc", "all"][..]),
        ("src/new.c", &["cc", "all"]),
        ("src", &["cc", "all"]),
        ("idl/q.idl", &["gen", "all"]),
        ("idl", &["gen", "all"]),
        ("gen/p.c", &["gen", "cc", "all"]),
        ("inc/0.h", &["cc"]),
        ("inc/2.h", &[]),
        ("inc", &["cc"]),
        ("flags", &["cc", "all"]),
        ("out/src/a.c.o", &["cc", "all"]),
        ("notes.md", &["all", "lint"]),
        ("lint.txt", &[]),
        ("elsewhere/x", &["all"]),
    ] {
        let affected = session.update(&changes(&[path])).unwrap();
        let mut found = names(&session, &affected);
        found.sort();
        let mut reached: Vec<String> = reached.iter().map(|task| format!(".#{task}")).collect();
        reached.sort();
        assert_eq!(found, reached, "{path}");
        run(&mut session);
    }
    // Only the chunk of the source runs, and what does not hang on it is not looked at.
    host.write("src/a.c", "2");
    session.update(&changes(&["src/a.c"])).unwrap();
    let ended = run(&mut session);
    assert_eq!(which(&ended, Status::Ran), [".#all", ".#cc"]);
    let task = session.compiled.task(".#cc").unwrap();
    let counts = ended.results[&task].record.chunks.unwrap();
    assert_eq!((counts.total, counts.ran, counts.up_to_date), (3, 1, 2));
    assert_eq!(fs::read(host.path("out/src/a.c.o")).unwrap(), b"2two");
}

/// Something happens to sources, headers, outputs or what lies beside them; what was touched is told.
fn happen(host: &Host, random: &mut Random, changes: &mut ChangeSet) {
    let files = [
        "src/a.c",
        "src/d/b.c",
        "src/e.c",
        "idl/p.idl",
        "idl/q.idl",
        "inc/0.h",
        "inc/1.h",
        "gen/p.c",
        "gen/own.c",
        "out/src/a.c.o",
        "out/src/a.c.o.d",
        "out/stray.c.o",
        "flags",
        "notes.md",
    ];
    let path = files[random.below(files.len())];
    let full = host.path(path);
    match random.below(5) {
        0..=2 => {
            let folder = full.parent().unwrap();
            if !folder.exists() {
                let folder = folder.strip_prefix(host.path("")).unwrap();
                changes.add(folder.to_str().unwrap());
            }
            host.write(path, &random.below(3).to_string());
        }
        3 => drop(fs::remove_file(&full)),
        _ => {
            let (from, to) =
                [("src/d", "src/x"), ("src/x", "src/d"), ("out/src", "moved")][random.below(3)];
            if !host.path(to).exists() {
                drop(fs::rename(host.path(from), host.path(to)));
            }
            changes.add(from);
            changes.add(to);
        }
    }
    changes.add(path);
}

#[test]
fn after_any_changes_a_warm_session_knows_of_chunks_what_a_cold_one_finds() {
    for seed in 0..6 {
        let host = Host::new(CHUNKS);
        let mut random = Random(seed);
        let mut session = host.load();
        run(&mut session);
        let own = changes(&["gen", "out", "all.txt", "lint.txt"]);
        let mut told = own.clone();
        for step in 0..12 {
            for _ in 0..random.below(4) {
                happen(&host, &mut random, &mut told);
            }
            session.update(&told).unwrap();
            run(&mut session);
            let cold = fresh_verdicts(&host);
            session.update(&own).unwrap();
            let again = run(&mut session);
            for (id, verdict) in &cold {
                if *verdict == Verdict::MayRun {
                    // It hangs on what something that runs first will make: either is right.
                    continue;
                }
                let mut results = again.results.values();
                let warm = results.find(|done| done.record.task == *id).unwrap();
                assert_eq!(
                    warm.record.status == Status::UpToDate,
                    *verdict == Verdict::UpToDate,
                    "seed {seed}, step {step}: {id} {verdict:?} {:?}",
                    warm.record
                );
            }
            told = own.clone();
        }
    }
}

#[test]
fn a_kept_session_misses_no_chunk() {
    let host = Host::new(CHUNKS);
    settled(&host, NOW, &[]);
    for (path, text) in [("src/a.c", "1"), ("inc/1.h", "other"), ("src/new.c", "0")] {
        host.write(path, text);
        let mut session = host.load();
        session.resume().unwrap();
        session.update(&changes(&[path])).unwrap();
        let ended = run(&mut session);
        assert_eq!(which(&ended, Status::Ran), [".#all", ".#cc"], "{path}");
        drop(session);
        settled(&host, NOW, &[]);
    }
    // A session that is told nothing still looks at chunks, and at nothing that does not hang on them.
    let mut session = host.load();
    session.resume().unwrap();
    session.update(&ChangeSet::new()).unwrap();
    assert_eq!(which(&run(&mut session), Status::UpToDate).len(), 4);
}

/// Writes a depfile while the last task is at work, tells of it, and lets that one go on.
struct Meddler<'h>(&'h Host);

impl Beside for Meddler<'_> {
    fn ender(&self) -> Box<dyn Fn()> {
        Box::new(|| {})
    }

    fn go(&mut self, run: &Run<'_>) {
        let told = fs::read_to_string(self.0.path("../began")).unwrap();
        assert_eq!(told, "began\n");
        self.0.write("out/src/a.c.o.d", "out/src/a.c.o: src/a.c\n");
        run.interrupt(&changes(&["out/src/a.c.o.d", "out/src/a.c.o"]));
        fs::write(self.0.path("../go"), "go\n").unwrap();
    }
}

#[test]
fn a_depfile_that_a_chunk_wrote_stops_no_task() {
    let host = Host::new(CHUNKS);
    let text = fs::read_to_string(host.path("larder.toml")).unwrap();
    let slow = "echo began > ../began; read word < ../go; ";
    let text = text.replace("\"find out", &format!("\"{slow}find out"));
    host.write("larder.toml", &text);
    for pipe in ["../began", "../go"] {
        let made = std::process::Command::new("mkfifo")
            .arg(host.path(pipe))
            .status();
        assert!(made.unwrap().success());
    }
    let mut session = host.load();
    let all = session.compiled.task(".#all").unwrap();
    let plan = Plan::new(&session.workspace, BTreeSet::from([all]), false).unwrap();
    let options = Options::plain();
    let ended = session
        .run_beside(&plan, &options, &show(), Some(&mut Meddler(&host)))
        .unwrap();
    assert_eq!(which(&ended, Status::Failed), [""; 0], "{ended:?}");
    assert_eq!(which(&ended, Status::Ran), [".#all", ".#cc", ".#gen"]);
}
