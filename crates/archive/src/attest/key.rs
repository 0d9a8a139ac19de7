//! Keys: ed25519 as PEM texts that other tools read and write, PKCS#8 for the secret half and SPKI for the public one.
//! Does not know files.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::AttestError;
use crate::digest::hex;

/// A key that signs. It is wiped from memory when it goes, and never shown.
pub struct SecretKey(pub(super) SigningKey);

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub(super) VerifyingKey);

impl SecretKey {
    /// A new key, of randomness from the system.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn generate() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 PEM, such as `openssl genpkey -algorithm ed25519` writes.
    ///
    /// # Errors
    /// [`AttestError::Encrypted`] for an encrypted key; [`AttestError::Key`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, AttestError> {
        // The label of PKCS#8, and the header of older forms.
        let marks = ["-----BEGIN ENCRYPTED ", "Proc-Type: 4,ENCRYPTED"];
        if marks.iter().any(|mark| pem.contains(mark)) {
            return Err(AttestError::Encrypted);
        }
        let key = SigningKey::from_pkcs8_pem(pem.trim());
        key.map(Self).map_err(|error| AttestError::Key {
            kind: "secret key (PKCS#8)",
            why: error.to_string(),
        })
    }

    /// The key as PKCS#8 PEM. Whoever has this text can sign.
    ///
    /// # Errors
    /// [`AttestError::Key`], which no ed25519 key causes.
    pub fn to_pem(&self) -> Result<String, AttestError> {
        // Without the public half: that is the older version, which all tools read.
        let bytes = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = bytes.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string())
            .map_err(|error| AttestError::Key {
                kind: "secret key (PKCS#8)",
                why: error.to_string(),
            })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "SecretKey(of {})", self.public().id())
    }
}

impl PublicKey {
    /// Reads an SPKI PEM, such as `openssl pkey -pubout` writes.
    ///
    /// # Errors
    /// [`AttestError::Key`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, AttestError> {
        let key = VerifyingKey::from_public_key_pem(pem.trim());
        let refused = |why: String| AttestError::Key {
            kind: "public key (SPKI)",
            why,
        };
        let key = key.map_err(|error| refused(error.to_string()))?;
        if key.is_weak() {
            return Err(refused("signatures under this key prove nothing".into()));
        }
        Ok(Self(key))
    }

    /// The key as SPKI PEM.
    ///
    /// # Errors
    /// [`AttestError::Key`], which no ed25519 key causes.
    pub fn to_pem(&self) -> Result<String, AttestError> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|error| AttestError::Key {
            kind: "public key (SPKI)",
            why: error.to_string(),
        })
    }

    /// Its id: the one that securesystemslib and TUF compute, SHA-256 of the key as canonical JSON.
    pub fn id(&self) -> String {
        let public = hex(self.0.as_bytes());
        let json = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#
        );
        hex(&Sha256::digest(json.as_bytes()))
    }
}
