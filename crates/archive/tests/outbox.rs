//! An outbox on a real disk, whose process is killed for real again and again.
//! Where it is killed is left to chance; every single step is taken in turn by the tests of the module.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use larder_archive::outbox::{
    Backoff, Delivery, DrainOptions, Drained, Enqueued, Object, Outbox, SystemPace, drain,
};
use larder_archive::{Destination, DestinationError, DirectoryDestination, Durability, Name};

const FOLDER: &str = "LARDER_TEST_OUTBOX";
const ROUNDS: usize = 25;

fn outbox(folder: &Path) -> Outbox {
    Outbox::open(folder.join("outbox"), folder.join("sources")).unwrap()
}

fn place(folder: &Path) -> DirectoryDestination {
    DirectoryDestination::open(folder.join("place"), Durability::Synced).unwrap()
}

fn content(name: &str) -> Vec<u8> {
    name.repeat(if name.starts_with("bundles") {
        9_000
    } else {
        1
    })
    .into_bytes()
}

fn delivery(folder: &Path, entry: &str) -> Delivery {
    let object = |name: String| {
        let path = folder.join("sources").join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = content(&name);
        std::fs::write(path, &content).unwrap();
        Object {
            digest: blake3::hash(&content).to_hex().to_string(),
            size: content.len() as u64,
            source: Name::new(&name).unwrap(),
            name: Name::new(name).unwrap(),
        }
    };
    Delivery {
        entry: entry.to_owned(),
        destination: "place".to_owned(),
        objects: vec![
            object(format!("bundles/{entry}")),
            object(format!("entries/{entry}")),
        ],
    }
}

fn drain_all(folder: &Path) -> Drained {
    let open = |_: &str| -> Result<Option<Box<dyn Destination>>, DestinationError> {
        Ok(Some(Box::new(place(folder))))
    };
    let options = DrainOptions {
        backoff: Backoff {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(2),
        },
        ..DrainOptions::default()
    };
    let cancel = AtomicBool::new(false);
    drain(&outbox(folder), &open, &SystemPace, &options, &cancel).unwrap()
}

/// What is killed: notes and delivers for ever, and says what was acknowledged.
#[test]
#[ignore = "runs as a child of the other test"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let (folder, outbox) = (Path::new(&folder), outbox(Path::new(&folder)));
    for count in 0.. {
        let entry = format!("e{}-{count}", std::process::id());
        outbox.enqueue(&delivery(folder, &entry), count).unwrap();
        println!("\nacknowledged {entry}");
        std::io::stdout().flush().unwrap();
        if count % 3 == 2 {
            drain_all(folder);
        }
    }
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_shows_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 1 + round % 7;
        while left > 0 {
            let line = lines.next().unwrap().unwrap();
            if let Some(entry) = line.strip_prefix("acknowledged ") {
                acknowledged.insert(entry.to_owned());
                left -= 1;
            }
        }
        // Somewhere in what it does next.
        for _ in 0..round * 40_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        for line in lines.map_while(Result::ok) {
            if let Some(entry) = line.strip_prefix("acknowledged ") {
                acknowledged.insert(entry.to_owned());
            }
        }
        assert_nothing_half(folder);
        let status = outbox(folder).status().unwrap();
        assert!(status.damaged.is_empty() && status.failed.is_empty());
        let noted: BTreeSet<String> = status
            .pending
            .iter()
            .chain(&status.done)
            .map(|record| record.entry.clone())
            .collect();
        assert!(noted.is_superset(&acknowledged), "round {round}");
    }
    assert!(matches!(
        drain_all(folder),
        Drained::Ended {
            pending: 0,
            failed: 0,
            ..
        }
    ));
    let arrived = assert_nothing_half(folder);
    assert!(arrived.is_superset(&acknowledged));
    let status = outbox(folder).status().unwrap();
    assert_eq!(status.done.len(), arrived.len());
    let unfinished = std::fs::read_dir(folder.join("outbox/unfinished")).unwrap();
    assert_eq!(unfinished.count(), 0);
    for entry in acknowledged.iter().take(3) {
        let delivery = delivery(folder, entry);
        assert_eq!(
            outbox(folder).enqueue(&delivery, 0).unwrap(),
            Enqueued::Done
        );
    }
}

/// Gives the entries that are visible; each is whole, and so is its bundle.
fn assert_nothing_half(folder: &Path) -> BTreeSet<String> {
    let place = place(folder);
    let names = place.list().unwrap();
    let mut entries = BTreeSet::new();
    for name in &names {
        let there = place.get(name).unwrap().unwrap();
        assert_eq!(there, content(name.as_str()), "{name}");
        if let Some(entry) = name.as_str().strip_prefix("entries/") {
            let bundle = Name::new(format!("bundles/{entry}")).unwrap();
            assert!(names.contains(&bundle), "{entry}");
            entries.insert(entry.to_owned());
        }
    }
    entries
}

#[test]
fn a_process_that_drains_keeps_others_out_until_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let outbox = outbox(folder);
    outbox.enqueue(&delivery(folder, "e1"), 0).unwrap();
    let lock = std::fs::File::create(folder.join("outbox/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(drain_all(folder), Drained::Busy);
    drop(lock);
    let arrived = Drained::Ended {
        arrived: 1,
        failed: 0,
        pending: 0,
    };
    assert_eq!(drain_all(folder), arrived);
}
