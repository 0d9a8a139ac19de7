//! Files that are no history, or no longer one, and places where none can be.

use std::fs;
use std::path::{Path, PathBuf};

use larder_timing::{History, HistoryError, Options};
use rusqlite::Connection;

use super::{open, run};

/// The path of a history of 30 runs of 30 tasks, all of it in the file itself and none in its log.
fn filled(dir: &Path) -> PathBuf {
    let path = dir.join("history.db");
    let history = open(&path).history;
    let tasks: Vec<String> = (0..30).map(|at| format!("p{at}#build")).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    for at in 0..30 {
        history.record(&run(&format!("r{at}"), &tasks)).unwrap();
    }
    drop(history);
    sql(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    path
}

fn sql(path: &Path, text: &str) {
    Connection::open(path).unwrap().execute_batch(text).unwrap();
}

/// The files beside the history, less those of its successor.
fn asides(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains("aside")).collect();
    names.sort();
    names
}

#[test]
fn what_is_no_history_is_set_aside_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let garbage = b"this was never a database, and it is longer than a hundred bytes, which is how long a header is; \
                    one more line makes sure of it";
    fs::write(&path, garbage).unwrap();
    fs::write(dir.path().join("history.db-wal"), "its log").unwrap();
    let opened = open(&path);
    let aside = opened.set_aside.unwrap();
    assert_eq!(aside, dir.path().join("history.db.aside-1"));
    assert_eq!(fs::read(&aside).unwrap(), garbage);
    assert_eq!(
        fs::read(dir.path().join("history.db.aside-1-wal")).unwrap(),
        b"its log"
    );
    opened.history.record(&run("new", &["t"])).unwrap();
    drop(opened.history);
    let again = open(&path);
    assert_eq!(again.set_aside, None);
    assert_eq!(again.history.last().unwrap().unwrap().id, "new");
}

#[test]
fn a_database_of_something_else_is_set_aside_and_a_second_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    for number in 1..=2 {
        sql(
            &path,
            "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)",
        );
        let aside = open(&path).set_aside.unwrap();
        assert_eq!(aside, dir.path().join(format!("history.db.aside-{number}")));
        let theirs: i64 = Connection::open(&aside)
            .unwrap()
            .query_row("SELECT x FROM theirs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(theirs, 7);
        for name in ["history.db", "history.db-wal", "history.db-shm"] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
}

/// Opens, reads and writes; begins anew where that is refused. The ids that were found, and whether the file was set aside.
fn use_it(path: &Path) -> (Vec<String>, bool) {
    let mut opened = open(path);
    let mut aside = opened.set_aside.is_some();
    let used = |history: &History| -> Result<Vec<String>, HistoryError> {
        let ids = history
            .runs_with_tasks(99)?
            .into_iter()
            .map(|run| run.id)
            .collect();
        history.tasks()?;
        history.task("p3#build", 99)?;
        history.estimates()?;
        history.record(&run("new", &["p3#build"]))?;
        Ok(ids)
    };
    let ids = match used(&opened.history) {
        Ok(ids) => ids,
        Err(HistoryError::Damaged { .. }) => {
            opened = opened.history.begin_anew().unwrap();
            assert!(opened.set_aside.is_some());
            aside = true;
            used(&opened.history).unwrap()
        }
        Err(other) => panic!("{other}"),
    };
    (ids, aside)
}

#[test]
fn a_truncated_file_is_set_aside_wherever_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(filled(dir.path())).unwrap();
    assert!(whole.len() > 40_000);
    for length in [
        1,
        50,
        100,
        1024,
        4095,
        4096,
        4097,
        20_000,
        whole.len() / 2,
        whole.len() - 4096,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(use_it(&path), (vec![], true), "{length}");
        assert_eq!(
            fs::read(dir.path().join("history.db.aside-1")).unwrap()[..length.min(16)],
            whole[..length.min(16)]
        );
    }
}

