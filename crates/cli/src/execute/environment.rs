//! Decides which variables a command sees, which enter its key, and which were kept from it.
//! Does not read the environment itself and never shows a value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

/// Variables that every command sees in strict mode. A `*` stands for any text.
pub const BASE: &[&str] = &[
    // Who and where.
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TMP",
    "TEMP",
    // Terminal and language.
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "LANG",
    "LC_*",
    "TZ",
    // The way out.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    // Where caches and settings lie.
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    // Homes of toolchains.
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "JAVA_HOME",
    "GRADLE_USER_HOME",
    "M2_HOME",
    "MAVEN_HOME",
    "ANDROID_HOME",
    "SDKMAN_DIR",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "UV_CACHE_DIR",
    "NVM_DIR",
    "NVM_BIN",
    "FNM_DIR",
    "FNM_MULTISHELL_PATH",
    "VOLTA_HOME",
    "PNPM_HOME",
    "COREPACK_HOME",
    "BUN_INSTALL",
    "DENO_DIR",
    "RBENV_ROOT",
    "GEM_HOME",
    "GEM_PATH",
    "DOTNET_ROOT",
    "ELAN_HOME",
    "GHCUP_INSTALL_BASE_PREFIX",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "DEVELOPER_DIR",
    "SDKROOT",
    "NIX_PROFILES",
    "NIX_SSL_CERT_FILE",
];

/// Variables without which programs on Windows do not start; passed there in addition.
pub const BASE_WINDOWS: &[&str] = &[
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "OS",
    "USERPROFILE",
    "USERNAME",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "PROGRAMW6432",
    "COMMONPROGRAMFILES",
    "COMMONPROGRAMFILES(X86)",
    "ALLUSERSPROFILE",
    "PUBLIC",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "MSYSTEM",
];

/// Variables that enter every key: they change what tools write.
pub const KEYED: &[&str] = &["LANG", "LC_*", "TZ"];

/// Set for commands when the terminal has colour, unless the command already sees a wish of the user.
const COLOUR: [&str; 2] = ["FORCE_COLOR", "CLICOLOR_FORCE"];
/// Variables of the shell and the desktop whose absence explains no failure.
const DULL: &[&str] = &[
    "_",
    "SHLVL",
    "PWD",
    "OLDPWD",
    "LS_COLORS",
    "LESS*",
    "PS1",
    "DISPLAY",
    "XDG_*",
    "COLUMNS",
    "LINES",
    "HIST*",
    "LARDER_*",
];
/// So many bytes at the end of a log are searched for names: there may be hundreds of them.
const SEARCHED: usize = 64 * 1024;
/// How many variables a hint names at most.
const NAMED: usize = 5;

/// Which variables a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The base, the declared and the passed-through ones.
    Strict,
    /// All.
    Loose,
}

/// The environment of one command.
#[derive(Clone, PartialEq, Eq)]
pub struct Env {
    /// All that the command sees, sorted by name.
    pub vars: Vec<(OsString, OsString)>,
    /// Names that this process has and the command does not see, sorted.
    pub withheld: Vec<String>,
    /// What enters the key, sorted by name: the raw value, none when a name is unset.
    /// A byte of a name that is not UTF-8 is written `\xff`, a backslash `\\`.
    pub keyed: Vec<(String, Option<Vec<u8>>)>,
}

