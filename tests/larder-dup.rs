//! The delivered binary once more, so that Cargo builds it for the end-to-end tests.
//! It adds nothing of its own.

#[path = "../crates/cli/src/main.rs"]
mod delivered;

fn main() -> std::process::ExitCode {
    delivered::main()
}
