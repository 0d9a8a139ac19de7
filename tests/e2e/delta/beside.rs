//! Applying a delta beside runs: one that is at work, one that was killed, one that knows an older state.
//! Knows nothing of what a delta holds.

use crate::processes::wait_for;

use super::{CONFIG, OLD, apply, change, clone_of, outputs, writer};

#[test]
fn applying_waits_for_a_run_of_the_task_and_is_refused_within_it() {
    let one = writer(CONFIG);
    let slow = CONFIG.replace(
        "echo build >> ../ran.log\n",
        "echo build >> ../ran.log; touch ../begun; while [ ! -e ../go ]; do sleep 0.01; done\n",
    );
    let two = clone_of(&slow, &OLD);
    let mut run = two.command().arg("pack").spawn().unwrap();
    wait_for(&two.base().join("begun"));
    let mut command = two.command();
    command
        .args(["cache", "apply-delta"])
        .arg(one.base().join("delta"));
    command.stderr(std::process::Stdio::piped());
    let mut applying = command.spawn().unwrap();
    // It says that it waits before it does.
    let mut told = std::io::BufReader::new(applying.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).unwrap();
    let early = two.exists("out/new.d");
    std::fs::write(two.base().join("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    assert!(applying.wait().unwrap().success());
    assert!(
        line.contains(".#build: waiting for another larder process"),
        "{line}"
    );
    assert!(!early);
    assert_eq!(outputs(&two), outputs(&one));

    let nested = CONFIG.replace(
        "echo build >> ../ran.log\n",
        &format!(
            "$LARDER cache apply-delta {}; exit $?\n",
            one.base().join("delta").display()
        ),
    );
    let nested = nested.replace(
        "inputs = [\"src/**\"]",
        "inputs = []\npass-through-env = [\"LARDER\"]",
    );
    let three = clone_of(&nested, &OLD);
    let program = three.command().get_program().to_owned();
    let outcome = three.run(three.command().arg("build").env("LARDER", program));
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(
        outcome.all().contains("being run by an ancestor"),
        "{}",
        outcome.all()
    );
    assert!(!three.exists("out/new.d"));
}

#[test]
fn after_a_killed_run_what_it_left_is_the_tasks_own_and_a_refusal_forgets_nothing() {
    let config = "[tasks.build]\ncommand = \"mkdir -p out; if [ -e ../kill ]; then echo half > out/half; kill -9 $PPID; exit 1; fi; echo build >> ../ran.log; cat src/a > out/result\"\ninputs = [\"src/a\"]\noutputs = [\"out/**\"]\n";
    let (one, two) = (clone_of(config, &OLD), clone_of(config, &OLD));
    one.larder("build --write-delta ../delta");
    std::fs::write(two.base().join("kill"), "").unwrap();
    assert_eq!(two.larder("build").code, -1);
    std::fs::remove_file(two.base().join("kill")).unwrap();
    let delta = one.base().join("delta");
    let archive = delta.join("contents.tar.zst");
    let whole = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &whole[1..]).unwrap();
    let records = || crate::sandbox::files(&two.path(".larder/intents"));
    let before: Vec<_> = records()
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    assert_eq!(apply(&two, &delta).code, 1);
    let after: Vec<_> = records()
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    assert_eq!(before, after);
    assert_eq!(after.len(), 1);
    assert!(two.exists("out/half"));
    std::fs::write(&archive, whole).unwrap();
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(outputs(&two), outputs(&one));
    assert!(!two.exists(".larder/rescued"), "{}", outcome.all());
    assert!(records().is_empty());
    assert_eq!(two.statuses("build", 0)[".#build"], "up-to-date");
    assert!(two.ran().is_empty());
}

#[test]
fn a_run_that_goes_on_meanwhile_does_not_write_its_older_knowledge_over() {
    let one = clone_of(CONFIG, &OLD);
    one.larder("build");
    change(&one);
    one.larder("build --write-delta ../delta");
    let slow = CONFIG.replace(
        "echo pack >> ../ran.log;",
        "touch ../begun; while [ ! -e ../go ]; do sleep 0.01; done;",
    );
    let two = clone_of(&slow, &OLD);
    let mut run = two.command().arg("pack").spawn().unwrap();
    wait_for(&two.base().join("begun"));
    // The first task ended there, which the state does not say yet; what was written since is not its own.
    two.write("out/list", "my list");
    let outcome = apply(&two, &one.base().join("delta"));
    std::fs::write(two.base().join("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    let rescued = crate::sandbox::files(&two.path(".larder/rescued"));
    assert_eq!(rescued, [two.path(".larder/rescued/out/list")]);
    assert_eq!(two.read(".larder/rescued/out/list"), "my list");
    two.ran();
    change(&two);
    assert_eq!(two.statuses("build", 0)[".#build"], "up-to-date");
    assert!(two.ran().is_empty());
    assert_eq!(two.read("out/z.d/copy"), "44 z");
}

#[test]
fn a_delta_that_stopped_half_way_is_not_believed_and_can_be_applied_again() {
    let one = writer(CONFIG);
    let two = clone_of(CONFIG, &OLD);
    two.larder("pack");
    two.write("out/list", "my list");
    // Nothing can be moved there.
    two.write(".larder/rescued", "");
    let delta = one.base().join("delta");
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    assert!(outcome.stderr.contains("half-way"), "{}", outcome.all());
    assert!(
        outcome.stderr.contains("apply it again"),
        "{}",
        outcome.all()
    );
    assert_eq!(two.read("out/list"), "my list");
    let records = || crate::sandbox::files(&two.path(".larder/intents"));
    assert_eq!(records().len(), 2, "both tasks are in flux");
    two.remove(".larder/rescued");
    let outcome = apply(&two, &delta);
    assert_eq!(outcome.code, 0, "{}", outcome.all());
    assert_eq!(two.read(".larder/rescued/out/list"), "my list");
    assert_eq!(outputs(&two), outputs(&one));
    assert!(records().is_empty());
}
