//! The trace against the rules of Chrome's event format, as far as Perfetto and speedscope rely on them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};

use larder_timing::trace::{MemorySample, PhaseSpan, Profile, chrome};
use larder_timing::{CacheState, RunRow, TaskRow};
use serde_json::Value;

mod support;

fn trace(profile: &Profile<'_>) -> Value {
    let mut bytes = Vec::new();
    chrome(profile, &mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn of(run: &RunRow) -> Value {
    trace(&Profile {
        run,
        phases: &[],
        memory: &[],
    })
}

/// The kind that a field has to be of.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// At least zero.
    Number,
    Index,
    Object,
}

/// The fields of each kind of event: all have to be there, and no others.
fn fields(ph: &str, has_args: bool) -> Vec<(&'static str, Kind)> {
    use Kind::{Index, Number, Object, Text};
    let mut fields = vec![("ph", Text), ("pid", Index), ("tid", Index), ("name", Text)];
    match ph {
        "M" => fields.push(("args", Object)),
        "X" => {
            fields.extend([("cat", Text), ("ts", Number), ("dur", Number)]);
            fields.extend(has_args.then_some(("args", Object)));
        }
        "C" => fields.extend([("ts", Number), ("args", Object)]),
        "s" => fields.extend([("cat", Text), ("id", Index), ("ts", Number)]),
        "f" => fields.extend([("cat", Text), ("id", Index), ("ts", Number), ("bp", Text)]),
        other => panic!("an event of the unknown kind {other}"),
    }
    fields
}

/// Checks all rules and gives the events.
fn sound(trace: &Value) -> &[Value] {
    let keys: Vec<&String> = trace.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["displayTimeUnit", "otherData", "traceEvents"]);
    assert!(trace["otherData"].is_object());
    let events = trace["traceEvents"].as_array().unwrap();
    let mut named = HashSet::new();
    for event in events {
        let ph = event["ph"].as_str().unwrap();
        let fields = fields(ph, event.get("args").is_some());
        assert_eq!(event.as_object().unwrap().len(), fields.len(), "{event}");
        for (field, kind) in fields {
            let value = &event[field];
            let right = match kind {
                Kind::Text => value.is_string(),
                Kind::Number => value.as_f64().is_some_and(|number| number >= 0.0),
                Kind::Index => value.is_u64(),
                Kind::Object => value.is_object(),
            };
            assert!(right, "`{field}` of {event}");
        }
        if event["name"] == "thread_name" {
            assert!(
                named.insert(event["tid"].as_u64().unwrap()),
                "a lane has two names"
            );
        }
        if ph == "C" {
            assert!(
                event["args"]
                    .as_object()
                    .unwrap()
                    .values()
                    .all(Value::is_number),
                "{event}"
            );
        }
        if ph != "M" {
            assert!(
                named.contains(&event["tid"].as_u64().unwrap()),
                "a lane without a name: {event}"
            );
        }
    }
    in_order(events);
    nested(events);
    arrows_pair(events);
    events
}

fn in_order(events: &[Value]) {
    let times: Vec<f64> = events
        .iter()
        .filter_map(|event| event["ts"].as_f64())
        .collect();
    assert!(times.is_sorted());
}

/// Nanoseconds, so that sums are exact.
#[allow(clippy::cast_possible_truncation)]
fn ns(event: &Value, field: &str) -> i64 {
    (event[field].as_f64().unwrap() * 1e3).round() as i64
}

/// Slices of one lane lie within each other or apart.
fn nested(events: &[Value]) {
    let mut lanes: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let start = ns(event, "ts");
        let lane = lanes.entry(event["tid"].as_u64().unwrap()).or_default();
        lane.push((start, start + ns(event, "dur")));
    }
    for slices in lanes.values() {
        for (at, one) in slices.iter().enumerate() {
            for two in &slices[at + 1..] {
                let apart = one.1 <= two.0 || two.1 <= one.0;
                let within =
                    (one.0 <= two.0 && two.1 <= one.1) || (two.0 <= one.0 && one.1 <= two.1);
                assert!(apart || within, "{one:?} and {two:?} overlap");
            }
        }
    }
}

/// Each arrow leaves one slice and arrives at another, later.
fn arrows_pair(events: &[Value]) {
    let mut ends: HashMap<u64, Vec<&Value>> = HashMap::new();
    for event in events.iter().filter(|event| event["cat"] == "dependency") {
        ends.entry(event["id"].as_u64().unwrap())
            .or_default()
            .push(event);
        let open = |slice: &Value| {
            slice["ph"] == "X" && slice["tid"] == event["tid"] && {
                let (at, start, long) = (ns(event, "ts"), ns(slice, "ts"), ns(slice, "dur"));
                start <= at && (at < start + long || long == 0)
            }
        };
        assert!(events.iter().any(open), "binds to no slice: {event}");
    }
    for pair in ends.values() {
        let kinds: Vec<&Value> = pair.iter().map(|event| &event["ph"]).collect();
        assert_eq!(kinds, ["s", "f"]);
        assert_eq!(pair[1]["bp"], "e");
    }
}

