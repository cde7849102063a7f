//! Opens a plugin's shared library, and checks it before any of its code is trusted.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use temper_plugin_api::abi::abi_stable::StableAbi;
use temper_plugin_api::abi::abi_stable::std_types::{RErr, ROk, RStr};
use temper_plugin_api::abi::{
    API_VERSION, AbiHeaderRef, Created, Evaluating, Instance, LibHeader, LibraryError, ROOT_SYMBOL, RawInterface,
    RawPlugin, Root_Ref, check_layout_compatibility,
};
use temper_plugin_api::{Batch, Descriptor, Outcome, Plugin, Properties};

use crate::hint::Hint;

/// A plugin in this process: a library's, or one that the binary carries.
pub struct PluginLibrary {
    descriptor: Descriptor,
    interfaces: Vec<RawInterface>,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system cannot load it.
    #[error("{}: not a shared library that can be loaded: {reason}", .path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// The dynamic linker's words.
        reason: String,
    },
    /// Some other library.
    #[error("{}: a shared library, but not a Temper plugin: it does not have the symbol `{ROOT_SYMBOL}`", .path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
    },
    /// Built with another abi_stable.
    #[error("{}: built with version {found} of abi_stable, this Temper with {ours}", .path.display())]
    AbiStable {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// Ours.
        ours: String,
    },
    /// Another major version of the interface.
    #[error("{}: built with version {found} of temper-plugin-api, this Temper speaks {API_VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Types that are laid out otherwise.
    #[error("{}: its memory layout of `{what}` is not that of temper-plugin-api {API_VERSION}: {difference}", .path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// The root or an interface.
        what: String,
        /// The first difference.
        difference: String,
    },
    /// The plugin's own code would not.
    #[error("{}: the plugin refuses to load: {reason}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Its reason.
        reason: String,
    },
    /// Other bytes than those that the run began with.
    #[error("{}: the library has changed since the run began", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A descriptor that cannot be read.
    #[error("{}: the plugin's descriptor cannot be read: {reason}", .path.display())]
    Descriptor {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Hint for LoadError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotALibrary { .. } => "build it for this machine, with every library that it needs in reach",
            Self::NoRoot { .. } => "a plugin calls temper_plugin_api::export!(plugin) and has crate-type cdylib",
            Self::AbiStable { .. } | Self::Version { .. } => {
                "build it again with the temper-plugin-api of this Temper, or take a Temper of the same major version"
            }
            Self::Layout { .. } => "build it again with an unchanged temper-plugin-api from its registry",
            Self::Changed { .. } => "put the old one back, or start another run",
            Self::Refused { .. } | Self::Descriptor { .. } => "ask its author",
        };
        vec![hint.to_owned()]
    }
}

impl PluginLibrary {
    /// Opens a library in this process, for good: libraries are never unloaded. Its code runs here, so whatever it
    /// does wrong hits this process; strangers are opened in a worker.
    ///
    /// # Errors
    /// Any [`LoadError`].
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let header = header(path)?;
        let found = header.version_strings().version.as_str();
        if found.split('.').next() != API_VERSION.split('.').next() {
            return Err(LoadError::Version { path: path.to_owned(), found: found.to_owned() });
        }
        let root = header.check_layout::<Root_Ref>().map_err(|error| refused(path, error))?;
        match root.plugin()() {
            ROk(raw) => Self::from_raw(path, raw),
            RErr(reason) => Err(LoadError::Refused { path: path.to_owned(), reason: reason.into() }),
        }
    }

    /// A plugin that this program was linked with.
    ///
    /// # Errors
    /// [`LoadError::Descriptor`].
    pub fn of(plugin: fn() -> Plugin) -> Result<Self, LoadError> {
        let path = Path::new("(carried by the program)");
        let raw = plugin().into_raw();
        Self::from_raw(path, raw.map_err(|e| LoadError::Descriptor { path: path.to_owned(), reason: e.to_string() })?)
    }

    fn from_raw(path: &Path, raw: RawPlugin) -> Result<Self, LoadError> {
        let descriptor: Descriptor = serde_json::from_str(raw.descriptor.as_str())
            .map_err(|e| LoadError::Descriptor { path: path.to_owned(), reason: e.to_string() })?;
        let interfaces: Vec<RawInterface> = raw.interfaces.into();
        for interface in interfaces.iter().filter(|interface| is_known(interface.id.as_str())) {
            check_layout_compatibility(Evaluating::LAYOUT, interface.layout).map_err(|error| LoadError::Layout {
                path: path.to_owned(),
                what: interface.id.to_string(),
                difference: first_difference(&error.to_string()),
            })?;
        }
        Ok(Self { descriptor, interfaces })
    }

    /// What it says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// An instance of the interface `id`.
    ///
    /// # Errors
    /// The plugin's own reason, or that it has no such interface.
    pub(super) fn create(&self, id: &str, config: &Map<String, Value>) -> Result<PluginInstance, String> {
        let found = self.interfaces.iter().find(|interface| interface.id.as_str() == id && is_known(id));
        let interface = found.ok_or_else(|| self.lacks(id))?;
        #[allow(unsafe_code, reason = "the table of an interface comes without its type")]
        // SAFETY: the layout that came with the pointer was compared with that of `Evaluating` when the library was opened, and
        // tables live as long as their library, which is never unloaded.
        let table = unsafe { &*interface.table.cast::<Evaluating>() };
        let config = serde_json::to_string(config).map_err(|e| e.to_string())?;
        match (table.create)(RStr::from_str(&config)) {
            ROk(Created { instance, properties }) => {
                let properties = serde_json::from_str(properties.as_str());
                let properties = properties.map_err(|e| format!("its properties cannot be read: {e}"))?;
                Ok(PluginInstance { instance, properties })
            }
            RErr(reason) => Err(reason.into()),
        }
    }

    fn lacks(&self, id: &str) -> String {
        let offered: Vec<&str> = self.interfaces.iter().map(|interface| interface.id.as_str()).collect();
        format!("{} offers {}, and no {id}", self.descriptor.name, offered.join(" and "))
    }
}

