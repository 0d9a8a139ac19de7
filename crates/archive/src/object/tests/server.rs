//! A real server of the S3 protocol for the tests: moto's, from `PyPI`, once for all tests of the process.
//! Where it cannot be had, says so, and the tests are skipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use crate::object::{Limits, ObjectDestination, ObjectOptions};

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) id: String,
    pub(super) secret: String,
    /// It ends when this is closed, which the end of the process does.
    _alive: ChildStdin,
}

/// One that asks for no credentials; `None`, with words, where there is none.
pub(super) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    words(SERVER.get_or_init(|| start("open")))
}

/// One that wants every request signed.
pub(super) fn signed() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    words(SERVER.get_or_init(|| start("signed")))
}

fn words(server: &'static Result<Server, String>) -> Option<&'static Server> {
    match server {
        Ok(server) => Some(server),
        Err(why) => {
            // Past the capturing of tests, so that it is seen.
            let words = format!("SKIPPED: a test against a real object store ({why})\n");
            let _ = std::io::stderr().write_all(words.as_bytes());
            None
        }
    }
}

fn start(kind: &str) -> Result<Server, String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/object/tests");
    let environment = target().join("moto");
    let installed = Command::new("sh")
        .arg(tests.join("install.sh"))
        .arg(&environment)
        .output()
        .map_err(|error| format!("no shell: {error}"))?;
    if !installed.status.success() {
        let said = String::from_utf8_lossy(&installed.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("moto cannot be installed: {last}"));
    }
    let python = String::from_utf8_lossy(&installed.stdout).trim().to_owned();
    let mut child = Command::new(python)
        .arg(tests.join("server.py"))
        .arg(kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("no Python: {error}"))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [port, id, secret] = words[..] else {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("moto does not start: {last}"));
    };
    Ok(Server {
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        id: id.to_owned(),
        secret: secret.to_owned(),
        _alive: child.stdin.take().unwrap(),
    })
}

/// Cargo's folder, which the test itself lies in.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

impl Server {
    pub(super) fn options(&self, address: SocketAddr) -> ObjectOptions {
        let mut options = ObjectOptions::new();
        for (name, value) in [
            ("endpoint", format!("http://{address}").as_str()),
            ("region", "us-east-1"),
            ("allow_http", "true"),
            ("access_key_id", &self.id),
            ("secret_access_key", &self.secret),
        ] {
            options.set(name, value).unwrap();
        }
        options
    }

    pub(super) fn open(&self, prefix: &str) -> ObjectDestination {
        self.open_at(self.address, prefix, &Limits::default())
    }

    pub(super) fn open_at(
        &self,
        address: SocketAddr,
        prefix: &str,
        limits: &Limits,
    ) -> ObjectDestination {
        let location = format!("s3://records/{prefix}");
        ObjectDestination::open(&location, self.options(address), limits).unwrap()
    }
}
