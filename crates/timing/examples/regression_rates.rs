//! How often the check for regressions finds a known one, and how often it finds one that is not there, on synthetic series. Prints the
//! table of `docs/timing.md`. The argument is the number of series for each cell.
#![allow(clippy::print_stdout)]

mod synthetic;

fn main() {
    let series = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(4000);
    for recent in [5, 10] {
        println!("{}", synthetic::table(recent, series));
    }
}
