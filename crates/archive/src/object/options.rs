//! Options of an object store as given values, of which the secret ones are never shown.
//! Does not know where they come from: the environment and files are read by others.

use std::collections::BTreeMap;
use std::fmt;

use object_store::aws::AmazonS3ConfigKey;

/// Options by the names that `object_store` gives them, such as `region`, `endpoint`, `access_key_id`, `secret_access_key`,
/// `session_token`, `allow_http`; a leading `aws_` and upper case are fine. Shows names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ObjectOptions {
    values: BTreeMap<String, String>,
}

/// An option that no store has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object store has no option `{name}`")]
pub struct OptionError {
    /// Its name.
    pub name: String,
}

/// Any of these means that somebody thought of credentials.
const CREDENTIALS: [AmazonS3ConfigKey; 6] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
    AmazonS3ConfigKey::MetadataEndpoint,
    AmazonS3ConfigKey::SkipSignature,
];

/// What only together lets anyone in.
const KEY: [AmazonS3ConfigKey; 3] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SecretAccessKey,
    AmazonS3ConfigKey::Token,
];

impl ObjectOptions {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option, in place of what it was.
    ///
    /// # Errors
    /// [`OptionError`] when there is none of this name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), OptionError> {
        let key = key(name).ok_or_else(|| OptionError { name: name.into() })?;
        self.values.insert(key.as_ref().to_owned(), value.into());
        Ok(())
    }

    /// Sets what is not set yet from variables of an environment: those with `AWS_` in front that mean an option.
    pub fn add_environment<'a>(&mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        self.add(ours);
    }

    /// Sets what is not set yet from the text of one of AWS's own files: `[PROFILE]` in `credentials`, `[profile PROFILE]` in `config`.
    pub fn add_profile(&mut self, text: &str, profile: &str) {
        let mut is_ours = false;
        let mut found = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(section) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                let section = section.trim();
                let name = section.strip_prefix("profile ").unwrap_or(section);
                is_ours = name.trim() == profile;
            } else if is_ours
                && !line.starts_with(['#', ';'])
                && let Some((name, value)) = line.split_once('=')
            {
                found.push((name.trim(), value.trim()));
            }
        }
        self.add(found);
    }

    /// Sets what is not set yet from one source. A key is taken with its secret and token or not at all.
    fn add<'a>(&mut self, source: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let found: Vec<_> = source
            .into_iter()
            .filter_map(|(name, value)| Some((key(name)?, value)))
            .collect();
        let id = AmazonS3ConfigKey::AccessKeyId;
        let takes_key = !self.values.contains_key(id.as_ref())
            && found
                .iter()
                .any(|(key, value)| *key == id && !value.is_empty());
        for (key, value) in found {
            if takes_key || !KEY.contains(&key) {
                self.values
                    .entry(key.as_ref().to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
    }

    pub(super) fn parsed(&self) -> impl Iterator<Item = (AmazonS3ConfigKey, &str)> {
        self.values
            .iter()
            .filter_map(|(name, value)| Some((key(name)?, value.as_str())))
    }

    /// Without them the library would ask the network of the machine for some, for a long time.
    pub(super) fn has_credentials(&self) -> bool {
        self.parsed().any(|(key, _)| CREDENTIALS.contains(&key))
    }

    /// A text without the values that nobody may see.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (key, value) in self.parsed() {
            if is_secret(key) && !value.is_empty() {
                text = text.replace(value, "…");
            } else if let Some((_, rest)) = value.split_once("://")
                && let Some((user, _)) = rest.split_once('@')
            {
                text = text.replace(user, "…");
            }
        }
        text
    }
}

fn key(name: &str) -> Option<AmazonS3ConfigKey> {
    name.to_ascii_lowercase().parse().ok()
}

fn is_secret(key: AmazonS3ConfigKey) -> bool {
    matches!(
        key,
        AmazonS3ConfigKey::AccessKeyId
            | AmazonS3ConfigKey::SecretAccessKey
            | AmazonS3ConfigKey::Token
            | AmazonS3ConfigKey::Encryption(_)
    )
}

impl fmt::Debug for ObjectOptions {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_before_the_environment_and_that_before_files() {
        let mut options = ObjectOptions::new();
        options.set("region", "given").unwrap();
        let environment = [
            ("AWS_REGION", "environment"),
            ("AWS_SECRET_ACCESS_KEY", "a=b"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_ENDPOINT_URL", ""),
            ("AWS_PAGER", "less"),
            ("REGION", "not ours"),
        ];
        options.add_environment(environment);
        let file = "[default]\naws_access_key_id = other\n[me]\n# region = x\n\
                    aws_access_key_id = file\n[profile me]\nregion = file\nskip_signature=false\n";
        options.add_profile(file, "me");
        let values: Vec<_> = options
            .parsed()
            .map(|(key, value)| (key.as_ref().to_owned(), value.to_owned()))
            .collect();
        let expected = [
            ("aws_access_key_id", "id"),
            ("aws_region", "given"),
            ("aws_secret_access_key", "a=b"),
            ("aws_skip_signature", "false"),
        ];
        assert_eq!(
            values,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let refused = options.set("colour", "red").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "an object store has no option `colour`"
        );
    }

    /// A key with the token of another is refused by every store, and nobody would guess why.
    #[test]
    fn a_key_its_secret_and_its_token_come_from_one_place() {
        let temporary =
            "[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\n";
        let values = |options: &ObjectOptions| options.values.values().cloned().collect::<String>();
        let mut options = ObjectOptions::new();
        options.add_environment([("AWS_ACCESS_KEY_ID", "1"), ("AWS_SECRET_ACCESS_KEY", "2")]);
        options.add_profile(temporary, "default");
        assert_eq!(values(&options), "12");
        // A token that is left over from another session, as tools do in containers, is none of a key.
        let mut options = ObjectOptions::new();
        options.add_environment([("AWS_SESSION_TOKEN", "3")]);
        options.add_profile(temporary, "default");
        assert_eq!(values(&options), "ABC");
    }

    #[test]
    fn no_value_is_shown() {
        let mut options = ObjectOptions::new();
        options.set("secret_access_key", "s3cret").unwrap();
        options.set("token", "t0ken").unwrap();
        options.set("endpoint", "https://me:pass@host/").unwrap();
        let shown = format!("{options:?}");
        assert_eq!(
            shown,
            r#"{"aws_endpoint", "aws_secret_access_key", "aws_session_token"}"#
        );
        assert_eq!(
            options.without_secrets("s3cret t0ken at https://me:pass@host/x"),
            "… … at https://…@host/x"
        );
    }
}
