//! What an archive entry has to pass, and what proves where it comes from.

use serde_json::Value;

use crate::archive::{id, listed, upload, workspace};

#[test]
fn a_failed_gate_keeps_the_entry_rejected_and_says_why() {
    let gates = "[tasks.lint]\ncommand = \"true\"\n[archive.gates]\ntasks = [\"lint\", \"test\"]\nmetrics.size = { command = \"echo 7\", min = 8 }\nmetrics.broken = { command = \"echo no >&2; exit 3\" }\n";
    let sandbox = workspace(gates);
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    for reason in [
        "task lint: no task `lint` took part in the run",
        "metric size: it is 7, and at least 8 is wanted",
        "metric broken: it could not be measured: `echo no >&2; exit 3` ended with exit code 3: no",
    ] {
        assert!(outcome.stdout.contains(reason), "{}", outcome.all());
    }
    assert!(!outcome.stdout.contains("task test"), "{}", outcome.all());
    assert_eq!(listed(&sandbox, "--gate rejected").len(), 1);
    assert_eq!(listed(&sandbox, "--gate accepted").len(), 0);
    // Left out on request, and the entry says so.
    let uploaded = upload(&sandbox, "--no-gates", 0);
    assert_eq!(uploaded["entry"]["gates_skipped"], true);
    assert_eq!(uploaded["entry"]["status"], "accepted");
}

#[test]
fn a_metric_is_held_against_the_last_accepted_entry() {
    let sandbox = workspace(
        "[archive.gates]\nmetrics.lines = { file = \"m.json\", field = \"/n\", regression = \">= 0\" }\n",
    );
    for (value, flags, code) in [
        (5, "", 0),
        (4, "", 1),
        // Neither a rejected entry nor one without gates is compared with.
        (1, "--no-gates", 0),
        (4, "", 1),
        (5, "", 0),
        (6, "", 0),
        (5, "", 1),
    ] {
        sandbox.write("m.json", &format!("{{\"n\":{value}}}"));
        upload(&sandbox, flags, code);
    }
}

#[test]
fn validators_reject_what_they_find_wrong() {
    let sandbox = workspace(
        "[archive.validators]\nrequired-files = [\"dist/none\"]\nsize-budget = \"1B\"\ncommands = { own = \"grep -q result.txt \\\"$LARDER_ARCHIVE_ENTRY\\\"\", bad = \"echo so; exit 1\" }\n",
    );
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    for reason in [
        "validator required-files: `dist/none` is required",
        "validator size-budget: all artifacts together: 4 bytes, and 1 are allowed",
        "validator bad: `echo so; exit 1` ended with exit code 1: so",
    ] {
        assert!(outcome.stdout.contains(reason), "{}", outcome.all());
    }
    assert!(
        !outcome.stdout.contains("validator own"),
        "{}",
        outcome.all()
    );
}

#[test]
fn provenance_is_signed_and_checked() {
    let sandbox = workspace("");
    let base = sandbox.base();
    let openssl = |words: &[&str]| {
        let output = std::process::Command::new("openssl")
            .args(words)
            .current_dir(base)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}");
    };
    for name in ["key", "other"] {
        let (secret, public) = (format!("{name}.pem"), format!("{name}.pub"));
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", &secret]);
        openssl(&["pkey", "-in", &secret, "-pubout", "-out", &public]);
    }
    let unsigned = id(&upload(&sandbox, "", 0));
    let signed = id(&upload(&sandbox, "--attest ../key.pem", 0));
    assert_ne!(unsigned, signed);
    let verify = |line: &str| {
        let outcome = sandbox.larder(&format!("archive verify {line}"));
        (outcome.code, outcome.stdout)
    };
    assert_eq!(verify("latest --key ../key.pub").0, 0);
    assert_eq!(verify("latest --key ../other.pub --key ../key.pub").0, 0);
    assert_eq!(verify("latest --key ../other.pub").0, 1);
    let (code, text) = verify("--key ../key.pub");
    assert_eq!(code, 1);
    assert!(
        text.contains(&format!(
            "{unsigned}.dsse.json: the entry has no provenance"
        )),
        "{text}"
    );
    // Standard tools find the statement: the payload of a DSSE envelope.
    let path = sandbox.path(&format!(".larder/archive/attestations/{signed}.dsse.json"));
    let envelope: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    let outcome = sandbox.larder("archive upload --attest ../key.pub");
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.stderr.contains("openssl genpkey"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_metric_that_prints_without_end_or_is_no_file_fails_its_gate() {
    let sandbox = workspace(
        "name = \"shop\"\n[archive.gates]\nmetrics.much = { command = \"head -c 200000 /dev/zero | tr '\\\\0' 7\", min = 1 }\nmetrics.pipe = { file = \"pipe\", field = \"/n\", min = 1 }\n",
    );
    let pipe = sandbox.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.unwrap().success());
    let outcome = sandbox.larder("archive upload");
    assert_eq!(outcome.code, 1, "{}", outcome.all());
    for reason in ["metric much: it could not be measured", "pipe is no file"] {
        assert!(outcome.stdout.contains(reason), "{}", outcome.all());
    }
    assert!(outcome.all().len() < 10_000, "not all that was printed");
    // Entries of one workspace are of one name, wherever its folder lies.
    let entry = sandbox.larder("archive show latest --json");
    let entry: Value = serde_json::from_str(&entry.stdout).unwrap();
    assert_eq!(entry["workspace"], "shop");
}

