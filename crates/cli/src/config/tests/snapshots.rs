//! When a kept workspace still holds.
//! It does not know how it was resolved.
