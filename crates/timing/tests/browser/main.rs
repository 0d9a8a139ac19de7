//! The report in a real browser: it shows the numbers of its data, filters and sorts them, can be used by keyboard, on a
//! phone and in the dark, and writes nothing to the console.
//!
//! Without `chromedriver` and Chromium the test says so and passes, unless `LARDER_REQUIRE_BROWSER` is set.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use larder_timing::report::{ReportData, Source, Upload, html};
use larder_timing::{Outcome, Phase, Rule, RunRow, format_duration};
use serde_json::{Value, json};

mod driver;
#[path = "../support/mod.rs"]
mod support;

use driver::{Browser, ENTER, TAB};

fn report(runs: &[RunRow]) -> ReportData {
    ReportData::of(&Source {
        workspace: "shop & co <b>",
        generated: 1_793_700_000_000_000_000,
        runs,
        recent: 5,
        rule: Rule::default(),
    })
}

/// Uploads to an archive, the last of which was the slowest.
fn uploads() -> Vec<Upload> {
    let step = |name: &str, ms: u64| Phase {
        name: name.to_owned(),
        duration_ns: ms * 1_000_000,
    };
    let upload = |at: u64| Upload {
        entry: format!("01K{at:023}"),
        created: format!("2026-11-0{}T08:00:00Z", at + 1),
        steps: vec![step("collect", 40 + at), step("sync", 900 * at)],
    };
    (0..4).map(upload).collect()
}

#[test]
fn the_report_works_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let browser = match Browser::start(&folder.path().join("profile")) {
        Ok(browser) => browser,
        Err(reason) => {
            assert!(
                std::env::var_os("LARDER_REQUIRE_BROWSER").is_none(),
                "{reason}"
            );
            // Past the harness, which shows nothing of a test that passes.
            writeln!(
                std::io::stderr(),
                "SKIPPED: the report in a browser ({reason})"
            )
            .unwrap();
            return;
        }
    };
    let show = |data: &ReportData| show(&browser, folder.path(), data);

    show(&report(&[]));
    check_all(&browser, &report(&[]));
    let one = report(&support::history(1));
    show(&one);
    check_all(&browser, &one);

    let mut many = report(&support::plausible());
    many.uploads = uploads();
    show(&many);
    check_all(&browser, &many);
    filters(&browser, &many);
    windows(&browser, &many);
    sorting(&browser, &many);
    dark(&browser);
    show(&many);
    keyboard(&browser);
    phone(&browser, &many);
    assert_eq!(browser.console(), [""; 0]);

    let evil = report(&evil());
    show(&evil);
    check_all(&browser, &evil);
    assert_eq!(
        browser.run("return document.title", &Value::Null),
        "Timing report: shop & co <b>"
    );
}

fn show(browser: &Browser, folder: &Path, data: &ReportData) {
    let file = folder.join("report.html");
    std::fs::write(&file, html(data).unwrap()).unwrap();
    browser.open(&file);
}

/// Names that would end a script, an attribute or a tag, were they written as they are.
fn evil() -> Vec<RunRow> {
    let mut runs = support::history(3);
    for run in &mut runs {
        for (at, task) in run.tasks.iter_mut().enumerate() {
            let name = [
                "</script><script>document.title='gone'</script>",
                "\"><img src=x onerror=alert(1)>",
                "<!--<script>",
                "x".repeat(300).as_str(),
            ][at % 4]
                .to_owned();
            task.task = format!("{name}{at}");
            task.reason.clone_from(&task.task);
            task.outcome = [Outcome::Success, Outcome::Failure, Outcome::Cancelled][at % 3];
            task.deps.clear();
        }
        "</style><script>".clone_into(&mut run.phases[0].name);
    }
    runs
}

/// What has to hold for any data.
fn check_all(browser: &Browser, data: &ReportData) {
    let json = serde_json::to_value(data).unwrap();
    let carried = browser.run(
        "return document.getElementById('data').textContent",
        &Value::Null,
    );
    let carried: Value = serde_json::from_str(carried.as_str().unwrap()).unwrap();
    assert_eq!(carried, json);
    numbers(browser, &json);
    charts(browser, data);
    sound(browser);
    assert_eq!(browser.console(), [""; 0]);
}