/// An instance of an interface in this process.
pub(super) struct PluginInstance {
    instance: Instance,
    properties: Properties,
}

impl PluginInstance {
    /// What its author claims about it with its config.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// One outcome per crystal, or why the batch has none; the second part says whether the plugin's answer makes no sense.
    pub fn evaluate(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>, EvaluateError> {
        match self.instance.evaluate(batch.raw()) {
            ROk(outcomes) => outcomes.unpack(batch.len()).map_err(EvaluateError::Invalid),
            RErr(reason) => Err(EvaluateError::Plugin(reason.into())),
        }
    }
}

/// Why a batch has no outcomes.
pub(super) enum EvaluateError {
    /// The plugin's reason.
    Plugin(String),
    /// Outcomes that do not fit the batch.
    Invalid(String),
}

fn is_known(id: &str) -> bool {
    [super::REWARD, super::HULL_CORRECTION].contains(&id)
}

/// The header of a library, which stays open.
fn header(path: &Path) -> Result<&'static LibHeader, LoadError> {
    // Without a slash the linker would search its own folders.
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    #[allow(unsafe_code, reason = "opening a library runs its initialisers")]
    // SAFETY: nothing can be known about a stranger's initialisers; who asks for a plugin in this process trusts them.
    let library = unsafe { open(&full) }
        .map_err(|error| LoadError::NotALibrary { path: path.to_owned(), reason: cause(&error) })?;
    let library = Box::leak(Box::new(library));
    #[allow(unsafe_code, reason = "a symbol has no type")]
    // SAFETY: plugins export the address of a `LibHeader` under this name, which begins with the `AbiHeader` that is read first;
    // `upgrade` looks no further unless its magic text and version are right.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL) }.map_err(|_| LoadError::NoRoot { path: path.to_owned() })?;
    header.upgrade().map_err(|error| refused(path, error))
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "passes the caller's promise on")]
/// # Safety
/// As `libloading::Library::new`.
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // All symbols now: one that is missing is an error here, not an abort in the middle of a run.
    // SAFETY: the caller's promise.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
#[allow(unsafe_code, reason = "passes the caller's promise on")]
/// # Safety
/// As `libloading::Library::new`.
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller's promise.
    unsafe { libloading::Library::new(path) }
}

/// The innermost cause of an error.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn refused(path: &Path, error: LibraryError) -> LoadError {
    let path = path.to_owned();
    match error {
        LibraryError::InvalidAbiHeader(found) => {
            let ours = temper_plugin_api::abi::abi_stable::library::AbiHeader::VALUE;
            let shown = |major: u32, minor: u32| format!("{major}.{minor}");
            let found = shown(found.abi_major, found.abi_minor);
            LoadError::AbiStable { path, found, ours: shown(ours.abi_major, ours.abi_minor) }
        }
        LibraryError::AbiInstability(error) => {
            LoadError::Layout { path, what: "root".into(), difference: first_difference(&error.to_string()) }
        }
        LibraryError::InvalidCAbi { .. } => {
            let difference = "arguments are passed otherwise".to_owned();
            LoadError::Layout { path, what: "C ABI".into(), difference }
        }
        other => {
            LoadError::Refused { path, reason: other.to_string().split_whitespace().collect::<Vec<_>>().join(" ") }
        }
    }
}

/// Of abi_stable's many pages on how two types differ, the type and the first difference.
fn first_difference(pages: &str) -> String {
    let after = |pages: &str, mark: &str| pages.split_once(mark).map(|(_, rest)| rest.to_owned());
    let line = |text: String| text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("?").to_owned();
    let found = after(pages, "\nError:").map(|error| {
        let (what, expected) = (line(error.clone()), after(&error, "Expected:").map_or_else(|| "?".into(), line));
        let found = after(&error, "Found:").map_or_else(|| "?".into(), line);
        format!("{what}, expected {expected}, found {found}")
    });
    let place = after(pages, "Layout of expected type:").and_then(|rest| after(&rest, "type:")).map(line);
    let place = place.map_or_else(String::new, |place| format!("{place}: "));
    found.map_or_else(|| "the types differ".to_owned(), |found| format!("{place}{found}"))
}
