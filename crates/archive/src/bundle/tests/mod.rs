//! Bundles as other tools read them, damaged at every bit, and put where links lie.
//! Does not test the archive around them.

mod forged;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process::Command;

use super::*;
use crate::format::{ArchiveEntry, Artifact};
use crate::id::EntryId;
use crate::manifests::{FileKind, FileState, Manifests};
use crate::run::RunRecord;
use crate::time::Time;

struct Scene {
    folder: tempfile::TempDir,
    entry: ArchiveEntry,
    manifests: Manifests,
    extras: Vec<Extra>,
}

impl Scene {
    /// A workspace with these artifacts, and its entry.
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("work");
        let mut entry = ArchiveEntry::new(
            EntryId::new(Time::from_nanos(1_700_000_000_000_000_000), 7),
            Time::from_nanos(1_700_000_000_000_000_000),
            RunRecord::new(serde_json::json!({ "exit_code": 0 })).unwrap(),
        );
        fs::create_dir_all(&root).unwrap();
        for (name, content) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            entry.artifacts.push(artifact(&root, name).unwrap());
        }
        let mut manifests = Manifests::default();
        let task = manifests.tasks.entry("web#build".into()).or_default();
        let state = FileState {
            kind: FileKind::File,
            executable: true,
            digest: "00".into(),
        };
        task.inputs.insert("src/main".into(), state);
        let extras = vec![Extra {
            name: "logs/web#build.log".into(),
            content: b"compiled\n".to_vec(),
        }];
        Self {
            folder,
            entry,
            manifests,
            extras,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.at("b.tar.zst")
    }

    fn pack(&self) -> Result<crate::Digests, BundleError> {
        let bundle = Bundle {
            entry: &self.entry,
            manifests: &self.manifests,
            extras: &self.extras,
            root: &self.at("work"),
        };
        pack(&bundle, &self.bundle())
    }

    fn extract(&self, overwrite: Overwrite) -> Result<Extracted, BundleError> {
        extract_artifacts(&self.bundle(), &self.at("out"), &|_| true, overwrite)
    }

    /// Files and links below the folder of extraction, sorted.
    fn extracted(&self) -> Vec<String> {
        files(&self.at("out"))
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(folder).unwrap().to_owned();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn shell(folder: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the tools that people have are there.
fn tools() -> bool {
    ["zstd", "tar"].iter().all(|tool| {
        Command::new(tool)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    })
}

#[test]
#[allow(clippy::print_stderr)] // Whoever reads the tests has to learn that one did nothing.
fn plain_tools_read_a_bundle() {
    if !tools() {
        eprintln!("SKIPPED: `zstd` and `tar` are not installed");
        return;
    }
    let long = format!("dist/{}/{}", "l".repeat(120), "n".repeat(150));
    let scene = Scene::new(&[
        ("dist/app", b"binary\0content"),
        ("dist/.hidden", b""),
        (&long, b"deep"),
        ("dist/ü b", b"\xff"),
    ]);
    scene.pack().unwrap();
    let names = shell(
        scene.folder.path(),
        "zstd -dc b.tar.zst | tar t --quoting-style=literal",
    );
    let expected = format!(
        "record.json\nmanifests.json\nlogs/web#build.log\nartifacts/dist/app\nartifacts/dist/.hidden\nartifacts/{long}\nartifacts/dist/ü b\n"
    );
    assert_eq!(names, expected);
    shell(
        scene.folder.path(),
        "zstd -q -t b.tar.zst; mkdir x; zstd -dc b.tar.zst | tar x -C x",
    );
    let read = |name: &str| fs::read(scene.at("x").join(name)).unwrap();
    assert_eq!(read("artifacts/dist/app"), b"binary\0content");
    assert_eq!(read(&format!("artifacts/{long}")), b"deep");
    assert_eq!(read("artifacts/dist/ü b"), b"\xff");
    assert_eq!(read("logs/web#build.log"), b"compiled\n");
    assert_eq!(
        ArchiveEntry::from_json(&read("record.json")).unwrap(),
        scene.entry
    );
    assert_eq!(
        Manifests::from_json(&read("manifests.json")).unwrap(),
        scene.manifests
    );
}

#[test]
fn what_was_packed_is_found_again() {
    let mut scene = Scene::new(&[("dist/app", b"one"), ("dist/big", &vec![9; 300_000])]);
    scene.entry.bundle = Some(crate::StoredFile {
        name: "x".into(),
        size: 0,
        blake3: String::new(),
        sha256: String::new(),
    });
    let digests = scene.pack().unwrap();
    let checked = verify_bundle(&scene.bundle()).unwrap();
    assert_eq!(checked.digests, digests);
    assert_eq!(
        digests,
        crate::Digests::of(&fs::read(scene.bundle()).unwrap())
    );
    assert_eq!(
        checked.entry.bundle, None,
        "a bundle cannot hold its own digest"
    );
    assert_eq!(checked.entry.artifacts, scene.entry.artifacts);
    assert_eq!(checked.manifests, scene.manifests);
    assert_eq!(checked.members, members(&scene.bundle()).unwrap());
    let log = read_member(&scene.bundle(), "logs/web#build.log").unwrap();
    assert_eq!(log.unwrap(), b"compiled\n");
    assert_eq!(read_member(&scene.bundle(), "logs/other").unwrap(), None);
    // The same again gives the same bytes, and leaves nothing beside them.
    assert_eq!(scene.pack().unwrap(), digests);
    assert_eq!(
        files(scene.folder.path()),
        ["b.tar.zst", "work/dist/app", "work/dist/big"]
    );
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let scene = Scene::new(&[("a", b"content")]);
    scene.pack().unwrap();
    let whole = fs::read(scene.bundle()).unwrap();
    let mut file = fs::File::options()
        .write(true)
        .open(scene.bundle())
        .unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let damaged = |what: &str| {
        let found = verify_bundle(&scene.bundle());
        assert!(matches!(found, Err(BundleError::Damaged { .. })), "{what}");
    };
    for (at, &byte) in whole.iter().enumerate() {
        for bit in 0..8 {
            put(at, byte ^ (1 << bit));
            damaged(&format!("bit {bit} of byte {at}"));
        }
        put(at, byte);
    }
    verify_bundle(&scene.bundle()).unwrap();
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).unwrap();
        damaged(&format!("cut at {length}"));
    }
    fs::write(scene.bundle(), [whole.as_slice(), b"\0"].concat()).unwrap();
    assert!(verify_bundle(&scene.bundle()).is_err());
    fs::write(scene.bundle(), &whole).unwrap();
    verify_bundle(&scene.bundle()).unwrap();
}

