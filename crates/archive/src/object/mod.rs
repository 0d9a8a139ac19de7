//! A bucket of any store that speaks S3 as a destination: each record an object, put only where there is none.
//! Does not know what the records mean, nor where credentials come from; they are given.

mod create_only;
mod options;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, RetryConfig,
};
use tokio::runtime::Runtime;

pub use options::{ObjectOptions, OptionError};

use crate::destination::{Destination, DestinationError, unreadable};
use crate::name::Name;
use create_only::CreateOnly;

/// Larger files go in parts, and only so much of them is in memory.
const PARTED: u64 = 16 << 20;
/// The least size of a part. Stores want at least 5 MiB, and no more than [`PARTS`] of one object.
const PART: u64 = 8 << 20;
/// The most parts of one object.
const PARTS: u64 = 10_000;
/// Parts on their way at a time.
const AT_ONCE: usize = 2;
/// What `object_store` writes when a store lets nobody in.
const DENIED: [&str; 2] = ["status code: 401 ", "status code: 403 "];

/// How long a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To accept a connection.
    pub connect: Duration,
    /// To answer one request, of at most 16 MiB on the way there.
    pub request: Duration,
    /// Repetitions of a request that failed and is safe to repeat. The outbox has tries of its own.
    pub retries: usize,
}

impl Default for Limits {
    /// Ten seconds, two minutes, two repetitions.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(2),
            retries: 2,
        }
    }
}

/// Keeps records as objects under a prefix of one bucket. Blocks; not to be used from within an asynchronous runtime.
///
/// The store has to honour `If-None-Match: *` when an object is put and when an upload in parts is completed, as S3 and most others do.
/// The credentials need the rights to get, put and list objects: without the last, stores say that what is missing is forbidden.
pub struct ObjectDestination {
    store: AmazonS3,
    runtime: Runtime,
    bucket: String,
    prefix: String,
    options: ObjectOptions,
}

