//! A wrapper that fails one call of the destination inside it, for tests of those who use destinations.
//! Does not know which destination that is.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::destination::{Destination, DestinationError};
use crate::name::Name;

/// On which side of the effect the call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happened.
    Before,
    /// It happened, but the answer was lost.
    After,
}

/// Passes every call on, and fails the n-th.
#[derive(Debug)]
pub struct Faulty<D> {
    inner: D,
    fault: Fault,
    /// Calls still to come until the one that fails; passes zero once.
    left: AtomicUsize,
}

impl<D> Faulty<D> {
    /// Fails the `nth` call, counted from one over all methods. Zero never fails.
    pub fn new(inner: D, nth: usize, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            left: AtomicUsize::new(nth),
        }
    }

    /// The destination inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    fn call<T>(
        &self,
        action: impl FnOnce() -> Result<T, DestinationError>,
    ) -> Result<T, DestinationError> {
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if before != Ok(1) {
            return action();
        }
        if self.fault == Fault::After {
            action()?;
        }
        let cause = io::Error::other("injected fault");
        Err(DestinationError::Io {
            action: "reach",
            place: "the destination".into(),
            cause,
        })
    }
}

impl<D: Destination> Destination for Faulty<D> {
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError> {
        self.call(|| self.inner.put(name, content))
    }

    fn put_file(&self, name: &Name, file: &Path) -> Result<(), DestinationError> {
        self.call(|| self.inner.put_file(name, file))
    }

    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        self.call(|| self.inner.get(name))
    }

    fn read_into(&self, name: &Name, to: &mut dyn Write) -> Result<bool, DestinationError> {
        self.call(|| self.inner.read_into(name, to))
    }

    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        self.call(|| self.inner.list())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryDestination, contract};

    #[test]
    fn without_a_fault_keeps_the_contract() {
        contract::holds(&Faulty::new(MemoryDestination::new(), 0, Fault::Before));
    }

    #[test]
    fn fails_the_nth_call_alone() {
        let name = Name::new("a").unwrap();
        let faulty = Faulty::new(MemoryDestination::new(), 2, Fault::Before);
        assert!(faulty.list().unwrap().is_empty());
        assert!(matches!(
            faulty.put(&name, b"1"),
            Err(DestinationError::Io { .. })
        ));
        assert!(faulty.list().unwrap().is_empty());
        faulty.put(&name, b"1").unwrap();
    }

    #[test]
    fn a_lost_answer_is_mended_by_asking_again() {
        let name = Name::new("a").unwrap();
        let faulty = Faulty::new(MemoryDestination::new(), 1, Fault::After);
        assert!(faulty.put(&name, b"1").is_err());
        assert_eq!(
            faulty.inner().get(&name).unwrap().as_deref(),
            Some(&b"1"[..])
        );
        faulty.put(&name, b"1").unwrap();
        assert_eq!(faulty.list().unwrap().len(), 1);
    }
}
