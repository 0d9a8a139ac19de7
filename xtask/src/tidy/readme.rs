//! The commands README.md promises are those the gate runs.
//! It does not run them.

use super::Violation;

/// The line that stands before a fenced block whose commands the gate has to run.
const MARK: &str = "<!-- ci -->";

/// Marked commands that `.ci/run` lacks; a readme without a mark is one too.
pub(super) fn check(readme: &str, script: &str) -> Vec<Violation> {
    let run: Vec<String> = script.lines().map(command).collect();
    let mut found = Vec::new();
    let mut marked = false;
    let mut lines = readme.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim() != MARK {
            continue;
        }
        let opening = lines.find(|(_, line)| !line.trim().is_empty());
        if !opening.is_some_and(|(_, line)| line.trim().starts_with("```")) {
            let message = format!("a fenced block has to follow `{MARK}`");
            found.push(Violation::at("README.md", at + 1, message));
            continue;
        }
        for (at, line) in lines.by_ref() {
            if line.trim().starts_with("```") {
                break;
            }
            let words = command(line.trim_start().trim_start_matches("$ "));
            if words.is_empty() {
                continue;
            }
            marked = true;
            if !run.contains(&words) {
                let message = format!("`{words}` is not run by .ci/run");
                found.push(Violation::at("README.md", at + 1, message));
            }
        }
    }
    if !marked && found.is_empty() {
        let message = format!("no command stands in a fenced block after `{MARK}`");
        found.push(Violation::new("README.md", message));
    }
    found
}

/// A line's command: no comment, single spaces, without the function that announces a step.
fn command(line: &str) -> String {
    let words = line
        .split_whitespace()
        .take_while(|word| !word.starts_with('#'))
        .filter(|&word| word != "step");
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "# cargo bench\nstep cargo test --workspace --locked\n";

    fn found(readme: &str) -> Vec<String> {
        let found = check(readme, SCRIPT);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_that_the_gate_does_not_run_is_found() {
        let readme =
            "# A\n\n<!-- ci -->\n```sh\n$ cargo test --workspace --locked\ncargo bench\n```\n";
        assert_eq!(
            found(readme),
            ["README.md:6: `cargo bench` is not run by .ci/run"]
        );
        // A part of a command is another command.
        assert_eq!(found("<!-- ci -->\n```\ncargo test\n```\n").len(), 1);
    }

    #[test]
    fn marked_commands_of_the_gate_and_unmarked_ones_are_free() {
        let readme = "<!-- ci -->\n\n```sh\n# the tests\ncargo test --workspace --locked  # all\n```\n\
                      ```sh\ncargo bench\n```\n";
        assert_eq!(found(readme), [""; 0]);
    }

    #[test]
    fn a_readme_without_a_mark_or_a_block_is_found() {
        assert_eq!(found("# A\n").len(), 1);
        assert_eq!(found("<!-- ci -->\ntext\n").len(), 1);
    }
}
