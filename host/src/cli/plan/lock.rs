//! Hashes of everything that the numbers of a run depend on.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Planner;
use crate::cli::{Exit, Failure};
use crate::config::{self, Config, Finetune};

impl Planner<'_> {
    pub(super) fn lock(&mut self, key: &str, file: &Path) -> Result<(), Failure> {
        let bytes = std::fs::read(file).map_err(|e| Failure::user(format!("{}: {e}", file.display())))?;
        self.lock.insert(key.to_owned(), hash(&bytes));
        Ok(())
    }
}

/// The config as far as it shapes the numbers of a step: a run may be resumed with more steps, elsewhere, on more threads.
pub(super) fn without_length(config: &Finetune) -> Finetune {
    let mut config = config.clone();
    let run = config::Run { seed: config.run.seed, max_failed: config.run.max_failed, ..config::Run::default() };
    config.run = run;
    config
}

pub(super) fn written(config: &Finetune) -> Result<String, Failure> {
    config.to_toml().map_err(|e| Failure::from_error(Exit::Internal, &e))
}

pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
