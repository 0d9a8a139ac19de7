//! A bucket of a real server keeps the contract, also when the server is slow, dies, or lets nobody in.
//! Needs Python; without moto from `PyPI` these tests are skipped, with words.

mod failing;
mod proxy;
mod server;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Limits, ObjectDestination, ObjectOptions};
use crate::outbox::{
    Backoff, Delivery, DrainOptions, Drained, Failure, Object, Outbox, SystemPace, drain,
};
use crate::{Destination, DestinationError, Name, contract};
use proxy::Faults;
use server::{Server, server};

/// No repetitions, so that each fault is seen; and little patience.
const STRICT: Limits = Limits {
    connect: Duration::from_secs(10),
    request: Duration::from_secs(30),
    retries: 0,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn text(error: &DestinationError) -> String {
    let DestinationError::Io { cause, .. } = error else {
        panic!("{error}");
    };
    format!("{error}: {cause} / {error:?}")
}

fn options(server: &Server, address: SocketAddr) -> ObjectOptions {
    let mut options = ObjectOptions::new();
    let [id, secret] = &server.key;
    for (name, value) in [
        ("endpoint", format!("http://{address}").as_str()),
        ("region", "us-east-1"),
        ("allow_http", "true"),
        ("access_key_id", id),
        ("secret_access_key", secret),
    ] {
        options.set(name, value).unwrap();
    }
    options
}

fn open(server: &Server, prefix: &str) -> ObjectDestination {
    open_at(server, server.address, prefix, &Limits::default())
}

fn open_at(
    server: &Server,
    address: SocketAddr,
    prefix: &str,
    limits: &Limits,
) -> ObjectDestination {
    let location = format!("s3://records/{prefix}");
    ObjectDestination::open(&location, options(server, address), limits).unwrap()
}

/// A file that goes in parts.
fn big(folder: &tempfile::TempDir, seed: u8) -> PathBuf {
    let path = folder.path().join(format!("big-{seed}"));
    let content: Vec<u8> = (0..5_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .map(|byte| byte ^ seed)
        .collect();
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_bucket_keeps_the_contract() {
    let Some(server) = server() else { return };
    let bucket = open(server, "contract/of/destinations");
    contract::holds(&bucket);
    // Another prefix sees nothing of it, nor does one that only begins the same.
    assert!(open(server, "contract/of/dest").list().unwrap().is_empty());
    assert_eq!(open(server, "contract/of").list().unwrap().len(), 5);
}

#[test]
fn names_are_keys_as_they_are() {
    let Some(server) = server() else { return };
    let bucket = open(server, "names");
    let names = ["a b", "a%20b", "grün/ß", "plus+and=ampersand&", "{x}~[y]^#"];
    for text in names {
        bucket.put(&name(text), text.as_bytes()).unwrap();
    }
    for text in names {
        assert_eq!(bucket.get(&name(text)).unwrap().unwrap(), text.as_bytes());
    }
    let mut expected = names.map(name);
    expected.sort();
    assert_eq!(bucket.list().unwrap(), expected);
}

#[test]
fn a_big_file_goes_in_parts_and_is_created_once() {
    let Some(server) = server() else { return };
    let bucket = open(server, "parts");
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (big(&folder, 0), big(&folder, 1));
    bucket.put_file(&name("big"), &first).unwrap();
    let there = bucket.get(&name("big")).unwrap().unwrap();
    assert!(there == std::fs::read(&first).unwrap());
    bucket.put_file(&name("big"), &first).unwrap();
    assert!(matches!(
        bucket.put_file(&name("big"), &other),
        Err(DestinationError::Exists { .. })
    ));
    let there = bucket.get(&name("big")).unwrap().unwrap();
    assert!(there == std::fs::read(&first).unwrap());
    assert_eq!(bucket.list().unwrap(), [name("big")]);
}

#[test]
fn wrong_credentials_are_told_and_no_secret_is() {
    let Some(server) = server() else { return };
    let wrong = "tH1s-is-S3cret-and-wrong";
    let mut options = options(server, server.address);
    options.set("secret_access_key", wrong).unwrap();
    let bucket = ObjectDestination::open("s3://records/wrong", options, &STRICT).unwrap();
    let shown = format!("{bucket:?}");
    assert!(
        !shown.contains(wrong) && !shown.contains(&server.key[0]),
        "{shown}"
    );
    let x = name("x");
    for refused in [
        bucket.put(&x, b"1").unwrap_err(),
        bucket.get(&x).unwrap_err(),
        bucket.list().unwrap_err(),
    ] {
        let DestinationError::Io { cause, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(cause.kind(), ErrorKind::PermissionDenied, "{refused:?}");
        let text = text(&refused);
        assert!(
            !text.contains(wrong) && !text.contains(&server.key[0]),
            "{text}"
        );
    }
    // With the right ones it is let in, and finds nothing.
    assert_eq!(open(server, "wrong").get(&x).unwrap(), None);
}

#[test]
fn a_temporary_key_needs_its_token() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [id, secret, token] = &server.temporary;
    let mut options = options(server, server.address);
    options.set("access_key_id", id).unwrap();
    options.set("secret_access_key", secret).unwrap();
    let open = |options: &ObjectOptions| {
        ObjectDestination::open("s3://records/temporary", options.clone(), &STRICT).unwrap()
    };
    let refused = open(&options).put(&name("x"), b"1").unwrap_err();
    assert!(text(&refused).contains("InvalidToken"), "{refused:?}");
    options.set("session_token", token).unwrap();
    let bucket = open(&options);
    contract::holds(&bucket);
    bucket.put_file(&name("big"), &big(&folder, 5)).unwrap();
}

#[test]
fn what_cannot_be_opened_is_told_before_anything_is_asked() {
    let mut options = ObjectOptions::new();
    options.set("region", "us-east-1").unwrap();
    let open = |location: &str, options: &ObjectOptions| {
        let refused = ObjectDestination::open(location, options.clone(), &STRICT);
        text(&refused.unwrap_err())
    };
    let said = open("s3://records", &options);
    assert!(said.contains("there are no credentials"), "{said}");
    options.set("access_key_id", "id").unwrap();
    options.set("secret_access_key", "s3cret").unwrap();
    for location in [
        "records",
        "s3://",
        "http://x/y",
        "s3://me:s3cret@host/x",
        "s3://a/../b",
    ] {
        let said = open(location, &options);
        assert!(
            said.contains("s3://BUCKET/PREFIX") || said.contains("component"),
            "{said}"
        );
    }
    options.set("allow_http", "perhaps").unwrap();
    let said = open("s3://records", &options);
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_server_that_repeats_what_it_was_told_makes_no_secret_known() {
    let (id, secret, token) = ("AKIATHEID", "tH1s-is-S3cret", "t0ken-of-a-session");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 16 << 10]);
            let body =
                format!("<Error><Code>No</Code><Message>{id} {secret} {token}</Message></Error>");
            let head = format!(
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = client.write_all((head + &body).as_bytes());
        }
    });
    let mut options = ObjectOptions::new();
    for (name, value) in [
        ("endpoint", format!("http://{address}").as_str()),
        ("region", "us-east-1"),
        ("allow_http", "true"),
        ("access_key_id", id),
        ("secret_access_key", secret),
        ("session_token", token),
    ] {
        options.set(name, value).unwrap();
    }
    let bucket = ObjectDestination::open("s3://records", options, &STRICT).unwrap();
    for refused in [
        bucket.get(&name("x")).unwrap_err(),
        bucket.list().unwrap_err(),
        bucket.put(&name("x"), b"1").unwrap_err(),
    ] {
        let text = text(&refused);
        assert!(text.contains("400 Bad Request"), "{text}");
        for hidden in [id, secret, token] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

/// An outbox with one delivery of a big file and a small one.
fn outbox(folder: &tempfile::TempDir, destination: &str) -> Outbox {
    big(folder, 3);
    std::fs::write(folder.path().join("entry"), b"{}").unwrap();
    let outbox = Outbox::open(folder.path().join("outbox"), folder.path()).unwrap();
    let object = |to: &str, from: &str| {
        let content = std::fs::read(folder.path().join(from)).unwrap();
        Object {
            name: name(to),
            source: name(from),
            digest: blake3::hash(&content).to_hex().to_string(),
            size: content.len() as u64,
        }
    };
    let delivery = Delivery {
        entry: "e1".into(),
        destination: destination.into(),
        objects: vec![object("bundles/e1", "big-3"), object("entries/e1", "entry")],
    };
    outbox.enqueue(&delivery, 0).unwrap();
    outbox
}

const SOON: DrainOptions = DrainOptions {
    backoff: Backoff {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(5),
    },
    patience: Duration::from_hours(1),
    // More than any test needs.
    tries: Some(40),
};

#[test]
fn an_outbox_says_that_credentials_are_wrong_and_keeps_none_of_them() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder, "refused");
    let wrong = "tH1s-is-S3cret-and-wrong";
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        let mut options = options(server, server.address);
        options.set("secret_access_key", wrong).unwrap();
        let bucket = ObjectDestination::open("s3://records/refused", options, &STRICT)?;
        Ok(Some(Box::new(bucket)))
    };
    drain(&outbox, &open, &SystemPace, &SOON, &AtomicBool::new(false)).unwrap();
    let failed = &outbox.status().unwrap().failed[0];
    assert_eq!(failed.failure, Some(Failure::Refused));
    let files = std::fs::read_dir(folder.path().join("outbox/failed")).unwrap();
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(
            !text.contains(wrong) && !text.contains(&server.key[0]),
            "{text}"
        );
    }
}

/// `cargo test -p larder-archive --features object-store --lib -- --ignored --nocapture measured`
#[test]
#[ignore = "measures; asserts nothing of time"]
#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout)]
fn measured_memory_of_a_big_file() {
    let Some(server) = server() else { return };
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let number = line.split_whitespace().nth(1).unwrap();
        number.parse::<u64>().unwrap() / 1024
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(256 << 20).unwrap();
    let bucket = open(server, "measured");
    bucket.put(&name("small"), b"1").unwrap();
    let before = peak();
    let start = std::time::Instant::now();
    bucket.put_file(&name("big"), &path).unwrap();
    bucket
        .read_into(&name("big"), &mut std::io::sink())
        .unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "256 MiB there and back in {seconds:.1} s: peak {before} MiB before, {} MiB after",
        peak()
    );
}
