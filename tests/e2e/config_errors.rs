//! Errors of the configuration as the user sees them.

use crate::sandbox::Sandbox;

#[test]
fn an_unknown_key_shows_file_line_and_the_nearest_name() {
    let sandbox = Sandbox::new(&[("larder.toml", "[tasks.build]\ncomand = \"true\"\n")]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("larder.toml:2"),
        "{}",
        outcome.all()
    );
    assert!(outcome.stderr.contains("`command`"), "{}", outcome.all());
}

#[test]
fn a_folder_without_configuration_says_what_to_do() {
    let sandbox = Sandbox::new(&[("a", "")]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 2, "{}", outcome.all());
    assert!(outcome.stderr.contains("larder init"), "{}", outcome.all());
}

#[test]
fn an_edited_configuration_is_seen_at_once() {
    let sandbox = Sandbox::simple();
    sandbox.larder("build");
    sandbox.larder("build");
    let config = sandbox.read("larder.toml");
    sandbox.write("larder.toml", &format!("{config}nonsense = 1\n"));
    assert_eq!(sandbox.larder("build").code, 2);
}
