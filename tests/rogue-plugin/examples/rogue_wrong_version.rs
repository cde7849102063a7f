//! A plugin of the next major version.

#![allow(non_camel_case_types, reason = "abi_stable's name for references to roots")]

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::ROk;

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
pub struct Root {
    #[sabi(last_prefix_field)]
    pub everything: u32,
}

impl RootModule for Root_Ref {
    abi_stable::declare_root_module_statics! {Root_Ref}
    const BASE_NAME: &'static str = "temper_plugin";
    const NAME: &'static str = "temper_plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("2.0.0");
}

extern "C" fn root() -> RootModuleResult {
    let root = Root { everything: 42 }.leak_into_prefix().to_prefix_ref();
    // SAFETY: the header below is made for this type.
    ROk(unsafe { root.cast() })
}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named as the symbol is")]
// SAFETY: `root` returns the type that the header is made for.
pub static temper_plugin_root: LibHeader =
    unsafe { LibHeader::from_constructor::<Root_Ref>(root, CheckTypeLayout::Yes) };
