//! The random workspace and its reference model: what lies on disk after a run, and what has to run for it.
//! Does not know how changes are noticed, nor anything of Larder's own code.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{File, Files, below, header, is_default, is_taken, make, name};

/// How the tasks of one project are configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    /// A part of each command: of `gen`, `cc` and `pack`.
    pub(super) salts: [usize; 3],
    /// What `gen` takes in: `all`, `flat` or `no-notes`.
    pub(super) inputs: &'static str,
    /// Whether `cc` has chunks of what `gen` makes as well.
    pub(super) chains: bool,
    /// Whether `flags` is an input of all chunks.
    pub(super) flags: bool,
    /// Projects whose `pack` its own needs.
    pub(super) needs: BTreeSet<usize>,
}

/// All that somebody writes: the configuration, and the other files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct World {
    pub(super) projects: Vec<Project>,
    pub(super) sources: Files,
}

fn plain(text: impl Into<String>) -> File {
    (false, text.into())
}

impl World {
    /// One of so many projects, of which each may need those before it.
    pub(super) fn new(projects: usize) -> World {
        let project = |at: usize| Project {
            salts: [0; 3],
            inputs: "all",
            chains: at % 2 == 1,
            flags: at % 3 == 1,
            needs: (at > 0).then(|| at - 1).into_iter().collect(),
        };
        let mut sources = Files::from([("lock".to_owned(), plain("0\n"))]);
        for number in 0..3 {
            sources.insert(
                format!("inc/h{number}"),
                plain(format!("header {number}\n")),
            );
        }
        for at in 0..projects {
            for (path, text) in [
                ("src/a.c", "0 a\n"),
                ("src/d/c.c", "1 c\n"),
                ("src/g.in", "2 g\nmore\n"),
                ("notes.md", "notes\n"),
                ("flags", "-O0\n"),
                (".gitignore", "gen/\nobj/\npack.txt\n*.d\n"),
            ] {
                sources.insert(format!("p{at}/{path}"), plain(text));
            }
        }
        World {
            projects: (0..projects).map(project).collect(),
            sources,
        }
    }

    /// All files, with those of the configuration.
    pub(super) fn files(&self) -> Files {
        let mut files = self.sources.clone();
        let names: Vec<String> = (0..self.projects.len())
            .map(|at| format!("\"p{at}\""))
            .collect();
        let names = names.join(", ");
        let root = format!("[workspace]\nprojects = [{names}]\nglobal-inputs = [\"lock\"]\n");
        files.insert("larder.toml".to_owned(), plain(root));
        for (at, project) in self.projects.iter().enumerate() {
            files.insert(format!("p{at}/larder.toml"), plain(project.toml(at)));
        }
        files
    }
}

impl Project {
    fn toml(&self, at: usize) -> String {
        let globs = match self.inputs {
            "flat" => "\"src/*\"",
            "no-notes" => "\"src/**\", \"!src/**/*.md\"",
            _ => "\"src/**\"",
        };
        let quoted = |words: Vec<String>| -> String {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            words.join(", ")
        };
        let needs: Vec<String> = self.needs.iter().map(|need| format!("p{need}")).collect();
        let sources = if self.chains {
            "\"src/**/*.c\", \"gen/*.g\""
        } else {
            "\"src/**/*.c\""
        };
        let [gen_words, cc_words, pack_words] = self.commands();
        format!(
            "[project]\nname = \"p{at}\"\ndepends-on = [{needs}]\n\
             [tasks.gen]\ncommand = [{}]\ninputs = [{globs}]\noutputs = [\"gen/**\"]\n\
             [tasks.cc]\nforeach = [{sources}]\ncommand = [{}]\ninputs = [{}]\noutputs = [\"obj/{{in}}.o\"]\ndepfile = \"{{out}}.d\"\ndepends-on = [{}]\n\
             [tasks.pack]\ncommand = [{}]\noutputs = [\"pack.txt\"]\ndepends-on = [\"gen\", \"cc\", \"^pack\"]\n",
            quoted(gen_words),
            quoted(cc_words),
            if self.flags { "\"flags\"" } else { "" },
            if self.chains { "\"gen\"" } else { "" },
            quoted(pack_words),
            needs = quoted(needs),
        )
    }

