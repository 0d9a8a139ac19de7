//! The report as one page of HTML that needs nothing but itself.
//! Does not compute any number: all it shows stands in the data, which it carries along.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::data::{LastRun, ReportData};
use super::parts::{count, duration, moment, percent, safe_json};
use super::{figures, tables};
use crate::charts::{ChartError, dark_css, escape};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page. It loads nothing and sends nothing: its content security policy names its own style and script by
/// their digests and forbids all else. Without scripts it shows the same, but cannot filter.
///
/// # Errors
/// [`ChartError`] when a chart cannot be drawn; data does not cause this.
pub fn html(data: &ReportData) -> Result<String, ChartError> {
    let style = format!("{STYLE}{}", dark_css(".chart"));
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(&style),
        digest(SCRIPT)
    );
    let json = serde_json::to_string(data).map_err(|error| ChartError::Draw(error.to_string()))?;
    let shown = data
        .windows
        .iter()
        .map(|window| window.runs)
        .rfind(|runs| *runs <= 25);
    let shown = shown
        .or(data.windows.first().map(|window| window.runs))
        .unwrap_or(0);
    let name = escape(&data.workspace);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Timing report: {name}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    );
    page.push_str(&head(data, &name));
    page.push_str("<main id=\"main\" tabindex=\"-1\">\n");
    page.push_str(&cards(data, shown));
    page.push_str(&filters(data, shown));
    for (id, title, words, body) in sections(data, shown)? {
        let _ = write!(
            page,
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n\
             <p class=\"words\">{words}</p>\n{body}</section>\n"
        );
    }
    let _ = write!(
        page,
        "</main>\n<footer><p>Made by Larder. This page holds its data as JSON and loads nothing.</p></footer>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        safe_json(&json)
    );
    Ok(page)
}

