//! `[archive]`: what its tables come down to, and the mistakes that can be made in them.
//! It does not know how anything is archived.

use super::super::MirrorSettings;
use super::{loaded, refused};

#[test]
fn absent_is_the_default() {
    let archive = loaded(&[("larder.toml", "")]).settings.archive;
    assert_eq!(archive, super::super::ArchiveSettings::default());
    assert!(!archive.git.push && !archive.git.commit);
    assert_eq!(archive.git.workers, 4);
    assert_eq!(archive.git.message, "Archive {id}");
}

#[test]
fn every_key_is_taken_over() {
    let text = r#"
[archive]
dir = "kept"
name = "shop"
artifacts = ["dist/**", "!**/*.map"]
tags = ["a"]
notes = ["b"]
git = { push = true, commit = true, message = "m", workers = 2, tag = "t-{id}" }
keep = { count = 3, age = "1d", size = "1KB" }
mirrors.drive.folder = "~/Drive"
mirrors.store = { s3 = "s3://b/p", endpoint = "http://h", region = "eu" }
[archive.gates]
tasks = ["test"]
all-green = ["unit"]
tiers = { unit = [".#test"] }
metrics.a = { command = "echo 1", min = -1, max = 2.5, regression = "<= 5%" }
metrics.c = { command = "echo 1", max = 3000000000 }
metrics.b = { file = "x.json", field = "/y" }
[archive.validators]
required-files = ["dist/a"]
size-budget = "1MB"
file-budgets = { "dist/a" = "2KB" }
commands = { lint = "true" }
[tasks.test]
command = "true"
"#;
    let archive = loaded(&[("larder.toml", text)]).settings.archive;
    assert_eq!(archive.dir.as_deref(), Some("kept"));
    assert_eq!(archive.name.as_deref(), Some("shop"));
    assert_eq!(archive.artifacts[1].glob, "**/*.map");
    assert!(archive.artifacts[1].negated);
    assert_eq!(
        (archive.tags, archive.notes),
        (vec!["a".into()], vec!["b".into()])
    );
    assert!(archive.git.push && archive.git.commit);
    assert_eq!(
        (archive.git.workers, archive.git.tag.as_deref()),
        (2, Some("t-{id}"))
    );
    assert_eq!(
        (archive.keep_count, archive.keep_age, archive.keep_size),
        (Some(3), Some(86_400), Some(1000))
    );
    let drive = MirrorSettings::Folder("~/Drive".into());
    assert_eq!(archive.mirrors["drive"], drive);
    let MirrorSettings::Store {
        location, endpoint, ..
    } = &archive.mirrors["store"]
    else {
        panic!("{:?}", archive.mirrors);
    };
    assert_eq!(
        (location.as_str(), endpoint.as_deref()),
        ("s3://b/p", Some("http://h"))
    );
    let gates = archive.gates;
    assert_eq!(
        (gates.tasks, gates.all_green),
        (vec!["test".into()], vec!["unit".into()])
    );
    assert_eq!(gates.tiers["unit"], [".#test"]);
    let a = &gates.metrics["a"];
    assert_eq!((a.min, a.max), (Some(-1.0), Some(2.5)));
    assert_eq!(a.regression.unwrap().to_string(), "<= 5%");
    assert_eq!(gates.metrics["c"].max, Some(3e9));
    assert_eq!(gates.metrics["b"].field.as_deref(), Some("/y"));
    let validators = archive.validators;
    assert_eq!(validators.required_files, ["dist/a"]);
    assert_eq!(validators.size_budget, Some(1_000_000));
    assert_eq!(validators.file_budgets["dist/a"], 2000);
    assert_eq!(validators.commands["lint"], "true");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, words) in [
        ("[archive]\nartefacts = []", "did you mean `artifacts`?"),
        ("[archive]\nartifacts = [\"../x\"]", "`..` in a glob"),
        ("[archive.git]\npush = 1", "expected true or false"),
        ("[archive.git]\nworkers = 65", "between 1 and 64"),
        (
            "[archive.gates]\nall-green = [\"unti\"]\ntiers = { unit = [\"a\"] }",
            "did you mean `unit`?",
        ),
        (
            "[archive.gates.metrics.a]\nmin = \"80\"",
            "expected a number",
        ),
        ("[archive.gates.metrics.a]\nmin = nan", "expected a number"),
        (
            "[archive.gates.metrics.a]\nmin = 2\nmax = 1",
            "nothing could pass",
        ),
        ("[archive.gates.metrics.a]\nfile = \"x\"", "belong together"),
        (
            "[archive.gates.metrics.a]\nregression = \"> 0\"",
            "\">= 0\"",
        ),
        (
            "[archive.mirrors.drive]\nfoldr = \"x\"",
            "did you mean `folder`?",
        ),
        ("[archive.mirrors.drive]", "has no place"),
        (
            "[archive.mirrors.a]\nfolder = \"x\"\ns3 = \"s3://b\"",
            "has two places",
        ),
        (
            "[archive.mirrors.a]\nfolder = \"x\"\nregion = \"eu\"",
            "belong to `s3`",
        ),
        ("[archive.mirrors.a]\ns3 = \"bucket\"", "names no bucket"),
        ("[archive.mirrors.a]\ns3 = \"s3://\"", "names no bucket"),
        (
            "[archive.mirrors.a]\ns3 = \"s3://key:secret@b\"",
            "from the environment",
        ),
        (
            "[archive.mirrors.a]\ns3 = \"s3://b\"\nendpoint = \"https://k:s@h\"",
            "from the environment",
        ),
        (
            "[archive.mirrors.a]\nfolder = \"$HOME/x\"",
            "variables are not looked up",
        ),
        (
            "[archive.mirrors.a]\nfolder = \"~other/x\"",
            "`~/` stands for your home",
        ),
        ("[archive.git]\ntag = \"a b~^:\"", "a name that git takes"),
        ("[archive.git]\ntag = \"run-{ID}\"", "a name that git takes"),
        ("[archive]\ntags = [\" \"]", "a tag has letters"),
        ("[archive]\ntags = [\"latest\"]", "is the newest entry"),
        ("[archive]\ntags = [\"a\\nb\"]", "one line"),
        (
            "[archive.gates]\ntasks = [\"nosuch\"]",
            "no project has a task",
        ),
        (
            "[archive.gates]\ntasks = [\"x#\"]",
            "there is no project `x`",
        ),
        (
            "[archive.gates]\ntiers = { unit = [\"nosuch\"] }",
            "no project has a task",
        ),
        (
            "[archive.gates]\ntiers = { unit = [] }",
            "tier `unit` has no task",
        ),
        ("[archive.gates.metrics.a]", "nothing is asked of it"),
        (
            "[archive.gates.metrics.\"timing.archive.sync\"]\nmax = 1",
            "it ends after the gates",
        ),
        ("[archive.keep]\nage = 5", "this is not a duration"),
    ] {
        let told = refused(&[("larder.toml", text)]);
        assert!(told.contains(words), "{text}\n{told}");
        assert!(told.contains("larder.toml:"), "{told}");
    }
}
