//! Random edits of a random workspace, run in four ways: by a new session each time, by a session that is kept and told what changed,
//! by the rounds of `larder watch`, and beside what a background session remembers. After each step every copy holds byte for byte what
//! the reference model says, which a build from scratch confirms now and then, and exactly those commands ran that had to.
//!
//! `LARDER_SEED` runs one seed alone, `LARDER_STEPS` sets the number of steps of all seeds together.
//! Does not know how it comes about.
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "all names here are lower case"
)]

mod build;
mod edits;
mod modes;
mod world;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::random::Random;
use build::{Files, InProcess, on_disk};
use edits::{Edit, difference, edit};
use modes::{Daemon, Kept, Mode, OneShot, Place, Watch};
use world::{Ended, Model, World};

/// Steps of one seed.
const STEPS: u64 = 40;
/// Steps of all seeds, unless the environment says otherwise.
const ALL: u64 = 520;
/// One of so many steps is built from scratch as well.
const SCRATCH: usize = 12;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn any_edits_end_in_the_same_state_by_the_same_work_however_they_are_noticed() {
    let steps = number("LARDER_STEPS").unwrap_or(ALL);
    if let Some(seed) = number("LARDER_SEED") {
        return history(seed, steps);
    }
    let next = AtomicU64::new(1);
    let one_by_one = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > steps.div_ceil(STEPS) {
                return;
            }
            history(seed, STEPS);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(4) {
            scope.spawn(one_by_one);
        }
    });
}

/// Names the seed and the step when something below panics.
struct Named(u64, u64, Vec<Edit>);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Named(seed, step, edits) = self;
            // A failure of this is none of the test's.
            let _ = writeln!(
                std::io::stderr(),
                "\nafter step {step} of seed {seed}: {edits:#?}\n\
                 again: LARDER_SEED={seed} LARDER_STEPS={} cargo test -p larder --test session property\n",
                *step + 1
            );
        }
    }
}

/// What is wrong with the configuration for one step, in place of a line of it, and what has to be said.
const MISTAKES: [(&str, &str); 2] = [
    ("[tasks.gen\n", "larder.toml"),
    ("[tasks.gen]\ndepends-on = [\"pack\"]\n", "circle"),
];

fn history(seed: u64, steps: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut world = World::new(2 + random.below(2));
    let (mut model, mut branches) = (Model::default(), Vec::new());
    let slots = 1 + random.below(2);
    let places: [Place; 4] = std::array::from_fn(|_| Place::new(&world.files(), slots));
    let [one, two, three, four] = &places;
    let mut ways: [Box<dyn Mode + '_>; 4] = [
        Box::new(OneShot(one)),
        Box::new(Kept::new(two)),
        Box::new(Watch::new(three)),
        Box::new(Daemon::new(four)),
    ];
    let mut made = Vec::new();
    for step in 0..steps {
        let mut edits = Vec::new();
        for _ in 0..random.below(4) {
            edits.extend(edit(&mut random, &mut world, &made, &mut branches));
        }
        let named = Named(seed, step, edits);
        let mistake = (step > 0 && random.below(10) == 0).then(|| MISTAKES[random.below(2)]);
        let lost = random.below(12) == 0;
        let mut files = world.files();
        if let Some((text, says)) = mistake {
            let toml = files.get_mut("p0/larder.toml").unwrap();
            toml.1 = toml.1.replace("[tasks.gen]\n", text);
            refused(&mut ways, &named.2, &world.files(), &files, says);
        }
        let ended = model.run(&world);
        for mode in &mut ways {
            let mut touched = BTreeSet::new();
            let mend = difference(&files, &world.files());
            let edits: &[Edit] = if mistake.is_some() { &mend } else { &named.2 };
            apply(&mut **mode, edits, &mut touched);
            if lost {
                mode.lose();
            }
            let result = mode.step(&touched);
            assert_eq!(result, Ok(()), "{}", mode.name());
            check(&**mode, &ended);
        }
        if random.below(4) == 0 {
            idle(&mut ways, &ended);
        }
        if random.below(SCRATCH) == 0 {
            from_scratch(&world, &ended, slots);
        }
        made = ended.made;
        drop(named);
    }
}

fn apply(mode: &mut dyn Mode, edits: &[Edit], touched: &mut BTreeSet<String>) {
    let root = mode.place().root();
    for edit in edits {
        edit.apply(&root, touched);
    }
}

/// With a mistake in the configuration everybody says so, and nothing runs.
fn refused(modes: &mut [Box<dyn Mode + '_>], edits: &[Edit], from: &Files, to: &Files, says: &str) {
    for mode in modes {
        let mut touched = BTreeSet::new();
        apply(&mut **mode, edits, &mut touched);
        apply(&mut **mode, &difference(from, to), &mut touched);
        let said = mode.step(&touched).unwrap_err();
        assert!(said.contains(says), "{}: {said}", mode.name());
        assert_eq!(mode.place().executor.ran(), [""; 0], "{}", mode.name());
    }
}

/// What lies in a copy and what ran is what the model says.
fn check(mode: &dyn Mode, ended: &Ended) {
    let place = mode.place();
    assert_eq!(
        place.executor.ran(),
        ended.ran,
        "what ran by {}",
        mode.name()
    );
    compare(place, &ended.files, mode.name());
}

fn compare(place: &Place, files: &Files, by: &str) {
    let mut there = on_disk(&place.root());
    there.retain(|path, _| !path.ends_with(".d"));
    for path in there.keys().chain(files.keys()) {
        assert_eq!(there.get(path), files.get(path), "{path} by {by}");
    }
}

/// Where nothing changed nothing runs, twice: the second time it is known without a look.
fn idle(modes: &mut [Box<dyn Mode + '_>], ended: &Ended) {
    for mode in modes {
        for _ in 0..2 {
            mode.step(&BTreeSet::new()).unwrap();
            assert_eq!(mode.place().executor.ran(), [""; 0], "idle {}", mode.name());
        }
        compare(mode.place(), &ended.files, mode.name());
    }
}

/// A build in a fresh folder makes the same, and runs everything.
fn from_scratch(world: &World, ended: &Ended, slots: usize) {
    let place = Place::new(&world.files(), slots);
    OneShot(&place).step(&BTreeSet::new()).unwrap();
    let all = Model::default().run(world);
    assert_eq!(InProcess::ran(&place.executor), all.ran, "from scratch");
    compare(&place, &ended.files, "a build from scratch");
}
