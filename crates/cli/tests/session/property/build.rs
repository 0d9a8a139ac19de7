//! The commands of the random workspace, done in this process: what each makes is a plain function of what it can see.
//! Does not know keys, caches or which of them run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use larder::execute::{Cancel, Command, End, Executor, Exit, Spec, Stream};

/// A file: whether it may be executed, and its text.
pub(super) type File = (bool, String);
/// Files by their path in the workspace.
pub(super) type Files = BTreeMap<String, File>;

/// The files below a folder of the disk, but for what Larder keeps.
pub(super) fn on_disk(root: &Path) -> Files {
    let mut files = Files::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        // What another command's task removes meanwhile is none of this one's inputs.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.ends_with(".larder") {
                continue;
            }
            let Ok(stat) = path.symlink_metadata() else {
                continue;
            };
            if stat.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let executable = stat.permissions().mode() & 0o100 != 0;
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            files.insert(name.to_owned(), (executable, text));
        }
    }
    files
}

/// Writes a file; the folders above are made.
pub(super) fn put(path: &Path, (executable, text): &File) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    set_executable(path, *executable);
}

pub(super) fn set_executable(path: &Path, executable: bool) {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Files of a folder, by their path in it.
pub(super) fn below<'f>(
    files: &'f Files,
    folder: &str,
) -> impl Iterator<Item = (&'f str, &'f File)> {
    let folder = format!("{folder}/");
    files.iter().filter_map(move |(path, file)| {
        let name = path.strip_prefix(&folder)?;
        Some((name, file))
    })
}

/// Whether the inputs of `gen` take a path of its project in.
pub(super) fn is_taken(inputs: &str, path: &str) -> bool {
    let Some(name) = path.strip_prefix("src/") else {
        return false;
    };
    match inputs {
        "flat" => !name.contains('/'),
        "no-notes" => !name.ends_with(".md"),
        _ => true,
    }
}

/// Whether the default inputs of a project take a path in, before outputs are left out.
pub(super) fn is_default(files: &Files, project: &str, path: &str) -> bool {
    // Those of the root are no inputs of the project themselves.
    let rules = [".gitignore".to_owned(), format!("{project}/.gitignore")];
    let hides = |rule: &str| {
        let mut rules = rules.iter().filter_map(|path| files.get(path));
        rules.any(|(_, text)| text.lines().any(|line| line == rule))
    };
    let kept = ["gen/", "obj/"].iter().any(|dir| path.starts_with(dir));
    let hidden = path.ends_with(".d") || (path.ends_with(".log") && hides("*.log"));
    !kept && !hidden && !["larder.toml", "pack.txt"].contains(&path)
}

/// The header that a source names by its first letter; of other letters, the first header.
pub(super) fn header(text: &str) -> String {
    let first = text
        .chars()
        .next()
        .filter(|first| ('0'..'3').contains(first));
    format!("inc/h{}", first.unwrap_or('0'))
}

/// What a command makes of what it sees, in a project.
pub(super) fn make(words: &[&str], project: &str, files: &Files) -> Files {
    let text = |path: &str| files.get(path).map_or("", |(_, text)| text);
    let mut made = Files::new();
    match *words {
        ["gen", salt, inputs] => {
            let taken = below(files, project).filter(|(path, _)| is_taken(inputs, path));
            let mut index = format!("{salt}\n");
            for (path, (executable, text)) in taken {
                index.extend([path, "\n"]);
                if path.ends_with(".in") {
                    // What follows the first line changes nothing.
                    let first = text.lines().next().unwrap_or_default();
                    let flat = path.replace('/', "-");
                    let file = (*executable, format!("{first}\n"));
                    made.insert(format!("{project}/gen/{flat}.g"), file);
                }
            }
            made.insert(format!("{project}/gen/index"), (false, index));
        }
        ["cc", salt, flags, source, out] => {
            let source_text = text(&format!("{project}/{source}"));
            let header = header(source_text);
            let flags = text(&format!("{project}/{flags}"));
            let object = format!("{salt}\n{flags}{source_text}{}", text(&header));
            made.insert(format!("{project}/{out}"), (false, object));
            let depfile = format!("{out}: {source} ../{header}\n");
            made.insert(format!("{project}/{out}.d"), (false, depfile));
        }
        ["pack", salt, ref needs @ ..] => {
            let mut list = format!("{salt}\n");
            for (path, (executable, text)) in below(files, project) {
                let made =
                    (path.starts_with("gen/") || path.starts_with("obj/")) && !path.ends_with(".d");
                if made || is_default(files, project, path) {
                    let may = if *executable { " may run " } else { " " };
                    list.extend([path, may, text, "\n"]);
                }
            }
            for need in needs {
                list.extend([need, " ", text(&format!("{need}/pack.txt")), "\n"]);
            }
            made.insert(format!("{project}/pack.txt"), (true, list));
        }
        _ => panic!("nobody knows the command {words:?}"),
    }
    made
}

/// Runs these commands on the real disk and notes which did.
#[derive(Default)]
pub(super) struct InProcess {
    ran: Mutex<Vec<String>>,
}

impl InProcess {
    /// Takes what ran since the last call, sorted.
    pub(super) fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }
}

impl Executor for InProcess {
    fn run(
        &self,
        spec: &Spec,
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        _cancel: &Cancel,
    ) -> io::Result<End> {
        let Command::Argv(words) = &spec.command else {
            panic!("no shell is run here");
        };
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let project = spec.cwd.file_name().unwrap().to_str().unwrap();
        let root: PathBuf = spec.cwd.parent().unwrap().to_owned();
        self.ran.lock().unwrap().push(name(&words, project));
        for (path, file) in make(&words, project, &on_disk(&root)) {
            put(&root.join(path), &file);
        }
        output(Stream::Stdout, b"done\n");
        Ok(Exit::Code(0).into())
    }
}

/// How a task or a chunk is called.
pub(super) fn name(words: &[&str], project: &str) -> String {
    match *words {
        ["cc", _, _, source, _] => format!("{project}#cc[{source}]"),
        ref words => format!("{project}#{}", words[0]),
    }
}
