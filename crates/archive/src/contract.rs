//! The contract of `Destination` as a test that every implementor runs on an empty one.
//! Does not know which implementor that is.

use crate::{Destination, DestinationError, Name};

pub(crate) fn holds(destination: &dyn Destination) {
    let name = |text: &str| Name::new(text).unwrap();
    let (first, deep, empty) = (name("b.json"), name("a/deep/er"), name("c"));

    assert!(destination.list().unwrap().is_empty());
    assert_eq!(destination.get(&first).unwrap(), None);
    assert_eq!(destination.get(&deep).unwrap(), None);

    destination.put(&first, b"one\0two").unwrap();
    destination.put(&deep, &vec![7; 300_000]).unwrap();
    destination.put(&empty, b"").unwrap();
    assert_eq!(destination.get(&first).unwrap().unwrap(), b"one\0two");
    assert_eq!(destination.get(&deep).unwrap().unwrap(), vec![7; 300_000]);
    assert_eq!(destination.get(&empty).unwrap().unwrap(), b"");
    assert_eq!(
        destination.list().unwrap(),
        [deep.clone(), first.clone(), empty.clone()]
    );

    // The first content stays; the same again is harmless.
    destination.put(&first, b"one\0two").unwrap();
    for other in [&b"one"[..], b"", b"one\0twO", b"one\0two3"] {
        assert!(matches!(
            destination.put(&first, other),
            Err(DestinationError::Exists { .. })
        ));
    }
    assert_eq!(destination.get(&first).unwrap().unwrap(), b"one\0two");

    // A record is not also a folder.
    assert!(destination.put(&name("b.json/x"), b"1").is_err());
    assert!(destination.put(&name("a/deep"), b"1").is_err());
    assert_eq!(destination.get(&name("a/deep")).unwrap(), None);
    assert_eq!(destination.get(&name("b.json/x")).unwrap(), None);
    assert_eq!(destination.list().unwrap().len(), 3);

    files_are_as_good_as_bytes(destination);
    one_of_many_wins(destination);
}

fn files_are_as_good_as_bytes(destination: &dyn Destination) {
    let name = |text: &str| Name::new(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&file, &content).unwrap();
    let big = name("files/big");
    let read = |name: &Name| {
        let mut read = Vec::new();
        let there = destination.read_into(name, &mut read).unwrap();
        there.then_some(read)
    };
    assert_eq!(read(&big), None);
    destination.put_file(&big, &file).unwrap();
    assert_eq!(read(&big).as_ref(), Some(&content));
    assert_eq!(destination.get(&big).unwrap(), Some(content.clone()));
    // By whichever way it came.
    destination.put_file(&big, &file).unwrap();
    destination.put(&big, &content).unwrap();
    for other in [&content[1..], &content[..799_999], b""] {
        std::fs::write(&file, other).unwrap();
        assert!(matches!(
            destination.put_file(&big, &file),
            Err(DestinationError::Exists { .. })
        ));
    }
    assert_eq!(read(&big), Some(content));
    let missing = folder.path().join("missing");
    assert!(matches!(
        destination.put_file(&name("files/missing"), &missing),
        Err(DestinationError::Io { .. })
    ));
    assert_eq!(read(&name("files/missing")), None);
    assert_eq!(destination.list().unwrap().len(), 4);
}

fn one_of_many_wins(destination: &dyn Destination) {
    let name = Name::new("race/x").unwrap();
    let won: Vec<u8> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u8)
            .map(|content| {
                let name = &name;
                scope.spawn(move || {
                    destination
                        .put(name, &[content; 999])
                        .is_ok()
                        .then_some(content)
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        won.len(),
        1,
        "exactly one of eight different contents is stored"
    );
    assert_eq!(destination.get(&name).unwrap().unwrap(), vec![won[0]; 999]);
}
