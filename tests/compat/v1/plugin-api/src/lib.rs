#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod abi;
mod batch;
mod descriptor;
#[doc(hidden)]
pub mod guard;
mod outcome;
mod plugin;

pub use batch::{Batch, Crystal, Crystals, Lattice};
pub use descriptor::{Descriptor, InterfaceDescriptor, Properties};
pub use outcome::Outcome;
pub use plugin::{HullCorrection, Plugin, Result, Reward};

/// Makes a library a plugin: `export!(plugin)`, where `fn plugin() -> Plugin` says what it offers. Once in a library, whose
/// crate is a `cdylib`. Panics of the author's code end here and reach the host as text.
#[macro_export]
macro_rules! export {
    ($plugin:path) => {
        const _: () = {
            // Names that the author's own will not have, for `$plugin` is looked up among them.
            extern "C" fn __temper_describe() -> $crate::abi::abi_stable::std_types::RResult<
                $crate::abi::RawPlugin,
                $crate::abi::abi_stable::std_types::RString,
            > {
                $crate::guard::describe($plugin)
            }

            extern "C" fn __temper_root() -> $crate::abi::abi_stable::library::RootModuleResult {
                $crate::guard::root(__temper_describe)
            }

            // The name is that of `abi::ROOT_SYMBOL`.
            #[allow(unsafe_code, reason = "a host finds a library's root under its plain name")]
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals, reason = "named as the symbol is")]
            // SAFETY: `__temper_root` returns a reference to the type of root that the header is made for.
            pub static temper_plugin_root: $crate::abi::LibHeader = unsafe {
                $crate::abi::LibHeader::from_constructor::<$crate::abi::Root_Ref>(
                    __temper_root,
                    $crate::abi::abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}
