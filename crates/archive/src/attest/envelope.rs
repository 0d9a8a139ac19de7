//! DSSE envelopes, version 1: a payload, its type, and signatures over both.
//! Does not know what the payload says, only of which type it is.

use base64ct::{Base64, Base64Url, Encoding};
use ed25519_dalek::Signer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::statement::{PREDICATE_TYPE, STATEMENT_TYPE};
use super::{AttestError, PublicKey, SecretKey};

/// The type of an in-toto Statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A signed payload, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload, in base 64.
    pub payload: String,
    /// Its type.
    pub payload_type: String,
    /// Signatures over both.
    pub signatures: Vec<Signature>,
}

/// A signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The id of the key. A hint: nothing is believed for it.
    #[serde(default)]
    pub keyid: String,
    /// The signature, in base 64.
    pub sig: String,
}

/// Signs a statement.
pub fn sign(payload: &[u8], key: &SecretKey) -> Envelope {
    let signature = key.0.sign(&authenticated(PAYLOAD_TYPE, payload));
    Envelope {
        payload: Base64::encode_string(payload),
        payload_type: PAYLOAD_TYPE.into(),
        signatures: vec![Signature {
            keyid: key.public().id(),
            sig: Base64::encode_string(&signature.to_bytes()),
        }],
    }
}

/// The statement of an envelope, once one of the keys has proven to have signed it.
///
/// # Errors
/// [`AttestError::Unsigned`] if none has; [`AttestError::Malformed`] for what is no envelope of an in-toto Statement with SLSA provenance.
pub fn verify_envelope(envelope: &[u8], keys: &[PublicKey]) -> Result<Value, AttestError> {
    let malformed = |why: String| AttestError::Malformed { why };
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| malformed(error.to_string()))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        let found = &envelope.payload_type;
        let why = format!("its payload is `{found}`, and `{PAYLOAD_TYPE}` is wanted");
        return Err(malformed(why));
    }
    let payload = decode(&envelope.payload)
        .ok_or_else(|| malformed("its payload is not in base 64".into()))?;
    let message = authenticated(&envelope.payload_type, &payload);
    let signed = envelope.signatures.iter().any(|signature| {
        let signature = decode(&signature.sig)
            .and_then(|bytes| ed25519_dalek::Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| {
            keys.iter()
                .any(|key| key.0.verify_strict(&message, &signature).is_ok())
        })
    });
    if !signed {
        let ids: Vec<&str> = envelope
            .signatures
            .iter()
            .map(|signature| signature.keyid.as_str())
            .collect();
        return Err(AttestError::Unsigned {
            keys: keys.len(),
            named: match &ids[..] {
                [] => "no key".into(),
                ids => format!("key {}", ids.join(", ")),
            },
        });
    }
    let statement: Value =
        serde_json::from_slice(&payload).map_err(|error| malformed(error.to_string()))?;
    for (field, wanted) in [("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)] {
        if statement[field] != wanted {
            let why = format!("its `{field}` is not `{wanted}`");
            return Err(malformed(why));
        }
    }
    Ok(statement)
}

/// What is signed: the pre-authentication encoding of DSSE.
fn authenticated(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend(payload);
    message
}

/// Readers take either alphabet, as the specification asks.
fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text)
        .or_else(|_| Base64Url::decode_vec(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let message = authenticated("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            message,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
