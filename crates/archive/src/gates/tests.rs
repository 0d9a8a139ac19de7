//! Gates that let pass, gates that do not, and the words for it.
//! Does not test validators for themselves.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::format::{ArchiveEntry, EntryStatus, Finding, Severity};
use crate::id::EntryId;
use crate::run::{RunRecord, RunSummary};
use crate::time::Time;

struct Scene {
    run: RunSummary,
    metrics: BTreeMap<String, f64>,
    unmeasured: BTreeMap<String, String>,
    previous: Option<ArchiveEntry>,
    regressions: Vec<TimingRegression>,
    findings: Vec<Finding>,
}

impl Scene {
    fn new(tasks: &[(&str, &str)]) -> Self {
        let failed = tasks.iter().any(|(_, status)| *status == "failed");
        let tasks: Vec<_> = tasks
            .iter()
            .map(|(task, status)| json!({ "task": task, "status": status }))
            .collect();
        let record = json!({ "exit_code": u8::from(failed), "tasks": tasks });
        Self {
            run: RunRecord::new(record).unwrap().summary().clone(),
            metrics: BTreeMap::new(),
            unmeasured: BTreeMap::new(),
            previous: None,
            regressions: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn metric(value: f64) -> Self {
        let mut scene = Self::new(&[]);
        scene.metrics.insert("coverage".into(), value);
        scene
    }

    fn after(mut self, value: Option<f64>) -> Self {
        let id = EntryId::new(Time::default(), 0);
        let mut entry = ArchiveEntry::new(id, Time::default(), RunRecord::default());
        entry
            .metrics
            .extend(value.map(|value| ("coverage".into(), value)));
        self.previous = Some(entry);
        self
    }

    /// The gates of a configuration as users write it.
    fn ask(&self, config: &str) -> Vec<GateResult> {
        let config: GatesConfig = toml::from_str(config).unwrap();
        let input = GateInput {
            run: &self.run,
            metrics: &self.metrics,
            unmeasured: &self.unmeasured,
            previous: self.previous.as_ref(),
            regressions: &self.regressions,
            findings: &self.findings,
        };
        evaluate(&config, &input)
    }

    /// The reasons of the only gate, if it failed.
    fn refusal(&self, config: &str) -> Option<String> {
        let [result] = &self.ask(config)[..] else {
            panic!("one gate was expected")
        };
        (!result.passed).then(|| result.reasons.join("; "))
    }
}

#[test]
fn without_gates_everything_passes() {
    let results = Scene::new(&[("web#test", "failed")]).ask("");
    assert_eq!(results, []);
    assert_eq!(verdict(&results), EntryStatus::Accepted);
}

#[test]
fn named_tasks_must_have_passed() {
    for (status, passes) in [
        ("ran", true),
        ("up-to-date", true),
        ("restored", true),
        ("group", true),
        ("failed", false),
        ("skipped", false),
        ("teleported", false),
    ] {
        let scene = Scene::new(&[("web#test", status), ("api#test", "ran")]);
        for config in ["tasks = ['web#test']", "tasks = ['test']"] {
            assert_eq!(scene.refusal(config).is_none(), passes, "{status} {config}");
        }
        assert_eq!(scene.refusal("tasks = ['api#test']"), None);
    }
    let scene = Scene::new(&[("web#test", "ran")]);
    for absent in [
        "tasks = ['web#tes']",
        "tasks = ['web']",
        "tasks = ['b#test']",
    ] {
        assert!(scene.refusal(absent).unwrap().contains("took part"));
    }
}

#[test]
fn a_group_does_not_pass_in_a_run_that_failed() {
    let scene = Scene::new(&[("web#all", "group"), ("web#test", "failed")]);
    assert!(scene.refusal("tasks = ['web#all']").is_some());
}

#[test]
fn a_tier_must_be_all_green() {
    let tier = |name: &str| {
        format!("all-green = ['{name}']\ntiers.unit = ['test', 'web#lint']\ntiers.none = []")
    };
    let green = [
        ("web#test", "ran"),
        ("api#test", "restored"),
        ("web#lint", "up-to-date"),
    ];
    assert_eq!(Scene::new(&green).refusal(&tier("unit")), None);
    let mut one_red = green;
    one_red[1].1 = "failed";
    let refusal = Scene::new(&one_red).refusal(&tier("unit")).unwrap();
    assert_eq!(refusal, "`api#test` failed");
    let refusal = Scene::new(&green[..2]).refusal(&tier("unit")).unwrap();
    assert!(refusal.contains("`web#lint` took part"), "{refusal}");
    for nothing in ["none", "other"] {
        assert!(Scene::new(&green).refusal(&tier(nothing)).is_some());
    }
}

#[test]
fn metrics_have_bounds() {
    let config = "metrics.coverage = { min = 80, max = 100.0 }";
    for (value, passes) in [
        (79.999, false),
        (80.0, true),
        (100.0, true),
        (100.001, false),
        (f64::NAN, false),
        (f64::INFINITY, false),
    ] {
        let refusal = Scene::metric(value).refusal(config);
        assert_eq!(refusal.is_none(), passes, "{value}: {refusal:?}");
    }
    assert_eq!(
        Scene::metric(79.5).refusal(config).unwrap(),
        "it is 79.5, and at least 80 is wanted"
    );
}

#[test]
fn a_metric_that_was_not_measured_does_not_pass() {
    let mut scene = Scene::new(&[]);
    let config = "metrics.coverage = {}";
    assert!(scene.refusal(config).unwrap().contains("not measured"));
    scene.metrics.insert("coverage".into(), 1.0);
    scene
        .unmeasured
        .insert("coverage".into(), "exit code 2".into());
    assert!(scene.refusal(config).unwrap().contains("exit code 2"));
}

#[test]
fn a_change_is_against_the_last_accepted_entry() {
    let cases = [
        (">= 0", 80.0, 80.0, true),
        (">= 0", 80.0, 79.9, false),
        (">= -0.5", 80.0, 79.5, true),
        (">= -0.5", 80.0, 79.4, false),
        ("<= 5%", 200.0, 210.0, true),
        ("<= 5%", 200.0, 211.0, false),
        (">= -10%", -100.0, -110.0, true),
        (">= -10%", -100.0, -111.0, false),
        ("<= 5%", 0.0, 0.1, false),
        // Binary fractions: the difference of these is a little less than -0.1.
        (">= -0.1", 0.8, 0.7, true),
        (">= -0.1", 0.8, 0.699_999, false),
    ];
    for (change, old, new, passes) in cases {
        let config = format!("metrics.coverage.regression = '{change}'");
        let refusal = Scene::metric(new).after(Some(old)).refusal(&config);
        assert_eq!(
            refusal.is_none(),
            passes,
            "{change} {old} {new}: {refusal:?}"
        );
    }
    let config = "metrics.coverage.regression = '>= 0'";
    for scene in [Scene::metric(1.0), Scene::metric(1.0).after(None)] {
        let result = scene.ask(config).remove(0);
        assert!(result.passed);
        assert!(result.reasons[0].contains("to compare with"), "it is said");
    }
    let refusal = Scene::metric(1.0).after(Some(2.0)).refusal(config).unwrap();
    assert_eq!(
        refusal,
        "it went from 2 in entry 00000000000000000000000000 to 1, and a change of >= 0 is wanted"
    );
}

#[test]
fn timing_regressions_reject_where_that_is_wanted() {
    let mut scene = Scene::new(&[]);
    let reject = "timing-regressions = 'reject'";
    assert_eq!(scene.refusal(reject), None);
    scene.regressions.push(TimingRegression {
        name: "web#build".into(),
        seconds: 3.0,
        expected_seconds: 1.5,
    });
    assert_eq!(scene.ask(""), []);
    assert_eq!(
        scene.refusal(reject).unwrap(),
        "`web#build` took 3.00 s, and 1.50 s were expected"
    );
}

#[test]
fn errors_of_validators_reject_and_lesser_findings_do_not() {
    let mut scene = Scene::new(&[]);
    let find = |severity| Finding {
        validator: "size-budget".into(),
        severity,
        message: "too large".into(),
    };
    scene.findings = vec![find(Severity::Note), find(Severity::Warning)];
    assert_eq!(scene.ask(""), []);
    scene.findings.push(find(Severity::Error));
    let results = scene.ask("");
    assert_eq!(results[0].gate, "validator size-budget");
    assert_eq!(results[0].reasons, ["too large"]);
    assert_eq!(verdict(&results), EntryStatus::Rejected);
}

#[test]
fn numbers_are_read_strictly() {
    assert_eq!(metric_of_output(" 81.5\n"), Ok(81.5));
    for bad in ["", "81.5 %", "1 2", "nan", "inf", "coverage: 3"] {
        assert!(metric_of_output(bad).is_err(), "{bad}");
    }
    let json = br#"{"totals":{"a/b":[1,{"x":-2.5}],"text":"3","none":null}}"#;
    assert_eq!(metric_of_json(json, "/totals/a~1b/1/x"), Ok(-2.5));
    for bad in [
        "",
        "/totals",
        "/totals/text",
        "/totals/none",
        "totals",
        "/gone",
    ] {
        assert!(metric_of_json(json, bad).is_err(), "{bad}");
    }
    assert!(metric_of_json(b"{", "/a").unwrap_err().contains("no JSON"));
    assert_eq!(metric_of_json(b"7", ""), Ok(7.0));
}

#[test]
fn mistakes_in_the_configuration_are_refused() {
    for bad in [
        "task = ['a']",
        "metrics.coverage.minimum = 1",
        "metrics.coverage.regression = '> 0'",
        "metrics.coverage.regression = '>= '",
        "metrics.coverage.regression = '>= inf'",
        "metrics.coverage.regression = '>= nan%'",
        "metrics.coverage.regression = '5%'",
        "timing-regressions = true",
    ] {
        assert!(toml::from_str::<GatesConfig>(bad).is_err(), "{bad}");
    }
    let metric = |text: &str| toml::from_str::<MetricConfig>(text).unwrap().check();
    assert_eq!(metric("command = 'x'\nmin = 1\nmax = 1"), Ok(()));
    assert_eq!(metric("file = 'x'\nfield = '/a'"), Ok(()));
    for bad in [
        "command = 'x'\nfile = 'y'\nfield = '/a'",
        "file = 'y'",
        "field = '/a'",
        "file = 'y'\nfield = 'a'",
        "min = 2\nmax = 1",
        "min = nan",
        "max = inf",
    ] {
        assert!(metric(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_change_is_written_as_it_is_read() {
    for text in [">= 0", "<= 1.5", "<= 5%", ">= -0.25%"] {
        assert_eq!(text.parse::<Change>().unwrap().to_string(), text);
    }
    assert_eq!(" <=5 % ".parse::<Change>().unwrap().to_string(), "<= 5%");
}
