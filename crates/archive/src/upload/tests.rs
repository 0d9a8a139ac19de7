//! Uploads that fail, are killed, and are resumed.
//! Does not test what happens in the steps.

use std::cell::Cell;

use super::*;
use crate::{ArchiveEntry, RunRecord};

struct Scene {
    folder: tempfile::TempDir,
    archive: Archive,
    id: EntryId,
    clock: Cell<Duration>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().join("archive"));
        Self {
            folder,
            archive,
            id: EntryId::new(Time::from_nanos(1), 1),
            clock: Cell::new(Duration::from_secs(100)),
        }
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(journal_path(&self.archive, self.id)).unwrap()
    }

    /// Does all steps, each a second long, in one go; fails at `fails`. Notes the steps that were executed.
    fn upload(&self, fails: Option<Step>, executed: &mut Vec<Step>) -> Result<(), String> {
        let now = || self.clock.get();
        let mut upload = Upload::begin(&self.archive, self.id, Time::from_nanos(1), &now)
            .map_err(|error| error.to_string())?;
        for step in Step::ALL {
            let result: String = upload
                .step(step, |_| {
                    self.clock.set(self.clock.get() + Duration::from_secs(1));
                    executed.push(step);
                    if fails == Some(step) {
                        return Err("the disk is on fire");
                    }
                    Ok(format!("{step} is done"))
                })
                .map_err(|error| error.to_string())?;
            assert_eq!(result, format!("{step} is done"));
        }
        assert!(
            upload
                .timings()
                .values()
                .all(|&seconds| (seconds - 1.0).abs() < 1e-9)
        );
        assert_eq!(upload.timings().len(), Step::ALL.len());
        upload.finish().map_err(|error| error.to_string())
    }
}

