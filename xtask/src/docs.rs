//! Writes the reference of the command line from its clap definition.
//! It does not know what the commands do.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// Where the reference lies.
pub(crate) const PATH: &str = "docs/cli.md";

/// The definition of the command line.
pub(crate) fn command() -> Command {
    larder::command()
}

/// The reference as Markdown: every command that is not hidden, with its arguments.
pub(crate) fn reference(command: &Command) -> String {
    let mut text = String::from(
        "# The command line\n\n\
         Written by `cargo xtask docs` from the definition that also makes `--help`; do not edit.\n",
    );
    let command = built(command);
    section(&command, command.get_name(), &mut text);
    text
}

/// Commands and arguments that are shown but say nothing of themselves.
pub(crate) fn without_help(command: &Command) -> Vec<String> {
    let command = built(command);
    let mut found = Vec::new();
    silent(&command, command.get_name(), &mut found);
    found
}

/// A copy with what clap adds on its own: `--help`, and global options in every command.
fn built(command: &Command) -> Command {
    let mut command = command.clone();
    command.build();
    command
}

fn silent(command: &Command, path: &str, found: &mut Vec<String>) {
    if command.get_about().is_none() && command.get_long_about().is_none() {
        found.push(path.to_owned());
    }
    for arg in shown_args(command) {
        if arg.get_help().is_none() && arg.get_long_help().is_none() {
            found.push(format!("{path} {}", name(arg)));
        }
    }
    for sub in shown_commands(command) {
        silent(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

fn section(command: &Command, path: &str, text: &mut String) {
    let _ = write!(text, "\n## `{path}`\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = write!(text, "\n{}\n", paragraph(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let _ = write!(text, "\n```text\n{}\n```\n", usage.trim_end());

    let is_root = !path.contains(' ');
    let (positional, options): (Vec<_>, Vec<_>) = shown_args(command)
        // Global options are told once.
        .filter(|arg| is_root || !(arg.is_global_set() || arg.get_id() == "help"))
        .partition(|arg| arg.is_positional());
    table("argument", &positional, text);
    table("option", &options, text);
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = write!(text, "\n{}\n", paragraph(&after.to_string()));
    }

    for sub in shown_commands(command) {
        section(sub, &format!("{path} {}", sub.get_name()), text);
    }
}

fn table(title: &str, args: &[&Arg], text: &mut String) {
    if args.is_empty() {
        return;
    }
    let _ = write!(text, "\n| {title} | meaning |\n|---|---|\n");
    for arg in args {
        let _ = writeln!(text, "| `{}` | {} |", cell(&name(arg)), cell(&meaning(arg)));
    }
}

fn shown_args(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

fn shown_commands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// An argument as it is written: `-c, --concurrency <N>`.
fn name(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(|value| format!("<{value}>")).collect();
    let values = values.join(" ");
    if arg.is_positional() {
        return if values.is_empty() {
            format!("<{}>", arg.get_id())
        } else {
            values
        };
    }
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut name = names.join(", ");
    if arg.get_action().takes_values() && !values.is_empty() {
        let needs_value = arg
            .get_num_args()
            .is_none_or(|count| count.min_values() > 0);
        let values = match (needs_value, arg.is_require_equals_set()) {
            (true, false) => format!(" {values}"),
            (true, true) => format!("={values}"),
            (false, false) => format!(" [{values}]"),
            (false, true) => format!("[={values}]"),
        };
        name.push_str(&values);
    }
    name
}

/// What an argument does: its help, its values, what it is without being given.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    let mut values = Vec::new();
    if !arg.is_hide_possible_values_set() && arg.get_action().takes_values() {
        for value in arg
            .get_possible_values()
            .iter()
            .filter(|v| !v.is_hide_set())
        {
            values.push(match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            });
        }
    }
    if !values.is_empty() {
        let _ = write!(text, ". One of: {}", values.join(", "));
    }
    let default = arg.get_default_values();
    if !default.is_empty() && arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        let default: Vec<_> = default.iter().map(|v| v.to_string_lossy()).collect();
        let _ = write!(text, ". Default: `{}`", default.join(" "));
    }
    if let Some(variable) = arg.get_env().filter(|_| !arg.is_hide_env_set()) {
        let _ = write!(
            text,
            ". Also: the variable `{}`",
            variable.to_string_lossy()
        );
    }
    text
}

/// Text that cannot end a cell of a table or its row.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}

/// Text whose lines end without spaces.
fn paragraph(text: &str) -> String {
    let lines: Vec<_> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn sample() -> Command {
        Command::new("tool")
            .about("A tool")
            .arg(
                Arg::new("color")
                    .long("color")
                    .value_name("WHEN")
                    .global(true)
                    .help("When to use | colour")
                    .value_parser(["auto", "never"])
                    .default_value("auto"),
            )
            .subcommand(
                Command::new("run")
                    .about("Run tasks")
                    .arg(
                        Arg::new("TASK")
                            .action(ArgAction::Append)
                            .help("What to run"),
                    )
                    .arg(
                        Arg::new("force")
                            .short('f')
                            .long("force")
                            .value_name("NAMES")
                            .num_args(0..=1)
                            .require_equals(true)
                            .env("TOOL_FORCE")
                            .help("Do not read the cache"),
                    )
                    .arg(Arg::new("inner").long("inner").hide(true)),
            )
    }

    #[test]
    fn every_command_and_option_stands_in_the_reference() {
        let text = reference(&sample());
        for line in [
            "## `tool`",
            "| `--color <WHEN>` | When to use \\| colour. One of: `auto`, `never`. Default: `auto` |",
            "## `tool run`",
            "tool run [OPTIONS] [TASK]...",
            "| `<TASK>` | What to run |",
            "| `-f, --force[=<NAMES>]` | Do not read the cache. Also: the variable `TOOL_FORCE` |",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line}\n---\n{text}"
            );
        }
        assert!(!text.contains("inner"), "{text}");
        assert_eq!(text.matches("--color").count(), 1, "{text}");
    }

    #[test]
    fn an_option_without_help_is_found() {
        assert_eq!(without_help(&sample()), [""; 0]);
        let command = sample()
            .arg(Arg::new("mute").long("mute").action(ArgAction::SetTrue))
            .subcommand(Command::new("bare"));
        assert_eq!(without_help(&command), ["tool --mute", "tool bare"]);
    }
}
