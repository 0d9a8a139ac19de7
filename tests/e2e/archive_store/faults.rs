//! A store that is slow, silent, or dies in the middle; a drain that is killed; an object that others put there.
//! Knows nothing of credentials.

use std::time::{Duration, Instant};

use super::{Mirrored, mirrored};

/// Waits for something that another process does.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

impl Mirrored {
    /// Background processes of this workspace.
    fn drains(&self) -> Vec<rustix::process::Pid> {
        let root = self.sandbox.base().canonicalize().unwrap();
        let root = root.to_str().unwrap();
        let all = std::fs::read_dir("/proc").unwrap();
        let ours = all.filter_map(Result::ok).filter_map(|process| {
            let id: i32 = process.file_name().to_str()?.parse().ok()?;
            // Of one that has ended nothing is left here.
            let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
            let is_ours = line.contains(root) && line.ends_with("\0drain\0");
            is_ours.then(|| rustix::process::Pid::from_raw(id))?
        });
        ours.collect()
    }

    /// Only then may the folder go.
    pub(super) fn until_drained(&self) {
        until("the end of the background process", || {
            self.drains().is_empty()
        });
    }

    /// As `kill -9` does.
    fn kill_drains(&self) {
        for drain in self.drains() {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(drain, rustix::process::Signal::KILL);
        }
        self.until_drained();
    }
}

#[test]
fn an_upload_returns_while_its_store_is_slow() {
    let Some(mirror) = mirrored("slow", 100_000) else {
        return;
    };
    *mirror.faults.delay.lock().unwrap() = Duration::from_millis(20);
    mirror.faults.fall_silent(0);
    // It is not answered before this returned.
    let id = mirror.upload(&mirror.key());
    mirror.faults.until_silent();
    let outcome = mirror.larder("archive status");
    assert_eq!(outcome.stdout, format!("pending  {id}  store\n"));
    assert!(mirror.keys().is_empty());
    mirror.faults.speak();
    until("the delivery", || mirror.count("done") == 1);
    mirror.assert_all_is_there(&id);
    mirror.until_drained();
}

#[test]
fn a_store_slower_than_the_limit_is_told_and_tried_again() {
    let Some(mirror) = mirrored("limit", 100) else {
        return;
    };
    mirror.faults.fall_silent(0);
    let [id, secret] = mirror.key();
    let id = mirror.upload(&[id, secret, ("AWS_TIMEOUT", "500ms")]);
    until("a try", || {
        mirror.status()["pending"][0]["attempts"].as_u64() > Some(0)
    });
    let outcome = mirror.larder("archive status");
    for said in [" failed: ", "timed out", "the next try is at "] {
        assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
    }
    assert!(mirror.keys().is_empty());
    mirror.faults.speak();
    // Nobody asks for it.
    until("the delivery", || mirror.count("done") == 1);
    mirror.assert_all_is_there(&id);
    mirror.until_drained();
}

#[test]
fn a_store_that_dies_at_any_moment_shows_nothing_half() {
    let Some(mirror) = mirrored("dies", 3000) else {
        return;
    };
    *mirror.faults.bytes.lock().unwrap() = Some(0);
    let id = mirror.upload(&mirror.key());
    until("a try", || {
        mirror.status()["pending"][0]["attempts"].as_u64() > Some(0)
    });
    let outcome = mirror.larder("archive status");
    assert!(
        outcome.stdout.contains("http://127.0.0.1:"),
        "{}",
        outcome.stdout
    );
    mirror.kill_drains();
    // A request is some hundred bytes, and more with a body.
    let mut alive = 0;
    let mut seen = Vec::new();
    loop {
        *mirror.faults.bytes.lock().unwrap() = Some(alive);
        let outcome = mirror.larder("archive sync");
        mirror.assert_nothing_is_half();
        seen.push(mirror.keys().len());
        if outcome.code == 0 {
            break;
        }
        assert_eq!(outcome.code, 3, "{}", outcome.all());
        assert!(outcome.stdout.starts_with("pending "), "{}", outcome.stdout);
        alive += 900;
    }
    // It died before the first object, between the two, and while the end was told.
    assert!(
        [0, 1, 2].iter().all(|number| seen.contains(number)),
        "{seen:?}"
    );
    mirror.assert_all_is_there(&id);
}

