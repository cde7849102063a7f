//! The fake device, made once and kept in the folder of build products.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::shared;

/// A folder of fake libraries, and the CUDA build of ONNX Runtime.
pub struct FakeDevice {
    pub fakes: PathBuf,
    library: PathBuf,
}

/// Number of calls and bytes, by the name of the call.
pub type Report = BTreeMap<String, (u64, u64)>;

/// The device, or a line that says why there is none.
pub fn device() -> Option<&'static FakeDevice> {
    static DEVICE: OnceLock<Option<FakeDevice>> = OnceLock::new();
    DEVICE.get_or_init(|| made().inspect_err(|reason| println!("skipped: {reason}")).ok()).as_ref()
}

fn made() -> Result<FakeDevice, String> {
    let tools = shared().ok_or("no shared data, so no fake device")?.join("tools/fake-cuda");
    let present = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    for program in ["gcc", "readelf", "nm", "python3"] {
        present(program).then_some(()).ok_or(format!("no {program}, so no fake device"))?;
    }
    let products = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let cache = products.join("cuda-runtime");
    let mut setup = Command::new(env!("CARGO_BIN_EXE_temper"));
    setup.args(["setup", "--device", "cuda"]).env("TEMPER_CACHE_DIR", &cache);
    let fetched = setup.output().unwrap();
    if !fetched.status.success() {
        return Err(format!("no CUDA build of ONNX Runtime: {}", String::from_utf8_lossy(&fetched.stderr).trim()));
    }
    let file = |part: &str| -> PathBuf {
        let folders = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
        let files = folders.filter(|folder| folder.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let mut named = files.map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().contains(part));
        named.next().unwrap()
    };
    let fakes = products.join("fake-cuda");
    let age = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if age(&fakes.join("libcufft.so.12")) <= age(&tools.join("fakecuda.c")) {
        let provider = file("libonnxruntime_providers_cuda.so");
        let made = Command::new("python3").arg(tools.join("make_fakes.py")).arg(provider).arg(&fakes).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(FakeDevice { fakes, library: file("libonnxruntime.so") })
}

impl FakeDevice {
    /// Lets a command run on the device, and counts what it calls.
    pub fn run(&self, command: Command) -> (Output, Report) {
        self.run_with(command, &self.fakes)
    }

    /// As [`Self::run`], with another folder of libraries.
    pub fn run_with(&self, mut command: Command, fakes: &Path) -> (Output, Report) {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.txt");
        command.env("LD_LIBRARY_PATH", fakes).env("ORT_DYLIB_PATH", &self.library).env("FAKECUDA_GIB", "6");
        // Every number that comes from the device is the same in every run.
        command.env("FAKECUDA_FILL", "0").env("FAKECUDA_REPORT", &report);
        let output = command.output().unwrap();
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        (output, text.lines().filter_map(call).collect())
    }

    /// What a command calls, call by call, with the kernels that were launched before each.
    pub fn trace(&self, mut command: Command) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace.txt");
        command.env("FAKECUDA_TRACE", &file);
        let (output, _) = self.run(command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect()
    }

    /// `temper` on the device, from a folder.
    pub fn temper(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.current_dir(folder).args(arguments).args(["--device", "cuda", "--log", "onnxruntime=debug"]);
        self.run(command).0
    }
}

/// `call NAME n=NUMBER bytes=NUMBER`, or the most memory that was taken at a time, under the name `peak`.
fn call(line: &str) -> Option<(String, (u64, u64))> {
    if let Some((_, peak)) = line.strip_prefix("memory used=").and_then(|rest| rest.split_once(" peak=")) {
        return Some(("peak".to_owned(), (1, peak.parse().ok()?)));
    }
    let (rest, bytes) = line.strip_prefix("call ")?.rsplit_once(" bytes=")?;
    let (name, count) = rest.rsplit_once(" n=")?;
    Some((name.to_owned(), (count.parse().ok()?, bytes.parse().ok()?)))
}
