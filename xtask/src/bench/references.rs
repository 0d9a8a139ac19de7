//! What the hardware allows, measured beside the tools: plain programs that do one part of the work.
//! It judges nothing.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::measure::Invocation;
use super::plan::Plan;
use super::site::{Site, remove};

/// One of the references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Digests all inputs.
    Digest,
    /// Unpacks all artifacts of the cache.
    Unpack,
    /// Packs all outputs.
    Pack,
}

/// What the references need.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// `b3sum`, when it is there.
    pub(crate) b3sum: Option<PathBuf>,
    /// Whether `zstd` and GNU's `tar` are there.
    pub(crate) archiver: bool,
}

impl Reference {
    /// What tables call it.
    pub(crate) fn name(self, programs: &Programs) -> &'static str {
        match self {
            Reference::Digest if programs.b3sum.is_some() => "(b3sum)",
            Reference::Digest => "(b3sum stand-in)",
            Reference::Unpack => "(zstd | tar x)",
            Reference::Pack => "(tar | zstd -3)",
        }
    }

    /// Whether its programs are there.
    pub(crate) fn possible(self, programs: &Programs) -> bool {
        self == Reference::Digest || programs.archiver
    }

    /// Writes its lists and clears its place. Not measured.
    pub(crate) fn prepare(self, plan: &Plan, site: &Site) -> std::io::Result<()> {
        let mut list = Vec::new();
        for project in &plan.projects {
            match self {
                Reference::Digest => {
                    for path in Plan::inputs(project) {
                        list.extend_from_slice(format!("{}/{path}\0", project.folder).as_bytes());
                    }
                }
                Reference::Pack => {
                    list.extend_from_slice(format!("{}/dist\0", project.folder).as_bytes());
                }
                Reference::Unpack => {
                    remove(&unpacked(site))?;
                    return fs::create_dir_all(unpacked(site));
                }
            }
        }
        fs::write(self.list(site), list)
    }

    /// What to start; it belongs to Larder's site.
    pub(crate) fn invocation(
        self,
        site: &Site,
        programs: &Programs,
        processors: usize,
    ) -> Result<Invocation, Box<dyn Error>> {
        let list = quoted(&self.list(site));
        let script = match self {
            Reference::Digest => {
                let program = match &programs.b3sum {
                    Some(program) => quoted(program),
                    None => format!("{} bench-b3sum", quoted(&std::env::current_exe()?)),
                };
                format!("exec xargs -0 -P{processors} {program} --num-threads 1 < {list}")
            }
            Reference::Unpack => format!(
                "find {} -type f -exec cat {{}} + | zstd -dc | tar xif - -C {}",
                quoted(&site.cache.join("v1/artifacts")),
                quoted(&unpacked(site))
            ),
            Reference::Pack => format!(
                "tar cf - --null -T {list} | zstd -3 -q -f -o {}",
                quoted(&site.logs.join("packed.tar.zst"))
            ),
        };
        Ok(Invocation {
            program: PathBuf::from("sh"),
            args: vec![OsString::from("-c"), OsString::from(script)],
            cwd: site.root.clone(),
            env: site.environment(),
            log: site.logs.join("reference.log"),
        })
    }

    fn list(self, site: &Site) -> PathBuf {
        site.logs.join(format!("{self:?}.list"))
    }
}

fn unpacked(site: &Site) -> PathBuf {
    site.logs.join("unpacked")
}

/// A path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Arguments of the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct StandInArgs {
    /// Taken for the sake of b3sum's own command line; there is one thread
    #[arg(long)]
    num_threads: usize,
    /// What to digest
    files: Vec<PathBuf>,
}

/// The hidden subcommand: what `b3sum --num-threads 1` does, for machines without it.
pub(crate) fn stand_in(args: &StandInArgs) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut buffer = vec![0; 64 * 1024];
    for path in &args.files {
        let mut file =
            fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        writeln!(out, "{}  {}", hasher.finalize(), path.display())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}
