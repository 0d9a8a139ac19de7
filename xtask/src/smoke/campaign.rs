//! The steps of the smoke campaign, and what each has to run.
//! Does not know where the trees came from.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::record::Record;
use super::scene::{Indexes, Scene, git, succeed};

/// How a task ends, and what the cache did for it.
type End = (&'static str, &'static str);

const RAN: End = ("ran", "miss");
const FORCED: End = ("ran", "bypassed");
const RESTORED: End = ("restored", "hit");
const UP_TO_DATE: End = ("up-to-date", "hit");

/// Goes through all steps.
///
/// # Errors
/// Names the step, and each repository that did something else than it had to.
pub(super) fn run(scene: &Scene, prune: &[String]) -> Result<(), Box<dyn Error>> {
    let cold = step(scene, "the first run", &[], RAN, &[])?;
    let first = scene.indexes()?;
    artifacts_are_archives(scene)?;
    step(scene, "nothing changed", &[], UP_TO_DATE, &[])?;
    for name in &scene.repositories {
        scene.delete_index(name)?;
    }
    step(scene, "all indexes deleted", &[], RESTORED, &[])?;
    same(&first, &scene.indexes()?, "all indexes deleted")?;

    edits(scene, &first)?;
    commits(scene)?;
    tool(scene)?;
    step(
        scene,
        "LARDER_FORCE=django",
        &[("LARDER_FORCE", "django")],
        UP_TO_DATE,
        &[("django", FORCED)],
    )?;
    step(scene, "nothing changed", &[], UP_TO_DATE, &[])?;
    let alone = alone(scene)?;
    next_job(scene, prune)?;
    println!("\n# seconds of each repository\n{}", seconds(&cold, &alone));
    Ok(())
}

/// One run: `rest` is how it ends for every repository but those that `changed` names.
fn step(
    scene: &Scene,
    title: &str,
    env: &[(&str, &str)],
    rest: End,
    changed: &[(&str, End)],
) -> Result<Record, Box<dyn Error>> {
    let record = shown(scene, title, env)?;
    record
        .expect(&scene.repositories, rest, changed)
        .map_err(|wrong| format!("after `{title}`:\n{wrong}"))?;
    Ok(record)
}

/// One run, with its title and what it said at the end.
fn shown(scene: &Scene, title: &str, env: &[(&str, &str)]) -> Result<Record, Box<dyn Error>> {
    println!("\n# {title}");
    let record = scene.run("index", env)?;
    print!("{}", record.told);
    Ok(record)
}

/// An edit and an untracked file rebuild one repository; without them its index is restored.
fn edits(scene: &Scene, first: &Indexes) -> Result<(), Box<dyn Error>> {
    let django = scene.work.join("django");
    append(
        &django.join("django/__init__.py"),
        "\ndef smoke_edit(): pass\n",
    )?;
    let title = "a file of django edited";
    step(scene, title, &[], UP_TO_DATE, &[("django", RAN)])?;
    contains(scene, "django", "smoke_edit")?;
    git(&django, &["checkout", "-q", "--", "django/__init__.py"])?;
    let title = "the edit taken back";
    step(scene, title, &[], UP_TO_DATE, &[("django", RESTORED)])?;
    same(first, &scene.indexes()?, title)?;

    let new = scene.work.join("pandas/pandas/smoke_new.py");
    fs::write(&new, "class SmokeNew: pass\n")?;
    let title = "a new file in pandas that git does not track";
    step(scene, title, &[], UP_TO_DATE, &[("pandas", RAN)])?;
    contains(scene, "pandas", "SmokeNew")?;
    fs::remove_file(&new)?;
    let title = "the new file deleted";
    step(scene, title, &[], UP_TO_DATE, &[("pandas", RESTORED)])?;
    same(first, &scene.indexes()?, title)
}

/// A commit with another tree rebuilds one repository; one with the same tree rebuilds nothing.
fn commits(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let sympy = scene.work.join("sympy");
    append(
        &sympy.join("sympy/__init__.py"),
        "\nclass SmokeCommit: pass\n",
    )?;
    git(&sympy, &["commit", "-q", "-a", "-m", "Another class"])?;
    let title = "a new commit in sympy";
    step(scene, title, &[], UP_TO_DATE, &[("sympy", RAN)])?;
    contains(scene, "sympy", "SmokeCommit")?;
    git(&sympy, &["commit", "-q", "--amend", "-m", "Other words"])?;
    git(&sympy, &["commit", "-q", "--allow-empty", "-m", "Nothing"])?;
    step(
        scene,
        "commits with the same tree in sympy",
        &[],
        UP_TO_DATE,
        &[],
    )?;
    Ok(())
}

/// An edit of the tool rebuilds every repository, to the same bytes.
fn tool(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let before = scene.indexes()?;
    append(&scene.workspace().join("tools/index.py"), "# smoke\n")?;
    let title = "the tool edited";
    step(scene, title, &[], RAN, &[])?;
    same(&before, &scene.indexes()?, title)?;
    git(&scene.workspace(), &["checkout", "-q", "--", "tools"])?;
    let title = "the tool as before";
    step(scene, title, &[], RESTORED, &[])?;
    same(&before, &scene.indexes()?, title)
}

