//! A bucket of a server that is slow, loses answers, falls silent or dies in the middle.
//! Knows nothing of credentials.

use super::*;

#[test]
fn a_server_that_does_not_answer_is_given_up_and_nothing_is_half() {
    let Some(server) = server() else { return };
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    // Slow, but not too slow.
    *faults.delay.lock().unwrap() = Duration::from_millis(20);
    let bucket = open_at(server, address, "slow", &STRICT);
    let content = vec![1; 100_000];
    bucket.put(&name("a"), &content).unwrap();
    assert_eq!(bucket.get(&name("a")).unwrap().unwrap(), content);
    faults.fall_silent(0);
    let short = Limits {
        request: Duration::from_millis(300),
        ..STRICT
    };
    let bucket = open_at(server, address, "slow", &short);
    let refused = bucket.put(&name("b"), b"2").unwrap_err();
    assert!(text(&refused).contains("timed out"), "{refused:?}");
    faults.until_silent();
    faults.speak();
    assert!(!faults.is_silent());
    let direct = open(server, "slow");
    assert_eq!(direct.get(&name("a")).unwrap().unwrap(), content);
    direct.put(&name("b"), b"2").unwrap();
}

#[test]
fn a_server_that_dies_in_the_middle_leaves_nothing_that_is_seen() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = big(&folder, 2);
    let direct = open(server, "dies");
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    // In the first part, in the second, in the last, and before the end of all is told.
    for (at, bytes) in [5_000_000, 12_000_000, 19_990_000, 20_002_500]
        .into_iter()
        .enumerate()
    {
        let name = name(&format!("{at}"));
        *faults.bytes.lock().unwrap() = Some(bytes);
        let bucket = open_at(server, address, "dies", &STRICT);
        let refused = bucket.put_file(&name, &file).unwrap_err();
        assert!(matches!(refused, DestinationError::Io { .. }), "{refused}");
        assert_eq!(direct.get(&name).unwrap(), None, "{at}");
        // It comes back, and so do we.
        *faults.bytes.lock().unwrap() = None;
        bucket.put_file(&name, &file).unwrap();
        assert!(direct.get(&name).unwrap().unwrap() == std::fs::read(&file).unwrap());
    }
    assert_eq!(server.keys("dies/"), ["0", "1", "2", "3"]);
}

#[test]
fn a_lost_answer_is_mended_by_putting_again() {
    let Some(server) = server() else { return };
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    let (bucket, direct) = (
        open_at(server, address, "lost", &STRICT),
        open(server, "lost"),
    );
    // The answer to the list that comes before each put, then that to the put itself, then none.
    let mut mended = 0;
    for spared in 0..3 {
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
    assert_eq!(mended, 1);
    assert_eq!(server.keys("lost/"), ["0", "1", "2"]);
}

#[test]
fn an_outbox_brings_all_there_through_a_server_that_fails_again_and_again() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder, "flaky");
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    let direct = open(server, "flaky");
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
        Ok(Some(Box::new(open_at(server, address, "flaky", &STRICT))))
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
fn a_big_file_is_read_though_no_answer_brings_all_of_it_in_time() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = big(&folder, 4);
    let faults = Arc::new(Faults::default());
    let address = proxy::start(server.address, &faults);
    // As with a bundle that takes longer than a request may, whatever the network does.
    *faults.most.lock().unwrap() = Some(17 << 20);
    let short = Limits {
        request: Duration::from_secs(5),
        ..STRICT
    };
    let bucket = open_at(server, address, "long", &short);
    bucket.put_file(&name("big"), &file).unwrap();
    let there = bucket.get(&name("big")).unwrap().unwrap();
    assert!(there == std::fs::read(&file).unwrap());
}
