//! Attestations before an independent verifier: securesystemslib, from the Python package index.
//! Skipped, and said so, where Python or the package cannot be had.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use larder_archive::attest::SecretKey;
use larder_archive::{
    Archive, ArchiveEntry, Bundle, EntryId, Manifests, RunRecord, Time, artifact,
};

const PACKAGE: &str = "securesystemslib[crypto]==1.6.0";

/// A Python with the package, in the build folder, where later runs find it.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("securesystemslib-1.6.0");
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    if run(&python, &["-c", "import securesystemslib, cryptography"]).is_ok() {
        return Ok(python);
    }
    let folder = folder.to_string_lossy().into_owned();
    run(Path::new("python3"), &["-m", "venv", "--clear", &folder])?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ];
    run(&python, &install)?;
    Ok(python)
}

fn output(program: &Path, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(program).args(arguments).output();
    output.map_err(|error| format!("{}: {error}", program.display()))
}

fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = output(program, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_independent_verifier_agrees() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("SKIPPED: {PACKAGE} cannot be installed: {why}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    let key = SecretKey::generate().unwrap();
    fs::write(at("secret.pem"), key.to_pem().unwrap()).unwrap();
    fs::write(at("public.pem"), key.public().to_pem().unwrap()).unwrap();
    let other = SecretKey::generate().unwrap().public();
    fs::write(at("other.pem"), other.to_pem().unwrap()).unwrap();

    fs::create_dir(at("work")).unwrap();
    fs::write(at("work/app"), b"binary").unwrap();
    let id = EntryId::random(Time::from_nanos(1_700_000_000_000_000_000)).unwrap();
    let mut entry = ArchiveEntry::new(id, id.time(), RunRecord::default());
    entry.artifacts.push(artifact(&at("work"), "app").unwrap());
    let bundle = Bundle {
        entry: &entry,
        manifests: &Manifests::default(),
        extras: &[],
        root: &at("work"),
    };
    let archive = Archive::new(at("archive"));
    let attest = |entry: &ArchiveEntry| {
        larder_archive::attest::attest(entry, "urn:test", &key).map_err(|error| error.to_string())
    };
    let entry = archive.keep(&bundle, Some(&attest)).unwrap();
    let ours = archive.verify_attestation(id, &[key.public()]).unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attest/verify.py");
    let envelope = format!("archive/{}", Archive::attestation_name(id));
    let payload = run(&python, &[script, &text(&envelope), &text("public.pem")]).unwrap();
    let theirs: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(Some(&theirs), ours.as_ref());
    let sha256 = entry.artifacts[0].sha256.as_str();
    assert_eq!(theirs["subject"][0]["digest"]["sha256"], sha256);

    // It can say no: to another key, and to another statement.
    let refused = run(&python, &[script, &text(&envelope), &text("other.pem")]).unwrap_err();
    assert!(refused.contains("VerificationError"), "{refused}");
    let mut forged: serde_json::Value =
        serde_json::from_slice(&fs::read(at(&envelope)).unwrap()).unwrap();
    forged["payload"] = "e30=".into();
    fs::write(at("forged.json"), forged.to_string()).unwrap();
    let refused = run(
        &python,
        &[script, &text("forged.json"), &text("public.pem")],
    )
    .unwrap_err();
    assert!(refused.contains("VerificationError"), "{refused}");

    // Both halves of a key are what other tools expect, under the same id.
    let read = "import sys; from cryptography.hazmat.primitives.serialization import load_pem_private_key; \
        from securesystemslib.signer import SSlibKey; \
        key = load_pem_private_key(open(sys.argv[1], 'rb').read(), None); \
        print(SSlibKey.from_crypto(key.public_key()).keyid)";
    let keyid = run(&python, &["-c", read, &text("secret.pem")]).unwrap();
    assert_eq!(keyid.trim(), key.public().id());
}
