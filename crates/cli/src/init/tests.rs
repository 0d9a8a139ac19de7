//! Tests of `larder init`.
