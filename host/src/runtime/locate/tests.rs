//! The locator against programs that stand in for Python, pip and uv.

use std::io::Write;
use std::process::{Command, Stdio};

use super::wheel::{Member, VERSION};
use super::*;
use crate::hint::Hint;

/// A folder with programs, a wheel that holds one member, and a cache.
struct Machine {
    root: tempfile::TempDir,
    sha256: String,
    member_sha256: String,
}

const CONTENT: &[u8] = b"as good as a library";
const WHEEL: &str = "fake.whl";

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("bin")).unwrap();
        let wheel = root.path().join(WHEEL);
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&wheel).unwrap());
        archive.start_file("onnxruntime/capi/liblibrary.so", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(CONTENT).unwrap();
        archive.finish().unwrap();
        let member = root.path().join("member");
        std::fs::write(&member, CONTENT).unwrap();
        let (sha256, member_sha256) = (archive::sha256(&wheel).unwrap(), archive::sha256(&member).unwrap());
        Self { root, sha256, member_sha256 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a program. Another process writes the file: were it open here while another test starts a program, that program's
    /// process would hold it open for a moment, and the system would refuse to run it.
    fn program(&self, name: &str, script: &str) {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "/bin/cat > \"$0\" && /bin/chmod +x \"$0\""])
            .arg(self.path("bin").join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
    }

    /// A pip that copies the wheel where it should, and notes that it was called.
    fn pip(&self) -> String {
        format!(
            "case \"$*\" in *download*) ;; *) exit 1;; esac\n\
             echo called >> '{log}'\n\
             while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n\
             /bin/cp '{wheel}' \"$dest/{WHEEL}\"",
            log = self.path("log").display(),
            wheel = self.path(WHEEL).display()
        )
    }

    fn calls(&self) -> usize {
        std::fs::read_to_string(self.path("log")).map_or(0, |log| log.lines().count())
    }

    fn install(&self, announce: &dyn Fn(&str)) -> Result<Library, LocateError> {
        let members = [Member { file: "liblibrary.so", bytes: CONTENT.len() as u64, sha256: &self.member_sha256 }];
        let wheel = Wheel {
            os: "here",
            arch: "any",
            build: Build::Cpu,
            package: "onnxruntime",
            version: VERSION,
            inside: "onnxruntime/capi",
            platform: "any",
            file: WHEEL,
            bytes: 19_000_000,
            sha256: &self.sha256,
            members: &members,
        };
        self.locator(announce).install_wheel(&wheel)
    }

    fn locator<'a>(&self, announce: &'a dyn Fn(&str)) -> Locator<'a> {
        Locator {
            dylib: None,
            cache: Some(self.path("cache")),
            bundled: None,
            search: self.path("bin").into_os_string(),
            announce,
        }
    }
}

fn silent(_: &str) {}

#[test]
fn a_wheel_is_fetched_once_and_said_in_one_line() {
    let machine = Machine::new();
    machine.program("python3", &machine.pip());
    let said = std::cell::RefCell::new(Vec::new());
    let say = |line: &str| said.borrow_mut().push(line.to_owned());
    let library = machine.install(&say).unwrap();
    assert_eq!(std::fs::read(&library.path).unwrap(), CONTENT);
    assert_eq!(machine.install(&say).unwrap(), library);
    assert_eq!(machine.calls(), 1);
    let folder = library.path.parent().unwrap();
    assert_eq!(*said.borrow(), [format!("fetching ONNX Runtime {VERSION} (19 MB) into {}", folder.display())]);
    let mut left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["liblibrary.so", "lock"]);
}

#[test]
fn a_spoilt_file_in_the_cache_is_fetched_again() {
    let machine = Machine::new();
    machine.program("pip3", &machine.pip());
    let library = machine.install(&silent).unwrap();
    for (call, spoilt) in [&b"as evil as a library"[..], b"as good"].into_iter().enumerate() {
        std::fs::write(&library.path, spoilt).unwrap();
        machine.install(&silent).unwrap();
        assert_eq!(std::fs::read(&library.path).unwrap(), CONTENT);
        assert_eq!(machine.calls(), call + 2);
    }
}

