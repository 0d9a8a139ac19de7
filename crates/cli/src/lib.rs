//! The `larder` command line as a library.

pub mod execute;
