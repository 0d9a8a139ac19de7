//! The items of `--graph-filter`: which ids they mean, and how far they reach.
//! Does not know the workspace, nor any graph: ids are text.
//!
//! An id is `project#task`, or `project#task[path]` for a chunk.

use globset::{GlobBuilder, GlobMatcher};

use super::nearest;

/// The settings an item can be, and what each limits.
const SETTINGS: [&str; 3] = ["depth", "down", "up"];

/// What may be written, for whoever wrote something else.
const SYNTAX: &str = "write globs of projects, tasks or chunks (`web`, `packages/*`, `@scope/*#build`, `*#lint`, `web#cc[src/*.c]`),
  globs to leave out (`!*#test`), `depth=N` for N steps down to dependencies, `up=N` for N steps up to dependents;
  several are set apart by commas";

/// Why an item of a graph filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the graph filter `{item}` cannot be read: {why}\n  {SYNTAX}")]
pub struct BadItem {
    /// As typed.
    pub item: String,
    /// What is wrong with it.
    pub why: String,
}

/// A graph filter: the tasks to begin with, those to leave out, and how far to go from the first.
#[derive(Debug, Default)]
pub struct GraphFilter {
    /// Where to begin; without any, at the requested tasks.
    pub include: Vec<Pattern>,
    /// What is left out in any case.
    pub exclude: Vec<Pattern>,
    /// How many steps to go from there to dependents; `None` is no limit, absent is not at all.
    pub up: Option<Option<usize>>,
    /// How many steps to go from all these to dependencies; `None` is no limit, absent as well.
    pub depth: Option<Option<usize>>,
}

impl GraphFilter {
    /// Reads the values of `--graph-filter`, each of items set apart by commas.
    ///
    /// # Errors
    /// At the first item that is none.
    pub fn parse(values: &[String]) -> Result<GraphFilter, BadItem> {
        let mut filter = GraphFilter::default();
        for item in values.iter().flat_map(|value| items(value)) {
            filter.add(item.trim()).map_err(|why| BadItem {
                item: item.trim().to_owned(),
                why,
            })?;
        }
        if filter.up.is_some() && filter.include.is_empty() {
            return Err(BadItem {
                item: "up".to_owned(),
                why: "it needs a glob to start from, as in `web#build,up=1`".to_owned(),
            });
        }
        Ok(filter)
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        if let Some(pattern) = item.strip_prefix('!') {
            self.exclude.push(Pattern::parse(item, pattern)?);
            return Ok(());
        }
        let setting = item.split_once('=').filter(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphabetic())
        });
        let Some((name, value)) = setting else {
            self.include.push(Pattern::parse(item, item)?);
            return Ok(());
        };
        let limit = match name {
            "depth" | "down" => &mut self.depth,
            "up" => &mut self.up,
            _ => {
                let meant = nearest(name, SETTINGS.into_iter());
                let hint =
                    meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
                return Err(format!("there is no setting `{name}`{hint}"));
            }
        };
        let steps = match value {
            "all" => None,
            number => Some(number.parse().map_err(|_| {
                format!("`{value}` is no number of steps; it is 0, 1, 2 and so on, or `all`")
            })?),
        };
        if limit.is_some_and(|known| known != steps) {
            return Err("it is given twice, with another number".to_owned());
        }
        *limit = Some(steps);
        Ok(())
    }

    /// Whether it filters nothing.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.depth.is_none()
    }

    /// The first pattern that leaves `id` out. One that leaves out a task leaves out its chunks.
    pub fn excluding(&self, id: &str) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| pattern.matches(id))
    }

    /// Whether a pattern names single chunks of the task `id` as some to begin with.
    pub fn names_chunks_of(&self, id: &str) -> bool {
        let mut include = self.include.iter();
        include.any(|pattern| pattern.means_chunks_of(id))
    }

    /// Which chunks of the task `id` are meant: those that are `named`, or all, without those that are left out. `None` is all
    /// of them.
    pub fn chosen(&self, id: &str, named: bool) -> Option<Chosen> {
        let of = |patterns: &[Pattern]| -> Vec<Pattern> {
            let patterns = patterns.iter();
            let patterns = patterns.filter(|pattern| pattern.means_chunks_of(id));
            patterns.cloned().collect()
        };
        let chosen = Chosen {
            named: named.then(|| of(&self.include)),
            excluded: of(&self.exclude),
            unproven: Vec::new(),
        };
        (named || !chosen.excluded.is_empty()).then_some(chosen)
    }

    /// Whether a pattern names `id` as one to begin with.
    pub fn includes(&self, id: &str) -> bool {
        self.include.iter().any(|pattern| pattern.matches(id))
    }
}

