//! Measures scopes: a span ends when its scope does, by whatever way, and remembers in which span it began.
//! Does not know what is done with the spans.

use std::borrow::Cow;
use std::cell::Cell;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Moment};

/// Tells spans apart. On one thread a later span has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(NonZeroU64);

/// A named stretch of time that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRow {
    /// Which span it is.
    pub id: SpanId,
    /// The span in which it began, if any.
    pub parent: Option<SpanId>,
    /// What took the time.
    pub name: Cow<'static, str>,
    /// The thread it ran on: a small number, the same for all spans of the thread.
    pub thread: u32,
    /// When it began, in nanoseconds after the context was made.
    pub start_ns: u64,
    /// How long it took, in nanoseconds of a counter that never goes back.
    pub duration_ns: u64,
    /// Whether a panic ended it.
    pub panicked: bool,
}

/// Where spans are recorded, from any number of threads.
#[derive(Debug)]
pub struct TimingContext<C> {
    clock: C,
    /// The moment all spans are counted from: the wall time of any other follows from it.
    zero: Moment,
    /// Tells contexts apart on a thread that works for several.
    number: u32,
    /// Threads that record at the same time seldom meet in one of these.
    shards: [Shard; SHARDS],
}

const SHARDS: usize = 16;

/// Room for the first spans of a shard: growing from one would cost more than the spans.
const FIRST: usize = 128;

/// Alone in its cache line, or threads would slow each other down without ever waiting.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Vec<SpanRow>>);

/// What a thread knows of itself, without asking the others.
struct Local {
    /// Its number, from 1; 0 when it has none yet.
    thread: Cell<u32>,
    /// How many spans it began.
    begun: Cell<u64>,
    /// The context that it is in, and the span.
    inside: Cell<Inside>,
}

type Inside = Option<(u32, SpanId)>;

thread_local! {
    static LOCAL: Local = const {
        Local { thread: Cell::new(0), begun: Cell::new(0), inside: Cell::new(None) }
    };
}

/// Bits of a span's id that count the spans of one thread: enough for one each nanosecond of a quarter of an hour.
const COUNT_BITS: u32 = 40;

static THREADS: AtomicU32 = AtomicU32::new(1);
static CONTEXTS: AtomicU32 = AtomicU32::new(0);

impl Local {
    fn thread(&self) -> u32 {
        if self.thread.get() == 0 {
            self.thread.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        self.thread.get()
    }

    fn next_id(&self) -> SpanId {
        let count = self.begun.get();
        self.begun.set(count + 1);
        let id = (u64::from(self.thread()) << COUNT_BITS) | count;
        // The thread's number is never 0.
        SpanId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    }
}

impl<C: Clock> TimingContext<C> {
    /// An empty context that begins now.
    pub fn new(clock: C) -> Self {
        Self {
            zero: clock.now(),
            clock,
            number: CONTEXTS.fetch_add(1, Ordering::Relaxed),
            shards: Default::default(),
        }
    }

    /// When the context was made. Spans count from here.
    pub fn zero(&self) -> Moment {
        self.zero
    }

    /// The time since the context was made.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now_ns())
    }

    /// Begins a span that ends when the returned value is dropped: at the end of its scope, on an early return, by `?` or in a panic. It lies within
    /// the innermost span of this context that is open on this thread.
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> Span<'_, C> {
        LOCAL.with(|local| {
            let inside = local
                .inside
                .get()
                .filter(|(context, _)| *context == self.number);
            self.begin(local, name.into(), inside.map(|(_, span)| span))
        })
    }

    /// As [`TimingContext::span`], within the span `parent`, which may be open on another thread.
    pub fn span_in(&self, parent: SpanId, name: impl Into<Cow<'static, str>>) -> Span<'_, C> {
        LOCAL.with(|local| self.begin(local, name.into(), Some(parent)))
    }

    /// Measures a function. The span is recorded when it panics, too.
    pub fn measure<T>(&self, name: impl Into<Cow<'static, str>>, work: impl FnOnce() -> T) -> T {
        let _span = self.span(name);
        work()
    }

    /// The spans that are over, in the order in which they began. Those that are still open come with a later call.
    pub fn take(&self) -> Vec<SpanRow> {
        let mut rows: Vec<SpanRow> = self
            .shards
            .iter()
            .flat_map(|shard| {
                std::mem::take(&mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner))
            })
            .collect();
        rows.sort_unstable_by_key(|row| (row.start_ns, row.id));
        rows
    }

    fn begin(&self, local: &Local, name: Cow<'static, str>, parent: Option<SpanId>) -> Span<'_, C> {
        let id = local.next_id();
        Span {
            context: self,
            before: local.inside.replace(Some((self.number, id))),
            thread: local.thread(),
            id,
            parent,
            name,
            start_ns: self.now_ns(),
            thread_bound: PhantomData,
        }
    }

    fn now_ns(&self) -> u64 {
        self.clock
            .monotonic_ns()
            .saturating_sub(self.zero.monotonic_ns)
    }
}

/// An open span. It stays on the thread that began it; spans on other threads may begin within it by [`Span::id`].
#[derive(Debug)]
#[must_use = "it ends where it is dropped"]
pub struct Span<'a, C: Clock> {
    context: &'a TimingContext<C>,
    before: Inside,
    thread: u32,
    id: SpanId,
    parent: Option<SpanId>,
    name: Cow<'static, str>,
    start_ns: u64,
    /// What the thread is in is known to the thread alone.
    thread_bound: PhantomData<*const ()>,
}

