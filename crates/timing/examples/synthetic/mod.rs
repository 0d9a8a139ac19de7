//! Series of durations with known noise and known shifts, and how often the check for regressions says slower.
//! Used by the example that makes the table, and by the test that holds it to its promise.

use std::fmt::Write as _;

use larder_timing::{Rule, Verdict, check};

/// Numbers that look random and are the same in each run: xorshift64*.
struct Random(u64);

impl Random {
    #[allow(clippy::cast_precision_loss)]
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

/// How the noise of a synthetic series behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Noise {
    /// Normal on the logarithm.
    Normal,
    /// Student's t with 3 degrees of freedom, and one run of twenty takes up to twice as long.
    HeavyTailed,
    /// Normal, and the machine's speed swings by 2 % up and down with a period of 20 runs.
    Swing,
    /// Normal, and the machine's speed takes a random step of 0.2 % after each run.
    Wander,
    /// As before, with steps of 0.4 %: the last runs really take another time than those before.
    Stray,
    /// Normal, and the machine becomes 5 % slower from the first run to the last: the last runs really take longer.
    Creep,
}

/// All kinds, in the order of the table.
pub(crate) const NOISES: [Noise; 6] = [
    Noise::Normal,
    Noise::HeavyTailed,
    Noise::Swing,
    Noise::Wander,
    Noise::Stray,
    Noise::Creep,
];

/// The durations of `before` runs, and of `after` more that take longer by `shift`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
fn durations(
    random: &mut Random,
    noise: Noise,
    share: f64,
    before: usize,
    after: usize,
    shift: f64,
) -> Vec<u64> {
    let mut level = 1e9_f64.ln();
    let phase = random.uniform() * 20.0;
    (0..before + after)
        .map(|at| {
            let mut value = share * random.normal();
            match noise {
                Noise::Normal => {}
                Noise::HeavyTailed => {
                    let chi: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                    value /= (chi / 3.0).sqrt();
                    if random.uniform() < 0.05 {
                        value += random.uniform().ln_1p();
                    }
                }
                Noise::Creep => value += 1.05_f64.ln() * at as f64 / (before + after) as f64,
                Noise::Wander => level += 0.002 * random.normal(),
                Noise::Stray => level += 0.004 * random.normal(),
                Noise::Swing => {
                    value += 0.02 * ((at as f64 + phase) * std::f64::consts::TAU / 20.0).sin();
                }
            }
            if at >= before {
                value += shift.ln_1p();
            }
            (level + value).exp() as u64
        })
        .collect()
}

/// The share of `series` series in which the check says slower.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn rate(noise: Noise, share: f64, recent: usize, shift: f64, series: usize) -> f64 {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let found = (0..series)
        .filter(|_| {
            let durations = durations(&mut random, noise, share, 30, recent, shift);
            check(&durations, recent, &Rule::default()).verdict == Verdict::Slower
        })
        .count();
    found as f64 / series as f64
}

/// The rates as a Markdown table, for the last `recent` of 30 + `recent` runs.
pub(crate) fn table(recent: usize, series: usize) -> String {
    let mut text = format!("Last {recent} runs against the 30 before:\n\n");
    text.push_str("| noise | | no shift | 3 % | 5 % | 10 % |\n|---|--:|--:|--:|--:|--:|\n");
    for noise in NOISES {
        for share in [0.02, 0.05, 0.1] {
            let name = match noise {
                Noise::Normal => "normal",
                Noise::HeavyTailed => "heavy tails",
                Noise::Creep => "creep of 5 %",
                Noise::Wander => "wandering by 0.2 %",
                Noise::Stray => "wandering by 0.4 %",
                Noise::Swing => "swing of ±2 %",
            };
            // Writing to a string never fails.
            let _ = write!(text, "| {name} | {:.0} % |", share * 100.0);
            for shift in [0.0, 0.03, 0.05, 0.10] {
                let _ = write!(
                    text,
                    " {:.1} % |",
                    rate(noise, share, recent, shift, series) * 100.0
                );
            }
            text.push('\n');
        }
    }
    text
}
