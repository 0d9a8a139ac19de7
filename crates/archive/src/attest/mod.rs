//! Attestations: an in-toto Statement with SLSA provenance, in a DSSE envelope signed with ed25519, for whoever does not trust the archive.
//! Does not know where keys are kept: they come as PEM texts.

mod envelope;
mod key;
mod statement;
#[cfg(test)]
mod tests;

use crate::folder::{Archive, ArchiveError};
use crate::format::ArchiveEntry;
use crate::id::EntryId;

pub use envelope::{Envelope, Signature, sign, verify_envelope};
pub use key::{PublicKey, SecretKey};
pub use statement::{
    BUILD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, check_predicate, check_subjects, statement,
};

/// Why something could not be attested, or is not.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// A key that cannot be used. It is never shown.
    #[error("this is no ed25519 {kind} in PEM: {why}")]
    Key {
        /// `secret key (PKCS#8)` or `public key (SPKI)`.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A secret key that a passphrase protects.
    #[error(
        "the secret key is encrypted, and encrypted keys are not taken: `openssl pkey -in KEY -out PLAIN` decrypts it, into a folder that is private"
    )]
    Encrypted,
    /// An envelope or statement that cannot be read.
    #[error("the attestation cannot be read: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// No given key made any of the signatures.
    #[error(
        "none of the {keys} given public keys made a signature of this attestation, which names {named}"
    )]
    Unsigned {
        /// How many keys were given.
        keys: usize,
        /// The ids of the keys that the attestation claims, in words.
        named: String,
    },
    /// It is signed, and says something else.
    #[error("the attestation is signed, but not for this entry: {why}")]
    Differs {
        /// What differs.
        why: String,
    },
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// The envelope of an entry, as the bytes of its file: what [`Archive::keep`] wants of its `attest`.
///
/// # Errors
/// [`AttestError::Malformed`] if the entry cannot be put as JSON.
pub fn attest(
    entry: &ArchiveEntry,
    builder: &str,
    key: &SecretKey,
) -> Result<Vec<u8>, AttestError> {
    let malformed = |error: serde_json::Error| AttestError::Malformed {
        why: error.to_string(),
    };
    let payload = serde_json::to_vec(&statement(entry, builder)).map_err(malformed)?;
    let mut bytes = serde_json::to_vec_pretty(&sign(&payload, key)).map_err(malformed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Checks the envelope of an entry: one of the keys signed it, its subjects are the entry's artifacts and bundle, no more and no less, and
/// what it says of the run is what the entry says. That the archive's files have these digests, and that the entry is the one in its bundle,
/// is for [`Archive::verify`] to check.
///
/// # Errors
/// [`AttestError::Unsigned`], [`AttestError::Differs`], [`AttestError::Malformed`].
pub fn verify_attestation(
    envelope: &[u8],
    entry: &ArchiveEntry,
    keys: &[PublicKey],
) -> Result<serde_json::Value, AttestError> {
    let statement = verify_envelope(envelope, keys)?;
    check_subjects(&statement, entry)?;
    check_predicate(&statement, entry)?;
    Ok(statement)
}

/// The statement of an entry, once a key has proven to have signed it; `None` when it has none.
pub type Attested = Result<Option<serde_json::Value>, AttestError>;

impl Archive {
    /// Checks the attestation of an entry, as [`verify_attestation`] does. `None` when it has none.
    ///
    /// # Errors
    /// [`AttestError::Archive`] when the entry or the attestation's file cannot be read; else as [`verify_attestation`].
    pub fn verify_attestation(
        &self,
        id: EntryId,
        keys: &[PublicKey],
    ) -> Result<Option<serde_json::Value>, AttestError> {
        let entry = self.entry(id)?.ok_or(ArchiveError::Missing { id })?;
        self.attested(&entry, keys)
    }

    /// Checks the attestations of all entries, each as [`Self::verify_attestation`] does.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the folder of entries cannot be read.
    pub fn verify_attestations(
        &self,
        keys: &[PublicKey],
    ) -> Result<Vec<(EntryId, Attested)>, ArchiveError> {
        let check = |id: EntryId, entry: Result<ArchiveEntry, ArchiveError>| {
            let attested = entry
                .map_err(AttestError::from)
                .and_then(|entry| self.attested(&entry, keys));
            (id, attested)
        };
        let entries = self.newest_of_all()?;
        Ok(entries.map(|(id, entry)| check(id, entry)).collect())
    }

    fn attested(&self, entry: &ArchiveEntry, keys: &[PublicKey]) -> Attested {
        if entry.attestation.is_none() {
            return Ok(None);
        }
        let path = self.root().join(Self::attestation_name(entry.id));
        let envelope = std::fs::read(&path).map_err(|cause| ArchiveError::Io {
            action: "read",
            path,
            cause,
        })?;
        verify_attestation(&envelope, entry, keys).map(Some)
    }
}