#[test]
fn lists_name_what_they_show_and_what_may_be_asked_for() {
    let sandbox = workspace(
        "[tasks.broken]\ncommand = \"exit 3\"\n[archive.gates]\nmetrics.size = { command = \"echo 7\", max = 8 }\n",
    );
    upload(&sandbox, "--tag v1 --tag good", 0);
    assert_eq!(sandbox.larder("broken").code, 3);
    upload(&sandbox, "", 0);
    let list = sandbox.larder("archive list").stdout;
    let words: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["ENTRY", "MADE", "GATES", "RUN", "TRIGGER", "TASKS", "TAGS"]
    );
    assert_eq!(words[1][3..], ["accepted", "exit", "3", "manual", "broken"]);
    assert_eq!(
        words[2][3..],
        ["accepted", "ok", "manual", "build", "test", "good,v1"]
    );
    let shown = sandbox.larder("archive show").stdout;
    assert!(shown.contains("failed      .#broken\n"), "{shown}");
    assert!(shown.contains("exit code 3\n"), "{shown}");
    // A gate is called by its name, alone or with its kind; of one that is unknown all are named.
    assert_eq!(listed(&sandbox, "--gate size").len(), 2);
    assert_eq!(listed(&sandbox, "--gate size=failed").len(), 0);
    let unknown = sandbox.larder("archive list --gate size=maybe");
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("`metric size`"),
        "{}",
        unknown.stderr
    );
    for tag in ["", "latest", "a\nb"] {
        let refused = sandbox.run(sandbox.command().args(["archive", "upload", "--tag", tag]));
        assert_eq!(refused.code, 2, "{tag:?}: {}", refused.all());
    }
}

#[test]
fn what_others_wrote_does_not_move_the_cursor() {
    let sandbox = workspace(
        "[archive.gates]\nmetrics.clear = { command = \"printf '\\\\033[2J'\", min = 1 }\n",
    );
    let mut command = sandbox.command();
    command.args([
        "archive",
        "upload",
        "--trigger",
        "\u{1b}[2Jci\nsecond",
        "--note",
        "a\u{7}",
    ]);
    let uploaded = sandbox.run(&mut command);
    assert_eq!(uploaded.code, 1, "{}", uploaded.all());
    for outcome in [
        uploaded,
        sandbox.larder("archive list"),
        sandbox.larder("archive show"),
    ] {
        let odd = |letter: char| letter.is_control() && letter != '\n';
        assert!(!outcome.stdout.contains(odd), "{:?}", outcome.stdout);
    }
    assert_eq!(sandbox.larder("archive list").stdout.lines().count(), 2);
}

#[test]
fn a_run_that_the_state_does_not_know_is_kept_and_what_is_missing_is_named() {
    let sandbox = workspace("");
    let complete = upload(&sandbox, "", 0);
    assert_eq!(complete["entry"]["findings"], serde_json::json!([]));
    // Damaged state is as if there were none, for runs and for uploads.
    sandbox.write(".larder/state", "");
    let partial = upload(&sandbox, "", 0);
    let findings = partial["entry"]["findings"].to_string();
    for task in ["#build", "#test"] {
        assert!(findings.contains(task), "{findings}");
    }
    assert!(findings.contains("its manifest and its log"), "{findings}");
}

#[test]
fn a_log_that_is_gone_when_an_upload_is_resumed_is_named() {
    let hurdle = "command = \"if [ -e ../hurdle ]; then mv dist/result.txt ../; fi; echo 1\"";
    let sandbox = workspace(&format!(
        "[archive.gates.metrics.hurdle]\n{hurdle}\nmax = 1\n"
    ));
    // The artifact goes meanwhile, so the step `index_save` fails.
    std::fs::write(sandbox.base().join("hurdle"), "").unwrap();
    assert_eq!(sandbox.larder("archive upload").code, 3);
    std::fs::remove_file(sandbox.base().join("hurdle")).unwrap();
    let aside = sandbox.base().join("result.txt");
    std::fs::rename(aside, sandbox.path("dist/result.txt")).unwrap();
    sandbox.write(".larder/state", "");
    let outcome = sandbox.larder("archive upload --resume");
    assert!(outcome.all().contains("its log"), "{}", outcome.all());
}