#[test]
fn a_file_that_changed_after_it_was_digested_is_named() {
    let cases: [&[u8]; 4] = [b"onE", b"one more", b"on", b""];
    for content in cases {
        let scene = Scene::new(&[("dist/app", b"one")]);
        fs::write(scene.at("work/dist/app"), content).unwrap();
        let refused = scene.pack().unwrap_err();
        assert!(
            matches!(&refused, BundleError::Changed { path } if path.ends_with("dist/app")),
            "{refused}"
        );
        assert_eq!(
            files(scene.folder.path()),
            ["work/dist/app"],
            "nothing is left behind"
        );
    }
}

#[test]
fn a_failed_pack_leaves_the_old_bundle() {
    let mut scene = Scene::new(&[("a", b"one")]);
    scene.pack().unwrap();
    let before = fs::read(scene.bundle()).unwrap();
    scene.extras.push(scene.extras[0].clone());
    assert!(matches!(scene.pack(), Err(BundleError::Refused { .. })));
    for name in ["artifacts/a", "artifacts", "record.json", "../x", "/x", ""] {
        scene.extras[1].name = name.into();
        assert!(
            matches!(scene.pack(), Err(BundleError::Refused { .. })),
            "{name}"
        );
    }
    assert_eq!(fs::read(scene.bundle()).unwrap(), before);
    assert_eq!(files(scene.folder.path()), ["b.tar.zst", "work/a"]);
}

