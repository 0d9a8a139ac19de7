//! Maps many items on several threads, in their order.
//! Does not know what is done with an item.

use std::thread;

/// Items below which a thread of their own is not worth its start.
const FEW: usize = 1000;
/// Threads beyond which nothing gets faster any more.
const MOST: usize = 8;

/// What `of` makes of each item.
pub(super) fn map<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MOST).min(items.len() / FEW).max(1);
    let (own, others) = items.split_at(items.len().div_ceil(threads));
    let all = |items: &[T]| items.iter().map(&of).collect::<Vec<R>>();
    thread::scope(|scope| {
        let parts = others.chunks(own.len().max(1));
        let parts: Vec<_> = parts
            .map(|part| {
                let thread = thread::Builder::new().spawn_scoped(scope, || all(part));
                (part, thread)
            })
            .collect();
        let mut results = all(own);
        results.reserve_exact(others.len());
        for (part, thread) in parts {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => results.extend(done),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // The system has no thread to give.
                Err(_) => results.extend(all(part)),
            }
        }
        results
    })
}
