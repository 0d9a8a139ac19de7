//! The critical path: the chain of dependent steps that decides how long a run must take, however many run at once.
//! Does not know how many run at once, nor when they did.

use std::time::Duration;

/// A step of a run: its length and the steps it waits for, by index into the same slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// How long it takes alone.
    pub duration: Duration,
    /// Indices of the steps that must end before it starts; repeats are harmless.
    pub deps: Vec<usize>,
}

/// The longest chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Indices of its steps, first to last. Of equally long chains, the one through lower indices.
    pub steps: Vec<usize>,
    /// The sum of their durations.
    pub duration: Duration,
}

/// Why no critical path exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A step waits for an index beyond the slice.
    #[error("step {step} waits for step {dep}, which does not exist")]
    UnknownDep {
        /// The step that waits.
        step: usize,
        /// The index it names.
        dep: usize,
    },
    /// Steps wait for each other.
    #[error("step {step} waits for itself through other steps")]
    Cycle {
        /// The lowest step that could never start.
        step: usize,
    },
}

/// Finds the chain of dependent steps with the greatest sum of durations, in time proportional to steps and dependencies.
///
/// # Errors
/// [`PathError`] when a dependency does not exist or steps wait for each other.
pub fn critical_path(steps: &[Step]) -> Result<CriticalPath, PathError> {
    let order = topological(steps)?;
    // For each step: when it can end at the earliest, and which dependency it waits for last.
    let mut ends = vec![(Duration::ZERO, None); steps.len()];
    for &step in &order {
        let mut begin = (Duration::ZERO, None);
        for &dep in &steps[step].deps {
            let end = ends[dep].0;
            if begin
                .1
                .is_none_or(|last| end > begin.0 || (end == begin.0 && dep < last))
            {
                begin = (end, Some(dep));
            }
        }
        ends[step] = (begin.0.saturating_add(steps[step].duration), begin.1);
    }
    let mut last: Option<usize> = None;
    for (step, end) in ends.iter().enumerate() {
        if last.is_none_or(|best| end.0 > ends[best].0) {
            last = Some(step);
        }
    }
    let duration = last.map_or(Duration::ZERO, |step| ends[step].0);
    let mut path = Vec::new();
    while let Some(step) = last {
        path.push(step);
        last = ends[step].1;
    }
    path.reverse();
    Ok(CriticalPath {
        steps: path,
        duration,
    })
}

fn topological(steps: &[Step]) -> Result<Vec<usize>, PathError> {
    let mut waiting = vec![0_usize; steps.len()];
    let mut dependents = vec![Vec::new(); steps.len()];
    for (step, body) in steps.iter().enumerate() {
        for &dep in &body.deps {
            dependents
                .get_mut(dep)
                .ok_or(PathError::UnknownDep { step, dep })?
                .push(step);
            waiting[step] += 1;
        }
    }
    let mut order: Vec<usize> = (0..steps.len())
        .filter(|&step| waiting[step] == 0)
        .collect();
    let mut next = 0;
    while next < order.len() {
        for &dependent in &dependents[order[next]] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                order.push(dependent);
            }
        }
        next += 1;
    }
    match waiting.iter().position(|&count| count > 0) {
        Some(step) => Err(PathError::Cycle { step }),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(millis: u64, deps: &[usize]) -> Step {
        Step {
            name: String::new(),
            duration: Duration::from_millis(millis),
            deps: deps.to_vec(),
        }
    }

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(critical_path(&[]), Ok(CriticalPath::default()));
    }

    #[test]
    fn order_in_the_slice_does_not_matter() {
        let steps = [step(1, &[2]), step(5, &[]), step(6, &[])];
        let path = critical_path(&steps).unwrap();
        assert_eq!(
            (path.steps, path.duration),
            (vec![2, 0], Duration::from_millis(7))
        );
    }

    #[test]
    fn cycles_and_strangers_are_errors() {
        assert_eq!(
            critical_path(&[step(1, &[0])]),
            Err(PathError::Cycle { step: 0 })
        );
        assert_eq!(
            critical_path(&[step(1, &[]), step(1, &[2]), step(1, &[1])]),
            Err(PathError::Cycle { step: 1 })
        );
        assert_eq!(
            critical_path(&[step(1, &[3])]),
            Err(PathError::UnknownDep { step: 0, dep: 3 })
        );
    }

    /// Every chain that ends at `at`, tried in turn.
    fn naive(steps: &[Step], at: usize) -> Duration {
        let before = steps[at]
            .deps
            .iter()
            .map(|&dep| naive(steps, dep))
            .max()
            .unwrap_or_default();
        before + steps[at].duration
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_chain(
            rows in prop::collection::vec((0_u64..20, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..12)
        ) {
            let steps: Vec<Step> = rows
                .iter()
                .enumerate()
                .map(|(at, (millis, deps))| {
                    let deps: Vec<usize> = if at == 0 { vec![] } else { deps.iter().map(|dep| dep.index(at)).collect() };
                    step(*millis, &deps)
                })
                .collect();
            let path = critical_path(&steps).unwrap();
            let longest = (0..steps.len()).map(|at| naive(&steps, at)).max().unwrap();
            prop_assert_eq!(path.duration, longest);
            let sum: Duration = path.steps.iter().map(|&at| steps[at].duration).sum();
            prop_assert_eq!(sum, longest);
            for pair in path.steps.windows(2) {
                prop_assert!(steps[pair[1]].deps.contains(&pair[0]));
            }
        }
    }
}