/// Every number of the page is the one in the data that it says it is.
fn numbers(browser: &Browser, json: &Value) {
    let script = "return [...document.querySelectorAll('[data-from]')].map((shown) => \
                  [shown.dataset.from, shown.dataset.kind, shown.textContent])";
    let shown = browser.run(script, &Value::Null);
    let shown = shown.as_array().unwrap();
    let mut seen = BTreeSet::new();
    for one in shown {
        let [from, kind, text] = [0, 1, 2].map(|at| one[at].as_str().unwrap());
        let value = json
            .pointer(from)
            .unwrap_or_else(|| panic!("{from} is not in the data"));
        assert_eq!(text, expected(kind, value), "{from}: {value}");
        seen.insert(from);
    }
    if json["last"].is_null() {
        return;
    }
    // All durations of the data are shown, but for a few that only feed others.
    let mut all = Vec::new();
    durations("", json, &mut all);
    let fed = ["/work_ns", "/noise", "/last/busy_ns"];
    for from in all {
        let saved_by_task = from.starts_with("/last/tasks") && from.ends_with("/saved_ns");
        let expected = !saved_by_task && !fed.iter().any(|end| from.ends_with(end));
        assert_eq!(seen.contains(from.as_str()), expected, "{from}");
    }
}

/// The pointers to all durations.
fn durations(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                durations(&format!("{at}/{name}"), value, found);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                durations(&format!("{at}/{place}"), value, found);
            }
        }
        Value::Number(_) if at.ends_with("_ns") => found.push(at.to_owned()),
        _ => {}
    }
}

/// How a value is written.
fn expected(kind: &str, value: &Value) -> String {
    match kind {
        "duration" => format_duration(Duration::from_nanos(value.as_u64().unwrap())),
        "count" => value.to_string(),
        "text" => value.as_str().unwrap().to_owned(),
        _ if value.is_null() => "–".to_owned(),
        "percent" => {
            let percent = value.as_f64().unwrap() * 100.0;
            let digits = usize::from(percent != 0.0 && percent.abs() < 9.95);
            format!("{percent:.digits$} %")
        }
        "bytes" => {
            let mebibytes = value.as_f64().unwrap() / 1_048_576.0;
            assert!((10.0..1024.0).contains(&mebibytes) && mebibytes.fract() == 0.0);
            format!("{mebibytes} MiB")
        }
        other => panic!("the unknown kind {other}"),
    }
}

/// The charts have a point a run and a bar a task, with their durations.
fn charts(browser: &Browser, data: &ReportData) {
    let titles = |selector: &str| -> Vec<String> {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map((title) => title.textContent)";
        let titles = browser.run(script, &json!(selector));
        titles
            .as_array()
            .unwrap()
            .iter()
            .map(|title| title.as_str().unwrap().to_owned())
            .collect()
    };
    let all = data.runs.len();
    let points = titles(&format!("#runs [data-window='{all}'] .wide g > title"));
    assert_eq!(points.len(), all);
    for (point, run) in points.iter().zip(&data.runs) {
        let took = format_duration(Duration::from_nanos(run.duration_ns));
        assert!(point.contains(&took), "{point} and {took}");
        assert_eq!(point.ends_with("failed"), run.exit_code != 0, "{point}");
    }
    let bars = titles(".timeline .wide g > title");
    let tasks = data.last.iter().flat_map(|last| &last.tasks);
    assert_eq!(bars.len(), tasks.clone().count());
    for (bar, task) in bars.iter().zip(tasks) {
        let took = format_duration(Duration::from_nanos(task.duration_ns));
        assert!(bar.starts_with(&format!("{}: {took} ", task.task)), "{bar}");
        assert_eq!(
            bar.ends_with("critical path"),
            task.critical.is_some(),
            "{bar}"
        );
    }
}

/// What those need who cannot see the page, and what any page needs.
fn sound(browser: &Browser) {
    let faults = browser.run(include_str!("sound.js"), &Value::Null);
    assert_eq!(faults, json!([]));
}

