//! A file system of our own for the files of the servers, so that it can be full without harm to anybody else. It is made of
//! memory and seen only by this suite and what it starts (a mount namespace), so nothing is left of it whatever happens to us.
//! Where the machine does not grant that, runs go without it, and their tables say so.

use crate::Failure;
use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set where mounting concerns nobody else.
const GRANTED: &str = "ORDERFLOW_CHAOS_OWN_MOUNTS";

/// Enough for the servers and a run of half an hour; what is not used costs nothing.
const SIZE: &str = "size=3g,mode=0755";

/// What fills it.
const FILLER: &str = "filler";

/// Begins anew where mounts are our own and all that we start ends with us, if that is granted. Returns if it is not, or is so
/// already.
pub fn withdraw() {
    let apart = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    let tried = || Command::new("unshare").args(apart).arg("true").stderr(Stdio::null()).status();
    if env::var_os(GRANTED).is_none() && tried().is_ok_and(|ended| ended.success()) {
        let mut again = Command::new("unshare");
        // The first process there inherits the orphans; a shell knows how to bury them.
        again.args(apart).args(["bash", "-c", "\"$@\"; exit $?", "bash"]).args(env::args_os()).env(GRANTED, "yes");
        // Comes back only with an error, and then goes on without.
        let _ = again.exec();
    }
}

/// The file system of a run.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts it on a folder, where that is granted.
    pub fn mount(folder: &Path) -> Result<Option<Self>, Failure> {
        if env::var_os(GRANTED).is_none() {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", SIZE, "orderflow-chaos"]).arg(folder).stderr(Stdio::null()).status()?;
        Ok(mounted.success().then(|| Self(folder.to_owned())))
    }

    /// Leaves no room in it.
    pub fn fill(&self) -> Result<(), Failure> {
        let (mut filler, zeros) = (File::create(self.0.join(FILLER))?, vec![0; 1 << 16]);
        loop {
            match filler.write(&zeros) {
                Ok(_) => {}
                Err(full) if full.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn empty(&self) -> Result<(), Failure> {
        Ok(fs::remove_file(self.0.join(FILLER))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.empty();
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
        let _ = fs::remove_dir(&self.0);
    }
}
