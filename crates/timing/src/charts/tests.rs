//! What the charts hold, read back from their SVG: all the data, in colours of the palette, on the sheet, as valid XML.

use super::*;

const FRAME: Frame = Frame {
    width: 500,
    height: 240,
    heading: true,
};
const EVIL: &str = "</text></svg><script>alert(1)</script>\u{1b}[31m\n\"'&";

/// Every chart of so many things, each named by `name` and as long as `seconds` says.
fn every(count: usize, name: &str, seconds: impl Fn(usize) -> f64) -> Vec<String> {
    let label = |at: usize| format!("{name} {at}");
    let numbers: Vec<f64> = (0..count).map(seconds).collect();
    let each = || numbers.iter().copied().enumerate();
    let runs: Vec<_> = each()
        .map(|(at, seconds)| RunPoint {
            label: label(at),
            seconds,
            failed: at % 3 == 1,
        })
        .collect();
    let cache: Vec<_> = each()
        .map(|(at, seconds)| CachePoint {
            label: label(at),
            hit_rate: (at != 1).then_some(seconds),
            saved_seconds: seconds,
        })
        .collect();
    let rows: Vec<_> = each()
        .map(|(at, seconds)| Row {
            name: label(at),
            seconds,
        })
        .collect();
    let names: Vec<_> = (0..count).map(label).collect();
    let series: Vec<_> = (0..count.min(12))
        .map(|part| Series {
            name: label(part),
            values: numbers.clone(),
        })
        .collect();
    let lanes: Vec<_> = (0..count.min(5)).map(label).collect();
    let bars: Vec<_> = each()
        .map(|(at, seconds)| Bar {
            name: label(at),
            lane: at % 5,
            start: seconds,
            seconds,
            state: State::ALL[at % 4],
            critical: at % 2 == 0,
        })
        .collect();
    vec![
        runs_over_time(&runs, FRAME).unwrap(),
        cache_over_time(&cache, FRAME).unwrap(),
        slowest(name, &rows, FRAME).unwrap(),
        stacked(name, Unit::Bytes, &names, &series, FRAME).unwrap(),
        timeline(name, &lanes, &bars, FRAME).unwrap(),
    ]
}

/// The values of an attribute, in order.
fn values<'a>(svg: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    svg.split(&start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

fn check(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("role=\"img\"") && svg.contains("<title>") && svg.contains("<desc>"));
    for bad in ["NaN", "inf", "<script"] {
        assert!(!svg.contains(bad), "{bad} in {svg}");
    }
    let css = dark_css("svg");
    let high: f64 = values(svg, "height")[0].parse().unwrap();
    for (attribute, most) in [
        ("x", 500.0),
        ("x1", 500.0),
        ("x2", 500.0),
        ("cx", 500.0),
        ("y", high),
        ("y1", high),
        ("y2", high),
        ("cy", high),
    ] {
        for value in values(svg, attribute) {
            let place: f64 = value.parse().unwrap();
            assert!((0.0..=most).contains(&place), "{attribute}={value}: {svg}");
        }
    }
    for attribute in ["fill", "stroke"] {
        for colour in values(svg, attribute) {
            let rule = format!("[{attribute}=\"{colour}\"]");
            assert!(colour == "none" || css.contains(&rule), "{rule}");
        }
    }
    #[cfg(feature = "png")]
    assert!(png(svg, 1.0).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn any_number_of_things_makes_a_sound_chart() {
    for count in [0, 1, 2, 20, 1000] {
        for svg in every(count, "run", |at| f64::from(u8::try_from(at % 50).unwrap())) {
            check(&svg);
        }
    }
}

#[test]
fn any_number_makes_a_sound_chart() {
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        0.0,
        1e-300,
        1e-9,
        0.5,
        1e9,
        f64::MAX,
    ];
    for one in odd {
        for svg in every(7, "run", |_| one) {
            check(&svg);
        }
    }
    for svg in every(odd.len(), "run", |at| odd[at]) {
        check(&svg);
    }
}

#[test]
fn no_name_breaks_out() {
    let long = "x".repeat(5000);
    for name in [EVIL, &long, "データ基盤🚀", "", "\u{202e}abc"] {
        for svg in every(6, name, |at| 1.0 + f64::from(u8::try_from(at).unwrap())) {
            check(&svg);
        }
    }
}

#[test]
fn an_empty_chart_says_so() {
    for svg in every(0, "run", |_| 0.0) {
        assert!(svg.contains(">No "), "{svg}");
    }
}

#[test]
fn a_chart_gives_its_numbers_in_titles() {
    let all = every(3, "Nov", |at| {
        61.5 * f64::from(u8::try_from(at + 1).unwrap())
    });
    assert!(all[0].contains("<title>Nov 1: 2 m 03 s, failed</title>"));
    assert!(all[1].contains("<title>Nov 2: saved 3 m 05 s</title>"));
    assert!(all[2].contains("<g data-at=\"0\"><title>Nov 0: 1 m 02 s</title>"));
    assert!(all[3].contains("<title>Nov 0: Nov 2 61.5 B</title>"));
    assert!(all[4].contains("<title>Nov 1: 2 m 03 s from 2 m 03 s, restored</title>"));
    assert!(
        all[4].contains("<title>Nov 2: 3 m 05 s from 3 m 05 s, up to date, critical path</title>")
    );
}

#[test]
fn each_task_of_a_great_run_has_its_bar() {
    let svg = &every(1000, "task", |at| f64::from(u16::try_from(at).unwrap()))[4];
    assert_eq!(values(svg, "data-at").len(), 1000);
    assert_eq!(values(svg, "data-at")[999], "999");
    // Each second task is critical: its frame is the only kind of outlined box.
    assert_eq!(
        svg.matches("fill=\"none\" stroke=\"#1b1f24\" stroke-width=\"2\"/>")
            .count(),
        500
    );
}

#[cfg(feature = "png")]
#[test]
fn a_picture_has_letters_of_its_own_font() {
    use resvg::tiny_skia::Pixmap;

    let sheet = |words: &str| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"20\" font-family=\"No Such Font, sans-serif\">\
             <text x=\"5\" y=\"15\" font-size=\"12\">{words}</text></svg>"
        )
    };
    let ink = |words: &str| {
        let picture = Pixmap::decode_png(&png(&sheet(words), 2.0).unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (180, 40));
        picture
            .pixels()
            .iter()
            .filter(|dot| dot.alpha() > 0)
            .count()
    };
    assert_eq!(ink(" "), 0);
    assert!(ink("Größe Σ Ж 4.2 µs") > 300);
}

#[cfg(feature = "png")]
#[test]
fn what_is_no_picture_is_refused() {
    let chart = slowest("x", &[], FRAME).unwrap();
    for zoom in [0.0, -1.0, f32::NAN, 1e9] {
        assert!(
            matches!(png(&chart, zoom), Err(ChartError::Picture(_))),
            "{zoom}"
        );
    }
    assert!(matches!(png("words", 1.0), Err(ChartError::Picture(_))));
}
