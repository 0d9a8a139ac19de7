//! Writes the report on a made-up history of so many runs to standard output.
//! Does not run anything.

use larder_timing::Rule;
use larder_timing::report::{ReportData, Source, html};

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(20), |count| count.parse())?;
    let runs = support::history(count);
    let data = ReportData::of(&Source {
        workspace: "shop",
        generated: runs.last().map_or(0, |run| run.started),
        runs: &runs,
        recent: 5,
        rule: Rule::default(),
    });
    std::io::Write::write_all(&mut std::io::stdout().lock(), html(&data)?.as_bytes())?;
    Ok(())
}
