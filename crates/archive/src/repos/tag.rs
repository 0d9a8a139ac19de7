//! Tags commits, and takes a tag back that was made for nothing.
//! Moves no tag, signs nothing and pushes nothing.

use git2::{ErrorCode, ObjectType, Oid, Reference, Repository};

use super::scan::failed;
use super::{RepoError, RepoState, shown};

/// A tag that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The commit it names, as hexadecimal digits.
    pub commit: String,
    /// Whether it was made just now; otherwise it named this commit before.
    pub created: bool,
}

/// Whether all of these repositories that have a commit could be tagged there.
///
/// # Errors
/// As [`tag`].
pub fn check_tag(states: &[RepoState], name: &str) -> Result<(), RepoError> {
    for state in states {
        if state
            .head
            .as_ref()
            .is_some_and(|head| head.commit.is_some())
        {
            Place::find(state, name)?;
        }
    }
    Ok(())
}

/// Makes an annotated tag at the commit of the state. A tag that names this commit already is fine; one that names another is never moved.
///
/// # Errors
/// [`RepoError::TagExists`], [`RepoError::TagName`], [`RepoError::NothingToTag`], [`RepoError::NoAuthor`]; [`RepoError::Git`] when the
/// repository cannot be read or written.
pub fn tag(state: &RepoState, name: &str, message: &str) -> Result<Tagged, RepoError> {
    let place = Place::find(state, name)?;
    let created = !place.is_there;
    if created {
        let who = place.signature(state)?;
        place
            .repository
            .find_object(place.commit, None)
            .and_then(|object| place.repository.tag(name, &object, &who, message, false))
            .map_err(|source| written(state, source))?;
    }
    Ok(Tagged {
        commit: place.commit.to_string(),
        created,
    })
}

/// Deletes a tag here, if it names the commit of the state. What a remote has stays.
///
/// # Errors
/// [`RepoError::Git`] when the repository cannot be read or written.
pub fn untag(state: &RepoState, name: &str) -> Result<(), RepoError> {
    match Place::find(state, name) {
        Ok(place) if place.is_there => place
            .repository
            .tag_delete(name)
            .map_err(|source| written(state, source)),
        Ok(_) | Err(RepoError::TagExists { .. } | RepoError::NoAuthor { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Where a tag goes.
struct Place {
    repository: Repository,
    commit: Oid,
    is_there: bool,
}

impl Place {
    fn find(state: &RepoState, name: &str) -> Result<Place, RepoError> {
        let tag = || name.to_owned();
        let reference = format!("refs/tags/{name}");
        if name.starts_with('-') || !Reference::is_valid_name(&reference) {
            return Err(RepoError::TagName { tag: tag() });
        }
        let read = |source| failed(&state.folder, source);
        let path = || shown(&state.path).to_owned();
        let commit = state.head.as_ref().and_then(|head| head.commit.as_deref());
        let Some(commit) = commit else {
            return Err(RepoError::NothingToTag { path: path() });
        };
        let commit = Oid::from_str(commit).map_err(read)?;
        let repository = Repository::open(&state.folder).map_err(read)?;
        let found = match repository.find_reference(&reference) {
            Ok(found) => Some(found.peel(ObjectType::Any).map_err(read)?.id()),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(read(error)),
        };
        if let Some(at) = found.filter(|&at| at != commit) {
            let (tag, path, at) = (tag(), path(), at.to_string());
            return Err(RepoError::TagExists { tag, path, at });
        }
        let place = Place {
            repository,
            commit,
            is_there: found.is_some(),
        };
        if !place.is_there {
            place.signature(state)?;
        }
        Ok(place)
    }

    fn signature(&self, state: &RepoState) -> Result<git2::Signature<'static>, RepoError> {
        self.repository
            .signature()
            .map_err(|_| RepoError::NoAuthor {
                folder: state.folder.clone(),
            })
    }
}

fn written(state: &RepoState, source: git2::Error) -> RepoError {
    RepoError::Git {
        action: "tag",
        folder: state.folder.clone(),
        source,
    }
}
