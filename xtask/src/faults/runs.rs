//! Runs of the campaign: the little workspace they start from, what must come out, what must not be lost.
//! Knows nothing of faults, nor of archives.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::folders::clear;
use super::place::{Place, Start, stderr};

const CONFIG: &str = r#"
[tasks.gen]
command = "echo gen >> ../ran.log; mkdir -p gen/deep gen/hollow; for n in $(cat names); do cat src.txt > gen/deep/$n; done; cat big.bin > gen/big; echo tool > gen/tool; chmod 755 gen/tool; ln -sf deep/first gen/link; echo made"
inputs = ["src.txt", "names", "big.bin"]
outputs = ["gen/**"]

[tasks.app]
depends-on = ["gen"]
command = "echo app >> ../ran.log; mkdir -p app/out; cat gen/link gen/tool > app/out/sum"
inputs = []
outputs = ["app/out/**"]

[tasks.mixed]
depends-on = ["gen"]
command = "echo mixed >> ../ran.log; mkdir -p mixed; cat gen/link > mixed/made"
inputs = []
outputs = ["mixed/**"]

[tasks.parts]
foreach = "pieces/*.txt"
command = "echo parts >> ../ran.log; cat {in} > {out}"
outputs = ["parts/{stem}"]
"#;

/// What a run starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// Nothing is known; everything runs and is stored.
    Cold,
    /// The outputs are gone; all come from the cache.
    Restore,
    /// Another clone with the same cache, and files of its user where outputs belong.
    Clone,
    /// The user edited outputs: they are rescued, and the outputs come from the cache.
    Rescue,
    /// Inputs were edited, one output is stale, and the user edited another.
    Edit,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario::Cold,
    Scenario::Restore,
    Scenario::Clone,
    Scenario::Rescue,
    Scenario::Edit,
];

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Scenario::Cold => "cold",
            Scenario::Restore => "restore",
            Scenario::Clone => "clone",
            Scenario::Rescue => "rescue",
            Scenario::Edit => "edit",
        }
    }

    fn edited(self) -> bool {
        self == Scenario::Edit
    }

    /// What the user wrote where outputs lie: it must be somewhere in the workspace afterwards.
    fn precious(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Scenario::Cold | Scenario::Restore => &[],
            Scenario::Clone => &[
                ("gen/tool", "tool of the clone's user"),
                ("app/out/sum", "sum of the clone's user"),
                ("parts/a", "part of the clone's user"),
            ],
            Scenario::Rescue => &[
                ("gen/deep/first", "precious first"),
                ("gen/link", "precious file in place of a link"),
                ("gen/tool", "precious tool"),
                ("app/out/sum", "precious sum"),
                ("parts/a", "precious part"),
            ],
            Scenario::Edit => &[
                ("gen/deep/second", "precious stale one"),
                ("app/out/sum", "precious sum"),
                ("parts/b", "precious part of a source that is gone"),
            ],
        }
    }
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
    EmptyFolder,
}

/// The command under test.
const RUN: &[&str] = &["run", "app", "mixed", "parts", "--concurrency", "1"];

/// `larder run` in one of the scenarios.
struct Run<'p> {
    place: &'p Place,
    scenario: Scenario,
}

/// All runs that are struck.
pub(super) fn starts(place: &Place) -> Vec<Box<dyn Start + '_>> {
    let run = |scenario| Box::new(Run { place, scenario }) as Box<dyn Start>;
    SCENARIOS.into_iter().map(run).collect()
}

impl Start for Run<'_> {
    fn name(&self) -> &'static str {
        self.scenario.name()
    }

    fn args(&self) -> &'static [&'static str] {
        RUN
    }

    fn prepare(&self) -> io::Result<()> {
        let scenario = self.scenario;
        let ws = self.workspace();
        for folder in ["mixed", "app", "pieces"] {
            fs::create_dir_all(ws.join(folder))?;
        }
        for (path, content) in users(false) {
            fs::write(ws.join(path), content)?;
        }
        if scenario != Scenario::Cold {
            self.place.succeeds(RUN)?;
        }
        if matches!(scenario, Scenario::Restore | Scenario::Clone) {
            forget_outputs(&ws)?;
        }
        if scenario == Scenario::Clone {
            fs::remove_dir_all(ws.join(".larder"))?;
        }
        if scenario.edited() {
            fs::remove_file(ws.join("pieces/b.txt"))?;
            for (path, content) in users(true) {
                fs::write(ws.join(path), content)?;
            }
        }
        for (path, content) in scenario.precious() {
            let path = ws.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&ws))?;
            let _ = fs::remove_file(&path);
            fs::write(path, content)?;
        }
        let _ = fs::remove_file(self.place.dir().join("ran.log"));
        Ok(())
    }

    fn after_success(&self, _: &str) -> io::Result<Option<String>> {
        Ok(self.right())
    }

    fn heals(&self, _: &str) -> io::Result<Option<String>> {
        self.mends()
    }
}

