//! The JSON schema and the page that documents its keys.
//! It does not know how values are read.