/// Some chunks of a task.
#[derive(Debug, Clone)]
pub struct Chosen {
    named: Option<Vec<Pattern>>,
    excluded: Vec<Pattern>,
    /// Patterns of which it shows only when the task is taken apart whether they match any chunk.
    pub unproven: Vec<Pattern>,
}

impl Chosen {
    /// Whether the chunk `id` is one of them.
    pub fn takes(&self, id: &str) -> bool {
        let named = |patterns: &Vec<Pattern>| patterns.iter().any(|pattern| pattern.matches(id));
        self.named.as_ref().is_none_or(named)
            && !self.excluded.iter().any(|pattern| pattern.matches(id))
    }
}

/// A glob over ids, part by part.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As typed, with its `!`.
    pub item: String,
    /// The text of its project part.
    pub project: String,
    /// The text of its task part, if it has one.
    pub task: Option<String>,
    /// Whether it has a chunk part, so that only chunks match.
    pub of_chunks: bool,
    project_glob: GlobMatcher,
    task_glob: Option<GlobMatcher>,
    chunk_glob: Option<GlobMatcher>,
}

impl Pattern {
    fn parse(item: &str, text: &str) -> Result<Pattern, String> {
        let (project, rest) = match text.split_once('#').or_else(|| text.rsplit_once(':')) {
            Some((project, rest)) => (project, Some(rest)),
            None => (text, None),
        };
        let (task, chunk) = rest.map_or((None, None), |rest| match chunk_of(rest) {
            Some((task, chunk)) => (Some(task), Some(chunk)),
            None => (Some(rest), None),
        });
        let part = |what: &str, text: Option<&str>| match text {
            Some("") => Err(format!("it names no {what}; `*` is any")),
            _ => Ok(()),
        };
        if text.is_empty() {
            return Err("there is nothing in it".to_owned());
        }
        part("project", Some(project))?;
        part("task", task)?;
        part("chunk", chunk)?;
        Ok(Pattern {
            item: item.to_owned(),
            project: project.to_owned(),
            task: task.map(str::to_owned),
            of_chunks: chunk.is_some(),
            // As `--filter` has it: `*` of a name goes over `/`. In the path of a chunk it stays within a folder.
            project_glob: glob(project, false)?,
            task_glob: task.map(|task| glob(task, false)).transpose()?,
            chunk_glob: chunk.map(|chunk| glob(chunk, true)).transpose()?,
        })
    }

    /// Whether it means `id`. Without a task part it means all tasks of the project, without a chunk part the task and
    /// all its chunks.
    pub fn matches(&self, id: &str) -> bool {
        let (project, rest) = id.split_once('#').unwrap_or((id, ""));
        let (task, chunk) = match chunk_of(rest) {
            Some((task, chunk)) => (task, Some(chunk)),
            None => (rest, None),
        };
        self.project_glob.is_match(project)
            && self
                .task_glob
                .as_ref()
                .is_none_or(|glob| glob.is_match(task))
            && self
                .chunk_glob
                .as_ref()
                .is_none_or(|glob| chunk.is_some_and(|chunk| glob.is_match(chunk)))
    }

    /// Whether it means single chunks of the task `id`, should it have any.
    pub fn means_chunks_of(&self, id: &str) -> bool {
        let (project, task) = id.split_once('#').unwrap_or((id, ""));
        let glob = self.task_glob.as_ref();
        self.of_chunks
            && self.project_glob.is_match(project)
            && glob.is_none_or(|glob| glob.is_match(task))
    }

    /// Whether its project part means this project.
    pub fn means_project(&self, name: &str) -> bool {
        self.project_glob.is_match(name)
    }
}

/// `task[chunk]` taken apart; `None` for a task.
pub fn chunk_of(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix(']')?.split_once('[')
}

fn glob(text: &str, is_path: bool) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(text)
        .literal_separator(is_path)
        .backslash_escape(true)
        .build();
    match built {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(error.kind().to_string()),
    }
}

