//! A destination in memory, for tests.
//! Does not know any disk, yet refuses what the most finicky one would.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::destination::{Destination, DestinationError};
use crate::name::Name;

/// Keeps records in a map. Stricter than a folder: names that differ in case alone are the same name, as on macOS and Windows, so the
/// second is refused, whatever its content; and a record is never also a folder of others.
#[derive(Debug, Default)]
pub struct MemoryDestination {
    records: Mutex<BTreeMap<Name, Vec<u8>>>,
}

impl MemoryDestination {
    /// An empty destination.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Destination for MemoryDestination {
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match records.get(name) {
            Some(there) => there != content,
            None => records
                .keys()
                .any(|other| collide(other.as_str(), name.as_str())),
        };
        if taken {
            return Err(DestinationError::Exists { name: name.clone() });
        }
        records.insert(name.clone(), content.to_vec());
        Ok(())
    }

    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        Ok(self
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned())
    }

    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        Ok(self
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect())
    }
}

/// Whether two different names cannot both be files of one case-insensitive folder.
fn collide(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase() + "/", other.to_lowercase() + "/");
    one.starts_with(&other) || other.starts_with(&one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn keeps_the_contract() {
        contract::holds(&MemoryDestination::new());
    }

    #[test]
    fn names_that_differ_in_case_are_one() {
        let memory = MemoryDestination::new();
        memory.put(&Name::new("Runs/a").unwrap(), b"1").unwrap();
        assert!(memory.put(&Name::new("runs/A").unwrap(), b"1").is_err());
        memory.put(&Name::new("runs/ab").unwrap(), b"1").unwrap();
    }
}
