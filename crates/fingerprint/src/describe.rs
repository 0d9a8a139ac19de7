//! Everything that can change a task's result, described once and written twice: as a key and as an explanation.
//! Knows nothing of where the parts come from or how changes are worded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::discovered::discovered_key;
use crate::manifest::{Row, RowKind, manifest_digest};

/// Version of the key's form; it enters every key.
pub const KEY_SCHEMA: u32 = 1;

/// What enters a key. Slices are written in the order given: sort what has no order of its own.
#[derive(Clone, Debug, Default)]
pub struct Description<'a> {
    /// Path or name of the project, name of the task, path of the chunk.
    pub identity: &'a str,
    /// Each command: a shell string is one word, an argv many; `shell` tells them apart.
    pub commands: &'a [Command<'a>],
    /// Extra arguments.
    pub arguments: &'a [&'a str],
    /// Manifest of the inputs, sorted by path.
    pub inputs: &'a [Row],
    /// Manifest of the inputs that hold for every task, sorted by path.
    pub global_inputs: &'a [Row],
    /// Name and closure digest of each dependency, sorted by name.
    pub dependencies: &'a [(&'a str, Digest)],
    /// Name and value of each declared variable, sorted by name; `None` is unset, which differs from empty.
    pub env: &'a [(&'a [u8], Option<&'a [u8]>)],
    /// Command and output of each tool.
    pub tools: &'a [(&'a str, &'a [u8])],
    /// Path and digest of each git input.
    pub git_inputs: &'a [(&'a str, Digest)],
    /// The declared output globs; `None` when outputs are not declared.
    pub outputs: Option<&'a [&'a str]>,
    /// One list of discovered paths as rows, in the order of the list; `None` gives the base key.
    pub discovered: Option<&'a [Row]>,
    /// Operating system and architecture, unless the task does not depend on them.
    pub platform: Option<&'a str>,
    /// Text for purging by hand.
    pub salt: &'a str,
}

/// One command of a task.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// Whether a shell reads it.
    pub shell: bool,
    /// Its words; the whole string for a shell.
    pub words: &'a [&'a str],
}