#[test]
fn a_failing_step_names_itself_and_the_rest_is_resumed() {
    for (at, step) in Step::ALL.into_iter().enumerate() {
        let scene = Scene::new();
        let mut executed = Vec::new();
        let failed = scene.upload(Some(step), &mut executed).unwrap_err();
        assert!(failed.contains(&format!("`{step}`")), "{failed}");
        assert!(failed.contains("on fire"), "{failed}");
        assert_eq!(executed, Step::ALL[..=at]);
        let pending = pending(&scene.archive).unwrap().journals;
        assert_eq!(pending.len(), 1);
        assert_eq!(pending[0].done.len(), at);
        let failure = pending[0].failed.as_ref().unwrap();
        assert_eq!(
            (failure.step, failure.why.as_str()),
            (step, "the disk is on fire")
        );

        executed.clear();
        scene.upload(None, &mut executed).unwrap();
        assert_eq!(executed, Step::ALL[at..], "no step is done twice");
        assert_eq!(super::pending(&scene.archive).unwrap(), Pending::default());
        let left = fs::read_dir(scene.archive.root().join("uploads")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

#[test]
fn a_step_that_was_killed_before_it_was_written_down_is_done_again() {
    let scene = Scene::new();
    let now = || Duration::ZERO;
    let mut upload = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
    let done: Result<u32, StepError<&str>> = upload.step(Step::Collect, |_| Ok(7));
    assert_eq!(done.unwrap(), 7);
    let before = scene.journal();
    let _: u32 = upload.step(Step::Tagging, |_| Ok::<_, &str>(8)).unwrap();
    drop(upload);
    fs::write(journal_path(&scene.archive, scene.id), before).unwrap();
    let mut upload = Upload::resume(&scene.archive, scene.id, &now).unwrap();
    let mut again = 0;
    let old: u32 = upload.step(Step::Collect, |_| Err("not again")).unwrap();
    let new: u32 = upload
        .step(Step::Tagging, |_| {
            again += 1;
            Ok::<_, &str>(9)
        })
        .unwrap();
    assert_eq!((old, new, again), (7, 9, 1));
}

#[test]
fn one_process_at_a_time_has_an_upload() {
    let scene = Scene::new();
    let now = || Duration::ZERO;
    let first = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
    for second in [
        Upload::begin(&scene.archive, scene.id, Time::default(), &now),
        Upload::resume(&scene.archive, scene.id, &now),
    ] {
        assert!(matches!(second, Err(UploadError::Busy { .. })));
    }
    let other = EntryId::new(Time::from_nanos(2), 2);
    let other = Upload::begin(&scene.archive, other, Time::default(), &now).unwrap();
    drop(first);
    Upload::resume(&scene.archive, scene.id, &now)
        .unwrap()
        .finish()
        .unwrap();
    assert!(matches!(
        Upload::resume(&scene.archive, scene.id, &now),
        Err(UploadError::Missing { .. })
    ));
    let pending = pending(&scene.archive).unwrap();
    assert_eq!(pending.journals, [other.journal().clone()]);
    assert_eq!(pending.ids(), [other.journal().id].into());
}

#[cfg(unix)]
#[test]
fn the_lock_of_a_finished_upload_locks_nothing() {
    let scene = Scene::new();
    scene.archive.prepare().unwrap();
    let path = journal_path(&scene.archive, scene.id).with_extension("lock");
    let orphan = durable::lock_file(&path).unwrap();
    orphan.lock().unwrap();
    fs::remove_file(&path).unwrap();
    // A second one has the path now; the first one's holder has to notice.
    let now = || Duration::ZERO;
    let upload = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
    assert!(!is_at(&orphan, &path).unwrap());
    drop(upload);
}

#[test]
fn steps_come_in_their_order() {
    let scene = Scene::new();
    let now = || Duration::ZERO;
    let mut upload = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
    let _: u32 = upload.step(Step::Sync, |_| Ok::<_, &str>(1)).unwrap();
    let refused = upload
        .step(Step::Collect, |_| Ok::<u32, &str>(1))
        .unwrap_err();
    assert!(matches!(
        refused,
        StepError::Order {
            step: Step::Collect,
            later: Step::Sync
        }
    ));
}

#[test]
fn journals_that_cannot_be_read_are_told_and_can_be_given_up() {
    let scene = Scene::new();
    let now = || Duration::ZERO;
    scene.archive.prepare().unwrap();
    let path = journal_path(&scene.archive, scene.id);
    let other = path.with_file_name("notes.json");
    fs::write(&other, "{}").unwrap();
    for (bad, words) in [
        ("", "EOF"),
        ("{}", "version"),
        (
            r#"{"version":2,"steps":"of another form"}"#,
            "it has version 2, of another version of Larder",
        ),
    ] {
        fs::write(&path, bad).unwrap();
        let refused = Upload::resume(&scene.archive, scene.id, &now).unwrap_err();
        assert!(refused.to_string().contains("uploads"), "{refused}");
        let found = pending(&scene.archive).unwrap();
        assert!(found.journals.is_empty());
        assert_eq!(found.ids(), [scene.id].into());
        let [one, stray] = found.unreadable.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((&one.path, one.id), (&path, Some(scene.id)));
        assert!(one.why.contains(words), "{one:?}");
        assert_eq!((&stray.path, stray.id), (&other, None));
        // Nobody gives up what another process is at.
        let lock = hold(&scene.archive, scene.id).unwrap();
        assert!(matches!(
            Upload::forget(&scene.archive, scene.id),
            Err(UploadError::Busy { .. })
        ));
        drop(lock);
        Upload::forget(&scene.archive, scene.id).unwrap();
        assert!(!path.exists() && other.exists());
        assert!(matches!(
            Upload::forget(&scene.archive, scene.id),
            Err(UploadError::Missing { .. })
        ));
    }
    assert!(scene.folder.path().exists());
}

#[test]
fn a_failure_that_stays_is_written_down_as_such() {
    #[derive(Debug)]
    struct Gone;
    impl fmt::Display for Gone {
        fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("it is gone")
        }
    }
    impl Cause for Gone {
        fn is_lasting(&self) -> bool {
            true
        }
    }
    let scene = Scene::new();
    let now = || Duration::ZERO;
    let mut upload = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
    let lasting = |upload: &Upload<'_>| upload.journal().failed.as_ref().unwrap().lasting;
    upload
        .step::<u32, _>(Step::Collect, |_| Err("not yet"))
        .unwrap_err();
    assert!(!lasting(&upload));
    upload
        .step::<u32, _>(Step::Collect, |_| Err(Gone))
        .unwrap_err();
    assert!(lasting(&upload));
    let journals = pending(&scene.archive).unwrap().journals;
    assert_eq!(journals, [upload.journal().clone()]);
    // Journals of before say nothing of it.
    let mut old: serde_json::Value = serde_json::from_slice(&scene.journal()).unwrap();
    old["failed"].as_object_mut().unwrap().remove("lasting");
    let old: Journal = serde_json::from_value(old).unwrap();
    assert!(!old.failed.unwrap().lasting);
}

#[test]
fn what_was_packed_for_an_upload_that_is_given_up_goes_unless_its_entry_is_there() {
    for is_kept in [false, true] {
        for forgets in [false, true] {
            let scene = Scene::new();
            let now = || Duration::ZERO;
            let upload = Upload::begin(&scene.archive, scene.id, Time::default(), &now).unwrap();
            let packed = [
                Archive::bundle_name(scene.id),
                Archive::attestation_name(scene.id),
            ]
            .map(|name| scene.archive.root().join(name));
            for path in &packed {
                std::fs::write(path, "packed").unwrap();
            }
            if is_kept {
                let entry = ArchiveEntry::new(scene.id, Time::default(), RunRecord::default());
                scene.archive.save(&entry).unwrap();
            }
            if forgets {
                drop(upload);
                Upload::forget(&scene.archive, scene.id).unwrap();
            } else {
                upload.give_up(&scene.archive).unwrap();
            }
            assert!(packed.iter().all(|path| path.exists() == is_kept));
            assert!(pending(&scene.archive).unwrap().journals.is_empty());
        }
    }
}
