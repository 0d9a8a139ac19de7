//! A browser without a window, driven by `chromedriver` over plain HTTP.
//! Does not know what is tested.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// What the browser runs with: nothing that talks to a network, and no sandbox, since tests may run as root.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Tab and enter, as drivers write them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// How long the driver may take for one answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A browser with one page. Ends with it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts driver and browser, with its data in `home`; or says why there are none.
    pub(crate) fn start(home: &Path) -> Result<Self, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("chromedriver cannot be started: {error}"))?;
        let port = driver.stdout.take().and_then(port);
        let mut browser = Self {
            driver,
            port: port.ok_or("chromedriver names no port")?,
            session: String::new(),
        };
        let profile = format!("--user-data-dir={}", home.display());
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.extend([profile, "--window-size=1200,900".to_owned()]);
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let answer = browser.request("POST", "/session", Some(&capabilities));
        let answer = answer.map_err(|error| format!("chromedriver does not answer: {error}"))?;
        match answer["sessionId"].as_str() {
            Some(session) => session.clone_into(&mut browser.session),
            None => return Err(format!("no browser can be started: {}", answer["message"])),
        }
        Ok(browser)
    }

    /// Opens a file.
    pub(crate) fn open(&self, file: &Path) {
        self.post(
            "/url",
            &json!({ "url": format!("file://{}", file.display()) }),
        );
    }

    /// Opens the same file again.
    pub(crate) fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// What a function body returns in the page; `arguments` holds `argument`.
    pub(crate) fn run(&self, body: &str, argument: &Value) -> Value {
        self.post(
            "/execute/sync",
            &json!({ "script": body, "args": [argument] }),
        )
    }

    /// Types into the first element that a selector finds.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses an element.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses a key wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ]}]});
        self.post("/actions", &actions);
    }

    /// A command of the browser's own protocol.
    pub(crate) fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": name, "params": parameters }),
        )
    }

    /// What was written to the console since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(ToString::to_string).collect()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "/element",
            &json!({ "using": "css selector", "value": selector }),
        );
        let id = found.as_object().and_then(|object| object.values().next());
        id.and_then(Value::as_str).map(str::to_owned).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let value = self.request("POST", &path, Some(body)).unwrap();
        assert!(
            value.get("stacktrace").is_none(),
            "{path} of {body}: {value}"
        );
        value
    }

    /// The `value` of an answer, whatever its status.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser; should that fail, it ends with its driver.
            let _ = self.request("DELETE", &format!("/session/{}", self.session), None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that a driver says it listens on. The rest of its words is read by nobody.
fn port(out: impl Read) -> Option<u16> {
    BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, port) = line.rsplit_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        })
}
