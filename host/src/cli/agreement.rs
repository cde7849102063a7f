//! That all ranks read the same: together they would else make nothing that makes sense.

use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::crystal::files_at;
use crate::model::Contract;
use crate::record::Lock;

impl Context {
    /// Refuses ranks that have read another config, or something else that goes into a run, than the first.
    pub(super) fn same_on_all_ranks(&self, config: &str, lock: &Lock) -> Result<(), Failure> {
        self.agree(format!("{config}{lock:?}"), || "config, model, device or program".to_owned())
    }

    /// Refuses ranks that find other files than the first where a path, a folder or a pattern says.
    pub(super) fn same_files_on_all_ranks(&self, path: &Path) -> Result<(), Failure> {
        match self.ranks.size() {
            1 => Ok(()),
            _ => self.agree_on_files(path, &files_at(path, |_| true)?),
        }
    }

    /// Refuses ranks that have opened another model than the first: its file, sidecar and external data.
    pub(super) fn same_model_on_all_ranks(&self, contract: &Contract) -> Result<(), Failure> {
        if self.ranks.size() == 1 {
            return Ok(());
        }
        let sidecar = contract.path.with_extension("toml");
        let mut files = vec![contract.path.clone()];
        files.extend(sidecar.is_file().then_some(sidecar));
        files.extend_from_slice(&contract.external);
        self.agree_on_files(&contract.path, &files)
    }

    fn agree_on_files(&self, path: &Path, files: &[PathBuf]) -> Result<(), Failure> {
        let mut lock = Lock::new(env!("CARGO_PKG_VERSION"));
        lock.add_files("files", files).map_err(|error| Failure::user(format!("{}: {error}", path.display())))?;
        self.agree(format!("{lock:?}"), || path.display().to_string())
    }

    fn agree(&self, read: String, what: impl Fn() -> String) -> Result<(), Failure> {
        let all = self.ranks.gather(vec![read]);
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(Failure::user(format!("rank {rank} has another {} than rank 0", what()))
                .hint("all nodes must see the same files")),
        }
    }
}
