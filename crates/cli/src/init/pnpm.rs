//! Reads the list of packages from `pnpm-workspace.yaml`.
//! It does not know YAML, only the plain list that such files hold.

use std::path::Path;

use super::{InitError, read_text};

/// The patterns under `packages:`; `None` when there is no file.
pub(super) fn packages(root: &Path) -> Result<Option<Vec<String>>, InitError> {
    let path = root.join("pnpm-workspace.yaml");
    let Some(text) = read_text(&path)? else {
        return Ok(None);
    };
    let mut patterns = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let refuse = |message: &str| InitError::Manifest {
            path: path.clone(),
            line: index + 1,
            message: format!(
                "{message}; write `packages:` and below it one line `- \"pattern\"` for each"
            ),
        };
        let body = line.trim();
        if body.is_empty() || body.starts_with('#') || body == "---" {
            continue;
        }
        let item = body
            .strip_prefix('-')
            .filter(|rest| inside && (rest.is_empty() || rest.starts_with([' ', '\t'])));
        if let Some(item) = item {
            let value = scalar(item.trim());
            patterns.push(value.ok_or_else(|| refuse("this pattern is in no form known here"))?);
        } else if line.starts_with([' ', '\t']) {
            if inside {
                return Err(refuse("this is no item of a plain list"));
            }
        } else {
            let (key, rest) = body.split_once(':').unwrap_or((body, ""));
            inside = matches!(key.trim(), "packages" | "\"packages\"" | "'packages'");
            let rest = rest.trim();
            if inside && !(rest.is_empty() || rest.starts_with('#')) {
                return Err(refuse("the list of packages is in no form known here"));
            }
            if body.starts_with(['{', '[']) {
                return Err(refuse("the list of packages is in no form known here"));
            }
        }
    }
    Ok(Some(patterns))
}

/// A quoted or plain text, with an optional remark behind it.
fn scalar(item: &str) -> Option<String> {
    let mut chars = item.chars();
    let quote = chars.next()?;
    if quote != '"' && quote != '\'' {
        let plain = item.split(" #").next()?.trim_end();
        let special = plain.starts_with(['&', '*', '!', '|', '>', '{', '[', '%', '@', '`', '#']);
        return (!special && !plain.contains(": ") && !plain.ends_with(':'))
            .then(|| plain.to_owned());
    }
    let body = chars.as_str();
    let end = body.find(quote)?;
    let (value, rest) = (&body[..end], body[end + 1..].trim());
    let escaped = quote == '"' && value.contains('\\');
    (!escaped && !value.is_empty() && (rest.is_empty() || rest.starts_with('#')))
        .then(|| value.to_owned())
}
