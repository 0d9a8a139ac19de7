//! What a task will probably take, from what it took.
//! Does not know how the answer is used.

/// The median of durations, in nanoseconds; of an even number, halfway between the two in the middle. Zero of nothing.
pub fn median(durations: &[u64]) -> u64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0,
        len if len % 2 == 1 => sorted[half],
        _ => u64::midpoint(sorted[half - 1], sorted[half]),
    }
}