impl ObjectDestination {
    /// Opens `s3://BUCKET/PREFIX`, the prefix being optional. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`DestinationError::Io`] when the location or an option is wrong, or credentials are missing.
    pub fn open(
        location: &str,
        options: ObjectOptions,
        limits: &Limits,
    ) -> Result<Self, DestinationError> {
        let failed = |cause| DestinationError::Io {
            action: "open",
            place: location.to_owned(),
            cause,
        };
        let invalid = |text: String| failed(io::Error::new(ErrorKind::InvalidInput, text));
        let Some((bucket, prefix)) = location
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .filter(|(bucket, _)| !bucket.is_empty() && !bucket.contains(['@', ':']))
        else {
            return Err(invalid("it is not of the form `s3://BUCKET/PREFIX`".into()));
        };
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() {
            Name::new(prefix).map_err(|error| invalid(error.to_string()))?;
        }
        if !options.has_credentials() {
            let text = "there are no credentials";
            return Err(failed(io::Error::new(ErrorKind::PermissionDenied, text)));
        }
        // Only the first of a process counts, and whichever it is will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = AmazonS3Builder::new()
            .with_client_options(
                ClientOptions::new()
                    .with_connect_timeout(limits.connect)
                    .with_timeout(limits.request),
            )
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(2),
                    base: 2.0,
                },
                max_retries: limits.retries,
                retry_timeout: limits.request,
            })
            .with_http_connector(CreateOnly);
        for (key, value) in options.parsed() {
            builder = builder.with_config(key, value);
        }
        let store = builder
            .with_bucket_name(bucket)
            .build()
            .map_err(|error| invalid(options.without_secrets(&error.to_string())))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        Ok(Self {
            store,
            runtime,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            options,
        })
    }

    fn key(&self, name: &str) -> Result<Key, DestinationError> {
        let text = if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.prefix)
        };
        // Names hold nothing that a key may not.
        Key::parse(text).map_err(|error| self.failed("name", name, &Error::from(error)))
    }

    fn failed(&self, action: &'static str, name: &str, error: &Error) -> DestinationError {
        let text = cause_first(error);
        let kind = match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                ErrorKind::PermissionDenied
            }
            // Of lists and uploads in parts the library keeps the status as words alone.
            Error::Generic { .. } if DENIED.iter().any(|status| text.contains(status)) => {
                ErrorKind::PermissionDenied
            }
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::NotImplemented { .. } | Error::NotSupported { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        };
        let text = self.options.without_secrets(&text);
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        DestinationError::Io {
            action,
            place: format!("s3://{}/{}{slash}{name}", self.bucket, self.prefix),
            cause: io::Error::new(kind, text),
        }
    }

    /// A record is never also a folder. Stores allow that, so it is asked; two writers at the same moment could still do it.
    fn refuse_folders(&self, name: &Name) -> Result<(), DestinationError> {
        let text = name.as_str();
        let outer = text.match_indices('/').map(|(at, _)| &text[..at]);
        for outer in outer {
            let key = self.key(outer)?;
            match self.runtime.block_on(self.store.head(&key)) {
                Ok(_) => return Err(DestinationError::Exists { name: name.clone() }),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("examine", outer, &error)),
            }
        }
        let key = self.key(text)?;
        let within = self
            .runtime
            .block_on(async { self.store.list(Some(&key)).next().await });
        match within {
            // A prefix is one of whole components.
            Some(Ok(_)) => Err(DestinationError::Exists { name: name.clone() }),
            Some(Err(error)) => Err(self.failed("list", text, &error)),
            None => Ok(()),
        }
    }

    /// Puts in one request.
    fn put_whole(&self, key: &Key, content: Vec<u8>) -> Result<(), Error> {
        let options = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(key, content.into(), options);
        self.runtime.block_on(put).map(drop)
    }

    /// Puts in parts, which the store makes one object at the end. Nothing is seen of it before.
    fn put_parts(&self, key: &Key, file: &mut File, size: u64) -> Result<(), PartsError> {
        let part = PART.max(size.div_ceil(PARTS));
        self.runtime.block_on(async {
            let mut upload = self.store.put_multipart(key).await?;
            let sent = async {
                let mut under_way = futures_util::stream::FuturesUnordered::new();
                let mut left = size;
                while left > 0 || !under_way.is_empty() {
                    if left > 0 && under_way.len() < AT_ONCE {
                        let length = part.min(left);
                        let mut content = Vec::new();
                        let read = Read::by_ref(file).take(length).read_to_end(&mut content);
                        if read.map_err(PartsError::Read)? as u64 != length {
                            let cause = io::Error::from(ErrorKind::UnexpectedEof);
                            return Err(PartsError::Read(cause));
                        }
                        left -= length;
                        under_way.push(upload.put_part(content.into()));
                    } else {
                        under_way.next().await.transpose()?;
                    }
                }
                drop(under_way);
                upload.complete().await?;
                Ok(())
            };
            let sent: Result<(), PartsError> = sent.await;
            if sent.is_err() {
                // Parts without an end are seen by nobody, yet cost; most stores can be told to expire them.
                let _ = upload.abort().await;
            }
            sent
        })
    }

    /// What a failed put means, after a look at what is there.
    fn judge(
        &self,
        name: &Name,
        error: &Error,
        content: &mut dyn Read,
    ) -> Result<(), DestinationError> {
        let exists = matches!(
            error,
            Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }
        );
        if !exists {
            return Err(self.failed("put", name.as_str(), error));
        }
        let mut comparing = Comparing {
            content,
            is_same: true,
        };
        if !self.read_into(name, &mut comparing)? {
            // Another writer is at it, or was.
            return Err(self.failed("put", name.as_str(), error));
        }
        if comparing.is_at_its_end() {
            Ok(())
        } else {
            Err(DestinationError::Exists { name: name.clone() })
        }
    }
}

/// What an error says, what caused it first: that is no word of the library's own, which are many, and may be cut off.
fn cause_first(error: &Error) -> String {
    let text = error.to_string();
    let cause = std::error::Error::source(error);
    let first = std::iter::successors(cause, |error| (*error).source()).last();
    match first.map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{cause}: {text}"),
        _ => text,
    }
}

enum PartsError {
    Store(Error),
    Read(io::Error),
}

impl From<Error> for PartsError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Destination for ObjectDestination {
    fn put(&self, name: &Name, content: &[u8]) -> Result<(), DestinationError> {
        self.refuse_folders(name)?;
        let key = self.key(name.as_str())?;
        match self.put_whole(&key, content.to_vec()) {
            Ok(()) => Ok(()),
            Err(error) => self.judge(name, &error, &mut &*content),
        }
    }

