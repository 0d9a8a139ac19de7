//! Draws every chart of this crate into a folder, in several sizes and with awkward data, for people to look at.
//! Does not judge what it sees.
//!
//! `cargo run -p larder-timing --features png --example gallery -- FOLDER`

use std::path::Path;

use larder_timing::charts::{
    Bar, CachePoint, Frame, Row, RunPoint, Series, State, Unit, cache_over_time, png,
    runs_over_time, slowest, stacked, timeline,
};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let sizes = [(800, 360), (328, 240), (1400, 500)].map(|(width, height)| Frame {
        width,
        height,
        heading: true,
    });
    for frame in sizes {
        for (name, svg) in charts(frame)? {
            let name = format!("{name}-{}", frame.width);
            std::fs::write(folder.join(format!("{name}.png")), png(&svg, 1.0)?)?;
            std::fs::write(folder.join(format!("{name}.svg")), svg)?;
        }
    }
    Ok(())
}

fn charts(frame: Frame) -> Result<Vec<(String, String)>, Error> {
    let mut all = Vec::new();
    for count in [0, 1, 2, 20, 300] {
        let runs: Vec<_> = (0..count).map(point).collect();
        all.push((format!("runs-{count}"), runs_over_time(&runs, frame)?));
        let cache: Vec<_> = (0..count).map(cache).collect();
        all.push((format!("cache-{count}"), cache_over_time(&cache, frame)?));
        let names: Vec<_> = runs.iter().map(|run| run.label.clone()).collect();
        let parts = series(count, 5);
        all.push((
            format!("phases-{count}"),
            stacked(
                "Phases of recent runs",
                Unit::Seconds,
                &names,
                &parts,
                frame,
            )?,
        ));
        let rows: Vec<_> = (0..count).map(row).collect();
        all.push((
            format!("slowest-{count}"),
            slowest("Slowest tasks", &rows, frame)?,
        ));
    }
    for (count, lanes) in [(0, 4), (1, 1), (60, 4), (1000, 16), (40, 40)] {
        let bars: Vec<_> = (0..count).map(|at| bar(at, lanes)).collect();
        let lanes: Vec<_> = (1..=lanes).map(|lane| format!("worker {lane}")).collect();
        all.push((
            format!("timeline-{count}"),
            timeline("Timeline of the last run", &lanes, &bars, frame)?,
        ));
    }
    let names: Vec<_> = (0..12)
        .map(|at| format!("release 1.{at} of the wholly overlong name"))
        .collect();
    all.push(("stacked-long".into(), stacked("Bytes by destination and by a heading that no sheet of paper could ever hold in one line", Unit::Bytes, &names, &series(12, 14), frame)?));
    Ok(all)
}

/// Numbers that go up and down.
fn wave(at: usize, period: usize) -> f64 {
    f64::from(u32::try_from(at * 37 % period).unwrap_or(0))
        / f64::from(u32::try_from(period).unwrap_or(1))
}

fn point(at: usize) -> RunPoint {
    let outlier = if at == 7 || at == 250 { 900.0 } else { 0.0 };
    RunPoint {
        label: format!("Nov {} 14:{:02}", at % 30 + 1, at % 60),
        seconds: 40.0 + 15.0 * wave(at, 23) + outlier,
        failed: at % 9 == 4,
    }
}

fn cache(at: usize) -> CachePoint {
    CachePoint {
        label: point(at).label,
        hit_rate: (at != 3).then(|| {
            if at == 0 {
                0.0
            } else {
                1.0 - wave(at, 19) / 3.0
            }
        }),
        saved_seconds: if at == 0 {
            0.0
        } else {
            100.0 + 300.0 * wave(at, 11)
        },
    }
}

fn series(bars: usize, count: usize) -> Vec<Series> {
    let names = ["configuration", "scan", "plan", "tasks", "record"];
    (0..count)
        .map(|part| Series {
            name: names
                .get(part)
                .map_or(format!("destination {part}"), |name| (*name).to_owned()),
            values: (0..bars)
                .map(|at| {
                    wave(at + part, 17) * 20.0
                        + 2.0
                        + if at == 7 && part == 3 { 900.0 } else { 0.0 }
                })
                .collect(),
        })
        .collect()
}

fn row(at: usize) -> Row {
    let name = if at % 4 == 1 {
        format!("services/payments/reconciliation-worker-{at}#integration-test-with-database")
    } else {
        format!("project-{at}#build")
    };
    Row {
        name,
        seconds: if at == 0 {
            420.0
        } else {
            60.0 / f64::from(u32::try_from(at).unwrap_or(1))
        },
    }
}

fn bar(at: usize, lanes: usize) -> Bar {
    let turn = at / lanes;
    let start = f64::from(u32::try_from(turn).unwrap_or(0)) * 3.0 + wave(at, 5);
    Bar {
        name: format!("project-{at}#build"),
        lane: at % lanes,
        start,
        seconds: 0.002 + 2.0 * wave(at + 3, 13),
        state: [
            State::Ran,
            State::Ran,
            State::Restored,
            State::Ran,
            State::UpToDate,
            State::Failed,
        ][at * 7 % 23 % 6],
        critical: at % lanes == turn % lanes,
    }
}
