//! Finding the library, and fetching it where there is none.
//!
//! The order: the variable ORT_DYLIB_PATH; the cache directory; that of a bundle, beside the program; an installed Python package; the
//! pinned wheel, by pip or uv.
//! What comes over the network is used only if its hash is the pinned one. What the user names or has installed is trusted.

mod archive;
mod cache;
mod error;
mod fetch;
mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use error::LocateError;

use super::Device;
use fetch::Tools;
use wheel::{Build, Wheel};

/// Oldest minor release of ONNX Runtime 1 whose interface has all that is called.
const OLDEST_MINOR: u32 = 24;

/// How a library was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The variable ORT_DYLIB_PATH names it.
    Variable,
    /// It was fetched earlier, or just now.
    Cache,
    /// An installed Python package carries it.
    Python {
        /// The package's version.
        version: String,
    },
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => f.write_str("ORT_DYLIB_PATH"),
            Self::Cache => f.write_str("cache directory"),
            Self::Python { version } => write!(f, "installed Python package onnxruntime {version}"),
        }
    }
}

/// A library file of ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file, absolute.
    pub path: PathBuf,
    /// How it was found.
    pub found: Found,
}

impl Library {
    /// The release, from where the library was found or from the file's name; none if neither tells.
    pub fn version(&self) -> Option<String> {
        match &self.found {
            Found::Cache => Some(wheel::VERSION.to_owned()),
            Found::Python { version } => Some(version.clone()),
            Found::Variable => {
                let file = std::fs::canonicalize(&self.path).ok()?;
                let rest = file_name(&file).strip_prefix("libonnxruntime.")?;
                let version = rest.strip_prefix("so.").or_else(|| rest.strip_suffix(".dylib"))?;
                Some(version.to_owned())
            }
        }
    }
}

/// What `setup` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The cache already held this library, whole.
    Present(Library),
    /// This library was fetched.
    Fetched(Library),
}

/// Where to look, and whom to tell. Reads no environment by itself, so that tests can look elsewhere.
pub struct Locator<'a> {
    /// A library that the user names: ORT_DYLIB_PATH.
    pub dylib: Option<PathBuf>,
    /// Directory of fetched libraries: TEMPER_CACHE_DIR, or the system's place for caches.
    pub cache: Option<PathBuf>,
    /// Directory of libraries that came with the program; nothing is written to it.
    pub bundled: Option<PathBuf>,
    /// Directories in which python3, pip and uv are sought: PATH.
    pub search: OsString,
    /// Gets one line before something takes long.
    pub announce: &'a dyn Fn(&str),
}