#[test]
fn a_drain_that_is_killed_at_any_answer_is_resumed() {
    // In parts: a bundle of more than 16 MiB.
    let Some(mirror) = mirrored("killed", 17 << 20) else {
        return;
    };
    mirror.faults.fall_silent(0);
    let id = mirror.upload(&mirror.key());
    mirror.faults.until_silent();
    assert_eq!(mirror.drains().len(), 1);
    mirror.kill_drains();
    mirror.faults.speak();
    let (mut answers, mut there) = (0, 0);
    let mut killed = [0; 3];
    loop {
        mirror.faults.fall_silent(answers);
        let mut drain = mirror.sandbox.command();
        drain.args(["archive", "drain"]).envs(mirror.key());
        let mut drain = drain.spawn().unwrap();
        let ended = loop {
            if let Some(status) = drain.try_wait().unwrap() {
                break Some(status);
            }
            if mirror.faults.is_silent() {
                drain.kill().unwrap();
                drain.wait().unwrap();
                break None;
            }
            std::thread::yield_now();
        };
        mirror.faults.speak();
        mirror.assert_nothing_is_half();
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        assert_eq!(mirror.count("failed"), 0);
        let before = std::mem::replace(&mut there, mirror.keys().len());
        killed[there] += 1;
        // What arrived is not sent again, so that there is less to be asked.
        answers = if there > before { 0 } else { answers + 1 };
    }
    // While the bundle was sent in parts, while the entry was, and before it was proven.
    assert!(
        killed[0] > 5 && killed[1] > 3 && killed[2] > 0,
        "{killed:?}"
    );
    assert_eq!(mirror.count("done"), 1);
    mirror.assert_all_is_there(&id);
}

#[test]
fn what_others_put_there_is_never_overwritten() {
    let Some(mirror) = mirrored("conflict", 100) else {
        return;
    };
    let theirs = mirror.sandbox.base().join("theirs");
    std::fs::write(&theirs, "theirs").unwrap();
    for (kind, others) in [("bundles", 0), ("entries", 1)] {
        mirror.faults.fall_silent(0);
        let id = mirror.upload(&mirror.key());
        // It was told by now that nothing is there.
        mirror.faults.until_silent();
        let key = match kind {
            "bundles" => format!("bundles/{id}.tar.zst"),
            _ => format!("entries/{id}.1.json"),
        };
        let before = mirror.keys().len();
        mirror.ask("put", &key, &theirs);
        mirror.faults.speak();
        until("the failure", || mirror.count("failed") == 1);
        mirror.until_drained();
        for line in ["archive status", "archive sync"] {
            let outcome = mirror.larder(line);
            assert_eq!(outcome.code, if line.ends_with("sync") { 3 } else { 0 });
            let said = format!("something else under `{key}`");
            assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
        }
        assert_eq!(mirror.object(&key), b"theirs");
        assert_eq!(mirror.keys().len(), before + 1 + others);
        mirror.ask("delete", &key, &theirs);
        let outcome = mirror.larder("archive sync");
        assert_eq!(outcome.code, 0, "{}", outcome.all());
        mirror.assert_nothing_is_half();
        assert_eq!(mirror.keys().len(), before + 2);
    }
}

/// Prints what an upload takes whose store answers at once, and one whose store is silent until it has returned, and their ratio:
/// `cargo test -p larder-tests --test e2e -- --ignored --nocapture measured_return`.
#[test]
#[ignore = "a measurement: it asserts nothing of times"]
#[allow(clippy::print_stderr)]
fn measured_return_from_an_upload_to_a_silent_store() {
    const ROUNDS: usize = 25;
    let (Some(instant), Some(silent)) = (mirrored("instant", 100_000), mirrored("still", 100_000))
    else {
        return;
    };
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (at, mirror) in [&instant, &silent].into_iter().enumerate() {
            if at == 1 {
                mirror.faults.fall_silent(0);
            }
            let started = Instant::now();
            mirror.upload(&mirror.key());
            taken[at].push(started.elapsed());
            mirror.faults.speak();
            mirror.until_drained();
        }
    }
    let median = |all: &mut Vec<Duration>| {
        all.sort();
        all[ROUNDS / 2].as_secs_f64()
    };
    let (instant, silent) = (median(&mut taken[0]), median(&mut taken[1]));
    eprintln!(
        "instant {instant:.4} s, silent {silent:.4} s, ratio {:.3}",
        silent / instant
    );
}
