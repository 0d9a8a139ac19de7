//! Attestations that hold, and all that should not.
//! Does not test independent verifiers; `tests/attest` does.

use super::*;
use crate::format::{Artifact, RepoCommit, StoredFile};
use crate::run::RunRecord;
use crate::time::Time;
use serde_json::json;

/// The secret key that RFC 8410 prints as an example, and its public half.
const SECRET: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn entry() -> ArchiveEntry {
    let run =
        json!({ "started": "2026-01-02T03:04:05Z", "wall_seconds": 1.5, "request": ["build"] });
    let id = EntryId::new(Time::from_nanos(1), 2);
    let mut entry = ArchiveEntry::new(id, Time::from_nanos(1), RunRecord::new(run).unwrap());
    entry.artifacts.push(Artifact {
        name: "dist/app".into(),
        size: 1,
        blake3: "b3".into(),
        sha256: "aa".into(),
        executable: false,
    });
    entry.bundle = Some(StoredFile {
        name: Archive::bundle_name(id),
        size: 1,
        blake3: "b3".into(),
        sha256: "bb".into(),
    });
    entry.commits.push(RepoCommit {
        path: ".".into(),
        commit: Some("c0ffee".into()),
        dirty: true,
        ..RepoCommit::default()
    });
    entry.commits.push(RepoCommit::default());
    entry
}

fn key() -> SecretKey {
    SecretKey::from_pem(SECRET).unwrap()
}

#[test]
fn an_attestation_is_verified_by_its_public_key_alone() {
    let envelope = attest(&entry(), "urn:host:here", &key()).unwrap();
    let other = SecretKey::generate().unwrap().public();
    let right = PublicKey::from_pem(PUBLIC).unwrap();
    let statement = verify_attestation(&envelope, &entry(), &[other.clone(), right]).unwrap();
    assert_eq!(
        statement,
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                { "name": "artifacts/dist/app", "digest": { "sha256": "aa" } },
                { "name": format!("bundles/{}.tar.zst", entry().id), "digest": { "sha256": "bb" } },
            ],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": "urn:larder:run:v1",
                    "externalParameters": { "workspace": "", "request": ["build"], "trigger": "manual" },
                    "internalParameters": { "os": "", "arch": "" },
                    "resolvedDependencies": [
                        { "name": ".", "digest": { "gitCommit": "c0ffee" }, "annotations": { "dirty": true } },
                    ],
                },
                "runDetails": {
                    "builder": { "id": "urn:host:here", "version": { "larder": "" } },
                    "metadata": {
                        "invocationId": entry().id,
                        "startedOn": "2026-01-02T03:04:05.000000000Z",
                        "finishedOn": "2026-01-02T03:04:06.500000000Z",
                    },
                },
            },
        })
    );
    for keys in [vec![], vec![other]] {
        let refused = verify_attestation(&envelope, &entry(), &keys).unwrap_err();
        assert!(matches!(refused, AttestError::Unsigned { .. }), "{refused}");
        assert!(refused.to_string().contains(&key().public().id()));
    }
}

