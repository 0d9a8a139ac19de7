//! Single values in `[archive]`: how they are written and what they come down to.
//! It does not know the tables they stand in.

use std::borrow::Cow;

use larder_archive::{Change, Regressions};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::super::parse::{Cx, Node, Parse, S, number, word};
use super::super::report::Report;

/// What a task that became slower does.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct OnRegression(pub(super) Regressions);

const ON_REGRESSION: &[(&str, Regressions)] = &[
    ("allow", Regressions::Allow),
    ("reject", Regressions::Reject),
];

impl Parse for OnRegression {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        word(node, cx, ON_REGRESSION).map(Self)
    }
}

impl JsonSchema for OnRegression {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OnRegression".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["allow", "reject"] })
    }
}

/// How many work at a time.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Workers(pub(super) u8);

impl Parse for Workers {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        u8::try_from(number(node, cx, 1, 64)?).ok().map(Self)
    }
}

impl JsonSchema for Workers {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Workers".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 64 })
    }
}

/// Up to here each whole number is a number of its own.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

#[allow(clippy::cast_precision_loss)] // None is lost up to `EXACT`.
fn exact(whole: i64) -> f64 {
    whole as f64
}

/// A bound of a metric.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Bound(pub(super) f64);

impl Parse for Bound {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let value = match node.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|whole| whole.unsigned_abs() <= EXACT)
                .map(exact),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let value = value.filter(|value| value.is_finite());
        if value.is_none() {
            cx.report(
                Report::new(cx.at(node), "expected a number", "")
                    .help("write it without quotes, as in 80 or 0.5"),
            );
        }
        value.map(Self)
    }
}

impl JsonSchema for Bound {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Bound".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// The allowed change of a metric.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Regression(pub(super) Change);

impl Parse for Regression {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let text = S::<String>::parse(node, cx)?;
        if let Ok(change) = text.value.parse() {
            return Some(Self(change));
        }
        let help = "write one as in \">= 0\", \"<= 1.5\" or \"<= 5%\"";
        cx.report(Report::new(text.at, "this is no bound of a change", "").help(help));
        None
    }
}

impl JsonSchema for Regression {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Regression".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^ *(>=|<=) *[-+]?[0-9.eE+-]+ *%? *$" })
    }
}