#[test]
fn those_who_come_together_fetch_once() {
    let machine = Machine::new();
    machine.program("pip", &machine.pip());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| machine.install(&silent).unwrap());
        }
    });
    assert_eq!(machine.calls(), 1);
}

#[test]
fn another_wheel_than_the_pinned_one_is_refused() {
    let mut machine = Machine::new();
    machine.program("python3", &machine.pip());
    machine.program("uv", &format!("echo called >> '{}'", machine.path("log").display()));
    let right = std::mem::replace(&mut machine.sha256, "0".repeat(64));
    let error = machine.install(&silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the fetched `fake.whl` is not the pinned file: its SHA-256 is {right}, expected {}", "0".repeat(64))
    );
    assert!(error.hints()[0].contains("package index"));
    assert_eq!(machine.calls(), 1, "uv would be given the same wheel");
    machine.sha256 = right;
    machine.member_sha256 = "0".repeat(64);
    assert!(matches!(machine.install(&silent), Err(LocateError::Hash { file, .. }) if file == "liblibrary.so"));
}

#[test]
fn without_pip_and_uv_the_advice_names_them() {
    let machine = Machine::new();
    for script in [None, Some("echo '/usr/bin/python3: No module named pip' >&2; exit 1")] {
        if let Some(script) = script {
            machine.program("python3", script);
        }
        let error = machine.install(&silent).unwrap_err();
        assert!(matches!(error, LocateError::NoInstaller), "{error}");
        assert!(error.hints()[0].starts_with("install pip (`python3 -m ensurepip`) or uv, or set ORT_DYLIB_PATH"));
    }
}

#[test]
fn without_a_network_the_advice_is_another() {
    let machine = Machine::new();
    let script = "cat >&2 <<'END'\n\
        WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: Failed to establish a new connection'\n\
        ERROR: Could not find a version that satisfies the requirement onnxruntime==1.28.0 (from versions: none)\n\
        ERROR: No matching distribution found for onnxruntime==1.28.0\nEND\nexit 1";
    machine.program("python3", &script.replace("cat", "/bin/cat"));
    let error = machine.install(&silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no ONNX Runtime library was found, and fetching it with python3 -m pip failed because there is no network: \
         WARNING: Retrying (Retry(total=0)) after connection broken by \
         'NewConnectionError: Failed to establish a new connection'"
    );
    assert!(error.hints()[0].starts_with("run `temper setup` where there is a network"));
    let index = "echo 'ERROR: No matching distribution found for onnxruntime==1.28.0' >&2; exit 1";
    machine.program("python3", index);
    let error = machine.install(&silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no ONNX Runtime library was found, and python3 -m pip could not fetch it: \
         ERROR: No matching distribution found for onnxruntime==1.28.0"
    );
}

