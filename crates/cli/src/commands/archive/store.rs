//! Mirrors in stores that speak S3: options from the configuration, credentials from the environment and the usual files.
//! Does not know the protocol. Credentials are handed on, and neither kept nor shown.

use std::ffi::OsString;
use std::io;

use larder_archive::{Destination, DestinationError};

/// Opens `s3://bucket/prefix`; `given` are options of the configuration, which come before all others.
#[cfg(feature = "object-store")]
pub(super) fn open(
    location: &str,
    given: &[(&str, &Option<String>)],
    env: &[(OsString, OsString)],
) -> Result<Box<dyn Destination>, DestinationError> {
    use larder_archive::object::{Limits, ObjectDestination, ObjectOptions};
    use std::path::PathBuf;

    let mut options = ObjectOptions::new();
    let mut set = |name: &str, value: &str| {
        options
            .set(name, value)
            .map_err(|error| failed(location, io::ErrorKind::InvalidInput, &error.to_string()))
    };
    for (name, value) in given {
        let Some(value) = value else { continue };
        set(name, value)?;
        // Who writes it so means it.
        if *name == "endpoint" && value.starts_with("http://") {
            set("allow_http", "true")?;
        }
    }
    let text = |name: &str| {
        let found = env.iter().find(|(key, _)| key == name);
        found
            .and_then(|(_, value)| value.to_str())
            .filter(|value| !value.is_empty())
    };
    options.add_environment(
        env.iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?))),
    );
    let profile = text("AWS_PROFILE").unwrap_or("default");
    let home = text("HOME").map(PathBuf::from).unwrap_or_default();
    for (variable, file) in [
        ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        ("AWS_CONFIG_FILE", ".aws/config"),
    ] {
        let path = text(variable).map_or_else(|| home.join(file), PathBuf::from);
        if let Ok(read) = std::fs::read_to_string(path) {
            options.add_profile(&read, profile);
        }
    }
    let store = ObjectDestination::open(location, options, &Limits::default())?;
    Ok(Box::new(store))
}

/// As above, of a program that was built without stores.
#[cfg(not(feature = "object-store"))]
pub(super) fn open(
    location: &str,
    _: &[(&str, &Option<String>)],
    _: &[(OsString, OsString)],
) -> Result<Box<dyn Destination>, DestinationError> {
    let why = "this larder was built without stores that speak S3: \
               `cargo install --locked --path crates/cli --features object-store` builds one with them";
    Err(failed(location, io::ErrorKind::Unsupported, why))
}

fn failed(location: &str, kind: io::ErrorKind, why: &str) -> DestinationError {
    DestinationError::Io {
        action: "open",
        place: location.to_owned(),
        cause: io::Error::new(kind, why.to_owned()),
    }
}
