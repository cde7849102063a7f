//! The one ONNX Runtime of the process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;

use super::error::reason_of;
use super::probe::{self, Tried, Unusable};
use super::{Device, Error, Library, Locator};

/// ONNX Runtime allows one environment per process, and one library serves it.
static OPENED: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// The loaded library and its environment, which live until the process ends. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(super) environment: ort::environment::Environment,
    library: Library,
    pub(super) tried: Tried,
    /// Where libraries of CUDA may have been fetched.
    pub(super) cache: Option<PathBuf>,
}

impl Runtime {
    /// The process's runtime. The first call finds and loads a library that suits `device`; later calls return the same one,
    /// whatever they ask for, because a process cannot load a second one.
    ///
    /// # Errors
    /// [`Error::Locate`] if no library is found, [`Error::Load`] if the one found cannot be used, [`Error::Library`] if one with
    /// CUDA would have to be fetched and the driver is missing. A later call tries again.
    pub fn open(locator: &Locator<'_>, device: Device) -> Result<Arc<Self>, Error> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = opened.as_ref() {
            return Ok(Arc::clone(runtime));
        }
        if matches!(device, Device::Cuda(_)) && locator.find(device)?.is_none() {
            // Before much is fetched for nothing.
            probe::driver().map_err(|library| Unusable::Library(library).error(device))?;
        }
        let library = locator.locate(device)?;
        let cache = locator.cache_of(&library);
        let runtime = Arc::new(Self { environment: load(&library)?, library, tried: Tried::default(), cache });
        *opened = Some(Arc::clone(&runtime));
        Ok(runtime)
    }

    /// The library that was loaded.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The library's own description: branch, commit and build flags.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    /// Which release the library is: the branch and commit that it was built from, or all that it says of itself.
    pub fn release(&self) -> String {
        release(ort::info())
    }

    /// Whether the loaded library was built with CUDA. Says nothing about whether CUDA works here: see [`Self::probe`].
    pub fn has_cuda(&self) -> bool {
        ep::CUDA::is_available().unwrap_or(false)
    }

    /// The device that `wish` means on this machine: [`Device::Cpu`] or [`Device::Cuda`]. For `auto` with a CUDA build that does
    /// not work here, `announce` gets one line that says why, once in a process.
    ///
    /// # Errors
    /// [`Error::Library`] or [`Error::Device`], if CUDA was asked for and does not work.
    pub fn resolve(&self, wish: Device, announce: &dyn Fn(&str)) -> Result<Device, Error> {
        match wish {
            Device::Cpu => Ok(Device::Cpu),
            Device::Cuda(_) => self.probe(wish).map(|()| wish),
            Device::Auto if !self.has_cuda() => Ok(Device::Cpu),
            Device::Auto => {
                let device = Device::Cuda(0);
                self.probe(device).map(|()| device).or_else(|error| {
                    let told = &self.tried.told;
                    told.call_once(|| announce(&format!("CUDA cannot be used: {}; using the CPU", reason_of(&error))));
                    Ok(Device::Cpu)
                })
            }
        }
    }
}

fn release(info: &str) -> String {
    let stated = |key: &str| Some(info.split_once(key)?.1.split([',', ' ']).next()?).filter(|value| !value.is_empty());
    match (stated("git-branch="), stated("git-commit-id=")) {
        (Some(branch), Some(commit)) => format!("{branch}, commit {commit}"),
        _ => info.to_owned(),
    }
}

fn load(library: &Library) -> Result<ort::environment::Environment, Error> {
    let failed = |reason: String| Error::Load { path: library.path.clone(), reason };
    opt_out_of_telemetry();
    let environment = ort::init_from(&library.path)
        .map_err(|error| failed(load_reason(&error)))?
        .with_name("temper")
        .with_telemetry(false)
        // Every failure comes back as an error as well; the log is for those who ask for it.
        .with_logger(Arc::new(|level, category, _id, place, message| {
            tracing::debug!(target: "onnxruntime", ?level, category, place, "{message}");
        }))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// The system's own reason where there is one; `ort` would only say that loading failed.
fn load_reason(error: &ort::LoadDynamicError) -> String {
    let ort::LoadDynamicError::Dlopen { error, .. } = error else {
        return error.to_string();
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Releases after the pinned one read these when they start. A library that the user names may be such a release.
#[allow(unsafe_code)]
fn opt_out_of_telemetry() {
    for name in ["ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: Rust code reads and writes the environment under the standard library's lock. Foreign code that reads it
            // without that lock is the library loaded after this call, and plugins, which are opened after the runtime.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_by_its_branch_and_commit() {
        let info =
            "ORT Build Info: git-branch=rel-1.24.1, git-commit-id=470ae16099, build type=Release, cmake cxx flags: ";
        assert_eq!(release(info), "rel-1.24.1, commit 470ae16099");
        assert_eq!(
            release("ORT Build Info: git-branch=, git-commit-id=, x"),
            "ORT Build Info: git-branch=, git-commit-id=, x"
        );
    }
}