impl<C: Clock> Span<'_, C> {
    /// Which span it is, for [`TimingContext::span_in`].
    pub fn id(&self) -> SpanId {
        self.id
    }

    /// Ends it here.
    pub fn end(self) {}
}

impl<C: Clock> Drop for Span<'_, C> {
    fn drop(&mut self) {
        let end_ns = self.context.now_ns();
        LOCAL.with(|local| {
            if local.inside.get() == Some((self.context.number, self.id)) {
                local.inside.set(self.before);
            }
        });
        let row = SpanRow {
            id: self.id,
            parent: self.parent,
            name: std::mem::take(&mut self.name),
            thread: self.thread,
            start_ns: self.start_ns,
            duration_ns: end_ns.saturating_sub(self.start_ns),
            panicked: std::thread::panicking(),
        };
        let shard = &self.context.shards[self.thread as usize % SHARDS];
        let mut rows = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() == rows.capacity() {
            let more = rows.len().max(FIRST);
            rows.reserve(more);
        }
        rows.push(row);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{ManualClock, SystemClock};

    fn names(rows: &[SpanRow]) -> Vec<(&str, Option<&str>)> {
        let name = |id: SpanId| rows.iter().find(|row| row.id == id).map(|row| &*row.name);
        rows.iter()
            .map(|row| (&*row.name, row.parent.and_then(name)))
            .collect()
    }

    #[test]
    fn spans_know_their_times_and_the_span_they_began_in() {
        let timing = TimingContext::new(ManualClock::at(50));
        let tick = || timing.clock.advance(Duration::from_nanos(10));
        {
            let _run = timing.span("run");
            tick();
            timing.measure("plan", tick);
            let execute = timing.span(String::from("execute"));
            timing.measure("task", || timing.measure("spawn", tick));
            execute.end();
            timing.measure("write", tick);
        }
        let rows = timing.take();
        assert_eq!(
            names(&rows),
            [
                ("run", None),
                ("plan", Some("run")),
                ("execute", Some("run")),
                ("task", Some("execute")),
                ("spawn", Some("task")),
                ("write", Some("run"))
            ]
        );
        let times: Vec<_> = rows
            .iter()
            .map(|row| (row.start_ns, row.duration_ns))
            .collect();
        assert_eq!(
            times,
            [(0, 40), (10, 10), (20, 10), (20, 10), (20, 10), (30, 10)]
        );
        assert_eq!(timing.zero().wall_ns, 50);
        assert_eq!(timing.take(), [], "they were taken");
    }

    #[test]
    fn an_early_return_and_a_panic_end_spans_too() {
        let timing = TimingContext::new(ManualClock::at(0));
        let fails = || -> Result<(), std::num::ParseIntError> {
            let _span = timing.span("question mark");
            "x".parse::<u8>()?;
            unreachable!("the line before returns");
        };
        assert!(fails().is_err());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            let _outer = timing.span("outer");
            let _inner = timing.span("inner");
            std::panic::resume_unwind(Box::new("no message"));
        }));
        assert!(panics.is_err());
        timing.measure("after", || ());
        let rows = timing.take();
        let ends: Vec<_> = rows.iter().map(|row| (&*row.name, row.panicked)).collect();
        assert_eq!(
            ends,
            [
                ("question mark", false),
                ("outer", true),
                ("inner", true),
                ("after", false)
            ]
        );
        assert_eq!(rows[3].parent, None, "what a panic ended is left");
    }

    #[test]
    fn a_span_on_another_thread_lies_within_the_one_it_names() {
        let timing = TimingContext::new(SystemClock::new());
        {
            let outer = timing.span("outer");
            let id = outer.id();
            std::thread::scope(|scope| {
                for _ in 0..40 {
                    scope.spawn(|| {
                        let _named = timing.span_in(id, "named");
                        timing.measure("nested", || ());
                    });
                }
                scope.spawn(|| timing.measure("stranger", || ()));
            });
        }
        let rows = timing.take();
        let count = |pair| {
            names(&rows)
                .into_iter()
                .filter(|found| *found == pair)
                .count()
        };
        assert_eq!(count(("named", Some("outer"))), 40);
        assert_eq!(count(("nested", Some("named"))), 40);
        assert_eq!(count(("stranger", None)), 1);
        let nested = rows.iter().find(|row| row.name == "nested").unwrap();
        let named = rows
            .iter()
            .find(|row| Some(row.id) == nested.parent)
            .unwrap();
        assert_eq!(nested.thread, named.thread);
        assert_ne!(named.thread, rows[0].thread);
        assert!(named.start_ns <= nested.start_ns && nested.duration_ns <= named.duration_ns);
    }

    #[test]
    fn two_contexts_on_one_thread_do_not_mix() {
        let (one, two) = (
            TimingContext::new(ManualClock::at(0)),
            TimingContext::new(ManualClock::at(0)),
        );
        {
            let _one = one.span("one");
            let _two = two.span("two");
            two.measure("in two", || ());
        }
        assert_eq!(names(&one.take()), [("one", None)]);
        assert_eq!(names(&two.take()), [("two", None), ("in two", Some("two"))]);
    }

    #[test]
    fn spans_that_end_out_of_order_are_recorded_all_the_same() {
        let timing = TimingContext::new(ManualClock::at(0));
        let first = timing.span("first");
        let second = timing.span("second");
        first.end();
        timing.measure("third", || ());
        second.end();
        let rows = timing.take();
        assert_eq!(
            names(&rows),
            [
                ("first", None),
                ("second", Some("first")),
                ("third", Some("second"))
            ]
        );
    }
}