#[test]
fn only_regular_files_inside_the_root_become_artifacts() {
    let scene = Scene::new(&[("real/file", b"1")]);
    fs::write(scene.at("outside"), b"secret").unwrap();
    for name in [
        "../outside",
        "real/../../outside",
        "/etc/hostname",
        "real",
        "",
        "real//file",
        "./real/file",
    ] {
        let refused = artifact(&scene.at("work"), name).unwrap_err();
        assert!(
            matches!(refused, BundleError::Refused { .. }),
            "{name}: {refused}"
        );
    }
    let missing = artifact(&scene.at("work"), "gone").unwrap_err();
    assert!(missing.to_string().contains("gone"), "{missing}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../outside", scene.at("work/link")).unwrap();
        std::os::unix::fs::symlink("real", scene.at("work/folder")).unwrap();
        for name in ["link", "folder/file"] {
            let refused = artifact(&scene.at("work"), name).unwrap_err();
            assert!(
                matches!(refused, BundleError::Refused { .. }),
                "{name}: {refused}"
            );
        }
    }
}

#[test]
fn artifacts_come_back_as_they_were() {
    let scene = Scene::new(&[("dist/app", b"one"), ("dist/deep/er/x", b"two")]);
    #[cfg(unix)]
    let scene = {
        use std::os::unix::fs::PermissionsExt;
        let mut scene = scene;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(scene.at("work/dist/app"), mode).unwrap();
        scene.entry.artifacts[0] = artifact(&scene.at("work"), "dist/app").unwrap();
        assert!(scene.entry.artifacts[0].executable);
        scene
    };
    scene.pack().unwrap();
    let done = scene.extract(Overwrite::Refuse).unwrap();
    assert_eq!(done.written, ["dist/app", "dist/deep/er/x"]);
    assert_eq!(scene.extracted(), ["dist/app", "dist/deep/er/x"]);
    assert_eq!(fs::read(scene.at("out/dist/app")).unwrap(), b"one");
    for name in ["dist/app", "dist/deep/er/x"] {
        let again = artifact(&scene.at("out"), name).unwrap();
        assert!(scene.entry.artifacts.contains(&again), "{again:?}");
    }
    let done = scene.extract(Overwrite::Refuse).unwrap();
    assert_eq!(done.unchanged, ["dist/app", "dist/deep/er/x"]);
    assert!(done.written.is_empty());

    fs::write(scene.at("out/dist/deep/er/x"), b"mine").unwrap();
    fs::remove_file(scene.at("out/dist/app")).unwrap();
    let refused = scene.extract(Overwrite::Refuse).unwrap_err();
    assert!(matches!(refused, BundleError::Refused { .. }), "{refused}");
    assert_eq!(
        scene.extracted(),
        ["dist/deep/er/x"],
        "nothing was extracted"
    );
    assert_eq!(fs::read(scene.at("out/dist/deep/er/x")).unwrap(), b"mine");
    scene.extract(Overwrite::Replace).unwrap();
    assert_eq!(fs::read(scene.at("out/dist/deep/er/x")).unwrap(), b"two");

    let one = |artifact: &Artifact| artifact.name == "dist/app";
    let done =
        extract_artifacts(&scene.bundle(), &scene.at("some"), &one, Overwrite::Refuse).unwrap();
    assert_eq!(done.written, ["dist/app"]);
    assert_eq!(files(&scene.at("some")), ["dist/app"]);
}