    fn put_file(&self, name: &Name, path: &Path) -> Result<(), DestinationError> {
        let open = || File::open(path).map_err(|cause| unreadable(path, cause));
        let mut file = open()?;
        let size = file
            .metadata()
            .map_err(|cause| unreadable(path, cause))?
            .len();
        if size < PARTED {
            let mut content = Vec::new();
            file.read_to_end(&mut content)
                .map_err(|cause| unreadable(path, cause))?;
            return self.put(name, &content);
        }
        self.refuse_folders(name)?;
        let key = self.key(name.as_str())?;
        match self.put_parts(&key, &mut file, size) {
            Ok(()) => Ok(()),
            Err(PartsError::Read(cause)) => Err(unreadable(path, cause)),
            Err(PartsError::Store(error)) => self.judge(name, &error, &mut open()?),
        }
    }

    fn get(&self, name: &Name) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut content = Vec::new();
        Ok(self.read_into(name, &mut content)?.then_some(content))
    }

    fn read_into(&self, name: &Name, to: &mut dyn Write) -> Result<bool, DestinationError> {
        let key = self.key(name.as_str())?;
        let failed = |error: &Error| self.failed("get", name.as_str(), error);
        let hand_on = |to: &mut dyn Write, bytes: &[u8]| {
            to.write_all(bytes).map_err(|cause| DestinationError::Io {
                action: "hand on",
                place: name.to_string(),
                cause,
            })
        };
        self.runtime.block_on(async {
            let mut found = match self.store.get(&key).await {
                Ok(found) => found,
                Err(Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(failed(&error)),
            };
            let size = found.meta.size;
            let tag = found.meta.e_tag.clone();
            let mut read = 0;
            loop {
                // No request may take for ever, so that one alone cannot bring what is big.
                let end = size.min(read + PARTED);
                let mut stream = found.into_stream();
                while read < end {
                    let Some(bytes) = stream.try_next().await.map_err(|error| failed(&error))?
                    else {
                        return Err(DestinationError::Io {
                            action: "get",
                            place: name.to_string(),
                            cause: ErrorKind::UnexpectedEof.into(),
                        });
                    };
                    let wanted = usize::try_from(end - read).unwrap_or(usize::MAX);
                    let wanted = &bytes[..bytes.len().min(wanted)];
                    hand_on(to, wanted)?;
                    read += wanted.len() as u64;
                }
                if read == size {
                    return Ok(true);
                }
                let mut options = GetOptions::new().with_range(Some(read..size.min(read + PARTED)));
                options.if_match.clone_from(&tag);
                let next = self.store.get_opts(&key, options).await;
                found = next.map_err(|error| failed(&error))?;
            }
        })
    }

    fn list(&self) -> Result<Vec<Name>, DestinationError> {
        let prefix = Key::parse(&self.prefix)
            .map_err(|error| self.failed("name", "", &Error::from(error)))?;
        let keys: Vec<_> = self
            .runtime
            .block_on(self.store.list(Some(&prefix)).try_collect())
            .map_err(|error| self.failed("list", "", &error))?;
        let mut names: Vec<Name> = keys
            .into_iter()
            .filter_map(|found| {
                let key = found.location.as_ref();
                let text = match &*self.prefix {
                    "" => key,
                    prefix => key.strip_prefix(prefix)?.strip_prefix('/')?,
                };
                // What no put could have written is not ours.
                Name::new(text).ok()
            })
            .collect();
        names.sort();
        Ok(names)
    }
}

/// Holds what is written to it against what is read.
struct Comparing<'a> {
    content: &'a mut dyn Read,
    is_same: bool,
}

impl Comparing<'_> {
    fn is_at_its_end(&mut self) -> bool {
        self.is_same && matches!(self.content.read(&mut [0]), Ok(0))
    }
}

impl Write for Comparing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_same {
            let mut mine = vec![0; bytes.len()];
            self.is_same = match self.content.read_exact(&mut mine) {
                Ok(()) => mine == bytes,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error),
            };
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// Neither options nor store: they hold credentials.
impl fmt::Debug for ObjectDestination {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ObjectDestination")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