fn filters(browser: &Browser, data: &ReportData) {
    let last = data.last.as_ref().unwrap();
    let visible = || -> Vec<String> {
        let script = "return [...document.querySelectorAll('#timeline tbody tr')].filter((row) => row.offsetParent).map((row) => row.dataset.task)";
        serde_json::from_value(browser.run(script, &Value::Null)).unwrap()
    };
    let bright = || {
        let script = "return [...document.querySelectorAll('.timeline .wide g[data-at]')].filter((bar) => getComputedStyle(bar).opacity === '1').map((bar) => Number(bar.dataset.at))";
        browser.command(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] }),
        );
        serde_json::from_value::<Vec<usize>>(browser.run(script, &Value::Null)).unwrap()
    };
    let matching = |wanted: &dyn Fn(&str, bool) -> bool| -> (Vec<String>, Vec<usize>) {
        let tasks = last.tasks.iter().enumerate();
        let tasks = tasks.filter(|(_, task)| {
            wanted(
                &task.task,
                task.cache == larder_timing::CacheState::Restored,
            )
        });
        tasks.map(|(at, task)| (task.task.clone(), at)).unzip()
    };
    let found = |count: usize| {
        let words = browser.run(
            "return document.getElementById('found').textContent",
            &Value::Null,
        );
        assert_eq!(
            words,
            format!(
                "{count} of {} tasks of the last run match.",
                last.tasks.len()
            )
        );
    };

    browser.type_into("#text", "SEARCH build");
    let (names, places) = matching(&|name, _| name.contains("search") && name.contains("build"));
    assert!(!names.is_empty());
    assert_eq!((visible(), bright()), (names.clone(), places));
    found(names.len());

    browser.click("#clear");
    browser.click("#state option:nth-child(3)");
    let (names, places) = matching(&|_, restored| restored);
    assert!(!names.is_empty() && names.len() < last.tasks.len());
    assert_eq!((visible(), bright()), (names.clone(), places));
    found(names.len());

    browser.type_into("#text", "no such task");
    assert_eq!((visible(), bright()), (Vec::new(), Vec::new()));
    let words = "return [...document.querySelectorAll('.nomatch')].filter((words) => words.offsetParent).length";
    // Tasks, slowest, regressed and flaky; the rest lies within closed parts or is not filtered.
    assert_eq!(browser.run(words, &Value::Null), 4);

    browser.click("#clear");
    let (names, _) = matching(&|_, _| true);
    assert_eq!(visible(), names);
    found(names.len());
}

fn windows(browser: &Browser, data: &ReportData) {
    assert_eq!(
        data.windows
            .iter()
            .map(|window| window.runs)
            .collect::<Vec<_>>(),
        [10, 20]
    );
    for (at, window) in data.windows.iter().enumerate() {
        browser.click(&format!("#window option[value='{}']", window.runs));
        let shown = "return [...document.querySelectorAll('[data-window]')].filter((part) => !part.hidden).map((part) => Number(part.dataset.window))";
        assert_eq!(
            browser.run(shown, &Value::Null),
            json!(vec![window.runs; 5])
        );
        let rows = "return [...document.querySelectorAll('#runs tbody tr')].filter((row) => !row.hidden).length";
        assert_eq!(browser.run(rows, &Value::Null), window.runs);
        let card = format!(
            "return document.querySelector(\"[data-from='/windows/{at}/median_ns']\").offsetParent !== null"
        );
        assert_eq!(browser.run(&card, &Value::Null), true);
    }
}