/// The seconds of a run of each repository by itself: up to date, and restored.
fn alone(scene: &Scene) -> Result<BTreeMap<String, [f64; 2]>, Box<dyn Error>> {
    let mut found = BTreeMap::new();
    for name in &scene.repositories {
        let task = format!("{name}#index");
        let mut seconds = [0.0; 2];
        for (end, wall) in [UP_TO_DATE, RESTORED].into_iter().zip(&mut seconds) {
            if end == RESTORED {
                scene.delete_index(name)?;
            }
            let record = scene.run(&task, &[])?;
            record.expect(std::slice::from_ref(name), end, &[])?;
            *wall = record.wall;
        }
        found.insert(name.clone(), seconds);
    }
    Ok(found)
}

/// The next job of a CI: the cache is pruned, kept as an archive and unpacked; workspace and trees are cloned anew.
fn next_job(scene: &Scene, prune: &[String]) -> Result<(), Box<dyn Error>> {
    let before = scene.indexes()?;
    let words: Vec<&str> = prune.iter().map(String::as_str).collect();
    println!("\n# larder {}", words.join(" "));
    print!("{}", scene.larder(&words, &[])?);
    let clone = scene.work.join("next-job");
    let next = scene.elsewhere(clone.clone(), clone.join("cache"));
    fs::create_dir_all(&next.cache)?;
    let archive = scene.work.join("cache.tar");
    succeed(
        Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(&scene.cache)
            .arg("."),
    )?;
    succeed(
        Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(&next.cache),
    )?;
    fs::remove_dir_all(&scene.cache)?;
    for name in scene
        .repositories
        .iter()
        .map(String::as_str)
        .chain(["smoke"])
    {
        let from = scene.work.join(name);
        succeed(
            Command::new("git")
                .args(["clone", "-q"])
                .args([&from, &clone.join(name)]),
        )?;
        append(&clone.join(name).join(".git/info/exclude"), "/.index/\n")?;
    }
    step(
        &next,
        "the next job, with the cache of this one",
        &[],
        RESTORED,
        &[],
    )?;
    same(&before, &next.indexes()?, "the next job")?;
    step(&next, "the same job, once more", &[], UP_TO_DATE, &[])?;

    // A bound that is too small for all: what this job did not use goes first.
    let size = size(&next.cache)?;
    let bound = format!("{}B", size / 10 * 9);
    println!("\n# larder cache prune --max-size {bound}");
    let said = next.larder(&["cache", "prune", "--max-size", &bound], &[])?;
    print!("{said}");
    if self::size(&next.cache)? >= size {
        return Err(format!("nothing was pruned to {bound}: {said}").into());
    }
    for name in &next.repositories {
        next.delete_index(name)?;
    }
    let title = "all indexes deleted, after old results were pruned";
    step(&next, title, &[], RESTORED, &[])?;
    same(&before, &next.indexes()?, title)
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() {
            size(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(bytes)
}

/// Every artifact of the cache is what `tar` and `zstd` can read. Without these programs it is not looked at.
fn artifacts_are_archives(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("zstd") || !there("tar") {
        println!("\n# SKIPPED: artifacts are not listed, zstd or tar is missing");
        return Ok(());
    }
    let mut count = 0;
    for folder in fs::read_dir(scene.cache.join("v1/artifacts"))? {
        for artifact in fs::read_dir(folder?.path())? {
            let path = artifact?.path();
            let listed = succeed(
                Command::new("sh")
                    .args([
                        "-c",
                        "set -e; zstd -dcq <\"$1\" >\"$2\"; tar -tf \"$2\"; rm \"$2\"",
                        "sh",
                    ])
                    .args([&path, &scene.work.join("artifact.tar")]),
            )?;
            for file in ["definitions.tsv", "references.tsv"] {
                if !listed.lines().any(|line| line.ends_with(file)) {
                    return Err(format!("{} holds no {file}: {listed}", path.display()).into());
                }
            }
            count += 1;
        }
    }
    let wanted = scene.repositories.len();
    if count != wanted {
        return Err(format!("{count} artifacts instead of {wanted}").into());
    }
    println!("\n# {count} artifacts, each read by zstd and tar");
    Ok(())
}

fn append(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(fs::write(path, old + text)?)
}

fn contains(scene: &Scene, name: &str, word: &str) -> Result<(), Box<dyn Error>> {
    let index = scene.index(name)?;
    let text = index
        .get("definitions.tsv")
        .map(|bytes| String::from_utf8_lossy(bytes));
    if text.is_some_and(|text| text.contains(word)) {
        return Ok(());
    }
    Err(format!("the index of {name} does not have {word}").into())
}

fn same(before: &Indexes, after: &Indexes, title: &str) -> Result<(), Box<dyn Error>> {
    for (name, files) in before {
        if after.get(name) != Some(files) {
            return Err(format!("after `{title}` the index of {name} has other bytes").into());
        }
    }
    Ok(())
}

/// Seconds of a rebuild, of a run that found all in place, and of a restore, a line a repository.
fn seconds(cold: &Record, alone: &BTreeMap<String, [f64; 2]>) -> String {
    let head = format!(
        "{:<14} {:>10} {:>10} {:>10}",
        "", "rebuild", "up to date", "restore"
    );
    let rows = cold.rows.iter().map(|(name, row)| {
        let [there, restored] = alone.get(name).copied().unwrap_or_default();
        format!(
            "{name:<14} {:>10.2} {there:>10.2} {restored:>10.2}",
            row.seconds
        )
    });
    std::iter::once(head)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}
