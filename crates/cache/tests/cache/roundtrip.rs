//! Pack, store, restore: the disk is byte for byte what it was.
//! Knows nothing of ownership or hostile input.

use std::fs;
use std::os::unix::fs::symlink;

use larder_cache::*;

use crate::sandbox::*;

#[test]
fn outputs_come_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    sandbox.write("dist/a.js", "a");
    sandbox.write("dist/sub/tool", "#!/bin/sh\n");
    sandbox.chmod("dist/sub/tool", 0o755);
    sandbox.write("dist/ro", "read only");
    sandbox.chmod("dist/ro", 0o444);
    fs::create_dir(sandbox.at("dist/empty")).unwrap();
    symlink("../elsewhere", sandbox.at("dist/link")).unwrap();
    let long = format!("dist/{}/{}", "d".repeat(120), "f".repeat(200));
    sandbox.write(&long, "long name");
    symlink("t".repeat(300), sandbox.at("dist/longlink")).unwrap();
    let before = sandbox.snapshot();
    let paths = [
        "dist/a.js",
        "dist/sub/tool",
        "dist/ro",
        "dist/empty",
        "dist/link",
        &long,
        "dist/longlink",
    ];
    let entry = sandbox.entry(&paths);
    sandbox.empty_root();
    let restored = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!(sandbox.snapshot(), before);
    assert_eq!(restored.written.len(), 7);
    assert!(
        matches(&sandbox.root(), &entry.manifest)
            .unwrap()
            .is_empty()
    );
    // Again: nothing to do, nothing touched.
    let again = sandbox.restore(&entry, &Owned::new()).unwrap();
    assert_eq!((again.kept, again.written.len()), (7, 0));
}
