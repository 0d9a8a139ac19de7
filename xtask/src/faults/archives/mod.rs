//! Archives of the campaign: a workspace with a finished run, entries and a mirror, and the commands that write there.
//! Knows nothing of faults; what must hold is in `judge`.

mod judge;

use std::fs;
use std::io;
use std::path::PathBuf;

use super::orphans;
use super::place::{Place, Start};
use super::runs::big;
use judge::{Found, Judge};

/// The output does not shrink, and neither does the log: a bundle without one of them would be much shorter.
const CONFIG: &str = r#"
[tasks.build]
command = "mkdir -p dist; cat big.bin > dist/big; cat src.txt > dist/small; head -c 3000 big.bin | base64"
inputs = ["src.txt", "big.bin"]
outputs = ["dist/**"]

[archive]
dir = "../archive"
artifacts = ["dist/**"]

[archive.mirrors.drive]
folder = "../drive/mirror"

[archive.gates]
tasks = ["build"]

[archive.gates.metrics.hurdle]
command = "if [ -e ../hurdle ]; then mv dist/small ../small; fi; echo 1"
max = 1
"#;

/// The secret key that RFC 8410 prints as an example.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// The entry that every start has at first, accepted and at the mirror.
const FIRST: &[&str] = &["archive", "upload", "--wait", "--tag", "first"];
const SECOND: &[&str] = &["archive", "upload", "--tag", "second", "--attest", "../key"];
const RESUME: &[&str] = &["archive", "upload", "--resume", "--attest", "../key"];
const UPLOAD: &[&str] = &["archive", "upload", "--wait"];
const SYNC: &[&str] = &["archive", "sync"];
const PRUNE: &[&str] = &["archive", "prune", "--count", "1"];

/// What is struck.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// The second run is archived.
    Upload,
    /// So it is, after a first try failed at its step `index_save`.
    Resume,
    /// The second entry is brought to the mirror, by what an upload starts in the background.
    Drain,
    /// So it is, by the command that tries everything once: a call that goes on failing does not keep it for an hour.
    Deliver,
    /// Of four entries two may go.
    Prune,
}

/// One command on one archive.
struct Struck<'p> {
    place: &'p Place,
    scenario: Scenario,
}

/// All commands on archives that are struck.
pub(super) fn starts(place: &Place) -> Vec<Box<dyn Start + '_>> {
    use Scenario::{Deliver, Drain, Prune, Resume, Upload};
    let struck = |scenario| Box::new(Struck { place, scenario }) as Box<dyn Start>;
    [Upload, Resume, Drain, Deliver, Prune].map(struck).into()
}

impl Start for Struck<'_> {
    fn name(&self) -> &'static str {
        match self.scenario {
            Scenario::Upload => "upload",
            Scenario::Resume => "resume",
            Scenario::Drain => "drain",
            Scenario::Deliver => "deliver",
            Scenario::Prune => "prune",
        }
    }

    fn args(&self) -> &'static [&'static str] {
        match self.scenario {
            Scenario::Upload => SECOND,
            Scenario::Resume => RESUME,
            Scenario::Drain => &["archive", "drain"],
            Scenario::Deliver => SYNC,
            Scenario::Prune => PRUNE,
        }
    }

    fn prepare(&self) -> io::Result<()> {
        // What an upload starts in the background is waited for.
        orphans::adopt()?;
        let (place, ws) = (self.place, self.place.workspace());
        fs::create_dir(place.dir().join("drive"))?;
        fs::write(place.dir().join("key"), KEY)?;
        fs::write(ws.join("larder.toml"), CONFIG)?;
        fs::write(ws.join("big.bin"), big())?;
        self.run("one\n")?;
        place.succeeds(FIRST)?;
        self.run("two\n")?;
        match self.scenario {
            Scenario::Upload => Ok(()),
            Scenario::Resume => self.stumble(),
            Scenario::Drain | Scenario::Deliver => {
                // Nobody else drains meanwhile, so the entry stays pending.
                let lock = fs::File::create(self.archive().join("outbox/lock"))?;
                lock.lock()?;
                place.succeeds(SECOND)?;
                orphans::wait()
            }
            Scenario::Prune => {
                place.succeeds(UPLOAD)?;
                self.run("three\n")?;
                place.succeeds(UPLOAD)?;
                self.run("four\n")?;
                place.succeeds(UPLOAD).map(drop)
            }
        }
    }

    fn takes(&self, how: &str) -> bool {
        match self.scenario {
            Scenario::Drain => how == "kill",
            Scenario::Deliver => how != "kill",
            _ => true,
        }
    }

    fn disk(&self) -> Option<&'static str> {
        match self.scenario {
            Scenario::Upload | Scenario::Resume => Some("archive"),
            Scenario::Deliver => Some("drive"),
            Scenario::Drain | Scenario::Prune => None,
        }
    }

    fn after_success(&self, said: &str) -> io::Result<Option<String>> {
        Ok(self.succeeded(said).err())
    }

    fn heals(&self, said: &str) -> io::Result<Option<String>> {
        Ok(self.healed(said).err())
    }
}

