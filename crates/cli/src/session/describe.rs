//! Everything that enters a task's key, gathered for the one walk that makes key and explanation.
//! Does not know what is done with either.

use std::ffi::OsString;
use std::sync::Arc;

use larder_cache::Row;
use larder_fingerprint::{self as fingerprint, Description, Digest, Explanation};

use crate::config::{Command, EnvMode};
use crate::execute::environment::{Env, Mode, environment};

use super::Session;
use super::inputs::Inputs;
use super::tree::Fault;

/// What a dependency hands on.
#[derive(Debug, Clone)]
pub struct DepResult {
    /// Its name.
    pub id: String,
    /// Digest of its outputs and of its dependencies.
    pub closure: [u8; 32],
    /// Digest of its outputs alone.
    pub manifest: [u8; 32],
    /// Whether its dependencies' outputs count too.
    pub transitive: bool,
    /// Its outputs as they lie on disk.
    pub rows: Arc<Vec<Row>>,
    /// Whether it did anything in this run.
    pub changed: bool,
}

/// A task's closure digest: BLAKE3 over its output manifest and the sorted names and closures of its dependencies.
pub fn closure(manifest: &[u8; 32], deps: &[DepResult]) -> [u8; 32] {
    closure_over(
        manifest,
        deps.iter()
            .map(|dep| (dep.id.as_str(), dep.closure))
            .collect(),
    )
}

/// As [`closure`], from names and closures.
pub fn closure_over(manifest: &[u8; 32], mut deps: Vec<(&str, [u8; 32])>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"larder closure 1\n").update(manifest);
    deps.sort_unstable();
    for (id, closure) in deps {
        hasher
            .update(&(id.len() as u64).to_le_bytes())
            .update(id.as_bytes())
            .update(&closure);
    }
    *hasher.finalize().as_bytes()
}

/// The salt of every key: that of the configuration, and what a host adds.
fn salt(session: &Session<'_>) -> String {
    let salt = session.workspace.settings.cache.salt.clone();
    let salt = salt.unwrap_or_default();
    match &session.options {
        Some(options) => format!("{salt}\n{}", super::life::hex(options)),
        None => salt,
    }
}

/// Everything that enters the key of one task, owned.
#[derive(Debug)]
pub struct Parts {
    id: String,
    commands: Vec<(bool, Vec<String>)>,
    arguments: Vec<String>,
    dependencies: Vec<(String, Digest)>,
    env: Vec<(String, Option<Vec<u8>>)>,
    tools: Vec<(String, Vec<u8>)>,
    outputs: Option<Vec<String>>,
    platform: Option<String>,
    salt: String,
}

/// The environment of a task's commands.
pub fn task_environment(session: &Session<'_>, task: usize, colour: bool) -> Env {
    let spec = &session.workspace.tasks[task];
    let settings = &session.workspace.settings;
    let declared: Vec<String> = settings
        .global_env
        .iter()
        .chain(&spec.env)
        .cloned()
        .collect();
    let passed: Vec<String> = settings
        .global_pass_through_env
        .iter()
        .chain(&spec.pass_through_env)
        .cloned()
        .collect();
    let mode = match settings.env_mode {
        EnvMode::Strict => Mode::Strict,
        EnvMode::Loose => Mode::Loose,
    };
    environment(session.env, &declared, &passed, mode, colour)
}