/// One part of a description, as writers take it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Version of the key's form.
    Schema(u32),
    /// See [`Description::identity`].
    Identity(&'a str),
    /// See [`Description::commands`].
    Command(&'a Command<'a>),
    /// See [`Description::arguments`].
    Argument(&'a str),
    /// See [`Description::inputs`].
    Input(&'a Row),
    /// See [`Description::global_inputs`].
    GlobalInput(&'a Row),
    /// See [`Description::dependencies`].
    Dependency(&'a str, Digest),
    /// See [`Description::env`].
    Variable(&'a [u8], Option<&'a [u8]>),
    /// See [`Description::tools`].
    Tool(&'a str, &'a [u8]),
    /// See [`Description::git_inputs`].
    GitInput(&'a str, Digest),
    /// That outputs are declared, perhaps as none.
    OutputsDeclared,
    /// See [`Description::outputs`].
    Output(&'a str),
    /// That the key is made for a list of discovered paths, perhaps an empty one.
    DiscoveredListed,
    /// See [`Description::discovered`].
    Discovered(&'a Row),
    /// See [`Description::platform`].
    Platform(&'a str),
    /// See [`Description::salt`].
    Salt(&'a str),
}

/// Takes the parts of a description, one after the other.
pub trait Write {
    /// Takes the next part.
    fn part(&mut self, part: Part<'_>);
}

/// Tells a writer every part of a description. Nothing else enters a key or an explanation.
pub fn describe(description: &Description<'_>, to: &mut dyn Write) {
    to.part(Part::Schema(KEY_SCHEMA));
    to.part(Part::Identity(description.identity));
    description
        .commands
        .iter()
        .for_each(|command| to.part(Part::Command(command)));
    description
        .arguments
        .iter()
        .for_each(|argument| to.part(Part::Argument(argument)));
    description
        .inputs
        .iter()
        .for_each(|row| to.part(Part::Input(row)));
    description
        .global_inputs
        .iter()
        .for_each(|row| to.part(Part::GlobalInput(row)));
    description
        .dependencies
        .iter()
        .for_each(|(name, digest)| to.part(Part::Dependency(name, *digest)));
    description
        .env
        .iter()
        .for_each(|(name, value)| to.part(Part::Variable(name, *value)));
    description
        .tools
        .iter()
        .for_each(|(command, output)| to.part(Part::Tool(command, output)));
    description
        .git_inputs
        .iter()
        .for_each(|(path, digest)| to.part(Part::GitInput(path, *digest)));
    if let Some(outputs) = description.outputs {
        to.part(Part::OutputsDeclared);
        for glob in outputs {
            to.part(Part::Output(glob));
        }
    }
    if let Some(platform) = description.platform {
        to.part(Part::Platform(platform));
    }
    to.part(Part::Salt(description.salt));
    if let Some(discovered) = description.discovered {
        to.part(Part::DiscoveredListed);
        for row in discovered {
            to.part(Part::Discovered(row));
        }
    }
}

/// The key of a description.
pub fn key(description: &Description<'_>) -> Digest {
    let mut hash = Hash::default();
    describe(description, &mut hash);
    hash.finish()
}

/// The explanation of a description; `secret` keys the hashes of variables' values.
pub fn explain(description: &Description<'_>, secret: &[u8; 32]) -> Explanation {
    let mut writer = Explain {
        secret: *secret,
        explanation: Explanation::default(),
    };
    describe(description, &mut writer);
    writer.explanation
}

/// Where the outputs of a task contain the workspace's own path, its entry stands under this key instead: it holds
/// for one root alone.
pub fn bound_key(key: Digest, root: Digest) -> Digest {
    Digest(
        *blake3::Hasher::new()
            .update(b"root 1")
            .update(&key.0)
            .update(&root.0)
            .finalize()
            .as_bytes(),
    )
}

/// The writer of keys: each part is a tag and its fields, each field its length and its bytes, so that two
/// different descriptions never give the same bytes.
#[derive(Debug, Default)]
pub struct Hash {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    discovered: Option<Vec<(Vec<u8>, Option<Digest>)>>,
}

impl Hash {
    /// The key.
    pub fn finish(mut self) -> Digest {
        self.flush();
        let base = Digest(*self.hasher.finalize().as_bytes());
        match self.discovered {
            Some(files) => {
                let files = files
                    .iter()
                    .map(|(path, digest)| (path.as_slice(), *digest));
                discovered_key(base, files)
            }
            None => base,
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
    }
}

impl Write for Hash {
    fn part(&mut self, part: Part<'_>) {
        match part {
            Part::DiscoveredListed => self.discovered = Some(Vec::new()),
            Part::Discovered(row) => {
                let digest = (row.kind != RowKind::Absent).then_some(row.digest);
                self.discovered
                    .get_or_insert_default()
                    .push((row.path.clone(), digest));
            }
            part => encode(part, &mut self.buffer),
        }
        if self.buffer.len() > 16 * 1024 {
            self.flush();
        }
    }
}

fn encode(part: Part<'_>, out: &mut Vec<u8>) {
    let field = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let pair = |out: &mut Vec<u8>, tag: u8, name: &[u8], value: &[u8]| {
        out.push(tag);
        field(out, name);
        field(out, value);
    };
    let row = |out: &mut Vec<u8>, tag: u8, row: &Row| {
        out.push(tag);
        field(out, &row.path);
        out.extend_from_slice(&[row.kind as u8, u8::from(row.executable)]);
        out.extend_from_slice(&row.digest.0);
    };
    match part {
        Part::Schema(version) => {
            out.push(1);
            out.extend_from_slice(&version.to_le_bytes());
        }
        Part::Identity(text) => pair(out, 2, text.as_bytes(), b""),
        Part::Command(command) => {
            out.extend_from_slice(&[3, u8::from(command.shell)]);
            out.extend_from_slice(&(command.words.len() as u64).to_le_bytes());
            command
                .words
                .iter()
                .for_each(|word| field(out, word.as_bytes()));
        }
        Part::Argument(text) => pair(out, 4, text.as_bytes(), b""),
        Part::Input(input) => row(out, 5, input),
        Part::GlobalInput(input) => row(out, 6, input),
        Part::Dependency(name, digest) => pair(out, 7, name.as_bytes(), &digest.0),
        Part::Variable(name, Some(value)) => pair(out, 8, name, value),
        Part::Variable(name, None) => pair(out, 9, name, b""),
        Part::Tool(command, output) => pair(out, 10, command.as_bytes(), output),
        Part::GitInput(path, digest) => pair(out, 11, path.as_bytes(), &digest.0),
        Part::OutputsDeclared => out.push(12),
        Part::Output(glob) => pair(out, 13, glob.as_bytes(), b""),
        Part::Platform(text) => pair(out, 14, text.as_bytes(), b""),
        Part::Salt(text) => pair(out, 15, text.as_bytes(), b""),
        // The second step of the key, made by [`discovered_key`].
        Part::DiscoveredListed | Part::Discovered(_) => {}
    }
}

/// What entered a key, kept to tell later what changed. Holds no value of a variable, only a hash keyed with the
/// workspace's secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Version of the key's form.
    pub schema: u32,
    /// See [`Description::identity`].
    pub identity: String,
    /// Whether a shell reads it, and its words, of each command.
    pub commands: Vec<(bool, Vec<String>)>,
    /// See [`Description::arguments`].
    pub arguments: Vec<String>,
    /// See [`Description::inputs`].
    pub inputs: Vec<Row>,
    /// See [`Description::global_inputs`].
    pub global_inputs: Vec<Row>,
    /// See [`Description::dependencies`].
    pub dependencies: BTreeMap<String, Digest>,
    /// Keyed hash of each variable's value; `None` is unset. A name that is no text has its odd bytes escaped.
    pub env: BTreeMap<String, Option<Digest>>,
    /// Digest of each tool's output.
    pub tools: BTreeMap<String, Digest>,
    /// See [`Description::git_inputs`].
    pub git_inputs: BTreeMap<String, Digest>,
    /// See [`Description::outputs`].
    pub outputs: Option<Vec<String>>,
    /// See [`Description::discovered`]; empty where nothing is discovered.
    pub discovered: Vec<Row>,
    /// See [`Description::platform`].
    pub platform: Option<String>,
    /// See [`Description::salt`].
    pub salt: String,
}

impl Explanation {
    /// Stands in `env` for the hash of a value that is not told: the variable was set, nobody says to what. In a
    /// [`diff`](crate::diff) it differs from no value.
    pub const UNTOLD: Digest = Digest([0; 32]);

    /// The digest of its input manifest.
    pub fn inputs_digest(&self) -> Digest {
        manifest_digest(&self.inputs)
    }
}

/// The writer of explanations.
#[derive(Debug)]
struct Explain {
    secret: [u8; 32],
    explanation: Explanation,
}

impl Write for Explain {
    fn part(&mut self, part: Part<'_>) {
        let to = &mut self.explanation;
        match part {
            Part::Schema(version) => to.schema = version,
            Part::Identity(text) => text.clone_into(&mut to.identity),
            Part::Command(command) => {
                let words = command
                    .words
                    .iter()
                    .map(|word| (*word).to_owned())
                    .collect();
                to.commands.push((command.shell, words));
            }
            Part::Argument(text) => to.arguments.push(text.to_owned()),
            Part::Input(row) => to.inputs.push(row.clone()),
            Part::GlobalInput(row) => to.global_inputs.push(row.clone()),
            Part::Dependency(name, digest) => {
                to.dependencies.insert(name.to_owned(), digest);
            }
            Part::Variable(name, value) => {
                let hash =
                    value.map(|value| Digest(*blake3::keyed_hash(&self.secret, value).as_bytes()));
                to.env.insert(text_of(name), hash);
            }
            Part::Tool(command, output) => {
                to.tools.insert(command.to_owned(), Digest::of(output));
            }
            Part::GitInput(path, digest) => {
                to.git_inputs.insert(path.to_owned(), digest);
            }
            Part::OutputsDeclared => to.outputs = Some(Vec::new()),
            Part::Output(glob) => to.outputs.get_or_insert_default().push(glob.to_owned()),
            Part::DiscoveredListed => {}
            Part::Discovered(row) => to.discovered.push(row.clone()),
            Part::Platform(text) => to.platform = Some(text.to_owned()),
            Part::Salt(text) => text.clone_into(&mut to.salt),
        }
    }
}

fn text_of(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) => name.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::RowKind;

    /// A description that owns its parts: what the property compares.
    #[derive(Clone, Debug, PartialEq)]
    struct Owned {
        identity: String,
        commands: Vec<(bool, Vec<String>)>,
        texts: [Vec<String>; 2],
        rows: [Vec<Row>; 2],
        digests: [Vec<(String, [u8; 32])>; 2],
        env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        tools: Vec<(String, Vec<u8>)>,
        declared: bool,
        platform: Option<String>,
        salt: String,
    }

    impl Owned {
        fn written(&self) -> Vec<u8> {
            struct Bytes(Vec<u8>);
            impl Write for Bytes {
                fn part(&mut self, part: Part<'_>) {
                    encode(part, &mut self.0);
                }
            }
            fn strs(texts: &[String]) -> Vec<&str> {
                texts.iter().map(String::as_str).collect()
            }
            fn named(pairs: &[(String, [u8; 32])]) -> Vec<(&str, Digest)> {
                pairs
                    .iter()
                    .map(|(name, digest)| (name.as_str(), Digest(*digest)))
                    .collect()
            }
            let words: Vec<_> = self.commands.iter().map(|(_, words)| strs(words)).collect();
            let commands = self.commands.iter().zip(&words);
            let commands: Vec<_> = commands
                .map(|((shell, _), words)| Command {
                    shell: *shell,
                    words,
                })
                .collect();
            let env: Vec<_> = self
                .env
                .iter()
                .map(|(n, v)| (n.as_slice(), v.as_deref()))
                .collect();
            let tools: Vec<_> = self
                .tools
                .iter()
                .map(|(c, o)| (c.as_str(), o.as_slice()))
                .collect();
            let outputs = strs(&self.texts[1]);
            let description = Description {
                identity: &self.identity,
                commands: &commands,
                arguments: &strs(&self.texts[0]),
                inputs: &self.rows[0],
                global_inputs: &self.rows[1],
                dependencies: &named(&self.digests[0]),
                env: &env,
                tools: &tools,
                git_inputs: &named(&self.digests[1]),
                outputs: self.declared.then_some(&outputs),
                discovered: None,
                platform: self.platform.as_deref(),
                salt: &self.salt,
            };
            let mut bytes = Bytes(Vec::new());
            describe(&description, &mut bytes);
            assert_eq!(key(&description), Digest::of(&bytes.0));
            bytes.0
        }
    }

    fn owned() -> impl Strategy<Value = Owned> {
        use prop::collection::vec;
        let text = || "[\\x00-\\x0f]{0,3}";
        let texts = || vec(text(), 0..2);
        let row = || {
            (vec(0_u8..16, 0..3), any::<bool>(), any::<bool>(), 0_u8..3).prop_map(
                |(path, link, executable, d)| {
                    let kind = if link { RowKind::Link } else { RowKind::File };
                    Row {
                        path,
                        kind,
                        executable,
                        digest: Digest([d; 32]),
                    }
                },
            )
        };
        let rows = move || vec(row(), 0..2);
        let pairs = move || vec((text(), (0_u8..3).prop_map(|d| [d; 32])), 0..2);
        let bytes = || vec(0_u8..16, 0..3);
        (
            text(),
            vec((any::<bool>(), texts()), 0..2),
            [texts(), texts()],
            [rows(), rows()],
            [pairs(), pairs()],
            vec((bytes(), prop::option::of(bytes())), 0..2),
            vec((text(), bytes()), 0..2),
            any::<bool>(),
            prop::option::of(text()),
            text(),
        )
            .prop_map(
                |(
                    identity,
                    commands,
                    mut texts,
                    rows,
                    digests,
                    env,
                    tools,
                    declared,
                    platform,
                    salt,
                )| {
                    if !declared {
                        texts[1].clear();
                    }
                    Owned {
                        identity,
                        commands,
                        texts,
                        rows,
                        digests,
                        env,
                        tools,
                        declared,
                        platform,
                        salt,
                    }
                },
            )
    }

    proptest! {
        /// Equal bytes only for equal descriptions; and no bytes begin other ones, so nothing can be appended.
        #[test]
        fn no_two_descriptions_share_bytes(a in owned(), b in owned()) {
            let (first, second) = (a.written(), b.written());
            prop_assert_eq!(a == b, first == second);
            prop_assert_eq!(first.starts_with(&second), a == b);
        }
    }

    #[test]
    fn parts_cannot_trade_places() {
        let keys = [
            Description {
                arguments: &["a", "b"],
                ..Description::default()
            },
            Description {
                arguments: &["ab"],
                ..Description::default()
            },
            Description {
                outputs: Some(&["a", "b"]),
                ..Description::default()
            },
            Description {
                outputs: Some(&[]),
                ..Description::default()
            },
            Description::default(),
            Description {
                env: &[(b"a", None)],
                ..Description::default()
            },
            Description {
                env: &[(b"a", Some(b""))],
                ..Description::default()
            },
            Description {
                commands: &[Command {
                    shell: true,
                    words: &["a"],
                }],
                ..Description::default()
            },
            Description {
                commands: &[Command {
                    shell: false,
                    words: &["a"],
                }],
                ..Description::default()
            },
            Description {
                platform: Some(""),
                ..Description::default()
            },
        ]
        .map(|description| key(&description));
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn explanations_hold_no_value() {
        let env: &[(&[u8], Option<&[u8]>)] = &[(b"TOKEN", Some(b"hunter2"))];
        let description = Description {
            env,
            ..Description::default()
        };
        let one = explain(&description, &[1; 32]);
        let two = explain(&description, &[2; 32]);
        assert_ne!(one.env["TOKEN"], two.env["TOKEN"]);
        assert_ne!(one.env["TOKEN"], Some(Digest::of(b"hunter2")));
        assert!(!format!("{one:?}").contains("hunter2"));
    }
}
