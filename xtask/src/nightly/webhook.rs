//! Posts a message to a webhook, with the `curl` of the machine: Larder's tree has no TLS of its own.
//! It does not know what the message says.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

/// Posts a JSON text; an error if curl is missing or the other side does not take it.
pub(crate) fn post(url: &str, json: &str) -> Result<(), Box<dyn Error>> {
    post_with("curl", url, json)
}

fn post_with(curl: &str, url: &str, json: &str) -> Result<(), Box<dyn Error>> {
    let config = format!("url = {}\ndata-binary = {}\n", quoted(url)?, quoted(json)?);
    // The address is a secret, and everybody may read the arguments of a process: so all of it goes through its standard input.
    let child = Command::new(curl)
        .args(["--silent", "--show-error", "--fail", "--max-time", "30"])
        .args([
            "--header",
            "Content-Type: application/json",
            "--config",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(
                "the webhook is not told: curl is not on PATH; install it, or unset the webhook"
                    .into(),
            );
        }
        Err(error) => return Err(error.into()),
    };
    // Dropped at the end of the statement, so that curl sees the end.
    let told = child
        .stdin
        .take()
        .map(|mut input| input.write_all(config.as_bytes()));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the webhook is not told: {}", words.trim()).into());
    }
    told.transpose()?;
    Ok(())
}

/// A text as curl's configuration takes it.
fn quoted(text: &str) -> Result<String, String> {
    if text.contains(['\0']) {
        return Err("a text for a webhook holds a zero byte".to_owned());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    let escaped = escaped.replace('\n', "\\n").replace('\r', "\\r");
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    use super::*;

    /// Takes one request and answers it; gives its first line and its body.
    fn serve(listener: &TcpListener, answer: &str) -> (String, String) {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(
            &stream,
            "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        (first, String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_message_arrives_as_it_is_and_a_refusal_is_told() {
        if Command::new("curl").arg("--version").output().is_err() {
            eprintln!("curl is not on PATH: not tried");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=a%22b", listener.local_addr().unwrap());
        let json = "{\"text\":\"a \\\"b\\\" @c\\nd\"}";
        std::thread::scope(|scope| {
            let told = scope.spawn(|| post(&url, json).map_err(|error| error.to_string()));
            let (first, body) = serve(&listener, "200 OK");
            assert_eq!(first, "POST /hook?key=a%22b HTTP/1.1\r\n");
            assert_eq!(body, json);
            assert_eq!(told.join().unwrap(), Ok(()));
            let told = scope.spawn(|| post(&url, json).map_err(|error| error.to_string()));
            serve(&listener, "403 Forbidden");
            assert!(told.join().unwrap().unwrap_err().contains("403"));
        });
    }

    #[test]
    fn without_curl_it_says_what_to_do() {
        let error = post_with("no-such-curl", "http://127.0.0.1:1/", "{}").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("install it, or unset the webhook"),
            "{error}"
        );
    }
}