#[test]
fn a_cut_log_costs_the_last_runs_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    let history = open(&path).history;
    for at in 0..10 {
        history.record(&run(&format!("r{at}"), &["t"])).unwrap();
    }
    drop(history);
    let (main, log) = (
        fs::read(&path).unwrap(),
        fs::read(dir.path().join("history.db-wal")).unwrap(),
    );
    for tenths in 1..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        fs::write(&path, &main).unwrap();
        fs::write(
            dir.path().join("history.db-wal"),
            &log[..log.len() * tenths / 10],
        )
        .unwrap();
        let (ids, _) = use_it(&path);
        let expected: Vec<String> = (0..ids.len()).rev().map(|at| format!("r{at}")).collect();
        assert_eq!(ids, expected, "the first ones, without a hole");
        assert!(ids.len() < 10);
    }
}

#[test]
fn pages_of_nonsense_are_found_when_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[8192..].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(use_it(&path), (vec![], true));
    assert_eq!(asides(dir.path())[0], "history.db.aside-1");
}

#[test]
fn a_row_that_nobody_wrote_is_damage() {
    for change in [
        "UPDATE runs SET request = 'no list'",
        "UPDATE tasks SET outcome = 9",
        "UPDATE tasks SET duration = -1",
        "UPDATE lists SET rows = rows - 1; DELETE FROM names",
        "DROP TABLE lists",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(dir.path());
        sql(&path, change);
        assert_eq!(use_it(&path), (vec![], true), "{change}");
    }
}

#[test]
fn what_another_process_has_begun_anew_is_not_set_aside_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let (one, two) = (open(&path).history, open(&path).history);
    sql(&path, "DROP TABLE lists");
    let one = one.begin_anew().unwrap();
    assert!(one.set_aside.is_some());
    one.history.record(&run("new", &["t"])).unwrap();
    let two = two.begin_anew().unwrap();
    assert_eq!(two.set_aside, None);
    assert_eq!(two.history.last().unwrap().unwrap().id, "new");
}

#[test]
fn an_empty_file_becomes_a_history() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    fs::write(&path, "").unwrap();
    assert_eq!(use_it(&path), (vec![], false));
}

#[test]
fn a_history_of_a_later_version_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    sql(
        &path,
        "PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let before = fs::read(&path).unwrap();
    let error = History::open(&path, &Options::default()).unwrap_err();
    assert!(
        matches!(
            error,
            HistoryError::Newer {
                found: 99,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{} has schema 99, and only 1 and earlier are known here: use the later version, or move the file away",
            path.display()
        )
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(asides(dir.path()), [""; 0]);
}

#[test]
fn a_folder_in_its_place_is_an_error_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    let error = History::open(&path, &Options::default()).unwrap_err();
    assert!(matches!(error, HistoryError::NotAFile { .. }), "{error}");
    assert_eq!(fs::read(path.join("precious")).unwrap(), b"x");
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/such/history.db");
    let error = History::open(&path, &Options::default()).unwrap_err();
    assert!(matches!(error, HistoryError::Io { .. }), "{error}");
    assert!(
        error.to_string().starts_with(&path.display().to_string()),
        "{error}"
    );
}

/// A folder in which nothing can be made: by its mode, or, for the superuser whom modes do not bind, one of the kernel's.
#[cfg(target_os = "linux")]
fn closed_folder(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(dir.join("probe"), "").is_err() {
        return dir.to_owned();
    }
    fs::remove_file(dir.join("probe")).unwrap();
    PathBuf::from("/proc/self/fdinfo")
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = closed_folder(dir.path()).join("history.db");
    let error = History::open(&path, &Options::default()).unwrap_err();
    assert!(
        matches!(
            error,
            HistoryError::Io { .. } | HistoryError::NotWritable { .. }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().starts_with(&path.display().to_string()),
        "{error}"
    );
}