impl Struck<'_> {
    fn archive(&self) -> PathBuf {
        self.place.dir().join("archive")
    }

    fn judge(&self) -> Judge<'_> {
        Judge { place: self.place }
    }

    /// Edits the source and builds.
    fn run(&self, source: &str) -> io::Result<()> {
        fs::write(self.place.workspace().join("src.txt"), source)?;
        self.place.succeeds(&["run", "build"]).map(drop)
    }

    /// An upload that fails at `index_save`, for an artifact went meanwhile. It is back afterwards.
    fn stumble(&self) -> io::Result<()> {
        let hurdle = self.place.dir().join("hurdle");
        fs::write(&hurdle, "")?;
        let output = self.place.larder(SECOND)?;
        if output.status.code() != Some(3) {
            return Err(io::Error::other(super::place::stderr(&output)));
        }
        fs::remove_file(hurdle)?;
        let small = self.place.workspace().join("dist/small");
        fs::rename(self.place.dir().join("small"), small)
    }

    fn succeeded(&self, said: &str) -> Result<(), String> {
        orphans::wait().map_err(|error| error.to_string())?;
        let judge = self.judge();
        let found = judge.listed()?;
        judge.verified(&[])?;
        match self.scenario {
            Scenario::Upload | Scenario::Resume => {
                found.hold(&kept(said))?;
                let found = found.accepted();
                found.are(&["first", "second"])?;
                judge.whole(&found)?;
                judge.noted(&found)
            }
            Scenario::Drain | Scenario::Deliver => {
                found.are(&["first", "second"])?;
                judge.mirrored(&found)
            }
            Scenario::Prune => {
                found.are(&["first", ""])?;
                judge.bundled(&found)
            }
        }
    }

    /// What is there right after a fault, then what people would do next, and what is there then.
    fn healed(&self, said: &str) -> Result<(), String> {
        orphans::wait().map_err(|error| error.to_string())?;
        let judge = self.judge();
        let after = judge
            .sound(&kept(said))
            .map_err(|bad| format!("after the fault: {bad}"))?;
        let expected = self.next(&judge, &after, said)?;
        orphans::wait().map_err(|error| error.to_string())?;
        judge.does(SYNC)?;
        let found = judge.listed()?;
        let then = |bad| format!("in the end: {bad}");
        for id in after.ids().filter(|_| self.scenario != Scenario::Prune) {
            found.hold(&[id.to_owned()]).map_err(then)?;
        }
        let accepted = found.accepted();
        accepted.are(expected).map_err(then)?;
        judge.verified(&[]).map_err(then)?;
        if self.scenario == Scenario::Prune {
            judge.mirror_is_sound().map_err(then)?;
        } else {
            judge.whole(&accepted).map_err(then)?;
            judge.mirrored(&accepted).map_err(then)?;
        }
        judge.tidied(&found).map_err(then)
    }

    /// Does what people would do after a fault; gives the tags of the entries that must be there then.
    fn next(
        &self,
        judge: &Judge<'_>,
        after: &Found,
        said: &str,
    ) -> Result<&'static [&'static str], String> {
        match self.scenario {
            Scenario::Upload => {
                // One that came to its end is not resumed: the same again is another entry.
                let accepted = after.accepted();
                let said = kept(said);
                let ended = accepted.ids().any(|id| said.iter().any(|one| one == id))
                    && !judge.is_under_way()?;
                judge.does(SECOND)?;
                Ok(if ended {
                    &["first", "second", "second"]
                } else {
                    &["first", "second"]
                })
            }
            Scenario::Resume => {
                if judge.is_under_way()? {
                    judge.does(RESUME)?;
                } else if after.accepted().count() != 2 {
                    return Err("the upload is neither under way nor kept".to_owned());
                }
                Ok(&["first", "second"])
            }
            Scenario::Drain | Scenario::Deliver => Ok(&["first", "second"]),
            Scenario::Prune => {
                judge.does(PRUNE)?;
                Ok(&["first", ""])
            }
        }
    }
}

/// The entries that an upload said are kept, also those that its gates rejected.
fn kept(said: &str) -> Vec<String> {
    let id = |line: &str| {
        let (id, rest) = line.split_once(" is kept")?;
        let told = !id.contains(' ') && (rest.is_empty() || rest.starts_with(','));
        told.then(|| id.to_owned())
    };
    said.lines().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_to_be_kept_was_acknowledged() {
        let said = "01M80FSTW3ESAFKAQNSXHQXTYT is kept\n  bundle   /a is kept.tar.zst\n01M80";
        assert_eq!(kept(said), ["01M80FSTW3ESAFKAQNSXHQXTYT"]);
        assert!(kept("01M80FSTW3ESAFKAQNSXHQXTYT is ke").is_empty());
        let rejected = "01M80FSTW3ESAFKAQNSXHQXTYT is kept, rejected by its gates";
        assert_eq!(kept(rejected).len(), 1);
    }
}
