//! The directory of fetched libraries: nothing in it is used unless its hash is the pinned one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::{check, sha256};
use super::error::LocateError;
use super::fetch::Tools;
use super::wheel::Wheel;

/// The folder of one wheel's files.
pub(super) fn folder(cache: &Path, wheel: &Wheel<'_>) -> PathBuf {
    let name = match wheel.package {
        "onnxruntime" | "onnxruntime-gpu" => format!("onnxruntime-{}-{}", wheel.version, wheel.build.name()),
        package => format!("{package}-{}", wheel.version),
    };
    cache.join(format!("{name}-{}-{}", wheel.os, wheel.arch))
}

/// The first file of `wheel`, if all its files are there and whole.
pub(super) fn find(cache: &Path, wheel: &Wheel<'_>) -> Option<PathBuf> {
    let folder = folder(cache, wheel);
    for member in wheel.members {
        let path = folder.join(member.file);
        // The length is looked at first: it tells a cut file without reading it.
        if fs::metadata(&path).ok()?.len() != member.bytes || sha256(&path).ok()? != member.sha256 {
            return None;
        }
    }
    Some(folder.join(wheel.members.first()?.file))
}

/// Fetches `wheel` into the cache. Processes that start together wait for the first of them and then find its files.
pub(super) fn install(
    cache: &Path,
    wheel: &Wheel<'_>,
    tools: &Tools<'_>,
    announce: &dyn Fn(&str),
) -> Result<PathBuf, LocateError> {
    let folder = folder(cache, wheel);
    let failed = |source| LocateError::Cache { path: folder.clone(), source };
    fs::create_dir_all(&folder).map_err(failed)?;
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    // File systems without locks are no reason to stop: every file is renamed into place whole.
    if let Err(error) = lock.lock() {
        tracing::debug!("cannot lock `{}`: {error}", folder.display());
    }
    if let Some(library) = find(cache, wheel) {
        return Ok(library);
    }
    let megabytes = wheel.bytes / 1_000_000;
    let what = if wheel.package.starts_with("onnxruntime") { "ONNX Runtime" } else { wheel.package };
    announce(&format!("fetching {what} {} ({megabytes} MB) into {}", wheel.version, folder.display()));
    let scratch = tempfile::tempdir_in(&folder).map_err(failed)?;
    tools.fetch(wheel, scratch.path())?;
    for member in wheel.members {
        let fetched = scratch.path().join(member.file);
        check(&fetched, member.file, member.sha256)?;
        fs::rename(&fetched, folder.join(member.file)).map_err(failed)?;
    }
    find(cache, wheel).ok_or_else(|| failed(io::Error::other("the files just written are not there")))
}
