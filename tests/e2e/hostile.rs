//! What a hostile or careless user does, and what must come out right all the same.

use crate::sandbox::Sandbox;

#[test]
fn a_file_of_the_user_that_a_task_only_chmods_is_not_taken_for_an_output() {
    let sandbox = Sandbox::new(&[
        (
            "larder.toml",
            "[tasks.build]\ncommand = \"cat src > out/result; chmod 640 out/*\"\ninputs = [\"src\"]\noutputs = [\"out/**\"]\n",
        ),
        ("src", "1"),
        ("out/user.txt", "precious"),
    ]);
    let outcome = sandbox.larder("build");
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert!(
        outcome.stderr.contains("out/user.txt"),
        "{}",
        outcome.all()
    );
    sandbox.write("src", "2");
    sandbox.larder("build");
    assert_eq!(sandbox.read("out/user.txt"), "precious");
}

#[test]
fn one_tool_command_under_two_environments_runs_twice() {
    let sandbox = Sandbox::new(&[(
        "larder.toml",
        "[tasks.a]\ncommand = \"true\"\ntools = [\"echo $FOO\"]\ninputs = []\noutputs = []\n[tasks.b]\ncommand = \"echo b$FOO >> ../ran.log\"\ntools = [\"echo $FOO\"]\npass-through-env = [\"FOO\"]\ndepends-on = [\"a\"]\ninputs = []\noutputs = []\n",
    )]);
    sandbox.larder_env("b", &[("FOO", "1")]);
    sandbox.larder_env("b", &[("FOO", "2")]);
    assert_eq!(sandbox.ran(), ["b1", "b2"]);
}
