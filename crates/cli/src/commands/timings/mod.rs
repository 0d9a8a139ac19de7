//! `larder timings`: what earlier runs took, told, compared and drawn.
//! Does not know how runs are measured.

mod compare;
pub(super) mod draw;
mod runs;
mod show;
mod spark;
mod told;

pub(super) use compare::slower;

use std::path::{Path, PathBuf};

use larder_timing::history::{History, HistoryError, Options};

use crate::args::{Shown, TimingsAction, TimingsArgs};
use crate::execute::exit;
use crate::session::Paths;

use super::{Context, Outcome, Usage, archive, print, say};

/// What is said where nothing is remembered.
const NOTHING: &str = "no run is remembered yet\n  `larder run` remembers every run in which a task ran or was restored";

/// The exit code of a check that found something.
const FOUND: u8 = 1;

pub(super) fn timings(context: &Context<'_>, args: &TimingsArgs) -> Outcome {
    let root = context.root()?;
    let history = open(context, &root, args.history.as_ref())?;
    match &args.action {
        TimingsAction::Show {
            task: Some(task),
            limit,
            ..
        } => answer(args, &show::task(&history, task, *limit)?, show::task_text),
        TimingsAction::Show {
            runs: true, limit, ..
        } => answer(args, &show::runs(&history, *limit)?, |runs| {
            show::runs_text(runs)
        }),
        TimingsAction::Show {
            run,
            limit,
            workers,
            ..
        } => {
            let run = runs::one(&history, &root, run)?;
            let shown = show::run(&history, run, *workers)?;
            answer(args, &shown, |shown| show::run_text(shown, *limit))
        }
        TimingsAction::Compare {
            before,
            after,
            shown,
        } => {
            let (before, after) = (
                runs::choose(&history, &root, before)?,
                runs::choose(&history, &root, after)?,
            );
            let compared = compare::compare(&before, after, fail_above(shown)?)?;
            compared_answer(args, shown, &compared)?;
            Ok(exit::SUCCESS)
        }
        TimingsAction::Check { against, shown } => {
            let limit = fail_above(shown)?;
            let compared = match against {
                None => compare::check(&history, limit)?,
                Some(before) => {
                    let before = runs::choose(&history, &root, before)?;
                    let after = runs::current(&history, &root)?;
                    compare::compare(&before, after, limit)?
                }
            };
            compared_answer(args, shown, &compared)?;
            Ok(match compared.regressed().next() {
                Some(_) => FOUND,
                None => exit::SUCCESS,
            })
        }
        TimingsAction::Chart {
            what,
            out,
            run,
            limit,
        } => {
            let last = runs::one(&history, &root, run)?.id;
            let data = draw::data(&history, &root, Some(&last), *limit)?;
            if let Some(out) = out {
                draw::chart(&data, *what, &context.cwd.join(out))?;
                say(&format!("wrote {}", out.display()));
            }
            if args.json || out.is_none() {
                return answer(args, &data, |data| draw::text(data, *what));
            }
            Ok(exit::SUCCESS)
        }
        TimingsAction::Report { out, limit } => {
            let mut data = draw::data(&history, &root, None, *limit)?;
            // Of another history the archive is not known, nor is that of a configuration which cannot be read.
            if args.history.is_none()
                && let Ok(workspace) = context.workspace(&root)
            {
                data.uploads = archive::chart::recent(&root, &workspace.settings.archive);
            }
            // Who asks for the data wants no page, unless it is named.
            let page = out
                .clone()
                .or((!args.json).then(|| PathBuf::from("report.html")));
            if let Some(out) = page {
                draw::report(&data, &context.cwd.join(&out))?;
                say(&format!("wrote {}", out.display()));
            }
            if args.json {
                print_json(&data)?;
            }
            Ok(exit::SUCCESS)
        }
    }
}

/// Opens the history that is meant.
fn open(context: &Context<'_>, root: &Path, given: Option<&PathBuf>) -> Result<History, Usage> {
    let path = match given {
        Some(path) => context.cwd.join(path),
        None => Paths::new(root, None).history,
    };
    // Opening would begin one.
    if !path.is_file() {
        return Err(match given {
            Some(_) => Usage::new(format!("there is no history at {}", path.display())),
            None => Usage::new(NOTHING),
        });
    }
    let options = Options::default();
    History::read(&path, &options).map_err(|error| match error {
        HistoryError::Damaged { .. } if given.is_none() => Usage::new(format!(
            "{error}\n  the next run sets it aside and begins a new one, as does `larder cache clear history`"
        )),
        other => runs::failed(other),
    })
}

fn answer<T: serde::Serialize>(
    args: &TimingsArgs,
    answer: &T,
    text: impl FnOnce(&T) -> String,
) -> Outcome {
    if args.json {
        print_json(answer)?;
    } else {
        print(&text(answer))?;
    }
    Ok(exit::SUCCESS)
}

fn print_json(answer: &impl serde::Serialize) -> Result<(), Usage> {
    let text = serde_json::to_string_pretty(answer).map_err(Usage::new)?;
    print(&format!("{text}\n"))
}

fn compared_answer(
    args: &TimingsArgs,
    shown: &Shown,
    compared: &compare::Compared,
) -> Result<(), Usage> {
    if args.json {
        print_json(compared)
    } else if shown.markdown {
        print(&told::markdown(compared))
    } else {
        print(&told::text(compared, shown.all))
    }
}

/// `5%` or `5` as a share.
fn fail_above(shown: &Shown) -> Result<f64, Usage> {
    let text = shown.fail_above.trim();
    let number = text
        .strip_suffix('%')
        .unwrap_or(text)
        .trim_end()
        .parse::<f64>();
    match number {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
        _ => Err(Usage::new(format!(
            "--fail-above {text} is no percentage\n  write for example --fail-above 5%"
        ))),
    }
}

/// How long ago a moment was, counted in nanoseconds since 1970, or its day.
fn ago(wall_ns: i64) -> String {
    use larder_timing::{Clock as _, SystemClock};
    let seconds = (SystemClock::new().now().wall_ns - wall_ns) / 1_000_000_000;
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// The end of a name that does not fit: projects of one folder begin alike.
fn short(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count - (width - 1)).collect();
    format!("\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_share() {
        let shown = |text: &str| Shown {
            fail_above: text.to_owned(),
            all: false,
            markdown: false,
        };
        assert!((fail_above(&shown("5%")).unwrap() - 0.05).abs() < 1e-12);
        assert!((fail_above(&shown("0.5")).unwrap() - 0.005).abs() < 1e-12);
        for wrong in ["", "%", "x", "-1%", "NaN", "inf"] {
            assert!(fail_above(&shown(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(short("web#build", 9), "web#build");
        assert_eq!(short("apps/web#build", 9), "\u{2026}eb#build");
    }
}
