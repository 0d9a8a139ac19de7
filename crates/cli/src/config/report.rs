//! Errors of the configuration as the user sees them: file, line, span, what to do.
//! It does not know what is being checked.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::format::Location;

/// A place in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    /// Index of the file.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// The byte after the last.
    pub(super) end: usize,
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub(super) struct FileText {
    /// The path relative to the root, for display.
    pub(super) path: String,
    /// The content.
    pub(super) text: String,
}

/// One error.
#[derive(Debug, Clone)]
pub(super) struct Report {
    title: String,
    at: Option<(At, String)>,
    context: Vec<(At, String)>,
    help: Vec<String>,
}

impl Report {
    /// An error at a place, with a label under the span.
    pub(super) fn new(at: At, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            at: Some((at, label.into())),
            context: Vec::new(),
            help: Vec::new(),
        }
    }

    /// An error that has no place in a file.
    pub(super) fn nowhere(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            at: None,
            context: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Points at another place that has to do with it.
    pub(super) fn also(mut self, at: At, label: impl Into<String>) -> Self {
        self.context.push((at, label.into()));
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        if !help.is_empty() {
            self.help.push(wrap(&help));
        }
        self
    }
}

/// Why a configuration could not be loaded: every error that was found.
#[derive(Debug)]
pub struct ConfigError {
    files: Vec<FileText>,
    reports: Vec<Report>,
}

impl ConfigError {
    /// In the order of the files, one error a place: what is wrong in the root's table is found
    /// again for every project.
    pub(super) fn new(files: Vec<FileText>, mut reports: Vec<Report>) -> Self {
        let place = |report: &Report| report.at.as_ref().map(|(at, _)| (at.file, at.start));
        reports.sort_by_key(place);
        reports.dedup_by(|next, kept| next.at.is_some() && place(next) == place(kept));
        Self { files, reports }
    }

    /// The number of errors.
    pub fn count(&self) -> usize {
        self.reports.len()
    }

    /// The text for the user, laid out for 80 columns, with colours if asked for.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.term_width(80);
        let texts: Vec<String> = self
            .reports
            .iter()
            .map(|report| self.render_one(report, &renderer))
            .collect();
        texts.join("\n\n")
    }

    fn render_one(&self, report: &Report, renderer: &Renderer) -> String {
        let mut group = Level::ERROR
            .primary_title(report.title.as_str())
            .elements(Vec::<annotate_snippets::Message<'_>>::new());
        if let Some((at, label)) = &report.at {
            let mut snippet = self.snippet(at.file).annotation(
                AnnotationKind::Primary
                    .span(self.span(*at))
                    .label((!label.is_empty()).then_some(label.as_str())),
            );
            for (other, label) in report.context.iter().filter(|(a, _)| a.file == at.file) {
                snippet = snippet.annotation(
                    AnnotationKind::Context
                        .span(self.span(*other))
                        .label(label.as_str()),
                );
            }
            group = group.element(snippet);
            for (other, label) in report.context.iter().filter(|(a, _)| a.file != at.file) {
                group = group.element(
                    self.snippet(other.file).annotation(
                        AnnotationKind::Context
                            .span(self.span(*other))
                            .label(label.as_str()),
                    ),
                );
            }
        }
        for help in &report.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    fn snippet(&self, file: usize) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let file = &self.files[file];
        Snippet::source(file.text.as_str()).path(file.path.as_str())
    }

    fn span(&self, at: At) -> Range<usize> {
        let len = self.files[at.file].text.len();
        at.start.min(len)..at.end.min(len)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

/// The file and line of a place.
pub(super) fn location(at: At, files: &[FileText]) -> Location {
    let Some(file) = files.get(at.file) else {
        return Location {
            file: String::new(),
            line: 1,
        };
    };
    let before = &file.text.as_bytes()[..at.start.min(file.text.len())];
    let lines = before.split(|byte| *byte == b'\n').count();
    Location {
        file: file.path.clone(),
        line: u32::try_from(lines).unwrap_or(u32::MAX),
    }
}

/// The known name closest to a mistyped one, if any is close.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| {
            let (a, b) = (
                name.to_lowercase().replace('_', "-"),
                candidate.to_lowercase(),
            );
            (strsim::damerau_levenshtein(&a, &b), candidate)
        })
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The help for an unknown name: the nearest known one, else what there is.
pub(super) fn known_names<'a>(
    name: &str,
    what: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let mut names: Vec<String> = known.into_iter().map(|n| format!("`{n}`")).collect();
    if names.is_empty() {
        return format!("there are no {what}");
    }
    if names.len() > 20 {
        let more = names.len() - 20;
        names.truncate(20);
        names.push(format!("and {more} more"));
    }
    format!("{what}: {}", names.join(", "))
}

/// Breaks a text into lines that fit beside the margin.
fn wrap(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 64 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}
