//! A real server of the S3 protocol for the tests: moto's, from `PyPI`, once for all tests of the process. Also used by the end-to-end tests.
//! Where it cannot be had, says so, and the tests are skipped. Knows nothing of the code under test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// With this in the environment it has to be there, and nothing is skipped.
const REQUIRED: &str = "LARDER_REQUIRE_STORE";

/// A server with the bucket `records`, which lets in what is signed with one of its keys.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The id and secret of a key.
    pub(super) key: [String; 2],
    /// The id, secret and session token of a temporary one.
    pub(super) temporary: [String; 3],
    /// It ends when the first is closed, which the end of the process does.
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The server; `None`, with words, where there is none.
pub(super) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(server) => Some(server),
        Err(why) => {
            assert!(std::env::var_os(REQUIRED).is_none(), "{why}");
            // Past the capturing of tests, so that it is seen.
            let words = format!("SKIPPED: a test against a real object store ({why})\n");
            let _ = std::io::stderr().write_all(words.as_bytes());
            None
        }
    }
}

fn start() -> Result<Server, String> {
    let installed = Command::new("sh")
        .args(["-c", include_str!("install.sh"), "install.sh"])
        .arg(target().join("moto"))
        .output()
        .map_err(|error| format!("no shell: {error}"))?;
    let last = |said: &[u8]| {
        let said = String::from_utf8_lossy(said);
        said.lines().last().unwrap_or_default().to_owned()
    };
    if !installed.status.success() {
        let last = last(&installed.stderr);
        return Err(format!("moto cannot be installed: {last}"));
    }
    let python = String::from_utf8_lossy(&installed.stdout).trim().to_owned();
    let mut child = Command::new(python)
        .args(["-c", include_str!("server.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("no Python: {error}"))?;
    let mut line = String::new();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    answers.read_line(&mut line).unwrap();
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let Ok([port, id, secret, other, hidden, token]) = <[String; 6]>::try_from(words) else {
        let output = child.wait_with_output().unwrap();
        return Err(format!("moto does not start: {}", last(&output.stderr)));
    };
    Ok(Server {
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        key: [id, secret],
        temporary: [other, hidden, token],
        talk: Mutex::new((child.stdin.take().unwrap(), answers)),
    })
}

/// Cargo's folder, which the test itself lies in.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

impl Server {
    /// Past the protocol: see `server.py`.
    pub(super) fn ask(&self, line: &str) -> String {
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "{line}").unwrap();
        let mut answer = String::new();
        talk.1.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// What is kept under a prefix, without it.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let all: Vec<String> = serde_json::from_str(&self.ask("list")).unwrap();
        let ours = all.iter().filter_map(|key| key.strip_prefix(prefix));
        ours.map(str::to_owned).collect()
    }
}