#[test]
fn a_plausible_history_makes_sound_traces() {
    for run in support::plausible() {
        let trace = of(&run);
        let events = sound(&trace);
        let slices = |category: &str| {
            let has = |event: &&Value| {
                event["cat"]
                    .as_str()
                    .is_some_and(|cat| cat.starts_with(category))
            };
            events.iter().filter(has).count()
        };
        assert_eq!(slices("task"), run.tasks.len());
        assert_eq!(slices("phase"), run.phases.len());
        let names: HashSet<&str> = run.tasks.iter().map(|task| task.task.as_str()).collect();
        let edges = run.tasks.iter().flat_map(|task| &task.deps);
        let edges = edges.filter(|dep| names.contains(dep.as_str())).count();
        assert_eq!(slices("dependency"), 2 * edges);
    }
}

#[test]
fn a_slice_says_what_the_row_says() {
    let mut run = RunRow {
        workers: 1,
        request: vec!["build".to_owned()],
        ..RunRow::default()
    };
    run.tasks.push(TaskRow {
        task: "web#build".to_owned(),
        start_ns: 1_500,
        duration_ns: 2_000_001,
        cpu_ns: Some(1_250_000),
        peak_memory: Some(4096),
        cache: CacheState::Restored,
        key: Some("abc".to_owned()),
        reason: "found \"there\"".to_owned(),
        worker: Some(0),
        saved_ns: 3_000_000,
        ..TaskRow::default()
    });
    let trace = of(&run);
    let events = sound(&trace);
    assert_eq!(events[0]["args"]["name"], "larder run build");
    let slice = events.iter().find(|event| event["ph"] == "X").unwrap();
    assert_eq!(
        slice,
        &serde_json::json!({
            "ph": "X", "pid": 1, "tid": 1, "cat": "task,restored,success", "name": "web#build", "ts": 1.5, "dur": 2000.001,
            "args": {
                "cache": "restored", "outcome": "success", "reason": "found \"there\"", "key": "abc", "cpu_ms": 1.25,
                "peak_memory_bytes": 4096, "saved_ms": 3.0,
            },
        })
    );
}

#[test]
fn counters_follow_tasks_and_samples() {
    let task = |start_ns, duration_ns| TaskRow {
        start_ns,
        duration_ns,
        ..TaskRow::default()
    };
    let run = RunRow {
        tasks: vec![task(0, 3_000), task(1_000, 2_000), task(3_000, 1_000)],
        ..RunRow::default()
    };
    let memory = [(500, 10), (2_500, 30)].map(|(at_ns, bytes)| MemorySample { at_ns, bytes });
    let trace = trace(&Profile {
        run: &run,
        phases: &[],
        memory: &memory,
    });
    let events = sound(&trace);
    let values = |name: &str, field: &str| -> Vec<(f64, u64)> {
        let events = events.iter().filter(|event| event["name"] == name);
        let value = |event: &Value| {
            (
                event["ts"].as_f64().unwrap(),
                event["args"][field].as_u64().unwrap(),
            )
        };
        events.map(value).collect()
    };
    assert_eq!(
        values("running tasks", "tasks"),
        [(0.0, 1), (1.0, 2), (3.0, 1), (4.0, 0)]
    );
    assert_eq!(values("memory", "bytes"), [(0.5, 10), (2.5, 30)]);
}

#[test]
fn records_that_contradict_themselves_stay_sound() {
    let row = |task: &str, start_ns, duration_ns, deps: &[&str]| TaskRow {
        task: task.to_owned(),
        start_ns,
        duration_ns,
        worker: Some(0),
        deps: deps.iter().map(|dep| (*dep).to_owned()).collect(),
        ..TaskRow::default()
    };
    // Two tasks at once on one worker, a dependency that ended later, one on itself, one that is absent, no duration.
    let run = RunRow {
        tasks: vec![
            row("a", 0, 10_000, &["b", "a", "absent"]),
            row("b", 5_000, 10_000, &[]),
            row("c", 2_000, 0, &["a"]),
        ],
        ..RunRow::default()
    };
    let span = |name: &str, start_ns, duration_ns| PhaseSpan {
        name: name.to_owned(),
        start_ns,
        duration_ns,
    };
    let phases = [
        span("scan", 0, 4_000),
        span("plan", 3_000, 3_000),
        span("all", 0, 9_000),
    ];
    let profile = Profile {
        run: &run,
        phases: &phases,
        memory: &[],
    };
    sound(&trace(&profile));
    sound(&of(&RunRow::default()));
}
