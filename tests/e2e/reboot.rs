//! After another boot of the machine, what was never synced may be gone: everything is looked at once.
//! No test boots a machine; another boot identity is mounted over the kernel's.

use crate::rights;
use crate::sandbox::Sandbox;

#[test]
fn after_another_boot_every_file_is_digested_once() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.larder("build");
    sandbox.ran();
    std::fs::write(
        sandbox.base().join("boot"),
        "11111111-2222-3333-4444-555555555555\n",
    )
    .unwrap();
    let script = "
        \"$LARDER\" build --json > \"$BASE/same\"
        mount --bind \"$BASE/boot\" /proc/sys/kernel/random/boot_id
        \"$LARDER\" build --json > \"$BASE/other\"
        \"$LARDER\" build --json > \"$BASE/again\"";
    let Some(outcome) = rights::mounting("another boot", &sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let hashed = |name: &str| {
        let text = std::fs::read_to_string(sandbox.base().join(name)).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["tasks"][0]["status"], "up-to-date", "{name}");
        record["counters"]["bytes_hashed"].as_u64().unwrap()
    };
    // The input and the output, four bytes each.
    assert_eq!(hashed("other"), 8);
    // Where time stamps are coarse a fresh file is digested in any case.
    assert!(hashed("same") <= 8);
    assert!(hashed("again") <= hashed("same"));
    assert!(sandbox.ran().is_empty());
}
