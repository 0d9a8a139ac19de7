//! The guards: functions whose removal or reversal must fail a test.
//! Knows nothing of how they are mutated. `docs/testing.md` lists the same ones.

/// Some functions of one file that hold an invariant up.
#[derive(Debug)]
pub(super) struct Guard {
    /// The package they are in.
    pub(super) package: &'static str,
    /// Path from the root.
    pub(super) file: &'static str,
    /// Their names, without type or trait.
    pub(super) functions: &'static [&'static str],
}

/// Packages whose tests are run over the mutants of a package.
pub(super) fn tests_of(package: &str) -> &'static [&'static str] {
    match package {
        "larder-cache" => &["larder-cache"],
        "larder-fingerprint" => &["larder-fingerprint"],
        _ => &["larder", "larder-tests"],
    }
}

pub(super) const GUARDS: &[Guard] = &[
    guard(
        "larder-cache",
        "crates/cache/src/clean.rs",
        &["remove_owned", "remove", "rescue"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/disk.rs",
        &[
            "read", "get", "put", "open", "save", "spool", "has", "is_held",
        ],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/format.rs",
        &["decode", "front"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/manifest.rs",
        &["is_plain", "same"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/prune.rs",
        &["held_since", "still_unused"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/restore.rs",
        &["validate", "plan", "is_owned", "make_way", "delete_strays"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/restore/write.rs",
        &["may_write_in_place", "write_in_place"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/scan.rs",
        &["compare", "held"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/search.rs",
        &["look", "look_on"],
    ),
    guard(
        "larder-cache",
        "crates/cache/src/unpack.rs",
        &["members", "head", "content_of", "check"],
    ),
    guard(
        "larder-fingerprint",
        "crates/fingerprint/src/disk.rs",
        &["digest_of"],
    ),
    guard(
        "larder-fingerprint",
        "crates/fingerprint/src/format.rs",
        &["check"],
    ),
    guard(
        "larder-fingerprint",
        "crates/fingerprint/src/memo.rs",
        &["open", "digest", "digest_at"],
    ),
    guard(
        "larder-fingerprint",
        "crates/fingerprint/src/scanner/mod.rs",
        &["remembered", "fresh", "judge"],
    ),
    guard(
        "larder",
        "crates/cli/src/config/snapshot.rs",
        &["load_snapshot", "unchanged"],
    ),
    guard(
        "larder",
        "crates/cli/src/plan.rs",
        &["keep", "behind_left_out"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/inputs.rs",
        &[
            "first_difference",
            "still_holds",
            "refuse_foreign_outputs",
            "meets",
            "reaches",
            "shown_in",
        ],
    ),
    guard(
        "larder",
        "crates/cli/src/session/life/judge.rs",
        &["discover", "moved", "unkeepable", "wrote"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/life/known.rs",
        &["unlooked", "known"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/life/mod.rs",
        &["decide", "recover"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/life/restore.rs",
        &["try_restore", "restore_under"],
    ),
    guard("larder", "crates/cli/src/session/life/work.rs", &["intend"]),
    guard("larder", "crates/cli/src/session/lock.rs", &["acquire"]),
    guard("larder", "crates/cli/src/session/outputs.rs", &["reaches"]),
    guard(
        "larder",
        "crates/cli/src/session/run/hand_on.rs",
        &["unseen"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/run/mod.rs",
        &["clash", "claim"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/snapshot.rs",
        &["read", "answer", "resume", "keep", "quiet_after"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/tree.rs",
        &["in_place", "out_of_place", "plausible"],
    ),
    guard(
        "larder",
        "crates/cli/src/session/update.rs",
        &[
            "update",
            "with_indexes",
            "reaches_configuration",
            "reaches_all",
            "looked_at",
            "holds_only",
            "reached",
            "reaches",
            "within",
        ],
    ),
    guard(
        "larder",
        "crates/cli/src/session/warm.rs",
        &["known", "ended"],
    ),
    guard(
        "larder",
        "crates/cli/src/state/format.rs",
        &["decode_prefix", "decode_head"],
    ),
    guard(
        "larder",
        "crates/cli/src/state/intent.rs",
        &["find", "finished"],
    ),
    guard("larder", "crates/cli/src/state/mod.rs", &["blob", "read"]),
];

const fn guard(
    package: &'static str,
    file: &'static str,
    functions: &'static [&'static str],
) -> Guard {
    Guard {
        package,
        file,
        functions,
    }
}

/// Mutants that no test need see: a pattern over their name, and why.
pub(super) const EXCLUDED: &[(&str, &str)] = &[
    (
        "replace match guard .*CrossesDevices with true in rescue",
        "a copy fails for the same reason as the rename did, and removes nothing before it is whole",
    ),
    (
        "delete match arm .*Missing.* in make_way|replace \\|\\| with && in write_in_place",
        "another process would have to act between two calls of this one",
    ),
    (
        "replace > with >= in make_way",
        "the folder itself is removed here or two lines on",
    ),
    (
        "replace < with .* in delete_strays",
        "a folder that holds something is not removed in any case",
    ),
    (
        "replace match guard matches!.* in write_in_place",
        "root may open what others may not; a file that cannot be opened is replaced or reported",
    ),
    (
        "state/mod.rs:.*replace > with >= in read",
        "it spares an allocation; a head as long as its file cannot be read either",
    ),
    (
        "replace Memo::digest_at .* with None",
        "it is the quick way to what `digest` finds by its path",
    ),
    (
        "replace != with == in Scanner::remembered",
        "it decides whether the quick way is tried",
    ),
    (
        "replace match guard error.error.kind.. == .*AlreadyExists with true in .*::put",
        "whatever else keeps the entry from being linked keeps it from being renamed two lines on, and nothing intact is replaced",
    ),
    (
        "replace match guard fs::hard_link.* with false in .*::save",
        "what is not linked is copied and proved",
    ),
    (
        "replace match guard error.kind.. != .*Unsupported with .* in DiskStore::open|replace != with == in DiskStore::open",
        "no test can have a file system without locks, nor one whose locks fail",
    ),
    (
        "replace plausible -> bool with true|replace match guard plausible.* with true|replace && with \\|\\| in plausible",
        "it spares the reading of what cannot be right: each row is compared in full after it",
    ),
    (
        "delete ! in Life<'_>::unlooked",
        "it asks about tasks that are never kept, and of those nothing is ever known",
    ),
    (
        "replace > with [=<>]+ in .*unkeepable",
        "it decides whether a message says how many more paths there are",
    ),
];
