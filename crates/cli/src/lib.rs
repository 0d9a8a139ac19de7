//! The `larder` command line as a library.
