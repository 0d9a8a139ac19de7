//! The report on a history of runs: its data, and a page that shows it.
//! Does not know how the history came about, nor where the page goes.

mod data;
#[cfg(feature = "charts")]
mod figure;
#[cfg(feature = "charts")]
mod figures;
mod gather;
#[cfg(feature = "charts")]
mod page;
#[cfg(feature = "charts")]
mod parts;
#[cfg(feature = "charts")]
mod tables;

pub use data::{
    LastRun, LastTask, Regressed, ReportData, RunSummary, Slow, Upload, WhatIfRow, Window,
};
#[cfg(feature = "charts")]
pub use figure::{Figure, figure};
pub use gather::{FORMAT, Source};
#[cfg(feature = "charts")]
pub use page::html;
