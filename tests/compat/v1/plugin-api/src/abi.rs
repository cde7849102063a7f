//! What crosses the boundary between a plugin and its host, in memory that both lay out alike.
//!
//! Nothing here is for authors of plugins. Everything here is frozen with major version 1: [`Root`] never changes, and an
//! interface that is to look otherwise gets another id and a table of its own.

#![allow(unsafe_code, reason = "what abi_stable generates for a trait object that crosses the boundary")]
#![allow(non_local_definitions, reason = "an old macro of abi_stable")]
#![allow(non_camel_case_types, reason = "abi_stable's names for references to roots and for trait objects")]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RResult, RSlice, RStr, RString, RVec};
use abi_stable::type_layout::TypeLayout;

pub use abi_stable;
pub use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
pub use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError, RootModuleError};

/// Name of the symbol with a library's [`LibHeader`].
pub const ROOT_SYMBOL: &str = "temper_plugin_root";
/// Score a batch.
pub const REWARD: &str = "reward/1";
/// Correct the energies of a batch.
pub const HULL_CORRECTION: &str = "hull-correction/1";
/// The version of this crate.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The root of a plugin's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
pub struct Root {
    /// What the plugin is, or why its author's code would not say.
    #[sabi(last_prefix_field)]
    pub plugin: extern "C" fn() -> RResult<RawPlugin, RString>,
}

impl RootModule for Root_Ref {
    abi_stable::declare_root_module_statics! {Root_Ref}
    const BASE_NAME: &'static str = "temper_plugin";
    const NAME: &'static str = "temper_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// A plugin: its descriptor, and tables of functions by id.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawPlugin {
    /// A [`Descriptor`](crate::Descriptor) as JSON.
    pub descriptor: RString,
    /// What it offers.
    pub interfaces: RVec<RawInterface>,
}

/// A table of functions, with the layout by which the host judges it before it looks inside.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawInterface {
    /// Such as `reward/1`.
    pub id: RStr<'static>,
    /// Layout of the table behind the pointer.
    pub layout: &'static TypeLayout,
    /// The table: for `reward/1` and `hull-correction/1` an [`Evaluating`].
    pub table: *const (),
}

/// The table of `reward/1` and of `hull-correction/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Evaluating {
    /// Makes an instance from its config, a JSON object.
    pub create: extern "C" fn(config: RStr<'_>) -> RResult<Created, RString>,
}

/// A new instance.
#[repr(C)]
#[derive(StableAbi)]
pub struct Created {
    /// The instance.
    pub instance: Instance,
    /// Its [`Properties`](crate::Properties) as JSON: with this config they may differ from the descriptor's.
    pub properties: RString,
}

/// An instance of a reward or correction.
pub type Instance = Evaluator_TO<RBox<()>>;

/// Evaluates batches.
#[abi_stable::sabi_trait]
pub trait Evaluator: Send + Sync + 'static {
    /// One outcome per crystal, or the reason why the whole batch has none.
    fn evaluate(&self, batch: RawBatch<'_>) -> RResult<RawOutcomes, RString>;
}

/// The columns of a [`Batch`](crate::Batch).
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawBatch<'a> {
    /// n + 1 places where atoms begin.
    pub offsets: RSlice<'a, u64>,
    /// Per atom.
    pub atomic_numbers: RSlice<'a, u8>,
    /// Per atom.
    pub fractional: RSlice<'a, [f64; 3]>,
    /// Per atom, angstrom.
    pub cartesian: RSlice<'a, [f64; 3]>,
    /// Per crystal, angstrom.
    pub lattices: RSlice<'a, [[f64; 3]; 3]>,
    /// Per crystal, or none.
    pub space_groups: RSlice<'a, u8>,
    /// Per atom, or none.
    pub wyckoff_letters: RSlice<'a, u8>,
    /// Per crystal, eV, or none.
    pub energies: RSlice<'a, f64>,
}

/// Outcomes as columns.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct RawOutcomes {
    /// Per crystal; meaningless unless its status is [`VALUE`].
    pub values: RVec<f64>,
    /// Per crystal.
    pub statuses: RVec<u8>,
    /// Per crystal that failed, in their order.
    pub reasons: RVec<RString>,
}

/// Status of a crystal with a value.
pub const VALUE: u8 = 0;
/// Status of a crystal about which the plugin has nothing to say.
pub const ABSTAIN: u8 = 1;
/// Status of a crystal that failed.
pub const FAILED: u8 = 2;