/// Splits at commas that stand neither in `{…}` nor in `[…]`.
fn items(value: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut open, mut escaped) = (0, 0_usize, false);
    for (at, letter) in value.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' | '[' => open += 1,
            '}' | ']' => open = open.saturating_sub(1),
            ',' if open == 0 => {
                found.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&value[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<GraphFilter, BadItem> {
        GraphFilter::parse(&[value.to_owned()])
    }

    fn matching<'a>(item: &str, ids: &[&'a str]) -> Vec<&'a str> {
        let filter = parse(item).unwrap();
        let ids = ids.iter().copied();
        ids.filter(|id| filter.includes(id)).collect()
    }

    const IDS: [&str; 7] = [
        ".#lint",
        "app#build",
        "app#cc",
        "app#cc[src/a,b.c]",
        "app#cc[src/sub/[x].c]",
        "packages/lib#build",
        "@scope/web#build:prod",
    ];

    #[test]
    fn each_part_of_a_pattern_is_a_glob_over_its_part_of_an_id() {
        let cases: [(&str, &[usize]); 16] = [
            ("app", &[1, 2, 3, 4]),
            ("app#*", &[1, 2, 3, 4]),
            ("app#cc", &[2, 3, 4]),
            ("app#cc[**]", &[3, 4]),
            ("app#cc[src/*]", &[3]),
            ("app#cc[src/a,b.c]", &[3]),
            ("app#cc[src/sub/\\[x\\].c]", &[4]),
            ("*#*[**/*.c]", &[3, 4]),
            ("packages/*", &[5]),
            ("@scope/*#*", &[6]),
            ("*#build", &[1, 5]),
            ("*#build*", &[1, 5, 6]),
            ("{app,packages/*}#build", &[1, 5]),
            (".", &[0]),
            ("app:build", &[1]),
            ("*#lint , app#build", &[0, 1]),
        ];
        for (item, wanted) in cases {
            let wanted: Vec<&str> = wanted.iter().map(|&at| IDS[at]).collect();
            assert_eq!(matching(item, &IDS), wanted, "{item}");
        }
    }

    #[test]
    fn a_task_that_is_left_out_takes_its_chunks_along() {
        let filter = parse("!app#cc").unwrap();
        let out = |id: &str| filter.excluding(id).map(|pattern| pattern.item.as_str());
        assert_eq!(out("app#cc[src/a.c]"), Some("!app#cc"));
        assert_eq!(out("app#build"), None);
        assert!(filter.include.is_empty());
    }

    #[test]
    fn chunks_are_chosen_by_name_and_left_out_by_name() {
        let filter = parse("app#cc[src/*.c],!app#cc[**/old.c],!app#build").unwrap();
        let takes = |named: bool, chunk: &str| filter.chosen("app#cc", named).unwrap().takes(chunk);
        assert!(filter.names_chunks_of("app#cc") && !filter.names_chunks_of("app#build"));
        assert!(takes(true, "app#cc[src/a.c]"));
        assert!(!takes(true, "app#cc[src/old.c]"));
        assert!(!takes(true, "app#cc[lib/a.c]") && takes(false, "app#cc[lib/a.c]"));
        assert!(!takes(false, "app#cc[lib/old.c]"));
        assert!(filter.chosen("app#build", false).is_none());
    }

    #[test]
    fn limits_are_numbers_or_all() {
        let filter = parse("app,depth=2,up=all").unwrap();
        assert_eq!((filter.depth, filter.up), (Some(Some(2)), Some(None)));
        assert_eq!(parse("down=0").unwrap().depth, Some(Some(0)));
        let twice = GraphFilter::parse(&["depth=1".to_owned(), "down=1".to_owned()]);
        assert_eq!(twice.unwrap().depth, Some(Some(1)));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_can() {
        let items = [
            "",
            "app,,web",
            "!",
            "#lint",
            "app#",
            "app#cc[]",
            "{app",
            "depth=",
            "up=-1",
            "depht=1",
            "depth=1,down=2",
            "up=1",
        ];
        let told: Vec<String> = items
            .into_iter()
            .map(|item| {
                let error = parse(item).unwrap_err();
                assert!(error.to_string().ends_with(SYNTAX));
                format!("{item} -> `{}`: {}", error.item, error.why)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
         -> ``: there is nothing in it
        app,,web -> ``: there is nothing in it
        ! -> `!`: there is nothing in it
        #lint -> `#lint`: it names no project; `*` is any
        app# -> `app#`: it names no task; `*` is any
        app#cc[] -> `app#cc[]`: it names no chunk; `*` is any
        {app -> `{app`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
        depth= -> `depth=`: `` is no number of steps; it is 0, 1, 2 and so on, or `all`
        up=-1 -> `up=-1`: `-1` is no number of steps; it is 0, 1, 2 and so on, or `all`
        depht=1 -> `depht=1`: there is no setting `depht`; did you mean `depth`?
        depth=1,down=2 -> `down=2`: it is given twice, with another number
        up=1 -> `up`: it needs a glob to start from, as in `web#build,up=1`
        ");
    }
}
