//! Real processes, driven by tiny shell scripts; fifos and pipes synchronise, never the clock.
//! Does not test the terminal or logs.

use super::*;
use crate::execute::Command as What;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

fn spec(dir: &Path, line: &str) -> Spec {
    Spec {
        command: What::Shell(line.into()),
        cwd: dir.into(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        timeout: None,
        grace: Duration::from_mins(10),
        extra_args: Vec::new(),
    }
}

/// Runs and collects (stdout, stderr).
fn run(spec: &Spec) -> (io::Result<Exit>, Vec<u8>, Vec<u8>) {
    run_with(spec, &Cancel::new(), |_| ())
}

fn run_with(
    spec: &Spec,
    cancel: &Cancel,
    mut seen: impl FnMut(&[u8]) + Send,
) -> (io::Result<Exit>, Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let executor = ProcessExecutor {
        drain: Duration::from_millis(300),
    };
    let exit = executor.run(
        spec,
        &mut |stream, bytes| {
            match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            }
            if stream == Stream::Stdout {
                seen(&out);
            }
        },
        cancel,
    );
    (exit.map(|end| end.exit), out, err)
}

fn assert_gone(pid_text: &[u8]) {
    let pid: i32 = std::str::from_utf8(pid_text)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    if rustix::process::test_kill_process(pid).is_ok() {
        // Nobody may have collected it yet; dead it must be.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default().chars().next();
        assert!(
            matches!(state, None | Some('Z' | 'X')),
            "process {pid} lives: {stat}"
        );
    }
}

#[test]
fn output_code_folder_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path(), "pwd -P; env >&2; cat; exit 7");
    spec.env
        .push(("ODD".into(), OsString::from_vec(b"a\xff\nb".to_vec())));
    let (exit, out, err) = run(&spec);
    assert_eq!(exit.unwrap(), Exit::Code(7));
    let real = dir.path().canonicalize().unwrap();
    assert_eq!(out, format!("{}\n", real.display()).into_bytes());
    assert!(err.windows(9).any(|w| *w == b"ODD=a\xff\nb\n"[..9]));
    // Nothing is inherited; the shell itself adds the last three.
    for line in err
        .split(|byte| *byte == b'\n')
        .filter(|line| line.contains(&b'='))
    {
        let name = line.split(|byte| *byte == b'=').next().unwrap();
        assert!(
            [&b"PATH"[..], b"ODD", b"PWD", b"SHLVL", b"_", b"OLDPWD"].contains(&name),
            "{}",
            String::from_utf8_lossy(line)
        );
    }
}

#[test]
fn a_megabyte_on_both_streams_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (exit, out, err) = run(&spec(
        dir.path(),
        "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2",
    ));
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!((out.len(), err.len()), (1_000_000, 1_000_000));
}

#[test]
fn extra_arguments_reach_the_command_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let odd = [
        "a b",
        "it's",
        "$HOME",
        "",
        "-x",
        "*",
        "`id`",
        "new\nline",
        "\\",
    ];
    let wanted = format!("[{}]", odd.join("]["));
    let mut shell = spec(dir.path(), "printf '[%s]'\n");
    shell.extra_args = odd.iter().map(ToString::to_string).collect();
    assert_eq!(run(&shell).1, wanted.clone().into_bytes());
    shell.command = What::Argv(vec!["printf".into(), "[%s]".into()]);
    assert_eq!(run(&shell).1, wanted.into_bytes());
}

#[test]
fn a_signal_from_elsewhere_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let exit = run(&spec(dir.path(), "kill -KILL $$")).0.unwrap();
    assert_eq!((exit, exit.exit_code()), (Exit::Signal(9), 137));
}

#[test]
fn a_cancelled_run_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    cancel.raise("test");
    let (exit, ..) = run_with(&spec(dir.path(), "touch ran"), &cancel, |_| ());
    assert_eq!(exit.unwrap(), Exit::Interrupted);
    assert!(!dir.path().join("ran").exists());
}

#[test]
fn cancel_is_polite_first() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let line = "trap 'echo tidied >tidied; exit 0' TERM; echo ready; while :; do :; done";
    let (exit, ..) = run_with(&spec(dir.path(), line), &cancel, |out| {
        if out == b"ready\n" {
            cancel.raise("SIGINT");
        }
    });
    assert_eq!(exit.unwrap(), Exit::Interrupted);
    assert_eq!(fs::read(dir.path().join("tidied")).unwrap(), b"tidied\n");
}

/// The grandchild ignores SIGTERM, says its id, and holds no pipe.
const STUBBORN: &str = "(trap '' TERM; sh -c 'echo $$ >pid; echo go >fifo; exec sleep 1000' >/dev/null 2>&1) & \
                        read x <fifo; echo ready; wait";

fn stubborn(dir: &Path) -> Spec {
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("fifo"), 0o600.into()).unwrap();
    spec(dir, STUBBORN)
}

#[test]
fn a_grandchild_that_ignores_sigterm_is_killed_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = stubborn(dir.path());
    spec.grace = Duration::from_millis(50);
    let cancel = Cancel::new();
    let (exit, ..) = run_with(&spec, &cancel, |_| cancel.raise("SIGTERM"));
    assert_eq!(exit.unwrap(), Exit::Interrupted);
    assert_gone(&fs::read(dir.path().join("pid")).unwrap());
}

#[test]
fn a_second_cancel_does_not_wait_for_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let spec = stubborn(dir.path());
    let cancel = Cancel::new();
    let (exit, ..) = run_with(&spec, &cancel, |_| {
        cancel.raise("SIGINT");
        cancel.raise("SIGINT");
    });
    assert_eq!(exit.unwrap(), Exit::Interrupted);
    assert_gone(&fs::read(dir.path().join("pid")).unwrap());
}

