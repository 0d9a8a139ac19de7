//! Tests of the mux: lines stay whole, and what is shown is what was asked for.
//! They do not know how the mux keeps its lines.

use super::*;

/// Runs `work` and answers what reached the two sinks.
fn shown(work: impl FnOnce(&mut Sinks<'_>)) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    work(&mut Sinks {
        stdout: &mut out,
        stderr: &mut err,
    });
    (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

#[test]
fn lines_are_never_split_whatever_the_interleaving() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for round in 0..200 {
        let mut mux = Mux::new(Order::Stream, false);
        let mut left: Vec<(Lane, String, String)> = Vec::new();
        for task in 0..4 {
            let text: String = (0..random(8))
                .map(|line| "é".repeat(random(9)) + &format!("{line}\n"))
                .collect();
            let text = if round % 2 == 0 { text } else { text + "end" };
            left.push((
                mux.open(&format!("t{task}"), OutputLogs::Full),
                text.clone(),
                text,
            ));
        }
        let wanted: Vec<String> = left.iter().map(|(_, text, _)| text.clone()).collect();
        let (out, _) = shown(|sinks| {
            while !left.is_empty() {
                let at = random(left.len());
                let (lane, rest, text) = &mut left[at];
                if rest.is_empty() {
                    let log = mux.close(*lane, Outcome::Ran, "k", sinks);
                    assert_eq!(log.bytes(), text.as_bytes());
                    left.swap_remove(at);
                    continue;
                }
                let cut = 1 + random(rest.len());
                let tail = rest.as_bytes()[cut..].to_vec();
                mux.feed(*lane, Stream::Stdout, &rest.as_bytes()[..cut], sinks);
                // Cut anywhere, even inside a character: the model keeps text whole by waiting.
                match String::from_utf8(tail) {
                    Ok(tail) => *rest = tail,
                    Err(error) => {
                        mux.feed(*lane, Stream::Stdout, &error.as_bytes()[..1], sinks);
                        *rest = String::from_utf8(error.as_bytes()[1..].to_vec()).unwrap();
                    }
                }
            }
        });
        for (task, text) in wanted.iter().enumerate() {
            let prefix = format!("t{task}: ");
            let got: Vec<&str> = out
                .lines()
                .filter_map(|line| line.strip_prefix(&prefix))
                .collect();
            assert_eq!(got, text.lines().collect::<Vec<_>>());
        }
        assert_eq!(
            out.lines().count(),
            wanted
                .iter()
                .map(|text| text.lines().count())
                .sum::<usize>()
        );
    }
}

#[test]
fn output_logs_decide_what_is_shown() {
    use OutputLogs::{ErrorsOnly, Full, HashOnly, NewOnly, None};
    for order in [Order::Stream, Order::Grouped] {
        let text = if order == Order::Stream {
            "a#b: x\n"
        } else {
            "x\n"
        };
        for (logs, ran, hit, failed) in [
            (Full, text, text, text),
            (NewOnly, text, "a#b: hit k\n", text),
            (ErrorsOnly, "", "", text),
            (HashOnly, "a#b: ran k\n", "a#b: hit k\n", "a#b: failed k\n"),
            (None, "", "", ""),
        ] {
            for (outcome, wanted) in [
                (Outcome::Ran, ran),
                (Outcome::Hit, hit),
                (Outcome::Failed, failed),
            ] {
                let (out, err) = shown(|sinks| {
                    let mut mux = Mux::new(order, false);
                    let mut log = Log::new();
                    log.push(Stream::Stdout, b"x");
                    if outcome == Outcome::Hit {
                        mux.replay("a#b", logs, "k", &log, sinks);
                    } else {
                        let lane = mux.open("a#b", logs);
                        mux.feed(lane, Stream::Stdout, b"x", sinks);
                        assert_eq!(mux.close(lane, outcome, "k", sinks), log);
                    }
                });
                let body: String = out
                    .split_inclusive('\n')
                    .filter(|line| !line.starts_with("──"))
                    .collect();
                assert_eq!(
                    (body.as_str(), err.as_str()),
                    (wanted, ""),
                    "{order:?} {logs:?} {outcome:?}"
                );
            }
        }
    }
}

#[test]
fn colours_stay_and_end_with_their_line() {
    let red = b"\x1b[31mred\nplain\n";
    for (colour, wanted) in [
        (false, "t: \x1b[31mred\nt: plain\n".to_owned()),
        (
            true,
            "P\x1b[31mred\x1b[0m\nPplain\n".replace('P', "\x1b[35mt:\x1b[0m "),
        ),
    ] {
        let (out, err) = shown(|sinks| {
            let mut mux = Mux::new(Order::Stream, colour);
            let lane = mux.open("t", OutputLogs::Full);
            mux.feed(lane, Stream::Stderr, red, sinks);
        });
        assert_eq!(out, "");
        let code = err.find("t:").map_or("", |at| &err[..at]);
        let wanted = wanted.replace("\x1b[35m", code);
        assert_eq!(err, wanted);
    }
}

#[test]
fn a_long_line_is_bounded_and_loses_nothing() {
    let text = "é".repeat(LONGEST_LINE);
    let (out, _) = shown(|sinks| {
        let mut mux = Mux::new(Order::Stream, false);
        let lane = mux.open("t", OutputLogs::Full);
        mux.feed(lane, Stream::Stdout, b"x", sinks);
        mux.feed(lane, Stream::Stdout, text.as_bytes(), sinks);
        mux.close(lane, Outcome::Ran, "", sinks);
    });
    assert!(out.lines().all(|line| line.len() <= LONGEST_LINE + 3));
    let joined: String = out.lines().map(|line| &line[3..]).collect();
    assert_eq!(joined, format!("x{text}"));
}

#[test]
fn a_broken_sink_is_remembered_and_logs_go_on() {
    let mut mux = Mux::new(Order::Stream, false);
    let mut out: &mut [u8] = &mut [0; 2];
    let mut sinks = Sinks {
        stdout: &mut out,
        stderr: &mut io::sink(),
    };
    let lane = mux.open("t", OutputLogs::Full);
    mux.feed(lane, Stream::Stdout, b"one\n", &mut sinks);
    mux.feed(lane, Stream::Stdout, b"two\n", &mut sinks);
    assert!(mux.error().is_some());
    assert_eq!(
        mux.close(lane, Outcome::Ran, "", &mut sinks).bytes(),
        b"one\ntwo\n"
    );
}

#[test]
fn a_long_line_is_broken_whole_and_in_one_pass() {
    let mut mux = Mux::new(Order::Stream, false);
    let mut log = Log::new();
    // Taking the rest apart at each break would be minutes of copying.
    let line = "é".repeat(24 << 20);
    log.push(Stream::Stdout, line.as_bytes());
    let (out, _) = shown(|sinks| mux.replay("t", OutputLogs::Full, "k", &log, sinks));
    let pieces = out.lines().map(|line| line.strip_prefix("t: ").unwrap());
    assert_eq!(pieces.collect::<String>().len(), line.len());
}

#[test]
fn a_log_that_was_cut_says_so_at_its_end() {
    for order in [Order::Stream, Order::Grouped] {
        let mut log = Log::with_limit(2);
        log.push(Stream::Stdout, b"abcde");
        let (out, err) = shown(|sinks| {
            Mux::new(order, false).replay("t", OutputLogs::Full, "k", &log, sinks);
        });
        assert!(out.ends_with("ab\n"), "{out}");
        assert!(err.starts_with("t: 3 bytes more are not shown"), "{err}");
    }
}
