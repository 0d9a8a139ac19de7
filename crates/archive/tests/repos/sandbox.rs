//! A main repository with three submodules, one of which holds a fourth, and a bare remote for each.
//! Reads nothing of its user: home, configuration and environment are its own.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Once, OnceLock};

use larder_archive::repos::{
    Git, Outcome, PushPlan, PushReport, RepoState, Stop, plan, push, scan,
};

/// The submodules, as the plan pushes them.
pub(crate) const MODULES: [&str; 4] = ["libs/c", "libs/b", "libs/a/deep", "libs/a"];

static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();

pub(crate) struct Sandbox {
    pub(crate) folder: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        no_configuration_of_the_user();
        let template = TEMPLATE.get_or_init(template);
        let sandbox = Self::empty();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(template.join("."))
            .arg(sandbox.folder.path())
            .status();
        assert!(copied.unwrap().success());
        for module in ["", "a/", "a/modules/deep/", "b/", "c/"] {
            let folder = if module.is_empty() {
                String::new()
            } else {
                format!("modules/libs/{module}")
            };
            let config = sandbox.at(&format!("work/.git/{folder}config"));
            let text = std::fs::read_to_string(&config).unwrap();
            let here = sandbox.folder.path().to_str().unwrap();
            let text = text.replace(template.to_str().unwrap(), here);
            std::fs::write(&config, text).unwrap();
        }
        sandbox
    }

    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn fill(&self) {
        std::fs::create_dir(self.at("home")).unwrap();
        for name in ["deep", "a", "b", "c", "main"] {
            self.git(".", &["init", "-q", "--bare", "-b", "main", &remote(name)]);
            let seed = format!("seed/{name}");
            self.clone_of(name, &seed);
            self.write(&format!("{seed}/file"), "1\n");
            match name {
                "a" => self.submodule(&seed, "deep", "deep"),
                "main" => {
                    for module in ["a", "b", "c"] {
                        self.submodule(&seed, module, &format!("libs/{module}"));
                    }
                }
                _ => {}
            }
            self.commit(&seed);
            self.git(&seed, &["push", "-q", "origin", "main"]);
        }
        let remote = self.at(&remote("main"));
        let remote = remote.to_str().unwrap();
        self.git(
            ".",
            &["clone", "-q", "--recurse-submodules", remote, "work"],
        );
        for module in MODULES {
            let folder = format!("work/{module}");
            self.git(&folder, &["switch", "-q", "main"]);
            self.name_author(&folder);
        }
        self.name_author("work");
        std::fs::remove_dir_all(self.at("seed")).unwrap();
    }

    fn submodule(&self, folder: &str, name: &str, at: &str) {
        // Relative to the remote of what holds it.
        let remote = format!("../{name}.git");
        self.git(folder, &["submodule", "--quiet", "add", &remote, at]);
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.at("work")
    }

    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap();
        let mut environment = vec![
            ("PATH".into(), path),
            ("HOME".into(), self.at("home").into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
            ("GIT_TEMPLATE_DIR".into(), "".into()),
        ];
        // The last two only make it fast.
        let configuration = [
            ("protocol.file.allow", "always"),
            ("core.fsync", "none"),
            ("maintenance.auto", "false"),
        ];
        let count = configuration.len().to_string();
        environment.push(("GIT_CONFIG_COUNT".into(), count.into()));
        for (at, (name, value)) in configuration.into_iter().enumerate() {
            environment.push((format!("GIT_CONFIG_KEY_{at}").into(), name.into()));
            environment.push((format!("GIT_CONFIG_VALUE_{at}").into(), value.into()));
        }
        environment
    }

    pub(crate) fn program(&self) -> Git {
        Git {
            program: "git".into(),
            environment: self.environment(),
            own_group: true,
        }
    }

    pub(crate) fn try_git(&self, folder: &str, arguments: &[&str]) -> Output {
        Command::new("git")
            .args(arguments)
            .env_clear()
            .envs(self.environment())
            .current_dir(self.at(folder))
            .output()
            .unwrap()
    }

    pub(crate) fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let output = self.try_git(folder, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn clone_of(&self, name: &str, folder: &str) {
        let remote = self.at(&remote(name));
        self.git(".", &["clone", "-q", remote.to_str().unwrap(), folder]);
        self.name_author(folder);
    }

    fn name_author(&self, folder: &str) {
        self.git(folder, &["config", "user.name", "A"]);
        self.git(folder, &["config", "user.email", "a@example.org"]);
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits all there is, and gives the commit.
    pub(crate) fn commit(&self, folder: &str) -> String {
        self.git(folder, &["add", "--all"]);
        self.git(folder, &["commit", "-q", "-m", "c"]);
        self.head(folder)
    }

    /// A new commit in each submodule, inner ones first, and in the main repository.
    pub(crate) fn commit_everywhere(&self) {
        for module in ["libs/a/deep", "libs/a", "libs/b", "libs/c"] {
            self.write(&format!("work/{module}/file"), "2\n");
            self.commit(&format!("work/{module}"));
        }
        self.write("work/file", "2\n");
        self.commit("work");
    }

    pub(crate) fn head(&self, folder: &str) -> String {
        self.git(folder, &["rev-parse", "HEAD"])
    }

    /// The commit of `main` at a remote.
    pub(crate) fn remote_head(&self, name: &str) -> String {
        self.git(&remote(name), &["rev-parse", "refs/heads/main"])
    }

    /// Whether the remote has what the repository has.
    pub(crate) fn is_pushed(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap();
        let name = if name.is_empty() { "main" } else { name };
        self.remote_head(name) == self.head(&format!("work/{path}"))
    }

    /// Another clone pushes a commit.
    pub(crate) fn advance_remote(&self, name: &str) {
        let folder = format!("other-{name}");
        self.clone_of(name, &folder);
        self.write(&format!("{folder}/theirs"), "t\n");
        self.commit(&folder);
        self.git(&folder, &["push", "-q", "origin", "main"]);
    }

    pub(crate) fn hook(&self, repository: &str, name: &str, script: &str) {
        let path = format!("{repository}/hooks/{name}");
        self.write(&path, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.at(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn scan(&self) -> Vec<RepoState> {
        scan(&self.root()).unwrap()
    }

    pub(crate) fn push(&self, workers: usize) -> PushReport {
        let plan = plan(&self.scan(), &[]).unwrap();
        run(&plan, &self.program(), workers)
    }
}

/// Pushes without ever being told to stop.
pub(crate) fn run(plan: &PushPlan, git: &Git, workers: usize) -> PushReport {
    push(plan, git, workers.try_into().unwrap(), &|| Stop::Not)
}

pub(crate) fn remote(name: &str) -> String {
    format!("remotes/{name}.git")
}

pub(crate) fn outcome<'a>(report: &'a PushReport, path: &str) -> &'a Outcome {
    let mut steps = report.steps.iter();
    &steps.find(|step| step.path == path).unwrap().outcome
}

pub(crate) fn state<'a>(states: &'a [RepoState], path: &str) -> &'a RepoState {
    states.iter().find(|state| state.path == path).unwrap()
}

/// Made once, and copied for each test. It lies in Cargo's folder for files of tests, since nobody can tell the last test.
fn template() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for old in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let is_ours = old.file_name().to_string_lossy().starts_with("repos-");
        let age = old.metadata().and_then(|found| found.modified());
        let is_old = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() > 3600));
        if is_ours && is_old {
            let _ = std::fs::remove_dir_all(old.path());
        }
    }
    let folder = tempfile::Builder::new()
        .prefix("repos-")
        .tempdir_in(folder)
        .unwrap();
    let sandbox = Sandbox { folder };
    sandbox.fill();
    sandbox.folder.keep()
}

/// Whoever runs the tests may be named as an author, or want commits signed.
fn no_configuration_of_the_user() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [
            git2::ConfigLevel::System,
            git2::ConfigLevel::Global,
            git2::ConfigLevel::XDG,
            git2::ConfigLevel::ProgramData,
        ] {
            // SAFETY: the only demand is that no other thread is in libgit2, and all tests wait for this one.
            unsafe { git2::opts::set_search_path(level, Path::new("/nonexistent")) }.unwrap();
        }
    });
}
