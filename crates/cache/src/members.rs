//! Members of a tar archive as they are written: headers, long names, contents, padding.
//! Knows nothing of where contents come from.

use std::io::{self, Write};

use crate::{Kind, Row};

/// A tar archive is made of blocks of this size.
const BLOCK: u64 = 512;
/// Two empty blocks end it.
pub(crate) const END: [u8; 1024] = [0; 1024];
/// The longest name that fits into a header.
const NAME: usize = 100;

/// Bytes that a member takes, by the lengths of its name, of the text of a link, and of its content.
pub(crate) fn length(name: usize, link: usize, content: u64) -> u64 {
    let long = |length: usize| match length {
        0..=NAME => 0,
        _ => BLOCK + (length as u64 + 1).next_multiple_of(BLOCK),
    };
    BLOCK + long(name) + long(link) + content.next_multiple_of(BLOCK)
}

/// One file, link or empty folder with its content.
pub(crate) fn member(out: &mut impl Write, row: &Row, content: &[u8]) -> io::Result<()> {
    match row.kind {
        Kind::Link => header(out, row, content),
        Kind::EmptyDir => header(out, row, &[]),
        Kind::File => {
            header(out, row, &[])?;
            out.write_all(content)?;
            pad(out, row.size)
        }
    }
}

/// Fills the last block of a content of this length.
pub(crate) fn pad(out: &mut impl Write, length: u64) -> io::Result<()> {
    let over = usize::try_from(length % 512).unwrap_or(0);
    out.write_all(&[0; 512][..(512 - over) % 512])
}

/// A GNU header with zeroed times and owners; a name or link text that does not fit goes before it as a long name.
pub(crate) fn header(out: &mut impl Write, row: &Row, link: &[u8]) -> io::Result<()> {
    let mut name = row.path.clone();
    if row.kind == Kind::EmptyDir {
        name.push(b'/');
    }
    let mut header = tar::Header::new_gnu();
    if let Some(gnu) = header.as_gnu_mut() {
        fill(out, &mut gnu.name, &name, tar::EntryType::GNULongName)?;
        fill(out, &mut gnu.linkname, link, tar::EntryType::GNULongLink)?;
    }
    header.set_entry_type(match row.kind {
        Kind::File => tar::EntryType::Regular,
        Kind::Link => tar::EntryType::Symlink,
        Kind::EmptyDir => tar::EntryType::Directory,
    });
    finish(
        &mut header,
        row.mode,
        if row.kind == Kind::File { row.size } else { 0 },
    );
    out.write_all(header.as_bytes())
}

fn fill(
    out: &mut impl Write,
    field: &mut [u8; NAME],
    value: &[u8],
    long: tar::EntryType,
) -> io::Result<()> {
    if value.len() > field.len() {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            gnu.name[..13].copy_from_slice(b"././@LongLink");
        }
        header.set_entry_type(long);
        finish(&mut header, 0o644, value.len() as u64 + 1);
        out.write_all(header.as_bytes())?;
        out.write_all(value)?;
        out.write_all(&[0])?;
        pad(out, value.len() as u64 + 1)?;
    }
    let fits = value.len().min(field.len());
    field[..fits].copy_from_slice(&value[..fits]);
    Ok(())
}

fn finish(header: &mut tar::Header, mode: u32, size: u64) {
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
}
