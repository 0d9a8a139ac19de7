//! Every kind of error as the user sees it.
//! It does not know how it was found.
