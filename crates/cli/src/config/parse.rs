//! From TOML values with spans to typed ones, collecting every error on the way.
//! It does not know which keys there are, nor what they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::DeValue;

use super::report::{At, Report, known_names, nearest};

/// A TOML value and where it stands.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// The file being read, and what was found wrong so far.
#[derive(Debug)]
pub(super) struct Cx {
    /// Index of the file being read.
    pub(super) file: usize,
    /// Errors so far.
    pub(super) reports: Vec<Report>,
}

impl Cx {
    pub(super) fn at<T>(&self, spanned: &Spanned<T>) -> At {
        let span = spanned.span();
        At {
            file: self.file,
            start: span.start,
            end: span.end,
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        self.reports.push(report);
    }

    fn wrong_type(&mut self, node: &Node<'_>, expected: &str) {
        let found = node.get_ref().type_str();
        self.report(
            Report::new(
                self.at(node),
                format!("expected {expected}"),
                format!("this is {} {found}", article(found)),
            )
            .help(type_help(node.get_ref(), expected)),
        );
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    }
}

fn type_help(value: &DeValue<'_>, expected: &str) -> String {
    match value {
        DeValue::String(text) if expected.starts_with("an array") => {
            format!("put it in brackets: [\"{text}\"]")
        }
        DeValue::String(text)
            if expected.starts_with("true") && (text == "true" || text == "false") =>
        {
            format!("without the quotes: {text}")
        }
        DeValue::Integer(number) if expected.starts_with("a string") => {
            format!("put it in quotes: \"{}\"", number.as_str())
        }
        _ => String::new(),
    }
}

/// A value that can be read from TOML. `None` means that an error was reported.
pub(super) trait Parse: Sized {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self>;
}

/// A value and where it stands; its schema is the value's.
#[derive(Debug, Clone, Default)]
pub(super) struct S<T> {
    pub(super) value: T,
    pub(super) at: At,
}

impl<T: Parse> Parse for S<T> {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        Some(Self {
            at: cx.at(node),
            value: T::parse(node, cx)?,
        })
    }
}

impl<T: JsonSchema> JsonSchema for S<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl Parse for String {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let Some(text) = node.get_ref().as_str() else {
            cx.wrong_type(node, "a string");
            return None;
        };
        if text.is_empty() {
            cx.report(Report::new(
                cx.at(node),
                "empty string",
                "nothing is written here",
            ));
            return None;
        }
        Some(text.to_owned())
    }
}

impl Parse for bool {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let value = node.get_ref().as_bool();
        if value.is_none() {
            cx.wrong_type(node, "true or false");
        }
        value
    }
}

impl<T: Parse> Parse for Vec<T> {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let Some(items) = node.get_ref().as_array() else {
            cx.wrong_type(node, "an array");
            return None;
        };
        let before = cx.reports.len();
        let values: Vec<T> = items.iter().filter_map(|item| T::parse(item, cx)).collect();
        (cx.reports.len() == before).then_some(values)
    }
}

/// A table whose keys the user chooses, in file order of the parser.
#[derive(Debug, Clone)]
pub(super) struct Named<T>(pub(super) Vec<(S<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Parse> Parse for Named<T> {
    fn parse(node: &Node<'_>, cx: &mut Cx) -> Option<Self> {
        let Some(table) = node.get_ref().as_table() else {
            cx.wrong_type(node, "a table");
            return None;
        };
        let mut named = Vec::new();
        for (key, value) in table {
            let name = S {
                at: cx.at(key),
                value: key.get_ref().to_string(),
            };
            if let Some(value) = T::parse(value, cx) {
                named.push((name, value));
            }
        }
        Some(Self(named))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// Reads a table with known keys; `field` returns false for a key it does not know.
pub(super) fn table(
    node: &Node<'_>,
    cx: &mut Cx,
    known: &[&str],
    mut field: impl FnMut(&str, &Node<'_>, &mut Cx) -> bool,
) -> Option<()> {
    let Some(table) = node.get_ref().as_table() else {
        cx.wrong_type(node, "a table");
        return None;
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if !field(name, value, cx) {
            let help = known_names(name, "keys of this table", known.iter().copied());
            cx.report(Report::new(cx.at(key), format!("unknown key `{name}`"), "").help(help));
        }
    }
    Some(())
}

/// Reads one of a few words.
pub(super) fn word<T: Copy>(node: &Node<'_>, cx: &mut Cx, words: &[(&str, T)]) -> Option<T> {
    let text = S::<String>::parse(node, cx)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
        return Some(*value);
    }
    let listed: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let help = match nearest(&text.value, words.iter().map(|(word, _)| *word)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write one of {}", listed.join(", ")),
    };
    cx.report(Report::new(text.at, format!("unknown value \"{}\"", text.value), "").help(help));
    None
}

/// Reads a number in bounds.
pub(super) fn number(node: &Node<'_>, cx: &mut Cx, least: i64, most: i64) -> Option<i64> {
    let Some(number) = node.get_ref().as_integer() else {
        cx.wrong_type(node, "a whole number");
        return None;
    };
    let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let value = value.filter(|value| (least..=most).contains(value));
    if value.is_none() {
        cx.report(Report::new(
            cx.at(node),
            "number out of bounds",
            format!("has to be between {least} and {most}"),
        ));
    }
    value
}

/// Reads `20GB` or `1h30m`: numbers, each with one of the units.
pub(super) fn quantity(
    node: &Node<'_>,
    cx: &mut Cx,
    what: &str,
    example: &str,
    units: &[(&str, u64)],
) -> Option<u64> {
    let text = match node.get_ref() {
        DeValue::Integer(number) => number.as_str().to_owned(),
        _ => String::parse(node, cx)?,
    };
    let value = sum_of_parts(&text, units);
    if value.is_none() {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        cx.report(
            Report::new(cx.at(node), format!("this is not a {what}"), "").help(format!(
                "write a number and a unit, as in \"{example}\"; units: {}",
                names.join(", ")
            )),
        );
    }
    value
}

/// The sum of numbers with units; `None` when the text is anything else, or 0.
pub(super) fn sum_of_parts(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let unit = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        let (_, factor) = units
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&rest[..unit]))?;
        sum = Some(sum.unwrap_or(0).checked_add(number.checked_mul(*factor)?)?);
        rest = rest[unit..].trim_start();
    }
    sum.filter(|sum| *sum > 0)
}