impl Parts {
    /// Gathers what enters the key besides files.
    ///
    /// # Errors
    /// When a tool command fails.
    pub fn gather(
        session: &Session<'_>,
        task: usize,
        id: &str,
        arguments: &[String],
        deps: &[DepResult],
    ) -> Result<Parts, Fault> {
        let workspace = &session.workspace;
        let spec = &workspace.tasks[task];
        let env = task_environment(session, task, false);
        let folder = session.path_of(&workspace.projects[spec.project].dir);
        let tool_env: Vec<(OsString, OsString)> = env.vars.clone();
        let mut tools = Vec::new();
        for tool in &spec.tools {
            tools.push((tool.clone(), session.tool(tool, &folder, &tool_env)?));
        }
        let commands = spec.command.iter().flatten().map(|command| match command {
            Command::Shell(line) => (true, vec![line.clone()]),
            Command::Argv(words) => (false, words.clone()),
        });
        let mut dependencies: Vec<(String, Digest)> = deps
            .iter()
            .map(|dep| {
                (
                    dep.id.clone(),
                    Digest(if dep.transitive {
                        dep.closure
                    } else {
                        dep.manifest
                    }),
                )
            })
            .collect();
        dependencies.sort();
        let globs = |globs: &Vec<crate::config::Glob>| {
            let text = |glob: &crate::config::Glob| {
                format!(
                    "{}{}{}",
                    if glob.negated { "!" } else { "" },
                    if glob.from_root { "$ROOT$/" } else { "" },
                    glob.glob
                )
            };
            globs.iter().map(text).collect()
        };
        Ok(Parts {
            id: id.to_owned(),
            commands: commands.collect(),
            arguments: arguments.to_vec(),
            dependencies,
            env: env.keyed,
            tools,
            outputs: match &spec.foreach {
                Some(foreach) => Some(globs(&foreach.outputs)),
                None => spec.outputs.as_ref().map(globs),
            },
            platform: (!spec.platform_independent)
                .then(|| format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
            salt: salt(session),
        })
    }

    /// Hands the description to `with`.
    fn with<T>(
        &self,
        inputs: &Inputs,
        global: &[fingerprint::Row],
        discovered: Option<&[fingerprint::Row]>,
        with: impl FnOnce(&Description<'_>) -> T,
    ) -> T {
        fn strs(texts: &[String]) -> Vec<&str> {
            texts.iter().map(String::as_str).collect()
        }
        let words: Vec<Vec<&str>> = self.commands.iter().map(|(_, words)| strs(words)).collect();
        let commands: Vec<fingerprint::Command<'_>> = self
            .commands
            .iter()
            .zip(&words)
            .map(|((shell, _), words)| fingerprint::Command {
                shell: *shell,
                words,
            })
            .collect();
        let dependencies: Vec<(&str, Digest)> = self
            .dependencies
            .iter()
            .map(|(id, digest)| (id.as_str(), *digest))
            .collect();
        let env: Vec<(&[u8], Option<&[u8]>)> = self
            .env
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_deref()))
            .collect();
        let tools: Vec<(&str, &[u8])> = self
            .tools
            .iter()
            .map(|(command, output)| (command.as_str(), output.as_slice()))
            .collect();
        let git: Vec<(&str, Digest)> = inputs
            .git
            .iter()
            .map(|(path, input)| (path.as_str(), input.digest))
            .collect();
        let outputs = self.outputs.as_deref().map(strs);
        with(&Description {
            identity: &self.id,
            commands: &commands,
            arguments: &strs(&self.arguments),
            inputs: &inputs.rows,
            global_inputs: global,
            dependencies: &dependencies,
            env: &env,
            tools: &tools,
            git_inputs: &git,
            outputs: outputs.as_deref(),
            discovered,
            platform: self.platform.as_deref(),
            salt: &self.salt,
        })
    }
}

impl Parts {
    /// Digest of all this: the key as it would be without any file.
    pub fn digest(&self) -> [u8; 32] {
        self.with(&Inputs::default(), &[], None, fingerprint::key).0
    }
}

/// All that the key of a task is made of, at one moment.
#[derive(Debug)]
pub struct Basis {
    /// Files.
    pub inputs: Inputs,
    /// Files that are the same for every task.
    pub global: Arc<Inputs>,
    /// Everything else.
    pub parts: Parts,
}

impl Basis {
    /// The key. For a task with a depfile it is the base key as long as nothing was discovered.
    pub fn key(&self) -> [u8; 32] {
        let discovered = self.inputs.discovered.as_deref();
        self.parts
            .with(
                &self.inputs,
                &self.global.rows,
                discovered,
                fingerprint::key,
            )
            .0
    }

    /// The key without what was discovered.
    pub fn base(&self) -> [u8; 32] {
        self.parts
            .with(&self.inputs, &self.global.rows, None, fingerprint::key)
            .0
    }

    /// An earlier explanation from its stored form, to be compared with this one. While nothing is known to be discovered,
    /// it says nothing of what was.
    pub fn explained_before(&self, bytes: Option<Vec<u8>>) -> Option<Explanation> {
        let mut old = decode(&bytes?)?;
        if self.inputs.discovered.is_none() {
            old.discovered.clear();
        }
        Some(old)
    }

    /// The explanation, from the same walk as the key.
    pub fn explain(&self, secret: &[u8; 32]) -> Explanation {
        let discovered = self.inputs.discovered.as_deref();
        self.parts
            .with(&self.inputs, &self.global.rows, discovered, |description| {
                fingerprint::explain(description, secret)
            })
    }
}

/// The stored form of an explanation; `None` when it cannot be encoded.
pub fn encode(explanation: &Explanation) -> Option<Vec<u8>> {
    postcard::to_stdvec(explanation).ok()
}

/// Reads the stored form; `None` when it is of another version.
pub fn decode(bytes: &[u8]) -> Option<Explanation> {
    postcard::from_bytes(bytes).ok()
}

/// Files that are the same for every task: the global inputs.
///
/// # Errors
/// When one cannot be read.
pub fn global_inputs(session: &Session<'_>) -> Result<Inputs, Fault> {
    let Some(rule) = session.compiled.global(&session.workspace)? else {
        return Ok(Inputs::default());
    };
    let mut inputs = rule.collect(&session.tree, &|path| {
        session.git_input(b"", path, &|_| false)
    })?;
    // A lock file that is not there says nothing: naming it would put the length of a list into every key.
    inputs.drop_absent();
    Ok(inputs)
}
