//! Why git did not push, from its exit code and its porcelain lines, and what to do.
//! Does not run git; reads words for people only where git says it no other way.

use std::fmt;

/// A push that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushFailure {
    /// Why.
    pub why: Rejection,
    /// What git, its hooks and the remote wrote to standard error, without the names and passwords of URLs.
    pub said: String,
}

/// Why a push failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The remote has commits that are not here.
    NotFastForward {
        /// The reference at the remote.
        reference: String,
    },
    /// The remote has another object under this tag.
    TagExists {
        /// The tag at the remote.
        reference: String,
    },
    /// A hook or rule of the remote refused it.
    ByRemote {
        /// The reference at the remote.
        reference: String,
        /// The remote's reason, such as `pre-receive hook declined`.
        reason: String,
    },
    /// A submodule is at a commit that its remote does not have.
    SubmoduleMissing,
    /// The remote cannot be reached, does not exist, or lets nobody in.
    Unreachable,
    /// Git ended otherwise, as when the hook `pre-push` refuses.
    Other {
        /// The exit code; `None` when a signal ended it.
        code: Option<i32>,
    },
    /// Git could not be started.
    NotStarted,
}

impl PushFailure {
    /// Reads what a failed `git push --porcelain` left.
    pub(super) fn read(code: Option<i32>, stdout: &str, stderr: &str) -> Self {
        let why = stdout
            .lines()
            .find_map(rejected)
            .unwrap_or_else(|| otherwise(code, stderr));
        let said = without_secrets(stderr.trim_end());
        Self { why, said }
    }
}

/// `!<TAB>from:to<TAB>[rejected] (reason)`: the one stable form that git documents.
fn rejected(line: &str) -> Option<Rejection> {
    let mut parts = line.strip_prefix("!\t")?.splitn(2, '\t');
    let refs = parts.next()?;
    let reference = refs.rsplit(':').next().unwrap_or(refs).to_owned();
    let summary = parts.next()?;
    let reason = summary
        .split_once('(')
        .map_or(summary, |(_, reason)| reason.trim_end_matches(')'))
        .to_owned();
    Some(match reason.as_str() {
        "non-fast-forward" | "fetch first" | "needs force" | "stale info" => {
            Rejection::NotFastForward { reference }
        }
        "already exists" => Rejection::TagExists { reference },
        _ => Rejection::ByRemote { reference, reason },
    })
}

fn otherwise(code: Option<i32>, stderr: &str) -> Rejection {
    const UNREACHABLE: [&str; 6] = [
        "Could not read from remote repository",
        "does not appear to be a git repository",
        "unable to access",
        "unable to connect",
        "Authentication failed",
        "could not read Username",
    ];
    if stderr.contains("failed to push all needed submodules")
        || stderr.contains("can\nnot be found on any remote")
    {
        Rejection::SubmoduleMissing
    } else if UNREACHABLE.iter().any(|words| stderr.contains(words)) {
        Rejection::Unreachable
    } else {
        Rejection::Other { code }
    }
}

/// URLs may hold a name and a password, `https://name:password@host`, and more behind a question mark: `?token=…`.
pub(super) fn without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || c == '\'' || c == '"')
            .unwrap_or(after.len());
        let url = &after[..end];
        let authority = url.find('/').unwrap_or(url.len());
        let host = url[..authority].rfind('@').map_or(0, |at| at + 1);
        let query = url[host..].find('?').map_or(url.len(), |at| host + at);
        clean.push_str(&url[host..query]);
        rest = &after[end..];
    }
    clean + rest
}

impl fmt::Display for PushFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Rejection::NotFastForward { reference } => write!(
                to,
                "`{reference}` has commits at the remote that are not here\n\
                 `git pull --rebase` or `git pull` brings them together; nothing is forced"
            )?,
            Rejection::TagExists { reference } => write!(
                to,
                "`{reference}` is another one at the remote\n\
                 choose another name, or delete one of the two by hand"
            )?,
            Rejection::ByRemote { reference, reason } => write!(
                to,
                "the remote refused `{reference}`: {reason}\nits words are below; mend that, then push again"
            )?,
            Rejection::SubmoduleMissing => write!(
                to,
                "a submodule is at a commit that its remote does not have\n\
                 push that submodule first, from a branch"
            )?,
            Rejection::Unreachable => write!(
                to,
                "the remote cannot be reached, or lets nobody in\n\
                 `git fetch` there shows the same; then push again"
            )?,
            Rejection::Other { code: Some(code) } => write!(
                to,
                "git ended with exit code {code}\n`git push` there shows the same"
            )?,
            Rejection::Other { code: None } => write!(to, "git was ended by a signal")?,
            Rejection::NotStarted => write!(to, "git cannot be started")?,
        }
        for line in self.said.lines() {
            write!(to, "\n| {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_kept() {
        let said = "To https://me:s3cret@host/a.git and 'ssh://git@b/c', http://plain/x\nfatal: https://t0ken@h";
        assert_eq!(
            without_secrets(said),
            "To https://host/a.git and 'ssh://b/c', http://plain/x\nfatal: https://h"
        );
        let said =
            "unable to access 'https://h/a.git?token=s3cret&x=1': no\nTo https://me:s?3@h/b?s3cret";
        assert_eq!(
            without_secrets(said),
            "unable to access 'https://h/a.git': no\nTo https://h/b"
        );
    }

    #[test]
    fn the_reason_is_read_from_the_porcelain_lines() {
        let read =
            |line: &str| PushFailure::read(Some(1), &format!("To x\n{line}\nDone\n"), "").why;
        let reference = || "refs/heads/m".to_owned();
        for reason in ["non-fast-forward", "fetch first"] {
            let line = format!("!\trefs/heads/m:refs/heads/m\t[rejected] ({reason})");
            let reference = reference();
            assert_eq!(read(&line), Rejection::NotFastForward { reference });
        }
        assert_eq!(
            read("!\trefs/heads/a:refs/heads/m\t[remote rejected] (pre-receive hook declined)"),
            Rejection::ByRemote {
                reference: reference(),
                reason: "pre-receive hook declined".into()
            }
        );
        assert_eq!(
            read("=\trefs/heads/a:refs/heads/m\t[up to date]"),
            Rejection::Other { code: Some(1) }
        );
    }
}