#[test]
fn uv_serves_where_pip_is_missing_or_fails() {
    let machine = Machine::new();
    machine.program(
        "uv",
        &format!(
            "while [ $# -gt 0 ]; do [ \"$1\" = --target ] && site=$2; shift; done\n\
             /bin/mkdir -p \"$site/onnxruntime/capi\"\n\
             /bin/cp '{}' \"$site/onnxruntime/capi/liblibrary.so\"",
            machine.path("member").display()
        ),
    );
    let library = machine.install(&silent).unwrap();
    machine.program("python3", "echo broken >&2; exit 1");
    std::fs::remove_file(&library.path).unwrap();
    machine.install(&silent).unwrap();
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_with_its_path() {
    let machine = Machine::new();
    machine.program("python3", &machine.pip());
    std::fs::write(machine.path("cache"), "a file").unwrap();
    let error = machine.install(&silent).unwrap_err();
    assert!(matches!(&error, LocateError::Cache { path, .. } if path.starts_with(machine.path("cache"))), "{error}");
}

#[test]
fn the_users_variable_comes_first() {
    let machine = Machine::new();
    let locator = Locator { dylib: Some(machine.path("member")), ..machine.locator(&silent) };
    let found = locator.locate(Device::Cpu).unwrap();
    assert_eq!(found, Library { path: machine.path("member"), found: Found::Variable });
    assert_eq!(found.version(), None);
    std::fs::write(machine.path("libonnxruntime.so.1.25.1"), "").unwrap();
    std::os::unix::fs::symlink("libonnxruntime.so.1.25.1", machine.path("libonnxruntime.so")).unwrap();
    let locator = Locator { dylib: Some(machine.path("libonnxruntime.so")), ..machine.locator(&silent) };
    assert_eq!(locator.locate(Device::Cpu).unwrap().version().as_deref(), Some("1.25.1"));
    let locator = Locator { dylib: Some(machine.path("nothing.so")), ..machine.locator(&silent) };
    let error = locator.locate(Device::Cpu).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("ORT_DYLIB_PATH names `{}`, which is not a file", machine.path("nothing.so").display())
    );
}

#[test]
fn an_installed_package_is_used_if_it_is_new_enough() {
    let machine = Machine::new();
    let capi = machine.path("site/capi");
    std::fs::create_dir_all(&capi).unwrap();
    std::fs::write(capi.join("libonnxruntime_providers_shared.so"), "").unwrap();
    std::fs::write(capi.join("libonnxruntime.so.1.30.0"), "").unwrap();
    let site = machine.path("site");
    let find = |version: &str, device| {
        machine.program("python3", &format!("echo '{}'; echo {version}", site.display()));
        machine.locator(&silent).find(device).unwrap()
    };
    let found = Found::Python { version: "1.30.0".into() };
    assert_eq!(find("1.30.0", Device::Auto), Some(Library { path: capi.join("libonnxruntime.so.1.30.0"), found }));
    assert_eq!(find("1.23.2", Device::Auto), None);
    assert_eq!(find("2.0", Device::Auto), None);
    assert_eq!(find("1.30.0", Device::Cuda(0)), None);
    std::fs::write(capi.join("libonnxruntime_providers_cuda.so"), "").unwrap();
    assert!(find("1.30.0", Device::Cuda(0)).is_some());
}

/// Needs the package index: it is asked only where the machine says so, since it fetches 19 MB.
#[test]
fn the_pinned_wheel_is_what_the_index_gives() {
    if std::env::var_os("TEMPER_TEST_FETCH").is_none() {
        println!("skipped: set TEMPER_TEST_FETCH to fetch the pinned wheel from the package index");
        return;
    }
    let machine = Machine::new();
    let locator = Locator { search: std::env::var_os("PATH").unwrap(), ..machine.locator(&silent) };
    let Setup::Fetched(library) = locator.setup(Device::Cpu).unwrap() else { panic!("the cache was empty") };
    assert_eq!(locator.setup(Device::Cpu).unwrap(), Setup::Present(library.clone()));
    assert_eq!(locator.find(Device::Auto).unwrap(), Some(library));
}

#[test]
fn libraries_of_cuda_count_only_if_all_are_whole() {
    let cache = tempfile::tempdir().unwrap();
    assert!(cuda_libraries(cache.path()).is_empty());
    for wheel in wheel::cuda_libraries() {
        let folder = cache::folder(cache.path(), wheel);
        std::fs::create_dir_all(&folder).unwrap();
        for member in wheel.members {
            // Of the right length, but not the pinned file.
            std::fs::File::create(folder.join(member.file))
                .unwrap()
                .set_len(if member.bytes < 1 << 20 { member.bytes } else { 1 })
                .unwrap();
        }
    }
    assert!(cuda_libraries(cache.path()).is_empty());
}