    fn commands(&self) -> [Vec<String>; 3] {
        let salt = |of: usize| format!("salt-{}", self.salts[of]);
        let flags = if self.flags { "flags" } else { "none" };
        let mut pack = vec!["pack".to_owned(), salt(2)];
        pack.extend(self.needs.iter().map(|need| format!("p{need}")));
        let cc = ["cc", &salt(1), flags, "{in}", "{out}"].map(str::to_owned);
        [
            vec!["gen".to_owned(), salt(0), self.inputs.to_owned()],
            cc.to_vec(),
            pack,
        ]
    }
}

/// The reference model of runs: what was ever made of what.
#[derive(Default)]
pub(super) struct Model {
    known: BTreeSet<(String, String)>,
}

/// What a run of everything comes to.
pub(super) struct Ended {
    /// All files of the workspace, but for depfiles.
    pub(super) files: Files,
    /// What the tasks made of that.
    pub(super) made: Vec<String>,
    /// The tasks and chunks whose commands run, sorted.
    pub(super) ran: Vec<String>,
}

impl Model {
    /// Runs everything. A command runs if nobody ever made the same of the same.
    pub(super) fn run(&mut self, world: &World) -> Ended {
        let mut files = world.files();
        let (mut made, mut ran) = (Vec::new(), Vec::new());
        let mut closures: BTreeMap<usize, String> = BTreeMap::new();
        let lock = files["lock"].1.clone();
        for (at, project) in world.projects.iter().enumerate() {
            let dir = format!("p{at}");
            let [gen_words, cc_words, pack_words] = project.commands();
            let mut run = |words: &[String], of: String, files: &mut Files| -> Files {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let new = make(&words, &dir, files);
                let name = name(&words, &dir);
                // What is the same whatever is made: the command and the global inputs.
                if self
                    .known
                    .insert((name.clone(), format!("{words:?}{lock}{of}")))
                {
                    ran.push(name);
                }
                let new: Files = new
                    .into_iter()
                    .filter(|(path, _)| !path.ends_with(".d"))
                    .collect();
                made.extend(new.keys().cloned());
                files.extend(new.clone());
                new
            };
            let taken: Vec<(&str, &File)> = below(&files, &dir)
                .filter(|(path, _)| is_taken(project.inputs, path))
                .collect();
            let of = format!("{taken:?}");
            let gen_closure = format!("{:?}", run(&gen_words, of, &mut files));
            let beside = if project.chains {
                gen_closure.as_str()
            } else {
                ""
            };
            let listed = project.flags.then(|| files.get(&format!("{dir}/flags")));
            let listed = format!("{listed:?}{beside}");
            let sources: Vec<(String, File)> = below(&files, &dir)
                .filter(|(path, _)| {
                    (path.starts_with("src/") && path.ends_with(".c"))
                        || (project.chains && path.starts_with("gen/") && path.ends_with(".g"))
                })
                .map(|(path, file)| (path.to_owned(), file.clone()))
                .collect();
            let mut objects = Files::new();
            for (path, file) in sources {
                let mut words = cc_words.clone();
                words[3].clone_from(&path);
                words[4] = format!("obj/{path}.o");
                let read = &files[&header(&file.1)];
                let of = format!("{file:?}{read:?}{listed}");
                objects.extend(run(&words, of, &mut files));
            }
            let inputs: Vec<(&str, &File)> = below(&files, &dir)
                .filter(|(path, _)| is_default(&files, &dir, path))
                .collect();
            let needs: Vec<&String> = project.needs.iter().map(|need| &closures[need]).collect();
            let closure = format!("{gen_closure}{objects:?}{beside}{needs:?}");
            let of = format!("{inputs:?}{closure}");
            let packed = run(&pack_words, of, &mut files);
            closures.insert(at, format!("{packed:?}{closure}"));
        }
        ran.sort();
        Ended { files, made, ran }
    }
}
