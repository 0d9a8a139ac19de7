//! `run --profile`: the run as a trace.
//! Does not know the form of a trace.

use std::path::Path;
use std::time::Duration;

use larder_timing::trace::{MemorySample, PhaseSpan, Profile, chrome};
use larder_timing::{RunRow, SpanRow};

use crate::session::phases::{LOAD, PLAN, REMEMBER};
use crate::session::run::Ended;

use super::Usage;
use super::timings::draw;

/// Writes the trace of a run, which begins when the session did: `after` before its tasks did.
pub(super) fn write(
    out: &Path,
    row: &RunRow,
    spans: &[SpanRow],
    ended: &Ended,
    after: Duration,
) -> Result<(), Usage> {
    let shift = nanoseconds(after);
    let mut run = row.clone();
    for task in &mut run.tasks {
        task.start_ns = task.start_ns.saturating_add(shift);
    }
    // Those of the tasks lie beside each other on the workers; these follow one another.
    let own = |span: &&SpanRow| [LOAD, PLAN, REMEMBER].contains(&&*span.name);
    let mut phases: Vec<PhaseSpan> = spans
        .iter()
        .filter(own)
        .map(|span| PhaseSpan {
            name: span.name.to_string(),
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
        })
        .collect();
    let until = phases.iter().find(|phase| phase.name == REMEMBER);
    phases.push(PhaseSpan {
        name: "tasks".to_owned(),
        start_ns: shift,
        duration_ns: until.map_or(0, |end| end.start_ns.saturating_sub(shift)),
    });
    let memory: Vec<MemorySample> = ended
        .memory
        .iter()
        .map(|(at, bytes)| MemorySample {
            at_ns: shift.saturating_add(nanoseconds(*at)),
            bytes: *bytes,
        })
        .collect();
    let profile = Profile {
        run: &run,
        phases: &phases,
        memory: &memory,
    };
    let mut bytes = Vec::new();
    chrome(&profile, &mut bytes).map_err(Usage::new)?;
    draw::write(out, &bytes)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
