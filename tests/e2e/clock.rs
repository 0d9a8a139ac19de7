//! Clocks that were set back, and times that were forged: what is edited is seen, and nothing else runs.
//! No test changes the machine's clock: files from the future are what a clock set back leaves.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::sandbox::Sandbox;

fn date(path: &Path, time: SystemTime) {
    std::fs::File::open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// Dates every file and folder below one into the future, as if all was made before the clock was set back by a year.
fn into_the_future(folder: &Path) {
    let year = SystemTime::now() + Duration::from_hours(24 * 365);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            into_the_future(&path);
        }
        if !kind.is_symlink() {
            date(&path, year);
        }
    }
    date(folder, year);
}

#[test]
fn after_the_clock_was_set_back_edits_are_seen_and_results_restored() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.larder("build");
    sandbox.ran();
    into_the_future(sandbox.base());
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    assert!(sandbox.ran().is_empty(), "content is what counts");
    for content in ["two\n", "six\n"] {
        sandbox.write("src.txt", content);
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
        assert_eq!(sandbox.read("out/result.txt"), content);
    }
    sandbox.write("src.txt", "one\n");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    let config = sandbox
        .read("larder.toml")
        .replace("out/result.txt", "out/resalt.txt");
    sandbox.write("larder.toml", &config);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/resalt.txt"), "one\n");
    let status = sandbox.larder("cache prune");
    assert_eq!(status.code, 0, "{}", status.all());
    sandbox.remove("out");
    assert_eq!(
        sandbox.statuses("build", 0)[".#build"],
        "restored",
        "a prune took nothing in its prime"
    );
}

#[test]
fn an_edit_of_equal_size_under_its_old_time_is_seen() {
    let sandbox = Sandbox::simple();
    let time = SystemTime::now() - Duration::from_hours(1);
    date(&sandbox.path("src.txt"), time);
    sandbox.larder("build");
    for content in ["two\n", "six\n", "ten\n"] {
        sandbox.write("src.txt", content);
        date(&sandbox.path("src.txt"), time);
        assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
        assert_eq!(sandbox.read("out/result.txt"), content);
    }
}

#[test]
fn an_output_overwritten_under_its_old_time_is_seen_and_rescued() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.larder("build");
    let output = sandbox.path("out/result.txt");
    let time = output.metadata().unwrap().modified().unwrap();
    sandbox.write("out/result.txt", "bad\n");
    date(&output, time);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/result.txt"), "one\n");
    assert_eq!(sandbox.read(".larder/rescued/out/result.txt"), "bad\n");
}

#[test]
fn an_input_edited_during_the_run_under_its_old_time_is_not_stored() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"cat src.txt > out.txt; touch -r src.txt ../time; echo two > src.txt; touch -r ../time src.txt\"\ninputs = [\"src.txt\"]\noutputs = [\"out.txt\"]\n",
        ),
        ("src.txt", "one\n"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("not stored") && outcome.stderr.contains("src.txt"),
        "{}",
        outcome.all()
    );
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out.txt"), "two\n");
}

#[test]
fn a_file_from_the_future_is_an_ordinary_input() {
    let sandbox = Sandbox::simple();
    let year = SystemTime::now() + Duration::from_hours(24 * 365);
    date(&sandbox.path("src.txt"), year);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.write("src.txt", "two\n");
    date(&sandbox.path("src.txt"), year);
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.read("out/result.txt"), "two\n");
}
