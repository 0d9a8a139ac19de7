//! Mistakes in `larder.toml`, each as the user meets it: the place, the cause, the way out, and nothing done.
//! Knows nothing of the wording beyond what a reader needs; `larder`'s own snapshots hold that.

use crate::sandbox::Sandbox;

/// Files of a workspace, and what the message about them must hold.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

const CASES: &[Case<'_>] = &[
    (
        "broken TOML",
        &[(
            "larder.toml",
            "[tasks.build\ncommand = \"echo >> ../ran.log\"\n",
        )],
        &["larder.toml:1:13", "not TOML", "unclosed table"],
    ),
    (
        "a table twice",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\n[tasks.build]\n",
        )],
        &["larder.toml:3:8", "duplicate key"],
    ),
    (
        "an unknown key",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\nouputs = []\n",
        )],
        &[
            "larder.toml:3:1",
            "unknown key `ouputs`",
            "did you mean `outputs`?",
        ],
    ),
    (
        "a wrong type",
        &[("larder.toml", "[tasks.build]\ncommand = 3\n")],
        &["larder.toml:2:11", "expected a string"],
    ),
    (
        "a bad glob in inputs",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\ninputs = [\"src/[a-\"]\n",
        )],
        &["larder.toml:3:11", "bad glob", "unclosed character class"],
    ),
    (
        "a bad glob in outputs",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\noutputs = [\"{a,b\"]\n",
        )],
        &["larder.toml:3:12", "bad glob", "unclosed alternate group"],
    ),
    (
        "outputs outside of the workspace",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\noutputs = [\"../x\"]\n",
        )],
        &["larder.toml:3:12", "`..` in a glob"],
    ),
    (
        "a missing project",
        &[(
            "larder.toml",
            "[workspace]\nprojects = [\"packages/web\"]\n[tasks.build]\ncommand = \"echo >> ../ran.log\"\n",
        )],
        &[
            "larder.toml:2:13",
            "no folder `packages/web`",
            "create it, or take it out",
        ],
    ),
    (
        "two projects of one name",
        &[
            (
                "larder.toml",
                "[workspace]\nprojects = [\"a\", \"b\"]\n[tasks.build]\ncommand = \"echo >> ../../ran.log\"\n",
            ),
            ("a/larder.toml", "[project]\nname = \"x\"\n"),
            ("b/larder.toml", "[project]\nname = \"x\"\n"),
        ],
        &[
            "b/larder.toml:2:8",
            "a/larder.toml:2:8",
            "two projects are called `x`",
        ],
    ),
    (
        "two tasks that make one file",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\noutputs = [\"x\"]\n[tasks.other]\ncommand = \"true\"\noutputs = [\"x\"]\n",
        )],
        &[
            "larder.toml:6:12",
            "two tasks create `x`",
            ".#build",
            ".#other",
        ],
    ),
    (
        "a dependency on no task",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\ndepends-on = [\"codegne\"]\n[tasks.codegen]\ncommand = \"echo >> ../ran.log\"\n",
        )],
        &[
            "larder.toml:3:15",
            "no project has a task `codegne`",
            "did you mean `codegen`?",
        ],
    ),
    (
        "a dependency on no project",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\ndepends-on = [\"web#build\"]\n",
        )],
        &["larder.toml:3:15", "no project `web`"],
    ),
    (
        "a task that depends on itself",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\ndepends-on = [\"build\"]\n",
        )],
        &[".#build -> .#build", "larder.toml:1"],
    ),
    (
        "a cycle through hooks",
        &[(
            "larder.toml",
            "[tasks.build]\ncommand = \"echo >> ../ran.log\"\nafter = [\"lint\"]\n[tasks.lint]\ncommand = \"echo >> ../ran.log\"\nafter = [\"build\"]\n",
        )],
        &["circle", ".#build", ".#lint"],
    ),
];

#[test]
fn every_mistake_names_its_place_and_nothing_is_done() {
    for (name, files, wanted) in CASES {
        let sandbox = Sandbox::new(files);
        sandbox.write("out/user.txt", "mine");
        let outcome = sandbox.larder("build");
        assert_eq!(outcome.code, 2, "{name}: {}", outcome.all());
        for part in *wanted {
            assert!(
                outcome.stderr.contains(part),
                "{name}: {part}\n{}",
                outcome.all()
            );
        }
        assert!(outcome.stdout.is_empty(), "{name}: {}", outcome.all());
        assert!(
            !outcome.stderr.contains("panicked"),
            "{name}: {}",
            outcome.all()
        );
        assert!(sandbox.ran().is_empty(), "{name}: something ran");
        assert_eq!(sandbox.read("out/user.txt"), "mine", "{name}");
        assert!(
            !sandbox.exists(".larder/state"),
            "{name}: state was written"
        );
        assert!(!sandbox.cache().exists(), "{name}: the cache was touched");
        let json = sandbox.larder("build --json");
        assert_eq!(json.code, 2, "{name}: {}", json.all());
        let record: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(record["exit_code"], 2, "{name}");
    }
}