/// Name and navigation.
fn head(data: &ReportData, name: &str) -> String {
    let mut links = vec![
        ("runs", "Runs"),
        ("phases", "Phases"),
        ("cache", "Cache"),
        ("timeline", "Last run"),
        ("what-if", "What if"),
        ("slowest", "Slowest"),
        ("regressed", "Regressed"),
        ("flaky", "Flaky"),
    ];
    if !data.uploads.is_empty() {
        links.push(("uploads", "Archive"));
    }
    let mut html = format!(
        "<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header>\n<div><h1>{name}</h1>\n\
         <p>Timing report of {} UTC over {} run{}</p></div>\n\
         <p class=\"theme\" hidden><label for=\"theme\">Colours</label> <select id=\"theme\">\
         <option value=\"\">as the system</option><option value=\"light\">light</option>\
         <option value=\"dark\">dark</option></select></p>\n</header>\n<nav aria-label=\"Sections\"><ul>",
        moment(&data.generated),
        data.runs.len(),
        if data.runs.len() == 1 { "" } else { "s" }
    );
    for (id, title) in links {
        let _ = write!(html, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    html.push_str("</ul></nav>\n");
    html
}

/// The few numbers that say most, for the last run and for each window.
fn cards(data: &ReportData, shown: usize) -> String {
    let mut html = "<section aria-labelledby=\"glance\">\n<h2 id=\"glance\" class=\"unseen\">At a glance</h2>\n".to_owned();
    let card = |name: &str, value: String, note: String| {
        format!("<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>")
    };
    for (at, window) in data.windows.iter().enumerate() {
        let from = |field: &str| format!("/windows/{at}/{field}");
        let hidden = if window.runs == shown { "" } else { " hidden" };
        let of = if window.runs == 1 {
            "of 1 run".to_owned()
        } else {
            format!("of {} runs", window.runs)
        };
        let _ = write!(
            html,
            "<dl class=\"cards\" data-window=\"{}\"{hidden}>",
            window.runs
        );
        if let (Some(last), Some(run)) = (&data.last, data.runs.last()) {
            let place = data.runs.len() - 1;
            let ended = if run.exit_code == 0 {
                "succeeded"
            } else {
                "failed"
            };
            html.push_str(&card(
                "Last run",
                duration(&format!("/runs/{place}/duration_ns"), run.duration_ns),
                ended.to_owned(),
            ));
            html.push_str(&card(
                "Median",
                duration(&from("median_ns"), window.median_ns),
                of.clone(),
            ));
            html.push_str(&card(
                "Cache hits",
                percent(&from("hit_rate"), window.hit_rate),
                of.clone(),
            ));
            html.push_str(&card(
                "Time saved",
                duration(&from("saved_ns"), window.saved_ns),
                of,
            ));
            html.push_str(&card(
                "Failed runs",
                count(&from("failed"), window.failed),
                format!("of {}", window.runs),
            ));
            html.push_str(&card(
                "Critical path",
                duration("/last/critical_ns", last.critical_ns),
                "of the last run".to_owned(),
            ));
            html.push_str(&card(
                "Workers busy",
                percent("/last/efficiency", Some(last.efficiency)),
                format!("of {} in the last run", last.workers),
            ));
        } else {
            html.push_str(&card(
                "Runs",
                count(&from("runs"), window.runs),
                "run a task, then come back".to_owned(),
            ));
        }
        html.push_str("</dl>\n");
    }
    html.push_str("</section>\n");
    html
}

/// The filters. They are of use with scripts only, and hidden until the script shows them.
fn filters(data: &ReportData, shown: usize) -> String {
    let mut html = "<form id=\"filters\" role=\"search\" aria-label=\"Filters\" hidden>\n\
        <p><label for=\"text\">Task or project</label><input id=\"text\" type=\"search\" autocomplete=\"off\" \
        placeholder=\"such as web or #test\"></p>\n\
        <p><label for=\"state\">State in the last run</label><select id=\"state\"><option value=\"\">any</option>"
        .to_owned();
    for state in tables::STATES {
        let _ = write!(html, "<option>{state}</option>");
    }
    html.push_str("</select></p>\n<p><label for=\"window\">Runs</label><select id=\"window\">");
    for window in &data.windows {
        let selected = if window.runs == shown {
            " selected"
        } else {
            ""
        };
        let words = if window.runs == data.runs.len() {
            "all"
        } else {
            "last"
        };
        let _ = write!(
            html,
            "<option value=\"{0}\"{selected}>{words} {0}</option>",
            window.runs
        );
    }
    html.push_str("</select></p>\n<p><button type=\"button\" id=\"clear\">Reset</button></p>\n<output id=\"found\" aria-live=\"polite\"></output>\n</form>\n");
    html
}

type Section = (&'static str, &'static str, String, String);

fn sections(data: &ReportData, shown: usize) -> Result<Vec<Section>, ChartError> {
    let as_table = |table: String| {
        if data.runs.is_empty() {
            return String::new();
        }
        format!("<details><summary>As a table</summary>\n{table}</details>\n")
    };
    let names = figures::phase_names(&data.runs);
    let section = |id, title, words: &str, body| (id, title, words.to_owned(), body);
    let timeline = match &data.last {
        None => "<p class=\"none\">There are no runs yet.</p>\n".to_owned(),
        Some(last) => format!(
            "<div class=\"timeline\">\n{}</div>\n{}",
            figures::last_run(last)?,
            tables::tasks(last)
        ),
    };
    let mut sections = vec![
        section(
            "runs",
            "Runs over time",
            "How long each run took, oldest first. A run that dwarfs the others is cut off and labelled.",
            figures::windowed(data, shown, figures::runs)? + &as_table(tables::runs(data)),
        ),
        section(
            "phases",
            "Phases of recent runs",
            "What the work of each run went into, over all its workers.",
            phases(data, shown)? + &as_table(tables::phases(data, &names)),
        ),
        section(
            "cache",
            "Cache hits and time saved",
            "The share of tasks that did not have to run, and what they once took. The table of runs above has the numbers.",
            figures::windowed(data, shown, figures::cache)?,
        ),
        (
            "timeline",
            "The last run",
            last_words(data.last.as_ref()),
            timeline,
        ),
        section(
            "what-if",
            "What would make it faster",
            "The last run scheduled again with its own durations and one change.",
            tables::what_if(data),
        ),
        section(
            "slowest",
            "Slowest tasks",
            "By the median of their successful executions on this machine; what came from a cache does not count.",
            format!(
                "<div class=\"slow\">\n{}</div>\n{}",
                figures::slow(data)?,
                tables::slowest(data)
            ),
        ),
        section(
            "regressed",
            "Became slower",
            "Only what left the noise band of its own history. Durations of other machines and cache hits are not compared.",
            tables::regressed(data),
        ),
        section(
            "flaky",
            "Flaky tasks",
            "Same key, different outcome: what these tasks do does not follow from what they read.",
            tables::flaky(data),
        ),
    ];
    // Not every workspace has an archive.
    if !data.uploads.is_empty() {
        let names = figures::step_names(&data.uploads);
        sections.push(section(
            "uploads",
            "Steps of archive uploads",
            "What each upload of a run to the archive took, step by step. Mirroring goes on after it and is not in it.",
            figures::recent_uploads(data)? + &as_table(tables::uploads(data, &names)),
        ));
    }
    Ok(sections)
}

/// The phases, and where one of them hides the others, these once more without it.
fn phases(data: &ReportData, shown: usize) -> Result<String, ChartError> {
    let mut html = figures::windowed(data, shown, |runs, frame| {
        figures::phases(runs, None, frame)
    })?;
    if let Some(name) = figures::greatest_phase(&data.runs) {
        let rest = figures::windowed(data, shown, |runs, frame| {
            figures::phases(runs, Some(&name), frame)
        })?;
        let _ = write!(html, "<h3>Without <q>{}</q></h3>\n{rest}", escape(&name));
    }
    Ok(html)
}

fn last_words(last: Option<&LastRun>) -> String {
    let Some(last) = last else {
        return "What ran when, on which worker.".to_owned();
    };
    let steps = last
        .tasks
        .iter()
        .filter(|task| task.critical.is_some())
        .count();
    format!(
        "What ran when, on which worker. The {steps} framed tasks are the critical path: they took {} of {}, and only \
         they decide how long a run takes. Slack is how much later a task could have ended without harm.",
        duration("/last/critical_ns", last.critical_ns),
        duration("/last/span_ns", last.span_ns)
    )
}

/// How a content security policy names a text.
fn digest(text: &str) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for bytes in Sha256::digest(text).chunks(3) {
        let all = bytes
            .iter()
            .fold(0_u32, |all, byte| all << 8 | u32::from(*byte))
            << (8 * (3 - bytes.len()));
        for place in 0..4 {
            let sign = SIGNS[(all >> (18 - 6 * place)) as usize & 63];
            base64.push(if place <= bytes.len() {
                char::from(sign)
            } else {
                '='
            });
        }
    }
    format!("sha256-{base64}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Source;
    use crate::{Phase, Rule, RunRow, TaskRow};

    /// Names that would end a script, a tag or an attribute, were they written as they are.
    #[test]
    fn no_name_breaks_out() {
        let evil = "</script></style></svg>\"'><script>alert(1)</script><img src=x>";
        let task = TaskRow {
            task: evil.to_owned(),
            reason: evil.to_owned(),
            duration_ns: 5,
            ..TaskRow::default()
        };
        let run = RunRow {
            id: evil.to_owned(),
            host: evil.to_owned(),
            revision: Some(evil.to_owned()),
            request: vec![evil.to_owned()],
            phases: vec![Phase {
                name: evil.to_owned(),
                duration_ns: 1,
            }],
            tasks: vec![task],
            ..RunRow::default()
        };
        let page = html(&ReportData::of(&Source {
            workspace: evil,
            generated: 0,
            runs: &[run],
            recent: 5,
            rule: Rule::default(),
        }));
        let page = page.unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(!page.contains("<img"));
        let (_, json) = page.split_once("id=\"data\">").unwrap();
        let (json, _) = json.split_once("</script>").unwrap();
        let data: ReportData = serde_json::from_str(json).unwrap();
        assert_eq!(data.last.unwrap().tasks[0].task, evil);
    }

    #[test]
    fn the_page_allows_nothing_but_itself() {
        let page = html(&ReportData::default()).unwrap();
        let (_, policy) = page
            .split_once("Content-Security-Policy\" content=\"")
            .unwrap();
        let (policy, _) = policy.split_once('"').unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        for address in ["http://", "https://", "src=", "@import", "url("] {
            let page = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains(address), "{address}");
        }
    }

    #[test]
    fn a_digest_is_written_as_policies_want_it() {
        // The example of the specification of content security policies.
        assert_eq!(
            digest("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
        assert_eq!(
            digest(""),
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }
}
