//! A bucket of a real server keeps the contract, also when the server is slow, dies, or lets nobody in.
//! Needs Python; without moto from `PyPI` these tests are skipped, with words.

mod proxy;
mod server;

use std::io::{ErrorKind, Read as _, Write as _};
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
use server::{server, signed};

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
    let bucket = server.open("contract/of/destinations");
    contract::holds(&bucket);
    // Another prefix sees nothing of it, nor does one that only begins the same.
    assert!(server.open("contract/of/dest").list().unwrap().is_empty());
    assert_eq!(server.open("contract/of").list().unwrap().len(), 5);
}

#[test]
fn names_are_keys_as_they_are() {
    let Some(server) = server() else { return };
    let bucket = server.open("names");
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
    let bucket = server.open("parts");
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
    let Some(server) = signed() else { return };
    let wrong = "tH1s-is-S3cret-and-wrong";
    let mut options = server.options(server.address);
    options.set("secret_access_key", wrong).unwrap();
    let bucket = ObjectDestination::open("s3://records/wrong", options, &STRICT).unwrap();
    let shown = format!("{bucket:?}");
    assert!(
        !shown.contains(wrong) && !shown.contains(&server.id),
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
            !text.contains(wrong) && !text.contains(&server.id),
            "{text}"
        );
    }
    // With the right ones it is let in, and finds nothing.
    assert_eq!(server.open("wrong").get(&x).unwrap(), None);
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
fn a_server_that_does_not_answer_is_given_up_and_nothing_is_half() {
    let Some(server) = server() else { return };
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    // Slow, but not too slow.
    *faults.delay.lock().unwrap() = Duration::from_millis(20);
    let bucket = server.open_at(address, "slow", &STRICT);
    let content = vec![1; 100_000];
    bucket.put(&name("a"), &content).unwrap();
    assert_eq!(bucket.get(&name("a")).unwrap().unwrap(), content);
    // For ever, as far as anyone would wait.
    *faults.delay.lock().unwrap() = Duration::from_hours(1);
    let short = Limits {
        request: Duration::from_millis(300),
        ..STRICT
    };
    let bucket = server.open_at(address, "slow", &short);
    let refused = bucket.put(&name("b"), b"2").unwrap_err();
    assert!(matches!(refused, DestinationError::Io { .. }), "{refused}");
    let direct = server.open("slow");
    assert_eq!(direct.get(&name("a")).unwrap().unwrap(), content);
    direct.put(&name("b"), b"2").unwrap();
}

#[test]
fn a_server_that_dies_in_the_middle_leaves_nothing_that_is_seen() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = big(&folder, 2);
    let direct = server.open("dies");
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    // In the first part, in the second, in the last, and before the end of all is told.
    for (at, bytes) in [5_000_000, 12_000_000, 19_990_000, 20_002_500]
        .into_iter()
        .enumerate()
    {
        let name = name(&format!("{at}"));
        *faults.bytes.lock().unwrap() = Some(bytes);
        let bucket = server.open_at(address, "dies", &STRICT);
        let refused = bucket.put_file(&name, &file).unwrap_err();
        assert!(matches!(refused, DestinationError::Io { .. }), "{refused}");
        assert_eq!(direct.get(&name).unwrap(), None, "{at}");
        // It comes back, and so do we.
        *faults.bytes.lock().unwrap() = None;
        bucket.put_file(&name, &file).unwrap();
        assert!(direct.get(&name).unwrap().unwrap() == std::fs::read(&file).unwrap());
    }
    assert_eq!(direct.list().unwrap().len(), 4);
}

#[test]
fn a_lost_answer_is_mended_by_putting_again() {
    let Some(server) = server() else { return };
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    let (bucket, direct) = (
        server.open_at(address, "lost", &STRICT),
        server.open("lost"),
    );
    // An answer comes in one piece or more, so that of the put itself is one of the first.
    let mut mended = 0;
    for spared in 0..6 {
        let name = name(&format!("{spared}"));
        faults.spared.store(spared, Ordering::SeqCst);
        faults.lost.store(1, Ordering::SeqCst);
        let first = bucket.put(&name, b"1");
        faults.lost.store(0, Ordering::SeqCst);
        faults.spared.store(0, Ordering::SeqCst);
        if first.is_err() && direct.get(&name).unwrap().is_some() {
            mended += 1;
        }
        bucket.put(&name, b"1").unwrap();
        assert!(matches!(
            bucket.put(&name, b"2"),
            Err(DestinationError::Exists { .. })
        ));
        assert_eq!(direct.get(&name).unwrap().unwrap(), b"1");
    }
    assert!(mended > 0);
    assert_eq!(direct.list().unwrap().len(), 6);
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
fn an_outbox_brings_all_there_through_a_server_that_fails_again_and_again() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder, "flaky");
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    let direct = server.open("flaky");
    let opened = std::cell::Cell::new(0_usize);
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        // The first dies in the middle of the file, then each loses a later answer.
        let count = opened.replace(opened.get() + 1);
        *faults.bytes.lock().unwrap() = (count == 0).then_some(10_000_000);
        faults.spared.store(count, Ordering::SeqCst);
        faults
            .lost
            .store(usize::from(count > 0 && count < 12), Ordering::SeqCst);
        let names = direct.list()?;
        assert!(names != [name("entries/e1")], "an entry without its bundle");
        Ok(Some(Box::new(server.open_at(address, "flaky", &STRICT))))
    };
    let drained = drain(&outbox, &open, &SystemPace, &SOON, &AtomicBool::new(false)).unwrap();
    let arrived = Drained::Ended {
        arrived: 1,
        failed: 0,
        pending: 0,
    };
    assert_eq!(drained, arrived);
    assert!(opened.get() > 3, "{}", opened.get());
    let bundle = direct.get(&name("bundles/e1")).unwrap().unwrap();
    assert!(bundle == std::fs::read(folder.path().join("big-3")).unwrap());
    assert_eq!(direct.get(&name("entries/e1")).unwrap().unwrap(), b"{}");
    assert_eq!(direct.list().unwrap().len(), 2);
    let done = &outbox.status().unwrap().done[0];
    assert!(done.parts.iter().all(|part| part.sent.is_some()));
}

#[test]
fn an_outbox_says_that_credentials_are_wrong_and_keeps_none_of_them() {
    let Some(server) = signed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder, "refused");
    let wrong = "tH1s-is-S3cret-and-wrong";
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        let mut options = server.options(server.address);
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
            !text.contains(wrong) && !text.contains(&server.id),
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
    let bucket = server.open("measured");
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
