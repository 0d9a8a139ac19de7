//! Outputs that are gone or wrong come back from the cache, exactly.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::sandbox::Sandbox;

fn tree() -> Sandbox {
    Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; mkdir -p out/deep out/empty; cat src.txt > out/deep/a.txt; echo tool > out/tool; chmod 755 out/tool; ln -sf deep/a.txt out/link; echo ro > out/ro; chmod 444 out/ro\"\ninputs = [\"src.txt\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src.txt", "one\n"),
    ])
}

#[test]
fn deleted_outputs_come_back_with_modes_links_and_empty_folders() {
    let sandbox = tree();
    sandbox.larder("build");
    sandbox.ran();
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert!(sandbox.ran().is_empty());
    assert_eq!(sandbox.read("out/deep/a.txt"), "one\n");
    assert_eq!(
        std::fs::read_link(sandbox.path("out/link"))
            .unwrap()
            .to_str()
            .unwrap(),
        "deep/a.txt"
    );
    assert_eq!(
        std::fs::metadata(sandbox.path("out/tool"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o755
    );
    assert_eq!(
        std::fs::metadata(sandbox.path("out/ro"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o444
    );
    assert!(sandbox.path("out/empty").is_dir());
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
}

#[test]
fn one_wrong_file_is_mended_and_right_ones_keep_their_times() {
    let sandbox = tree();
    sandbox.larder("build");
    let stamp = |path: &str| {
        let meta = std::fs::metadata(sandbox.path(path)).unwrap();
        (meta.mtime(), meta.mtime_nsec(), meta.ino())
    };
    let tool = stamp("out/tool");
    sandbox.remove("out/deep/a.txt");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "restored");
    assert_eq!(sandbox.read("out/deep/a.txt"), "one\n");
    assert_eq!(stamp("out/tool"), tool);
}

#[test]
fn another_clone_restores_from_the_shared_cache_and_replays_the_log() {
    let one = Sandbox::simple();
    one.larder("build");
    let two = Sandbox::simple();
    let mut command = two.command();
    command.args(["build"]).env("LARDER_CACHE_DIR", one.cache());
    let outcome = two.run(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(outcome.stdout.contains("building"), "{}", outcome.all());
    assert!(two.ran().is_empty());
    assert_eq!(two.read("out/result.txt"), "one\n");
}

#[test]
fn outputs_with_the_roots_own_path_are_bound_to_it() {
    let make = || {
        Sandbox::new(&[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; pwd > out.txt\"\noutputs = [\"out.txt\"]\n",
        )])
    };
    let (one, two) = (make(), make());
    let first = one.larder("build");
    assert!(first.stderr.contains("bound"), "{}", first.all());
    one.remove("out.txt");
    assert_eq!(one.statuses("build", 0)[".#build"], "restored");
    let mut command = two.command();
    command.args(["build"]).env("LARDER_CACHE_DIR", one.cache());
    assert_eq!(two.run(&mut command).code, 0);
    assert_eq!(two.ran(), ["ran"], "another root must run");
}

#[test]
fn store_false_is_checked_in_place_and_never_packed() {
    let sandbox = Sandbox::simple();
    let config = sandbox.read("larder.toml");
    sandbox.write("larder.toml", &format!("{config}store = false\n"));
    sandbox.larder("build");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "up-to-date");
    sandbox.remove("out");
    assert_eq!(sandbox.statuses("build", 0)[".#build"], "ran");
    assert_eq!(sandbox.ran().len(), 2);
}

#[test]
fn relocatable_outputs_are_shared_all_the_same() {
    let make = || {
        Sandbox::new(&[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo ran >> ../ran.log; pwd > out.txt\"\noutputs = [\"out.txt\"]\nrelocatable = true\n",
        )])
    };
    let (one, two) = (make(), make());
    one.larder("build");
    let mut command = two.command();
    command.args(["build"]).env("LARDER_CACHE_DIR", one.cache());
    assert_eq!(two.run(&mut command).code, 0);
    assert!(two.ran().is_empty());
    assert_eq!(two.read("out.txt"), one.read("out.txt"));
}
