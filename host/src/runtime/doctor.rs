//! What works on this machine, and why the rest does not.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use super::error::reason_of;
use super::{Device, Error, Library, Locator, Runtime};

/// One way of computing that the loaded library knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// ONNX Runtime's name, such as `CUDAExecutionProvider`.
    pub name: String,
    /// Absent if the provider works here, otherwise why it does not, or that Temper has no use for it.
    pub problem: Option<String>,
}

/// The loaded library.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file, and how it was found.
    pub library: Library,
    /// Its version; none where only the library itself knows it.
    pub version: Option<String>,
    /// Its own description: commit and build flags.
    pub build_info: String,
    /// What it was built with, the preferred first.
    pub providers: Vec<Provider>,
    /// Where CUDA works: nothing if cuDNN does as well, else why not. Only models with certain operators need it.
    pub cudnn: Option<Result<(), String>>,
}

/// The state of the runtime on this machine.
#[derive(Debug)]
pub struct Report {
    /// The library; none if none is here yet (it would be fetched when needed).
    pub runtime: Result<Option<Loaded>, Error>,
    /// Threads that a session takes by default.
    pub threads: usize,
    /// Where fetched libraries lie.
    pub cache: Option<PathBuf>,
}

/// Finds out what works, without fetching anything.
pub fn doctor(locator: &Locator<'_>, device: Device) -> Report {
    Report { runtime: inspect(locator, device), threads: super::default_threads(), cache: locator.cache.clone() }
}

fn inspect(locator: &Locator<'_>, device: Device) -> Result<Option<Loaded>, Error> {
    if locator.find(device)?.is_none() {
        return Ok(None);
    }
    let runtime = Runtime::open(locator, device)?;
    let names = provider_names()
        .map_err(|error| Error::Load { path: runtime.library().path.clone(), reason: error.to_string() })?;
    let providers: Vec<Provider> =
        names.into_iter().map(|name| Provider { problem: problem(&runtime, &name, device), name }).collect();
    let library = runtime.library().clone();
    let cuda = Device::Cuda(index_of(device));
    let cuda_works = runtime.has_cuda() && runtime.probe(cuda).is_ok();
    let cudnn = cuda_works.then(|| runtime.probe_cudnn(cuda).map_err(|error| reason_of(&error)));
    Ok(Some(Loaded {
        cudnn,
        version: library.version(),
        build_info: runtime.build_info().to_owned(),
        library,
        providers,
    }))
}

fn problem(runtime: &Runtime, name: &str, device: Device) -> Option<String> {
    let device = match name {
        "CPUExecutionProvider" => Device::Cpu,
        "CUDAExecutionProvider" => Device::Cuda(index_of(device)),
        _ => return Some("not used by Temper".to_owned()),
    };
    runtime.probe(device).err().map(|error| reason_of(&error))
}

/// The GPU that is meant.
fn index_of(device: Device) -> u32 {
    if let Device::Cuda(index) = device { index } else { 0 }
}

/// `ort` can say whether one provider is there, but not which are.
#[allow(unsafe_code)]
fn provider_names() -> ort::Result<Vec<String>> {
    let api = ort::api();
    let mut names: *mut *mut c_char = std::ptr::null_mut();
    let mut count = 0;
    // SAFETY: both pointers are to live locals, which the function fills.
    unsafe { ort::Error::result_from_status((api.GetAvailableProviders)(&raw mut names, &raw mut count)) }?;
    // SAFETY: on success `names` points to `count` strings that end in NUL, and they stay until released below.
    let list = (0..usize::try_from(count).unwrap_or(0))
        .map(|i| unsafe { CStr::from_ptr(*names.add(i)) }.to_string_lossy().into_owned())
        .collect();
    // SAFETY: releases what was given above, once; the strings have been copied.
    unsafe { ort::Error::result_from_status((api.ReleaseAvailableProviders)(names, count)) }?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::super::testing::runtime;
    use super::*;

    #[test]
    fn the_report_names_the_library_and_what_works() {
        let runtime = runtime();
        let report = doctor(&Locator::from_env(&|_| {}), Device::Cpu);
        let loaded = report.runtime.unwrap().unwrap();
        assert_eq!(&loaded.library, runtime.library());
        let cpu = loaded.providers.iter().find(|provider| provider.name == "CPUExecutionProvider").unwrap();
        assert_eq!(cpu.problem, None);
        assert!(loaded.build_info.contains("Build"), "{}", loaded.build_info);
        assert!(report.threads >= 1);
    }
}