#[test]
fn a_damaged_bundle_extracts_nothing() {
    let scene = Scene::new(&[("a", b"one"), ("b", b"two")]);
    scene.pack().unwrap();
    let mut bytes = fs::read(scene.bundle()).unwrap();
    let last = bytes.len() - 60;
    bytes[last] ^= 1;
    fs::write(scene.bundle(), bytes).unwrap();
    assert!(matches!(
        scene.extract(Overwrite::Replace),
        Err(BundleError::Damaged { .. })
    ));
    assert!(!scene.at("out").exists());
}

#[cfg(unix)]
#[test]
fn what_never_was_a_bundle_is_told_apart_from_damage() {
    let scene = Scene::new(&[("app", b"1")]);
    for content in ["", "(", "root:x:0:0\n", &"root:x:0:0\n".repeat(99)] {
        fs::write(scene.bundle(), content).unwrap();
        let refused = verify_bundle(&scene.bundle()).unwrap_err();
        let is_foreign = matches!(refused, BundleError::Foreign { .. });
        // Of an empty file nobody can say, nor of one with a bundle's first byte.
        assert_eq!(is_foreign, content.len() > 1, "{content}: {refused}");
    }
    scene.pack().unwrap();
    let mut bytes = fs::read(scene.bundle()).unwrap();
    bytes[0] ^= 1;
    fs::write(scene.bundle(), bytes).unwrap();
    let refused = verify_bundle(&scene.bundle()).unwrap_err();
    assert!(matches!(refused, BundleError::Damaged { .. }), "{refused}");
}

#[test]
fn a_plan_names_what_an_extraction_would_do() {
    let scene = Scene::new(&[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    scene.pack().unwrap();
    let into = scene.at("into");
    let plan = || plan_artifacts(&scene.bundle(), &into, &|_| true);
    assert_eq!(plan().unwrap().absent, ["a", "b", "c"]);
    assert!(!into.exists());
    fs::create_dir(&into).unwrap();
    fs::write(into.join("a"), b"1").unwrap();
    fs::write(into.join("b"), b"other").unwrap();
    let found = plan().unwrap();
    assert_eq!(
        (found.unchanged, found.different, found.absent),
        (vec!["a".into()], vec!["b".into()], vec!["c".into()])
    );
    fs::create_dir(into.join("c")).unwrap();
    assert!(matches!(plan(), Err(BundleError::Refused { .. })));
    fs::write(scene.bundle(), b"broken").unwrap();
    assert!(plan().is_err());
}

#[test]
fn links_in_the_way_are_never_followed() {
    use std::os::unix::fs::symlink;
    for (link, target) in [
        ("dist", "../outside"),
        ("dist/deep", "../../outside"),
        ("dist/deep/app", "../../../outside/x"),
    ] {
        let scene = Scene::new(&[("dist/deep/app", b"one")]);
        scene.pack().unwrap();
        fs::create_dir_all(scene.at("outside/deep")).unwrap();
        fs::write(scene.at("outside/x"), b"theirs").unwrap();
        let link = scene.at("out").join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, &link).unwrap();
        let refused = scene.extract(Overwrite::Replace).unwrap_err();
        assert!(matches!(refused, BundleError::Refused { .. }), "{refused}");

        // A link that appears after that look is not followed either.
        let tree = tree::Tree::open(&scene.at("out")).unwrap();
        let _ = tree.put("dist/deep/app", false, &mut |file| file.write_all(b"new"));
        assert_eq!(files(&scene.at("outside")), ["x"]);
        assert_eq!(fs::read(scene.at("outside/x")).unwrap(), b"theirs");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_way_does_not_block() {
    let scene = Scene::new(&[("app", b"one")]);
    scene.pack().unwrap();
    fs::create_dir(scene.at("out")).unwrap();
    shell(&scene.at("out"), "mkfifo app");
    assert!(matches!(
        scene.extract(Overwrite::Replace),
        Err(BundleError::Refused { .. })
    ));
    assert!(matches!(
        artifact(&scene.at("out"), "app"),
        Err(BundleError::Refused { .. })
    ));
}