fn sorting(browser: &Browser, data: &ReportData) {
    let last = data.last.as_ref().unwrap();
    let column = |place: usize| -> Vec<String> {
        let script = "return [...document.querySelectorAll('#timeline tbody tr')].map((row) => row.children[arguments[0]].dataset.sort)";
        serde_json::from_value(browser.run(script, &json!(place))).unwrap()
    };
    let head = "#timeline th:nth-child(4)";
    let state = format!("return document.querySelector('{head}').getAttribute('aria-sort')");
    let mut durations: Vec<u64> = last.tasks.iter().map(|task| task.duration_ns).collect();
    durations.sort_unstable_by(|a, b| b.cmp(a));
    for order in ["descending", "ascending"] {
        browser.click(&format!("{head} button"));
        assert_eq!(browser.run(&state, &Value::Null), order);
        assert_eq!(
            column(3),
            durations.iter().map(u64::to_string).collect::<Vec<_>>()
        );
        durations.reverse();
    }
    browser.click("#timeline th:nth-child(1) button");
    assert!(column(0).is_sorted());
    assert_eq!(browser.run(&state, &Value::Null), Value::Null);
}

/// The colours follow the system until the page is told otherwise; then they stay so.
fn dark(browser: &Browser) {
    let colours = || {
        let script = "const style = (selector) => getComputedStyle(document.querySelector(selector)); \
             return [style('body').backgroundColor, style('.timeline .wide [fill=\"#2b68b4\"]').fill]";
        browser.run(script, &Value::Null)
    };
    let system = |scheme: &str| {
        browser.command(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    };
    let light = json!(["rgb(243, 245, 248)", "rgb(43, 104, 180)"]);
    let dark = json!(["rgb(15, 18, 23)", "rgb(111, 170, 240)"]);
    system("light");
    assert_eq!(colours(), light);
    system("dark");
    assert_eq!(colours(), dark);
    sound(browser);
    browser.click("#theme option[value=light]");
    assert_eq!(colours(), light);
    browser.click("#theme option[value=dark]");
    system("light");
    assert_eq!(colours(), dark);
    browser.reload();
    assert_eq!(colours(), dark);
    browser.click("#theme option[value='']");
    assert_eq!(colours(), light);
}

/// The order of the focus, and that it can be seen.
fn keyboard(browser: &Browser) {
    let focus = || {
        let script = "const at = document.activeElement; const style = getComputedStyle(at); \
             return [at.id || at.getAttribute('href') || at.textContent, style.outlineStyle, parseFloat(style.outlineWidth)]";
        let focus = browser.run(script, &Value::Null);
        assert_eq!(focus[1], "solid", "{focus}");
        assert!(focus[2].as_f64().unwrap() >= 2.0, "{focus}");
        focus[0].as_str().unwrap().to_owned()
    };
    let mut order = Vec::new();
    for _ in 0..16 {
        browser.press(TAB);
        order.push(focus());
    }
    let expected = [
        "#main",
        "theme",
        "#runs",
        "#phases",
        "#cache",
        "#timeline",
        "#what-if",
        "#slowest",
        "#regressed",
        "#flaky",
        "#uploads",
        "text",
        "state",
        "window",
        "clear",
        "As a table",
    ];
    assert_eq!(order, expected);
    browser.press(ENTER);
    assert_eq!(
        browser.run(
            "return document.querySelector('#runs details').open",
            &Value::Null
        ),
        true
    );
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0); document.querySelector('.skip').focus()", &Value::Null);
    browser.press(ENTER);
    assert_eq!(
        browser.run("return document.activeElement.id", &Value::Null),
        "main"
    );
    browser.press(TAB);
    assert_eq!(focus(), "text");
}

/// 360 pixels wide: nothing sticks out, and the charts are those for phones.
fn phone(browser: &Browser, data: &ReportData) {
    let screen = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    browser.command("Emulation.setDeviceMetricsOverride", &screen);
    let script = "document.querySelectorAll('details').forEach((part) => part.open = true); \
        const seen = (kind) => [...document.querySelectorAll(kind)].filter((chart) => chart.offsetParent).length; \
        const text = document.querySelector('#runs div:not([hidden]) > .narrow text').getBoundingClientRect(); \
        return [document.documentElement.scrollWidth, seen('.wide'), seen('.narrow') > 4, text.height >= 10]";
    assert_eq!(
        browser.run(script, &Value::Null),
        json!([360, 0, true, true])
    );
    assert!(data.runs.len() > 1);
    sound(browser);
    browser.command("Emulation.clearDeviceMetricsOverride", &json!({}));
}
