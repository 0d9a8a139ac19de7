//! The charts of a report one by one, for documents.
//! Does not know the page, nor into which kind of file a chart goes.

use super::data::ReportData;
use super::figures;
use crate::charts::{ChartError, Frame};

/// Which chart of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figure {
    /// How long the runs took.
    Runs,
    /// What the time of each run went to.
    Phases,
    /// The tasks of the last run on its workers.
    Timeline,
    /// Hit rate and time saved, over the runs.
    Cache,
    /// The tasks that take longest.
    Slowest,
    /// The steps of recent uploads to the archive.
    Uploads,
}

/// Draws one chart of a report as SVG.
///
/// # Errors
/// [`ChartError::Draw`] when the charting library refuses.
pub fn figure(data: &ReportData, which: Figure, frame: Frame) -> Result<String, ChartError> {
    match which {
        Figure::Runs => figures::runs(&data.runs, frame),
        Figure::Phases => figures::phases(&data.runs, None, frame),
        Figure::Cache => figures::cache(&data.runs, frame),
        Figure::Timeline => {
            let last = data.last.clone().unwrap_or_default();
            figures::timeline_of(&last, frame)
        }
        Figure::Slowest => figures::slowest_of(data, frame),
        Figure::Uploads => figures::uploads(&data.uploads, frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chart_of_an_empty_report_says_that_there_is_nothing() {
        let all = [
            Figure::Runs,
            Figure::Phases,
            Figure::Timeline,
            Figure::Cache,
            Figure::Slowest,
            Figure::Uploads,
        ];
        for which in all {
            let svg = figure(&ReportData::default(), which, Frame::DOCUMENT).unwrap();
            assert!(
                svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
                "{svg}"
            );
        }
    }
}
