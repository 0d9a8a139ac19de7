//! `get_or_build` as a user of the crate alone meets it.
//! Knows nothing of the parts it is made of.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use larder_cache::*;

use crate::sandbox::*;

fn run(sandbox: &Sandbox, store: &dyn Store, key: u8, content: &str) -> Build {
    let state = sandbox.dir.path().join("state");
    let outputs = Outputs {
        paths: &["dist", "log.txt"],
        state: &state,
        name: "demo",
    };
    let build = |dir: &Path| -> Result<(), Infallible> {
        assert!(!dir.join("dist/out").exists(), "the last output is gone");
        fs::create_dir_all(dir.join("dist/empty")).unwrap();
        fs::write(dir.join("dist/out"), content).unwrap();
        fs::write(dir.join("log.txt"), "log").unwrap();
        Ok(())
    };
    get_or_build(store, &Key([key; 32]), &sandbox.root(), &outputs, build).unwrap()
}

#[test]
fn a_miss_builds_a_hit_restores_and_nothing_is_lost() {
    let sandbox = Sandbox::new();
    let store = &sandbox.store;
    assert!(!run(&sandbox, store, 1, "one").hit);
    let before = sandbox.snapshot();
    assert!(!run(&sandbox, store, 2, "two").hit);
    assert_eq!(sandbox.read("dist/out"), "two");
    let back = run(&sandbox, store, 1, "never built");
    assert!(back.hit && back.rescued.is_empty());
    assert_eq!(sandbox.snapshot(), before);
    sandbox.write("dist/out", "edited by hand");
    let back = run(&sandbox, store, 1, "never built");
    assert_eq!(sandbox.read("dist/out"), "one");
    assert_eq!(
        fs::read_to_string(&back.rescued[0].1).unwrap(),
        "edited by hand"
    );
}

#[test]
fn a_store_that_fails_at_any_call_costs_only_time() {
    for nth in 1..8 {
        let sandbox = Sandbox::new();
        let store = Faulty::from_nth(MemoryStore::new(), nth);
        for _ in 0..2 {
            let built = run(&sandbox, &store, 1, "content");
            assert_eq!(sandbox.read("dist/out"), "content");
            assert_eq!(built.manifest.len(), 3);
        }
        assert!(
            matches(
                &sandbox.root(),
                &run(&sandbox, &store, 1, "content").manifest
            )
            .unwrap()
            .is_empty()
        );
    }
}

#[test]
fn a_build_that_fails_stores_nothing() {
    let sandbox = Sandbox::new();
    let state = sandbox.dir.path().join("state");
    let outputs = Outputs {
        paths: &["dist"],
        state: &state,
        name: "demo",
    };
    let key = Key([1; 32]);
    let failing = |_: &Path| Err("no");
    let result = get_or_build(&sandbox.store, &key, &sandbox.root(), &outputs, failing);
    assert!(matches!(result, Err(BuildError::Build("no"))));
    assert_eq!(sandbox.store.get(&key).unwrap(), None);
}
