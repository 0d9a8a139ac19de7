//! The executor's double: answers commands from a script and starts nothing.
//! Knows nothing of processes. Stricter than the real one: what was not scripted is an error.

use super::{Cancel, End, Executor, Exit, Spec, Stream, argv};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// What a scripted command does to the disk.
pub type Action = Box<dyn Fn(&Spec) -> io::Result<()> + Send + Sync>;

/// What a scripted command does.
pub struct Script {
    /// What it writes, in order.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// What it does to the disk, before it writes.
    pub action: Option<Action>,
    /// How it ends.
    pub exit: Exit,
}

/// Answers each command by its line: the shell line or the argv joined by spaces, with extra arguments.
#[derive(Default)]
pub struct ScriptedExecutor {
    scripts: BTreeMap<String, Script>,
    calls: Mutex<Vec<Spec>>,
}

impl ScriptedExecutor {
    /// An executor that knows no command yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Teaches it one command.
    #[must_use]
    pub fn on(mut self, line: &str, script: Script) -> Self {
        self.scripts.insert(line.to_owned(), script);
        self
    }

    /// What was asked of it so far, in order.
    pub fn calls(&self) -> Vec<Spec> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The line by which a spec is looked up.
fn line(spec: &Spec) -> String {
    let words = argv(spec);
    let words = match &spec.command {
        super::Command::Shell(_) => &words[2..],
        super::Command::Argv(_) => &words[..],
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

impl Executor for ScriptedExecutor {
    fn run(
        &self,
        spec: &Spec,
        output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: &Cancel,
    ) -> io::Result<End> {
        if cancel.is_raised() {
            return Ok(Exit::Interrupted.into());
        }
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(spec.clone());
        if !spec.cwd.is_absolute() || !spec.cwd.is_dir() {
            return refuse(format!(
                "no absolute, existing folder: {}",
                spec.cwd.display()
            ));
        }
        let mut names: Vec<_> = spec.env.iter().map(|(name, _)| name).collect();
        names.sort();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("a variable is set twice".into());
        }
        let line = line(spec);
        let Some(script) = self.scripts.get(&line) else {
            return refuse(format!("nobody scripted `{line}`"));
        };
        if let Some(action) = &script.action {
            action(spec)?;
        }
        for (stream, bytes) in &script.output {
            output(*stream, bytes);
        }
        Ok(if cancel.is_raised() {
            Exit::Interrupted
        } else {
            script.exit
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Command;

    #[test]
    fn answers_what_was_scripted_and_refuses_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let script = Script {
            output: vec![(Stream::Stderr, b"hm\n".to_vec())],
            action: Some(Box::new(|spec| std::fs::write(spec.cwd.join("made"), "x"))),
            exit: Exit::Code(4),
        };
        let executor = ScriptedExecutor::new().on("make all", script);
        let mut spec = Spec {
            command: Command::Argv(vec!["make".into()]),
            cwd: dir.path().into(),
            env: Vec::new(),
            timeout: None,
            grace: std::time::Duration::ZERO,
            extra_args: vec!["all".into()],
        };
        let mut seen = Vec::new();
        let mut run = |spec: &Spec| {
            executor.run(
                spec,
                &mut |stream, bytes| seen.push((stream, bytes.to_vec())),
                &Cancel::new(),
            )
        };
        assert_eq!(run(&spec).unwrap().exit, Exit::Code(4));
        spec.extra_args.clear();
        assert!(
            run(&spec)
                .unwrap_err()
                .to_string()
                .contains("nobody scripted `make`")
        );
        assert_eq!(seen, [(Stream::Stderr, b"hm\n".to_vec())]);
        assert_eq!(std::fs::read(dir.path().join("made")).unwrap(), b"x");
        assert_eq!(executor.calls().len(), 2);
    }
}