#[test]
fn no_flipped_bit_is_taken_for_another_statement() {
    let envelope = attest(&entry(), "urn:host:here", &key()).unwrap();
    let keys = [key().public()];
    let statement = verify_envelope(&envelope, &keys).unwrap();
    for at in 0..envelope.len() {
        for bit in 0..8 {
            let mut bytes = envelope.clone();
            bytes[at] ^= 1 << bit;
            // A flip in white space or in a key's id changes nothing that is believed.
            if let Ok(found) = verify_envelope(&bytes, &keys) {
                assert_eq!(found, statement, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn what_is_signed_has_to_be_this_entry() {
    let envelope = attest(&entry(), "urn:host:here", &key()).unwrap();
    let changes: [fn(&mut ArchiveEntry); 5] = [
        |entry| entry.id = EntryId::new(Time::from_nanos(9), 9),
        |entry| entry.artifacts[0].sha256 = "ab".into(),
        |entry| entry.artifacts.clear(),
        |entry| entry.artifacts[0].name = "dist/ap".into(),
        |entry| entry.bundle.as_mut().unwrap().sha256 = "b0".into(),
    ];
    for change in changes {
        let mut other = entry();
        change(&mut other);
        let refused = verify_attestation(&envelope, &other, &[key().public()]).unwrap_err();
        assert!(matches!(refused, AttestError::Differs { .. }), "{refused}");
    }
    let mut more = entry();
    more.artifacts.push(Artifact {
        name: "more".into(),
        ..more.artifacts[0].clone()
    });
    let refused = verify_attestation(&envelope, &more, &[key().public()]).unwrap_err();
    assert!(
        refused.to_string().contains("`artifacts/more`"),
        "{refused}"
    );
}

#[test]
fn what_is_signed_of_the_run_has_to_be_what_the_entry_says() {
    type Change = fn(&mut ArchiveEntry);
    let envelope = attest(&entry(), "urn:host:here", &key()).unwrap();
    let other_run = |run: serde_json::Value| RunRecord::new(run).unwrap();
    let changes: [(&str, Change); 8] = [
        ("resolvedDependencies[0].digest.gitCommit", |entry| {
            entry.commits[0].commit = Some("dead".into());
        }),
        ("resolvedDependencies[0].annotations.dirty", |entry| {
            entry.commits[0].dirty = false;
        }),
        ("resolvedDependencies[0]", |entry| entry.commits.clear()),
        ("externalParameters.trigger", |entry| {
            entry.trigger = "ci".into();
        }),
        ("externalParameters.workspace", |entry| {
            entry.workspace = "there".into();
        }),
        ("internalParameters.os", |entry| {
            entry.host.os = "plan9".into();
        }),
        ("builder.version.larder", |entry| {
            entry.host.larder = "9".into();
        }),
        ("externalParameters.request[0]", |entry| {
            entry.run = RunRecord::default();
        }),
    ];
    for (path, change) in changes {
        let mut forged = entry();
        change(&mut forged);
        let refused = verify_attestation(&envelope, &forged, &[key().public()]).unwrap_err();
        let words = refused.to_string();
        assert!(words.contains(&format!("`{path}`")), "{path}: {words}");
    }
    // The last digit of the seconds may get lost on the way.
    let mut near = entry();
    near.run = other_run(json!({
        "started": "2026-01-02T03:04:05Z", "wall_seconds": 1.499_999_999_999_999_8, "request": ["build"],
    }));
    verify_attestation(&envelope, &near, &[key().public()]).unwrap();
    near.run = other_run(json!({
        "started": "2026-01-02T03:04:05Z", "wall_seconds": 1.51, "request": ["build"],
    }));
    let refused = verify_attestation(&envelope, &near, &[key().public()]).unwrap_err();
    assert!(refused.to_string().contains("`metadata.finishedOn`"));
}

#[test]
fn an_encrypted_key_is_refused_as_encrypted() {
    for (begin, more) in [
        ("ENCRYPTED PRIVATE KEY", ""),
        (
            "PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
        ),
    ] {
        let pem =
            format!("-----BEGIN {begin}-----\n{more}MIGbMFcGCSqGSIb3\n-----END {begin}-----\n");
        let refused = SecretKey::from_pem(&pem).unwrap_err().to_string();
        assert!(refused.contains("is encrypted"), "{refused}");
        assert!(refused.contains("openssl pkey"), "{refused}");
    }
}

#[test]
fn a_signature_over_another_type_of_payload_does_not_hold() {
    let mut envelope = sign(br#"{"_type":"x"}"#, &key());
    let refuse = |envelope: &Envelope| {
        let bytes = serde_json::to_vec(envelope).unwrap();
        verify_envelope(&bytes, &[key().public()]).unwrap_err()
    };
    assert!(matches!(refuse(&envelope), AttestError::Malformed { .. }));
    envelope.payload_type = "text/plain".into();
    assert!(matches!(refuse(&envelope), AttestError::Malformed { .. }));
    for bad in ["", "[]", "{}"] {
        let refused = verify_envelope(bad.as_bytes(), &[]).unwrap_err();
        assert!(matches!(refused, AttestError::Malformed { .. }));
    }
}

#[test]
fn keys_are_those_of_other_tools() {
    assert_eq!(key().to_pem().unwrap(), SECRET);
    assert_eq!(key().public().to_pem().unwrap(), PUBLIC);
    let new = SecretKey::generate().unwrap();
    let again = SecretKey::from_pem(&new.to_pem().unwrap()).unwrap();
    assert_eq!(again.public(), new.public());
    assert_ne!(new.public(), key().public());
    assert!(SecretKey::from_pem(PUBLIC).is_err());
    assert!(PublicKey::from_pem(SECRET).is_err());
    let refused = SecretKey::from_pem(&SECRET.replace("MC4C", "MC4D")).unwrap_err();
    let words = format!("{refused} {refused:?} {:?}", key());
    assert!(
        !words.contains("Tuctv5E1hK1bbY8fdp+K"),
        "no key is shown: {words}"
    );
}
