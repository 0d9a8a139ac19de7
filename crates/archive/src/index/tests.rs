//! Indexes that are cut, damaged, of another version, or have a line twice.
//! Does not test entries.

use super::lines::{Header, line};
use super::*;
use crate::run::RunRecord;

fn summaries() -> Vec<Summary> {
    (0..3)
        .map(|n| {
            let time = Time::from_nanos(n * 1_000_000_000);
            let mut entry = ArchiveEntry::new(EntryId::new(time, 0), time, RunRecord::default());
            entry.tags.insert(format!("line\n{n}"));
            Summary::of(&entry)
        })
        .collect()
}

fn found(bytes: &[u8]) -> (Vec<Summary>, bool) {
    let index = read(bytes);
    (index.summaries, index.sound)
}

#[test]
fn what_was_written_is_read() {
    let all = summaries();
    assert_eq!(found(&write(&all)), (all, true));
    assert_eq!(found(&write([])), (vec![], true));
}

#[test]
fn damage_is_seen_and_never_believed() {
    let all = summaries();
    let whole = write(&all);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let (some, sound) = found(&bytes);
            assert!(!sound, "bit {bit} of byte {at}");
            assert!(some.iter().all(|one| all.contains(one)));
            assert!(some.len() < all.len());
        }
    }
}

#[test]
fn an_index_cut_anywhere_holds_its_whole_lines() {
    let all = summaries();
    let whole = write(&all);
    let ends: Vec<usize> = whole
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    for length in 0..whole.len() {
        let (some, sound) = found(&whole[..length]);
        assert_eq!(sound, ends.contains(&length), "cut at {length}");
        // A line that lacks its newline alone is whole. The first two are the header, and what all three have in common.
        let lines = ends.iter().filter(|&&end| end <= length + 1).count();
        assert_eq!(some, all[..lines.saturating_sub(2)], "cut at {length}");
    }
}

#[test]
fn the_last_line_for_a_revision_counts_wherever_it_is() {
    let all = summaries();
    let later = Summary {
        exit_code: 9,
        ..all[1].clone()
    };
    let lines = [&all[2], &all[1], &all[0], &later, &all[2]];
    let (found, sound) = found(&write(lines));
    assert!(sound);
    assert_eq!(found, [all[0].clone(), later.clone(), all[2].clone()]);
    let index = read(&write(lines));
    assert_eq!((index.lines, index.entries()), (5, 3));
    assert_eq!(index.get(later.id, 1), Some(&later));
    assert_eq!(index.get(later.id, 2), None);
}

#[test]
fn another_version_is_read_as_empty() {
    for version in [1, 3] {
        let bytes = write(&summaries());
        let rest = &bytes[bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1..];
        let bytes = [&line(b' ', &Header { version }), rest].concat();
        assert_eq!(found(&bytes), (vec![], false));
    }
    assert_eq!(found(b""), (vec![], false));
    assert_eq!(found(&[0; 4096]), (vec![], false));
}

#[test]
fn many_lines_are_read_in_their_order() {
    let mut all = Vec::new();
    for number in 0..5000_u16 {
        let mut one = summaries().swap_remove(usize::from(number % 3));
        one.id = EntryId::new(Time::from_nanos(i64::from(number / 2) * 1_000_000), 0);
        one.exit_code = number.to_le_bytes()[0];
        one.commit = Some(number.to_string());
        one.request = vec![format!("task-{}", number % 7)].into();
        all.push(one);
    }
    let index = read(&write(&all));
    // Of two lines for one revision the last counts, wherever the work was split.
    let last: Vec<Summary> = all.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(index.summaries, last);
    assert_eq!((index.lines, index.sound), (5000, true));
    // What a line has in common with others is named by its digest: without it the line is none.
    let bytes = write(&all);
    let shape = bytes.windows(2).position(|two| two == b"+{").unwrap();
    let mut damaged = bytes;
    damaged[shape + 4] ^= 1;
    let index = read(&damaged);
    assert!(!index.sound);
    assert!(index.summaries.iter().all(|one| one.request[0] != "task-0"));
    // A line before it for the same revision counts instead.
    assert_eq!(index.summaries.len(), last.len());
}

#[test]
fn what_is_known_is_not_appended_twice() {
    let all = summaries();
    let mut shapes = read(&write(&all[..1])).shapes;
    let mut bytes = write(&all[..1]);
    append(&all[1], &mut shapes, &mut bytes);
    assert_eq!(bytes, write(&all[..2]));
    assert_eq!(found(&bytes), (all[..2].to_vec(), true));
}
