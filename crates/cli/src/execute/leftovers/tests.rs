//! Real processes, some of a command and some that only look like it.
//! Fifos synchronise, never the clock.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::linux::{Process, parse};
use super::{Mark, end};

/// A mark of its own for each test: tests run side by side.
fn mark(token: &str) -> Mark<'_> {
    Mark {
        variable: "TOKENS",
        token,
    }
}

/// A process that is killed at the latest when the test ends.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Waiting {
    /// A process that waits for ever in a group of its own, or in that of another one.
    fn new(tokens: &str, group: u32) -> Waiting {
        let mut command = Command::new("sleep");
        command
            .arg("1000000")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TOKENS", tokens)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group.try_into().unwrap());
        Waiting(command.spawn().unwrap())
    }

    fn line(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

/// The line with another value in one place, counted after the name.
fn with(line: &str, place: usize, value: &str) -> String {
    let (name, rest) = line.rsplit_once(") ").unwrap();
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    words[place] = value;
    format!("{name}) {}", words.join(" "))
}

#[test]
fn a_process_with_the_token_is_ended() {
    let mut child = Waiting::new("other,ended", 0);
    assert_eq!(end(&child.line(), mark("ended")).unwrap(), 1);
    assert!(!child.lives());
}

#[test]
fn without_the_token_the_recorded_number_proves_nothing() {
    for tokens in ["", "other", "alone-not", "not-alone"] {
        let mut child = Waiting::new(tokens, 0);
        let ended = end(&child.line(), mark("alone")).unwrap();
        assert_eq!(ended, 0, "{tokens}");
        assert!(child.lives(), "{tokens}");
    }
}

#[test]
fn what_an_earlier_run_left_in_the_background_stays() {
    let mut child = Waiting::new("earlier", 0);
    let later = with(&child.line(), 19, &u64::MAX.to_string());
    assert_eq!(end(&later, mark("earlier")).unwrap(), 0);
    assert!(child.lives());
}

#[test]
fn what_is_of_another_session_stays() {
    let mut child = Waiting::new("session", 0);
    let elsewhere = with(&child.line(), 3, "1");
    assert_eq!(end(&elsewhere, mark("session")).unwrap(), 0);
    assert!(child.lives());
}

#[test]
fn what_joined_another_group_goes_alone() {
    let mut leader = Waiting::new("", 0);
    let mut member = Waiting::new("outer,groups,inner", leader.0.id());
    assert_eq!(end(&leader.line(), mark("groups")).unwrap(), 1);
    assert!(!member.lives());
    assert!(leader.lives(), "nothing proves what it is");
}

#[test]
fn a_member_of_the_proven_group_goes_with_it_though_it_dropped_the_token() {
    let mut leader = Waiting::new("group", 0);
    let mut member = Waiting::new("", leader.0.id());
    let mut stranger = Waiting::new("", 0);
    assert_eq!(end(&leader.line(), mark("group")).unwrap(), 2);
    assert!(!leader.lives());
    assert!(!member.lives());
    assert!(stranger.lives());
}

#[test]
fn what_ended_and_is_not_collected_yet_does_not_keep_its_group_alive() {
    let mut child = Waiting::new("", 0);
    let group = rustix::process::Pid::from_child(&child.0);
    assert!(super::group_lives(group));
    child.0.kill().unwrap();
    // The end is waited for, but not collected.
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(group), options).unwrap();
    assert!(rustix::process::test_kill_process_group(group).is_ok());
    assert!(!super::group_lives(group));
}

#[test]
fn a_damaged_record_ends_nothing() {
    let mut child = Waiting::new("damaged", 0);
    let whole = child.line();
    for cut in 0..whole.find(") ").unwrap() + 20 {
        let ended = end(&whole[..cut], mark("damaged")).unwrap();
        assert_eq!(ended, 0, "{cut}");
    }
    assert_eq!(end("garbage", mark("damaged")).unwrap(), 0);
    assert!(child.lives());
}

#[test]
fn a_name_may_hold_anything() {
    let odd = "17 (a) Z 1 (b) S 1 18 19 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
    let plain = "17 (x) S 1 18 19 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
    let read = |line: &str| -> Process { parse(line).unwrap() };
    assert_eq!(read(odd), read(plain));
}

#[test]
fn a_process_that_is_just_going_has_no_group() {
    // What the system says of one whose signal handling is gone already.
    let line = "77 (sh) X 0 -1 -1 0 -1 4 0 0 0 0 0 0 0 0 20 0 0 0 4711 0 0 18446744073709551615";
    let read = parse(line).unwrap();
    assert_eq!(read.id.as_raw_nonzero().get(), 77);
    for line in [
        "-1 (sh) R 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 0 0 1 0",
        "0 (x) R 1 1 1",
    ] {
        assert!(parse(line).is_none());
    }
}
