//! A cache on a file system that may only be read: it restores, and can be looked at.

use crate::rights;
use crate::sandbox::Sandbox;

#[test]
fn a_cache_on_a_read_only_file_system_restores() {
    let sandbox = Sandbox::simple();
    assert_eq!(sandbox.larder("build").code, 0);
    assert_eq!(sandbox.ran(), ["build"]);
    let script = r#"
        mount --bind "$LARDER_CACHE_DIR" "$LARDER_CACHE_DIR"
        mount -o remount,ro,bind "$LARDER_CACHE_DIR"
        if touch "$LARDER_CACHE_DIR/x" 2>/dev/null; then exit 77; fi
        for flag in --cache=local:rw --cache=local:r; do
            rm -r out .larder
            "$LARDER" build $flag
            cat out/result.txt
        done
        "$LARDER" cache status
        "$LARDER" cache verify
        echo two > src.txt
        "$LARDER" build
    "#;
    let Some(outcome) = rights::mounting("a cache that may only be read", &sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(
        outcome.stdout.matches("one\n").count(),
        2,
        "{}",
        outcome.all()
    );
    assert!(outcome.stdout.contains("are sound"), "{}", outcome.all());
    assert!(
        !outcome.stderr.contains("nothing is restored"),
        "{}",
        outcome.all()
    );
    // Twice it was restored; the edit ran it, though its result could not be stored.
    assert_eq!(sandbox.ran(), ["build"]);
    assert_eq!(sandbox.read("out/result.txt"), "two\n");
}