impl<'a> Locator<'a> {
    /// As the process's environment says.
    pub fn from_env(announce: &'a dyn Fn(&str)) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let system = || directories::ProjectDirs::from("", "", "temper").map(|dirs| dirs.cache_dir().to_owned());
        Self {
            dylib: variable("ORT_DYLIB_PATH"),
            cache: variable("TEMPER_CACHE_DIR").or_else(system),
            bundled: std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("cache"))),
            search: std::env::var_os("PATH").unwrap_or_default(),
            announce,
        }
    }

    /// A library that suits `device`, fetched if need be.
    ///
    /// # Errors
    /// [`LocateError`]; each case has its own hint.
    pub fn locate(&self, device: Device) -> Result<Library, LocateError> {
        match self.find(device)? {
            Some(library) => Ok(library),
            None => self.install(build_for(device)),
        }
    }

    /// A library that suits `device`, if one is on this machine. `auto` prefers one with CUDA among the fetched ones; `cpu` is
    /// served by either.
    ///
    /// # Errors
    /// [`LocateError::Variable`] if the user names a library that is not there.
    pub fn find(&self, device: Device) -> Result<Option<Library>, LocateError> {
        if let Some(path) = &self.dylib {
            // Relative means relative to the current folder; `ort` would start from the program's.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let library = Library { path: path.clone(), found: Found::Variable };
            return if path.is_file() { Ok(Some(library)) } else { Err(LocateError::Variable { path }) };
        }
        let builds: &[Build] = match device {
            Device::Auto => &[Build::Cuda, Build::Cpu],
            Device::Cpu => &[Build::Cpu, Build::Cuda],
            Device::Cuda(_) => &[Build::Cuda],
        };
        let cached = builds.iter().find_map(|&build| self.cached(build));
        Ok(cached.or_else(|| self.installed(device)))
    }

    /// Fetches ahead of time what `device` needs into the cache, whatever else is installed.
    ///
    /// # Errors
    /// [`LocateError`]; each case has its own hint.
    pub fn setup(&self, device: Device) -> Result<Setup, LocateError> {
        let build = build_for(device);
        match self.cached(build) {
            Some(library) => Ok(Setup::Present(library)),
            None => self.install(build).map(Setup::Fetched),
        }
    }

    /// Fetches what the CUDA build needs of CUDA into the cache; the driver is not part of it. Gives the files.
    ///
    /// # Errors
    /// [`LocateError`]; each case has its own hint.
    pub fn setup_cuda_libraries(&self) -> Result<Vec<PathBuf>, LocateError> {
        let wheels = wheel::cuda_libraries();
        if wheels.is_empty() {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            return Err(LocateError::NoCudaLibraries { os, arch });
        }
        wheels.iter().try_for_each(|wheel| self.install_wheel(wheel).map(drop))?;
        Ok(self.cache.as_deref().map(cuda_libraries).unwrap_or_default())
    }

    fn cached(&self, build: Build) -> Option<Library> {
        let wheel = wheel::pinned(build)?;
        let path = self.caches().find_map(|cache| cache::find(cache, wheel))?;
        Some(Library { path, found: Found::Cache })
    }

    fn caches(&self) -> impl Iterator<Item = &PathBuf> {
        self.cache.iter().chain(&self.bundled)
    }

    /// The cache that a library is in, which then has those of CUDA, if any has.
    pub(super) fn cache_of(&self, library: &Library) -> Option<PathBuf> {
        self.caches().find(|cache| library.path.starts_with(cache)).or(self.cache.as_ref()).cloned()
    }

    fn install(&self, build: Build) -> Result<Library, LocateError> {
        let wheel = wheel::pinned(build).ok_or(LocateError::Platform {
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            build: build.name(),
        })?;
        self.install_wheel(wheel)
    }

    fn install_wheel(&self, wheel: &Wheel<'_>) -> Result<Library, LocateError> {
        let cache = self.cache.as_ref().ok_or(LocateError::NoCache)?;
        let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.clone());
        let path = cache::install(&cache, wheel, &Tools { search: &self.search }, self.announce)?;
        Ok(Library { path, found: Found::Cache })
    }

    fn installed(&self, device: Device) -> Option<Library> {
        let (folder, version) = Tools { search: &self.search }.installed()?;
        if !is_usable(&version) {
            tracing::debug!("the installed Python package onnxruntime {version} is too old to be used");
            return None;
        }
        let files: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        let named = |part: &str| files.iter().find(|path| file_name(path).contains(part));
        if matches!(device, Device::Cuda(_)) && named("onnxruntime_providers_cuda").is_none() {
            return None;
        }
        let path = files.iter().find(|path| is_library(file_name(path)))?.clone();
        Some(Library { path, found: Found::Python { version } })
    }
}

/// The libraries of CUDA in a cache, in the order in which they are to be loaded; none unless all are there and whole.
pub(super) fn cuda_libraries(cache: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for wheel in wheel::cuda_libraries() {
        if cache::find(cache, wheel).is_none() {
            return Vec::new();
        }
        let folder = cache::folder(cache, wheel);
        files.extend(wheel.members.iter().map(|member| folder.join(member.file)));
    }
    files
}

fn build_for(device: Device) -> Build {
    match device {
        Device::Auto | Device::Cpu => Build::Cpu,
        Device::Cuda(_) => Build::Cuda,
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether a file of a wheel's `capi` folder is the library itself, on any system.
fn is_library(name: &str) -> bool {
    name == "onnxruntime.dll"
        || name.starts_with("libonnxruntime.so")
        || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
}

fn is_usable(version: &str) -> bool {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next(), parts.next().and_then(|minor| minor.parse::<u32>().ok()));
    major == Some("1") && minor.is_some_and(|minor| minor >= OLDEST_MINOR)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
