//! `temper bundle`: all that a machine without a network needs, in one archive.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Exit, Failure, Output, Progress, Search};
use crate::runtime::{Device, Locator, Setup as Done};

/// The models that ship.
const MODELS: [&str; 6] =
    ["band-gap", "chgnet-0.3.0", "crystalformer-small", "crystalformer-small-chgnet", "eps-total", "hulls"];
/// The folder that an archive unpacks to.
const FOLDER: &str = "temper-offline";

/// Pack this program, ONNX Runtime and the models that ship, for machines without a network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper bundle -o temper-offline.tar --device cuda\n\n\
    Unpacked anywhere, temper-offline/temper runs: it looks for ONNX Runtime and models beside itself. With --device cuda the \
    CUDA build is packed, with NVIDIA's libraries of CUDA 13 (483 MB), but not the driver. The other machine needs the same kind \
    of processor, and a C library that is not older.")]
pub struct Bundle {
    /// The archive: .tar or .tar.gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

/// A file of the archive.
struct Packed {
    from: PathBuf,
    /// Inside the archive's folder.
    to: PathBuf,
    bytes: u64,
}

impl Bundle {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.check()?;
        let files = files(context)?;
        let total = files.iter().map(|file| file.bytes).sum();
        let mut output = Output::create(&self.out)?;
        let progress = context.progress("bytes", total);
        let packed = pack(&files, &mut output, &progress);
        packed.map_err(|error| Failure::from_error(Exit::Write, &error).about(self.out.display()))?;
        drop(progress);
        output.finish()?;
        context.say(&format!("{} files, {} MB: {}", files.len(), total / 1_000_000, self.out.display()));
        Ok(())
    }

    /// The ending says whether the archive is compressed.
    fn check(&self) -> Result<(), Failure> {
        let name = self.out.to_string_lossy();
        match name == "-" || name.ends_with(".tar") || name.ends_with(".tar.gz") {
            true => Ok(()),
            false => Err(Failure::user(format!("{name}: archives are .tar or .tar.gz"))),
        }
    }
}

/// The program, its libraries and the models.
fn files(context: &Context) -> Result<Vec<Packed>, Failure> {
    let unreadable = |error: io::Error| Failure::user(format!("this program cannot be read: {error}"));
    let mut files = vec![packed(std::env::current_exe().map_err(unreadable)?, "temper".into())?];
    for library in libraries(context)? {
        // As they lie in the cache, where each file is known by its folder.
        let folder = library.parent().unwrap_or(Path::new(""));
        let name = Path::new("cache").join(folder.file_name().unwrap_or_default());
        files.extend(folder_of(folder, &name)?);
    }
    let search = Search::new(None);
    for model in MODELS {
        let name = Path::new("models").join(model);
        files.extend(folder_of(&search.find("the bundle", &name)?, &name)?);
    }
    files.sort_by(|a, b| a.to.cmp(&b.to));
    files.dedup_by(|a, b| a.to == b.to);
    Ok(files)
}

/// The library of ONNX Runtime for the device, fetched if need be, and those of CUDA if it is one.
fn libraries(context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let announce = |line: &str| context.say(line);
    let (locator, device) = (Locator::from_env(&announce), context.device()?);
    let (Done::Present(library) | Done::Fetched(library)) = locator.setup(device)?;
    let mut libraries = vec![library.path];
    if matches!(device, Device::Cuda(_)) {
        libraries.extend(locator.setup_cuda_libraries()?);
    }
    Ok(libraries)
}

/// The files of a folder and of the folders in it.
fn folder_of(folder: &Path, name: &Path) -> Result<Vec<Packed>, Failure> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(|error| Failure::user(format!("{}: {error}", folder.display())))? {
        if is_passing(&entry.file_name()) {
            continue;
        }
        let to = name.join(entry.file_name());
        match entry.path().is_dir() {
            true => files.extend(folder_of(&entry.path(), &to)?),
            false => files.push(packed(entry.path(), to)?),
        }
    }
    Ok(files)
}

/// Whether an entry of the cache is there only while libraries are fetched: the lock, or a process's scratch folder.
fn is_passing(name: &OsStr) -> bool {
    name == "lock" || name.as_encoded_bytes().starts_with(b".")
}

fn packed(from: PathBuf, to: PathBuf) -> Result<Packed, Failure> {
    let bytes = std::fs::metadata(&from).map_err(|error| Failure::user(format!("{}: {error}", from.display())))?.len();
    Ok(Packed { from, to, bytes })
}

fn pack(files: &[Packed], output: &mut Output, progress: &Progress) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    for Packed { from, to, bytes } in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(*bytes);
        header.set_mode(if to == Path::new("temper") { 0o755 } else { 0o644 });
        let file = std::fs::File::open(from)?.take(*bytes);
        archive.append_data(&mut header, Path::new(FOLDER).join(to), file)?;
        progress.advance(*bytes);
    }
    archive.finish()
}
