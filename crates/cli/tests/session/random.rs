//! Random changes: a warm session knows what a cold one finds.
//! Does not know why.

use super::*;

/// A small generator of numbers: a seed repeats a run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Something happens to the workspace; what was touched is told.
fn happen(host: &Host, random: &mut Random, changes: &mut ChangeSet) {
    let project = ["a", "b"][random.below(2)];
    let file = [
        "src/one",
        "src/two",
        "notes.md",
        "skip.md",
        "deep/er/x.md",
        "deep/y.log",
        "out/all",
        "lint.txt",
        "src/d/e",
    ][random.below(9)];
    let path = format!("{project}/{file}");
    let full = host.path(&path);
    match random.below(7) {
        0..=2 => {
            let parent = full.parent().unwrap();
            if parent.is_file() {
                return;
            }
            let missing = parent
                .ancestors()
                .find(|folder| folder.parent().is_some_and(Path::is_dir) && !folder.exists());
            if let Some(missing) = missing {
                let told = missing.strip_prefix(host.path("")).unwrap();
                changes.add(told.to_str().unwrap());
            }
            if !full.is_dir() {
                host.write(&path, &random.below(3).to_string());
            }
        }
        3 => drop(fs::remove_file(&full)),
        4 => drop(fs::remove_dir_all(&full)),
        5 => {
            // A folder takes another name, and a file may take its place.
            let (from, to) = ("deep", ["moved", "src/d"][random.below(2)]);
            let (from, to) = (format!("{project}/{from}"), format!("{project}/{to}"));
            if fs::rename(host.path(&from), host.path(&to)).is_ok() && random.below(2) == 0 {
                host.write(&from, "a file now");
            }
            changes.add(from);
            changes.add(to);
        }
        _ => {
            let rules = [
                "*.log\nout/\nlint.txt\n",
                "out/\nlint.txt\n",
                "*.md\nout/\nlint.txt\n",
            ];
            let path = format!("{project}/.gitignore");
            host.write(&path, rules[random.below(3)]);
            changes.add(path);
        }
    }
    changes.add(path);
}

#[test]
fn after_any_changes_a_warm_session_knows_what_a_cold_one_finds() {
    for seed in 0..12 {
        let host = Host::new(WORKSPACE);
        let mut random = Random(seed);
        let mut session = host.load();
        run(&mut session);
        let own = changes(&[
            "a/out/all",
            "b/out/all",
            "a/lint.txt",
            "b/lint.txt",
            "a/out",
            "b/out",
        ]);
        let mut told = own.clone();
        for step in 0..12 {
            for _ in 0..random.below(3) {
                happen(&host, &mut random, &mut told);
            }
            session.update(&told).unwrap();
            run(&mut session);
            told = own.clone();
            // What ran now is up to date for a session that remembers nothing; what failed would run again.
            let cold = fresh_verdicts(&host);
            session.update(&told).unwrap();
            let again = run(&mut session);
            for (id, verdict) in &cold {
                if *verdict == Verdict::MayRun {
                    // It hangs on what something that runs first will make: either is right.
                    continue;
                }
                let warm = again
                    .results
                    .values()
                    .find(|done| done.record.task == *id)
                    .unwrap();
                let skips = warm.record.status == Status::UpToDate;
                assert_eq!(
                    skips,
                    *verdict == Verdict::UpToDate,
                    "seed {seed}, step {step}: {id} {verdict:?} {:?}",
                    warm.record
                );
            }
            told = own.clone();
        }
    }
}
