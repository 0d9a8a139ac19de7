//! What is written in the right form in `[archive]` and could still only fail later.
//! It does not know the tasks of the workspace.

use larder_archive::{MetricConfig, Step};

use super::super::parse::{Cx, S};
use super::super::report::Report;

/// Letters that a tag may have.
const TAG: usize = 100;
/// What stands for the entry's id.
const ID: &str = "{id}";

/// Whether an entry can be tagged so.
///
/// # Errors
/// Why not, in words.
pub fn entry_tag(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("a tag has letters");
    }
    if text == "latest" {
        return Err("`latest` is the newest entry, whatever its tags");
    }
    if text.chars().count() > TAG {
        return Err("a tag has up to 100 letters");
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err("a tag is one line without spaces around it");
    }
    Ok(())
}

/// Tags of entries that can be asked for.
pub(super) fn tags(tags: &[S<String>], cx: &mut Cx) {
    for tag in tags {
        if let Err(why) = entry_tag(&tag.value) {
            cx.report(Report::new(tag.at, "this is no tag", "").help(why));
        }
    }
}

/// A tag that git takes.
pub(super) fn git_tag(tag: &S<String>, cx: &mut Cx) {
    let text = tag.value.replace(ID, "01");
    let unknown = text.contains(['{', '}']);
    let name = format!("refs/tags/{text}");
    if unknown || text.starts_with('-') || !git2::Reference::is_valid_name(&name) {
        let help = "write a name that git takes, such as `run-{id}`; `{id}` stands for the entry";
        cx.report(Report::new(tag.at, "no tag can be called so", "").help(help));
    }
}

/// A tier without tasks would never be green, since absence proves nothing.
pub(super) fn tier(name: &S<String>, tasks: &[S<String>], cx: &mut Cx) {
    if tasks.is_empty() {
        let title = format!("tier `{}` has no task", name.value);
        let help = "name its tasks, or leave the tier out";
        cx.report(Report::new(name.at, title, "").help(help));
    }
}

/// A metric that is measured before the gates are asked.
pub(super) fn metric(name: &S<String>, metric: &MetricConfig, cx: &mut Cx) {
    let title = || format!("metric `{}`", name.value);
    if let Err(why) = metric.check() {
        cx.report(Report::new(name.at, title(), why));
        return;
    }
    let measured = metric.command.is_some() || metric.file.is_some();
    let bounded = metric.min.is_some() || metric.max.is_some() || metric.regression.is_some();
    if !measured && !bounded {
        let help = "give it a `command` or a `file` to be measured, or a bound to be held";
        cx.report(Report::new(name.at, title(), "nothing is asked of it").help(help));
    }
    let step = name.value.strip_prefix("timing.archive.");
    let later = step
        .and_then(|step| Step::ALL.into_iter().find(|one| one.name() == step))
        .filter(|step| *step >= Step::QualityScores);
    if !measured && later.is_some() {
        let help = "bound `timing.archive.collect`, or look at `larder archive chart`";
        let label = "it ends after the gates";
        cx.report(Report::new(name.at, title(), label).help(help));
    }
}

/// Why no mirror can lie in this folder.
pub(super) fn folder(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("write folder = \"~/Drive/larder\"");
    }
    if text.contains('$') {
        return Err(
            "variables are not looked up here: write the path, or `~/` for the home folder",
        );
    }
    if text.starts_with('~') && !text.starts_with("~/") {
        return Err("`~/` stands for your home folder; write the path of another one");
    }
    Ok(())
}

/// Why no store is meant by this.
pub(super) fn store(location: &str, endpoint: Option<&str>) -> Result<(), &'static str> {
    let Some(rest) = location.strip_prefix("s3://") else {
        return Err("write s3 = \"s3://bucket/prefix\"");
    };
    let bucket = rest.split('/').next().unwrap_or_default();
    if bucket.is_empty() {
        return Err("write s3 = \"s3://bucket/prefix\"");
    }
    let secret =
        "credentials come from the environment or from ~/.aws, never from a file that others read";
    if bucket.contains('@') {
        return Err(secret);
    }
    let Some(endpoint) = endpoint else {
        return Ok(());
    };
    let Some((_, rest)) = endpoint.split_once("://") else {
        return Err("an endpoint begins with https:// or http://");
    };
    if rest.split('/').next().unwrap_or_default().contains('@') {
        return Err(secret);
    }
    Ok(())
}
