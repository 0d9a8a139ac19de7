#![doc = include_str!("../README.md")]
//!
//! What this crate does not know: what a record says, or what a run is. It takes names and bytes.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(test)]
mod contract;
mod destination;
mod directory;
mod faulty;
mod memory;
mod name;

pub use destination::{Destination, DestinationError};
pub use directory::{DirectoryDestination, Durability, prune_oldest};
pub use faulty::{Fault, Faulty};
pub use memory::MemoryDestination;
pub use name::{Name, NameError};