impl Run<'_> {
    fn workspace(&self) -> PathBuf {
        self.place.workspace()
    }

    fn larder(&self, args: &[&str]) -> io::Result<Output> {
        self.place.larder(args)
    }

    fn plain(&self) -> io::Result<Output> {
        self.larder(RUN)
    }

    /// What is wrong right after a run that said it succeeded.
    fn right(&self) -> Option<String> {
        self.lost().or_else(|| self.wrong())
    }

    /// Whether a file of the user is gone or altered.
    fn lost(&self) -> Option<String> {
        let scenario = self.scenario;
        let ws = self.workspace();
        for (path, content) in users(scenario.edited()) {
            if fs::read(ws.join(path)).ok().as_deref() != Some(&content) {
                return Some(format!("the user's {path} is lost or altered"));
            }
        }
        let tree = tree(&ws).ok()?;
        let ran = self.ran();
        for (path, content) in scenario.precious() {
            // What a command writes over without having owned it, it would write over without larder too.
            let task = path.split('/').next().unwrap_or_default();
            if scenario == Scenario::Clone && ran.iter().any(|name| name == task) {
                continue;
            }
            let kept = |node: &Node| matches!(node, Node::File { content: is, .. } if is == content.as_bytes());
            if !tree.values().any(kept) {
                return Some(format!("what the user wrote to {path} is nowhere any more"));
            }
        }
        None
    }

    /// Whether an output is not byte for byte what it must be, or too much or too little is there.
    fn wrong(&self) -> Option<String> {
        let expected = expected(self.scenario.edited());
        let mut found = BTreeMap::new();
        for folder in ["gen", "app", "mixed", "parts"] {
            let below = tree(&self.workspace().join(folder)).unwrap_or_default();
            found.extend(
                below
                    .into_iter()
                    .map(|(path, node)| (Path::new(folder).join(path), node)),
            );
        }
        for (path, node) in &expected {
            match found.remove(path) {
                None => return Some(format!("{} is missing", path.display())),
                Some(other) if other != *node => {
                    return Some(format!("{} is wrong: {}", path.display(), brief(&other)));
                }
                Some(_) => {}
            }
        }
        let (path, _) = found.first_key_value()?;
        Some(format!("{} is there and belongs to nobody", path.display()))
    }

    /// Everything that must hold after a fault: a second run without one mends what is to be mended, the cache is
    /// sound, and what it holds restores.
    fn mends(&self) -> io::Result<Option<String>> {
        if let Some(lost) = self.lost() {
            return Ok(Some(format!("after the fault: {lost}")));
        }
        let again = self.plain()?;
        if let Some(bad) = self.judge(&again, "the next run") {
            return Ok(Some(bad));
        }
        // What a check finds bad it sets aside, and then nothing bad is left.
        let check = self.larder(&["cache", "verify"])?;
        let text = String::from_utf8_lossy(&check.stdout).into_owned()
            + &String::from_utf8_lossy(&check.stderr);
        if !check.status.success() && !text.contains("set aside") {
            return Ok(Some(format!("`cache verify` fails: {text}")));
        }
        if !self.larder(&["cache", "verify"])?.status.success() {
            return Ok(Some(
                "a second `cache verify` still finds something".to_owned(),
            ));
        }
        let made_again = self.plain()?;
        if let Some(bad) = self.judge(&made_again, "the run after the check") {
            return Ok(Some(bad));
        }
        // A result that a fault kept from the cache is stored by the first of these runs.
        let mut last = None;
        let mut before = 0;
        for _ in 0..2 {
            forget_outputs(&self.workspace())?;
            before = self.ran().len();
            let restored = self.plain()?;
            if let Some(bad) = self.judge(&restored, "the run after the outputs were deleted") {
                return Ok(Some(bad));
            }
            last = Some(restored);
        }
        let ran = self.ran();
        let executed = ran.iter().skip(before).find(|task| *task != "mixed");
        Ok(executed.map(|task| {
            let said = last.as_ref().map(stderr).unwrap_or_default();
            format!("{task} was not restored but ran: {said}")
        }))
    }

    /// The tasks whose commands were executed since the place was reset, in order.
    fn ran(&self) -> Vec<String> {
        let log = fs::read_to_string(self.place.dir().join("ran.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn judge(&self, output: &Output, when: &str) -> Option<String> {
        if !output.status.success() {
            return Some(format!(
                "{when} fails: {} {}",
                output.status,
                stderr(output)
            ));
        }
        self.right()
            .map(|bad| format!("after {when}: {bad}\n{}", stderr(output)))
    }
}

/// Files that only the user writes.
fn users(edited: bool) -> Vec<(&'static str, Vec<u8>)> {
    let texts = [
        ("larder.toml", CONFIG),
        ("src.txt", if edited { "two\n" } else { "one\n" }),
        (
            "names",
            if edited {
                "first third\n"
            } else {
                "first second\n"
            },
        ),
        ("app/notes.txt", "notes beside outputs\n"),
        ("mixed/user.txt", "a user's file under the output globs\n"),
        ("pieces/a.txt", if edited { "two\n" } else { "one\n" }),
        (
            if edited {
                "pieces/c.txt"
            } else {
                "pieces/b.txt"
            },
            "part\n",
        ),
    ];
    let mut files: Vec<_> = texts
        .into_iter()
        .map(|(path, text)| (path, text.as_bytes().to_vec()))
        .collect();
    files.push(("big.bin", big()));
    files
}

/// Content that takes more than one write, and does not shrink to nothing.
pub(super) fn big() -> Vec<u8> {
    let mut word = 1_u64;
    let next = std::iter::repeat_with(move || {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        word.to_be_bytes()[0]
    });
    next.take(300_000).collect()
}

fn expected(edited: bool) -> BTreeMap<PathBuf, Node> {
    let source = if edited { "two\n" } else { "one\n" };
    let file = |content: &[u8], executable| Node::File {
        content: content.to_vec(),
        executable,
    };
    let sum = format!("{source}tool\n");
    let nodes = [
        ("gen/deep/first", file(source.as_bytes(), false)),
        (
            if edited {
                "gen/deep/third"
            } else {
                "gen/deep/second"
            },
            file(source.as_bytes(), false),
        ),
        ("gen/hollow", Node::EmptyFolder),
        ("gen/big", file(&big(), false)),
        ("gen/tool", file(b"tool\n", true)),
        ("gen/link", Node::Link("deep/first".into())),
        ("app/out/sum", file(sum.as_bytes(), false)),
        ("app/notes.txt", file(b"notes beside outputs\n", false)),
        ("mixed/made", file(source.as_bytes(), false)),
        ("parts/a", file(source.as_bytes(), false)),
        (
            if edited { "parts/c" } else { "parts/b" },
            file(b"part\n", false),
        ),
        (
            "mixed/user.txt",
            file(b"a user's file under the output globs\n", false),
        ),
    ];
    nodes
        .into_iter()
        .map(|(path, node)| (path.into(), node))
        .collect()
}

fn brief(node: &Node) -> String {
    match node {
        Node::File {
            content,
            executable,
        } => format!(
            "{} bytes, executable: {executable}, {:?}",
            content.len(),
            String::from_utf8_lossy(&content[..content.len().min(40)])
        ),
        Node::Link(text) => format!("a link to {}", text.display()),
        Node::EmptyFolder => "an empty folder".to_owned(),
    }
}

fn forget_outputs(ws: &Path) -> io::Result<()> {
    clear(&ws.join("gen"))?;
    clear(&ws.join("app/out"))?;
    clear(&ws.join("parts"))?;
    match fs::remove_file(ws.join("mixed/made")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All leaves below a folder.
fn tree(folder: &Path) -> io::Result<BTreeMap<PathBuf, Node>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let below = tree(&path)?;
            if below.is_empty() {
                found.insert(name, Node::EmptyFolder);
            } else {
                found.extend(
                    below
                        .into_iter()
                        .map(|(leaf, node)| (name.join(leaf), node)),
                );
            }
        } else if kind.is_symlink() {
            found.insert(name, Node::Link(fs::read_link(path)?));
        } else {
            let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
            let content = fs::read(path)?;
            found.insert(
                name,
                Node::File {
                    content,
                    executable,
                },
            );
        }
    }
    Ok(found)
}