#[test]
fn a_timeout_ends_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path(), "sleep 1000 & echo $!; wait");
    spec.timeout = Some(Duration::from_millis(500));
    let (exit, out, _) = run(&spec);
    assert_eq!(exit.unwrap(), Exit::TimedOut);
    // On a very busy machine the time may be up before the shell has spoken.
    if !out.is_empty() {
        assert_gone(&out);
    }
}

#[test]
fn a_background_child_that_holds_the_pipe_does_not_hang_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (exit, out, _) = run(&spec(dir.path(), "sleep 1000 & echo $!; exit 3"));
    assert_eq!(exit.unwrap(), Exit::Code(3));
    assert_gone(&out);
}

#[test]
fn a_process_that_left_the_group_with_the_pipe_is_given_up_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = "setsid sh -c 'echo $$ > new; mv new pid; exec sleep 60' &";
    let line = format!("{daemon} while [ ! -e pid ]; do sleep 0.01; done; echo hi; exit 3");
    let (exit, out, _) = run(&spec(dir.path(), &line));
    assert_eq!(exit.unwrap(), Exit::Code(3));
    assert_eq!(out, b"hi\n");
    let id = fs::read_to_string(dir.path().join("pid")).unwrap();
    let id = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
    // It was neither waited for nor ended.
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn what_cannot_start_says_what_where_and_what_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut missing = spec(dir.path(), "");
    missing.command = What::Argv(vec!["no-such-tool".into(), "x".into()]);
    let error = run(&missing).0.unwrap_err();
    assert!(
        matches!(SpawnError::of(&error), Some(SpawnError::NotFound { program, .. }) if program == "no-such-tool")
    );
    assert!(
        error.to_string().contains("add its folder to PATH"),
        "{error}"
    );

    fs::write(dir.path().join("script"), "#!/no/such/interpreter\n").unwrap();
    missing.command = What::Argv(vec!["./script".into()]);
    let error = run(&missing).0.unwrap_err();
    assert!(
        matches!(
            SpawnError::of(&error),
            Some(SpawnError::NotExecutable { .. })
        ),
        "{error}"
    );

    rustix::fs::chmod(dir.path().join("script"), 0o755.into()).unwrap();
    let error = run(&missing).0.unwrap_err();
    assert!(
        matches!(
            SpawnError::of(&error),
            Some(SpawnError::NoInterpreter { .. })
        ),
        "{error}"
    );

    missing.command = What::Argv(Vec::new());
    let error = run(&missing).0.unwrap_err();
    assert!(
        matches!(SpawnError::of(&error), Some(SpawnError::Empty)),
        "{error}"
    );

    missing.command = What::Shell("true".into());
    missing.cwd = dir.path().join("nowhere");
    let error = run(&missing).0.unwrap_err();
    assert!(
        matches!(SpawnError::of(&error), Some(SpawnError::NoFolder { .. })),
        "{error}"
    );
}

#[test]
fn programs_are_looked_up_in_the_path_of_the_command() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str, mode: u32| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("first/tool", "echo not executable", 0o644);
    fs::create_dir_all(dir.path().join("second/tool")).unwrap();
    file("third/tool", "#!/bin/sh\necho third $0", 0o755);
    // No first line: the shell takes it, as it would from a shell's own prompt.
    file("third/bare", "echo bare \"$1\"", 0o755);
    let path = |folders: &str| {
        let inherited = std::env::var("PATH").unwrap();
        OsString::from(format!("{folders}:{inherited}"))
    };
    let mut spec = spec(dir.path(), "");
    spec.env = vec![("PATH".into(), path("first:second:third"))];
    spec.command = What::Argv(vec!["tool".into()]);
    let (exit, out, _) = run(&spec);
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert!(String::from_utf8(out).unwrap().starts_with("third "));
    spec.command = What::Argv(vec!["bare".into(), "x y".into()]);
    let (exit, out, _) = run(&spec);
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(out, b"bare x y\n");
    // Named by its path it is the same script.
    spec.command = What::Argv(vec!["./third/bare".into(), "x y".into()]);
    let (exit, out, _) = run(&spec);
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(out, b"bare x y\n");
}

#[test]
fn both_streams_are_heard_though_one_never_rests() {
    let dir = tempfile::tempdir().unwrap();
    // Ends only once its word on standard error was passed on.
    let line = "mkfifo go; (read x <go; kill $$) & echo heard >&2; while :; do echo noise; done";
    let go = dir.path().join("go");
    let told = std::sync::atomic::AtomicBool::new(false);
    let executor = ProcessExecutor::default();
    let exit = executor.run(
        &spec(dir.path(), line),
        &mut |stream, _| {
            if stream == Stream::Stderr && !told.swap(true, std::sync::atomic::Ordering::SeqCst) {
                fs::write(&go, "go\n").unwrap();
            }
        },
        &Cancel::new(),
    );
    assert_eq!(exit.unwrap().exit, Exit::Signal(15));
}

#[test]
fn what_a_command_and_its_children_use_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let end =
            ProcessExecutor::default().run(&spec(dir.path(), line), &mut |_, _| {}, &Cancel::new());
        end.unwrap().usage
    };
    let busy = run("(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); true");
    assert!(busy.cpu.unwrap() > Duration::from_millis(5), "{busy:?}");
    // `tail` has to hold all that may be the end. Nobody looks twice within its time: its own mark tells.
    let holding = run("head -c 150000000 /dev/zero | tail -c 150000000 > /dev/null");
    let own = crate::record::peak_memory();
    assert!(
        own == 0 || own > 140_000_000 || holding.peak_memory.unwrap() > 140_000_000,
        "{holding:?}"
    );
}
