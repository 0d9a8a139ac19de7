//! Random edits of the sources of a chain of `foreach` tasks, against a naive model: what is on disk is what a clean build
//! would leave, and exactly the chunks ran that had to. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};

use crate::sandbox::Sandbox;

const CONFIG: &str = r#"
[tasks.gen]
foreach = "src/**/*.in"
command = "echo gen {stem} >> ../ran.log; tr a-z A-Z < {in} > {out}"
outputs = ["mid/{stem}.c"]

[tasks.cc]
foreach = ["mid/*.c", "own/*.c"]
command = "echo cc {stem} >> ../ran.log; cat {in} inc/$(printf %s {stem} | cut -c1).h > {out}; echo {out}: {in} inc/$(printf %s {stem} | cut -c1).h > {out}.d"
outputs = ["out/{stem}.o"]
depfile = "{out}.d"
depends-on = ["gen"]

[tasks.all]
command = "echo all >> ../ran.log; cat out/*.o > all"
inputs = []
outputs = ["all"]
depends-on = ["cc"]
"#;

/// A generator of numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Default)]
struct Model {
    /// Texts of `src/**/N.in`, of `own/N.c` and of `inc/L.h`, by path.
    files: BTreeMap<String, String>,
    /// What each chunk, and the task `all`, was last made of.
    last: BTreeMap<String, String>,
    /// What the cache holds: what was made, and of what.
    cached: BTreeSet<(String, String)>,
}

impl Model {
    /// Makes something if it has to be; whether its command runs.
    fn make(&mut self, what: &str, of: &str, cache: bool) -> bool {
        let known = self.last.insert(what.to_owned(), of.to_owned());
        if known.as_deref() == Some(of) {
            return false;
        }
        let stored = (what.to_owned(), of.to_owned());
        if !cache {
            return true;
        }
        self.cached.insert(stored)
    }

    /// What a run leaves below `mid`, `out` and `all`, and which commands run.
    fn run(&mut self, cache: bool) -> (BTreeMap<String, String>, Vec<String>) {
        let files = self.files.clone();
        let (mut made, mut ran, mut there) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        let mut mid: BTreeMap<String, String> = BTreeMap::new();
        for (path, text) in &files {
            if let Some(stem) = path.strip_suffix(".in") {
                let stem = stem.rsplit('/').next().unwrap();
                if self.make(&format!("gen {path}"), text, cache) {
                    ran.push(format!("gen {stem}"));
                }
                there.insert(format!("gen {path}"));
                mid.insert(format!("mid/{stem}.c"), text.to_uppercase());
            }
        }
        made.extend(mid.clone());
        mid.extend(
            files
                .iter()
                .filter(|(path, _)| path.starts_with("own/"))
                .map(|(path, text)| (path.clone(), text.clone())),
        );
        let mut whole = String::new();
        let mut objects = BTreeMap::new();
        // A chunk whose source nobody made depends on all that `gen` made.
        let all_gen: String = joined(&made);
        for (path, text) in &mid {
            let stem = path.rsplit('/').next().unwrap().strip_suffix(".c").unwrap();
            let header = &files[&format!("inc/{}.h", &stem[..1])];
            let beside = if path.starts_with("own/") {
                &all_gen
            } else {
                ""
            };
            let of = format!("{text}|{header}|{beside}");
            if self.make(&format!("cc {path}"), &of, cache) {
                ran.push(format!("cc {stem}"));
            }
            there.insert(format!("cc {path}"));
            objects.insert(format!("out/{stem}.o"), format!("{text}{header}"));
        }
        whole.extend(objects.values().cloned());
        let listed: String = joined(&objects);
        made.extend(objects);
        if self.make("all", &format!("{listed}|{all_gen}"), cache) {
            ran.push("all".to_owned());
        }
        made.insert("all".to_owned(), whole);
        there.insert("all".to_owned());
        self.last.retain(|what, _| there.contains(what));
        ran.sort();
        (made, ran)
    }
}

fn joined(files: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = files
        .iter()
        .map(|(path, text)| format!("{path}={text}"))
        .collect();
    lines.concat()
}

fn on_disk(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["mid", "out"] {
        for path in crate::sandbox::files(&sandbox.path(folder)) {
            let name = path.strip_prefix(sandbox.root()).unwrap().to_str().unwrap();
            if !name.contains(".o.d") {
                found.insert(name.to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found.insert("all".to_owned(), sandbox.read("all"));
    found
}

#[test]
fn any_edits_lead_to_what_a_clean_build_leaves_and_run_exactly_what_they_must() {
    for seed in 1..=4_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let sandbox = Sandbox::new(&[("larder.toml", CONFIG)]);
        let mut model = Model::default();
        for letter in ["a", "b"] {
            model
                .files
                .insert(format!("inc/{letter}.h"), format!("header {letter}\n"));
        }
        model.files.insert("src/a0.in".into(), "zero\n".into());
        model.files.insert("own/b9.c".into(), "own\n".into());
        for (path, text) in &model.files {
            sandbox.write(path, text);
        }
        for step in 0..14 {
            let headers = random.below(5) == 0;
            for _ in 0..=random.below(3) {
                let text = format!("text {}\n", random.below(4));
                let letter = ["a", "b"][usize::try_from(random.below(2)).unwrap()];
                let path = if headers {
                    format!("inc/{letter}.h")
                } else if random.below(6) == 0 {
                    "own/b9.c".to_owned()
                } else {
                    let folder = if letter == "a" { "src" } else { "src/deep" };
                    format!("{folder}/{letter}{}.in", random.below(4))
                };
                if path.starts_with("src/") && random.below(3) == 0 && model.files.len() > 5 {
                    if model.files.remove(&path).is_some() {
                        sandbox.remove(&path);
                    }
                } else if model.files.get(&path) != Some(&text) {
                    sandbox.write(&path, &text);
                    model.files.insert(path, text);
                }
            }
            let cache = random.below(4) != 0;
            let slots = 1 + random.below(4);
            let flag = if cache { "" } else { " --cache=local:" };
            let outcome = sandbox.larder(&format!("all --concurrency={slots}{flag}"));
            let about = format!("seed {seed}, step {step}\n{}", outcome.all());
            assert_eq!(outcome.code, 0, "{about}");
            assert!(!outcome.stderr.contains("not stored"), "{about}");
            let (made, ran) = model.run(cache);
            assert_eq!(on_disk(&sandbox), made, "{about}");
            assert_eq!(sandbox.ran(), ran, "{about}");
        }
    }
}
