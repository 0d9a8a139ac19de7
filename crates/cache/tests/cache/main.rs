//! What the crate does to real folders: bytes, modes, links, ownership and refusals.
//! One binary; each module is one behaviour.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod build;
mod corruption;
mod delta;
mod hostile;
mod ownership;
mod property;
mod roundtrip;
mod sandbox;
mod stores;
mod upkeep;
