//! Writes the trace of a made-up run to standard output, to be opened in Perfetto or speedscope.
//! Does not run anything.

use larder_timing::trace::{MemorySample, Profile, chrome};

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> std::io::Result<()> {
    let run = support::plausible().swap_remove(0);
    let memory: Vec<_> = (0..run.duration_ns / 500_000_000)
        .map(|at| MemorySample {
            at_ns: at * 500_000_000,
            bytes: (400 + (at * 37) % 900) << 20,
        })
        .collect();
    let profile = Profile {
        run: &run,
        phases: &[],
        memory: &memory,
    };
    chrome(&profile, std::io::stdout().lock())
}