/// Shows names alone.
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |name: &OsString| name.to_string_lossy().into_owned();
        f.debug_struct("Env")
            .field(
                "vars",
                &self
                    .vars
                    .iter()
                    .map(|(name, _)| names(name))
                    .collect::<Vec<_>>(),
            )
            .field("withheld", &self.withheld)
            .field(
                "keyed",
                &self.keyed.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// Works out a command's environment from `parent`, the environment of this process.
///
/// `declared` and `pass_through` are names or patterns (`VITE_*`); a leading `!` takes names out
/// again, and the last pattern that matches decides. What is declared is seen and enters the key;
/// `pass_through` is only seen, and its `!NAME` also withholds a variable of the base.
/// [`KEYED`] always enters. `colour`: whether the terminal has it; never part of the key.
pub fn environment(
    parent: &[(OsString, OsString)],
    declared: &[String],
    pass_through: &[String],
    mode: Mode,
    colour: bool,
) -> Env {
    let mut vars: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut keyed: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    let mut withheld = Vec::new();
    let literal = |name: &&str| !name.contains('*') && !name.starts_with('!');
    let names = declared.iter().map(String::as_str);
    for name in names.chain(KEYED.iter().copied()).filter(literal) {
        if in_key(declared, name.as_bytes()) {
            keyed.insert(shown(name.as_bytes()), None);
        }
    }
    for (name, value) in parent {
        let bytes = name.as_encoded_bytes();
        let in_key = in_key(declared, bytes);
        let passed = mode == Mode::Loose
            || in_key
            || last_match(pass_through, bytes).unwrap_or_else(|| in_base(bytes));
        if in_key {
            keyed.insert(shown(bytes), Some(value.as_encoded_bytes().to_vec()));
        }
        if passed {
            vars.insert(name.clone(), value.clone());
        } else {
            withheld.push(shown(bytes));
        }
    }
    let wish = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"];
    if colour && !wish.iter().any(|name| vars.contains_key(OsStr::new(name))) {
        vars.extend(COLOUR.map(|name| (name.into(), "1".into())));
    }
    withheld.sort();
    Env {
        vars: vars.into_iter().collect(),
        withheld,
        keyed: keyed.into_iter().collect(),
    }
}

/// One line that names variables a failed command may have missed: those its log mentions first.
/// None when nothing of interest was withheld.
pub fn failure_hint(withheld: &[String], log: &[u8]) -> Option<String> {
    let dull = |name: &str| {
        DULL.iter()
            .any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    };
    let (mut named, rest): (Vec<&str>, Vec<&str>) = withheld
        .iter()
        .map(String::as_str)
        .filter(|name| !dull(name))
        .partition(|name| mentions(log, name.as_bytes()));
    let mentioned = named.len();
    named.extend(rest);
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let first = *named.first()?;
    let list = named.join(", ");
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let why = if mentioned > 0 {
        "; its output mentions the first"
    } else {
        ""
    };
    Some(format!(
        "withheld from the task: {list}{more}{why}; if it needs one, add `env = [\"{first}\"]` \
         (part of the key) or `pass-through-env = [\"{first}\"]` (not part of it)"
    ))
}

/// Whether `name` stands near the end of `log`, where reasons of failures stand, as a word of its own.
fn mentions(log: &[u8], name: &[u8]) -> bool {
    let log = &log[log.len().saturating_sub(SEARCHED)..];
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    !name.is_empty()
        && log.windows(name.len()).enumerate().any(|(at, window)| {
            window == name
                && !word(at.checked_sub(1).and_then(|before| log.get(before)))
                && !word(log.get(at + name.len()))
        })
}

fn in_key(declared: &[String], name: &[u8]) -> bool {
    KEYED
        .iter()
        .any(|pattern| matches(pattern.as_bytes(), name))
        || last_match(declared, name).unwrap_or(false)
}

fn in_base(name: &[u8]) -> bool {
    let windows: &[&str] = if cfg!(windows) { BASE_WINDOWS } else { &[] };
    BASE.iter()
        .chain(windows)
        .any(|pattern| matches(pattern.as_bytes(), name))
}

/// What the last matching pattern says: in (true) or out (`!`, false).
fn last_match(patterns: &[String], name: &[u8]) -> Option<bool> {
    patterns
        .iter()
        .rev()
        .find_map(|pattern| match pattern.strip_prefix('!') {
            Some(pattern) => matches(pattern.as_bytes(), name).then_some(false),
            None => matches(pattern.as_bytes(), name).then_some(true),
        })
}

/// Whether `pattern`, in which `*` stands for any bytes, matches the whole `name`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let same = |a: u8, b: u8| a == b || cfg!(windows) && a.eq_ignore_ascii_case(&b);
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|byte| same(*byte, name[n])) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// A name as text; two names never look the same.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, r"\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn names(env: &Env) -> Vec<&str> {
        env.vars
            .iter()
            .map(|(name, _)| name.to_str().unwrap())
            .collect()
    }

    #[test]
    fn strict_passes_base_declared_and_passed_through() {
        let parent = os(&[
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("VITE_A", "1"),
            ("VITE_SECRET", "s"),
            ("TOKEN", "t"),
            ("SSH_AUTH_SOCK", "/s"),
            ("HTTP_PROXY", "p"),
            ("EMPTY", ""),
            ("MAKEFLAGS", "-j"),
        ]);
        let declared = list(&["VITE_*", "!VITE_SECRET", "EMPTY", "UNSET"]);
        let passed = list(&["SSH_AUTH_SOCK", "!HTTP_PROXY"]);
        let env = environment(&parent, &declared, &passed, Mode::Strict, false);
        assert_eq!(
            names(&env),
            ["EMPTY", "LC_ALL", "PATH", "SSH_AUTH_SOCK", "VITE_A"]
        );
        assert_eq!(
            env.withheld,
            ["HTTP_PROXY", "MAKEFLAGS", "TOKEN", "VITE_SECRET"]
        );
        let value = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            env.keyed,
            [
                ("EMPTY".into(), value("")),
                ("LANG".into(), None),
                ("LC_ALL".into(), value("C")),
                ("TZ".into(), None),
                ("UNSET".into(), None),
                ("VITE_A".into(), value("1")),
            ]
        );
        let loose = environment(&parent, &declared, &passed, Mode::Loose, true);
        assert_eq!(
            (loose.vars.len(), loose.withheld.len()),
            (parent.len() + 2, 0)
        );
        assert_eq!(loose.keyed, env.keyed);
        assert!(!format!("{env:?}").contains("/bin"));
    }

    #[test]
    fn colour_yields_to_the_user_and_stays_out_of_the_key() {
        let env = environment(&[], &[], &[], Mode::Strict, true);
        assert_eq!(names(&env), ["CLICOLOR_FORCE", "FORCE_COLOR"]);
        assert_eq!(
            env.keyed,
            environment(&[], &[], &[], Mode::Strict, false).keyed
        );
        let env = environment(&os(&[("NO_COLOR", "1")]), &[], &[], Mode::Strict, true);
        assert_eq!(names(&env), ["NO_COLOR"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_and_values_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let parent = vec![(odd(b"A\xff"), odd(b"\xfe")), (odd(b"A\\xff"), odd(b"2"))];
        let env = environment(&parent, &list(&["A*"]), &[], Mode::Strict, false);
        assert_eq!(env.vars.len(), 2);
        assert_eq!(env.keyed[0], (r"A\\xff".into(), Some(b"2".to_vec())));
        assert_eq!(env.keyed[1], (r"A\xff".into(), Some(b"\xfe".to_vec())));
    }

    #[test]
    fn the_hint_names_what_the_log_mentions_first_and_no_value() {
        let many: Vec<String> = (0..12)
            .map(|n| format!("V{n:02}"))
            .chain(["ZED".into(), "SHLVL".into()])
            .collect();
        let hint = failure_hint(&many, b"error: ZED is not set, nor V0").unwrap();
        assert!(
            hint.starts_with("withheld from the task: ZED, V00, V01,"),
            "{hint}"
        );
        assert!(
            hint.contains("V03 and 8 more;") && hint.contains("env = [\"ZED\"]"),
            "{hint}"
        );
        assert_eq!(failure_hint(&list(&["SHLVL", "_"]), b"SHLVL"), None);
    }

    #[test]
    fn only_the_end_of_a_log_is_searched() {
        let far = [b"LOST", &b" y".repeat(SEARCHED)[..], b" NEAR"].concat();
        let hint = failure_hint(&list(&["LOST", "NEAR"]), &far).unwrap();
        assert!(
            hint.starts_with("withheld from the task: NEAR, LOST"),
            "{hint}"
        );
        assert!(hint.contains("mentions the first"), "{hint}");
    }

    #[test]
    fn stars_match_any_text() {
        for (pattern, name, answer) in [
            ("*", "", true),
            ("A*B*", "AxxBB", true),
            ("A*B", "AxBx", false),
            ("A", "AB", false),
            ("**", "x", true),
            ("A*", "B", false),
            ("", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                answer,
                "{pattern} {name}"
            );
        }
    }
}
