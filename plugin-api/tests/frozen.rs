//! Sizes and places of all that crosses the boundary, which never change.
//!
//! The numbers follow from the definitions, in words of a pointer: a slice or `RStr` is where and how many (2); an `RVec` or
//! `RString` is where, how many, room for how many, and how to free it (4); an `RBox` is where and how to free it (2); a trait
//! object is an `RBox` and its functions (3).

use std::mem::{align_of, offset_of, size_of};

use temper_plugin_api::abi::{
    ABSTAIN, API_VERSION, Created, Evaluating, FAILED, HULL_CORRECTION, Instance, REWARD, ROOT_SYMBOL, RawBatch,
    RawInterface, RawOutcomes, RawPlugin, Root, VALUE,
};

const WORD: usize = size_of::<*const ()>();

macro_rules! places {
    ($type:ty: $($field:ident),+) => { [$(offset_of!($type, $field)),+].map(|place| place / WORD) };
}

#[test]
fn a_batch_is_eight_slices() {
    let places = places!(
        RawBatch<'static>: offsets, atomic_numbers, fractional, cartesian, lattices, space_groups, wyckoff_letters, energies
    );
    assert_eq!(places, [0, 2, 4, 6, 8, 10, 12, 14]);
    assert_eq!((size_of::<RawBatch<'_>>(), align_of::<RawBatch<'_>>()), (16 * WORD, WORD));
}

#[test]
fn outcomes_are_three_vectors() {
    assert_eq!(places!(RawOutcomes: values, statuses, reasons), [0, 4, 8]);
    assert_eq!((size_of::<RawOutcomes>(), align_of::<RawOutcomes>()), (12 * WORD, WORD));
    assert_eq!([VALUE, ABSTAIN, FAILED], [0, 1, 2]);
}

#[test]
fn interfaces_are_tables_behind_ids() {
    assert_eq!(places!(RawInterface: id, layout, table), [0, 2, 3]);
    assert_eq!((size_of::<RawInterface>(), align_of::<RawInterface>()), (4 * WORD, WORD));
    assert_eq!((size_of::<Evaluating>(), offset_of!(Evaluating, create)), (WORD, 0));
    assert_eq!(places!(Created: instance, properties), [0, 3]);
    assert_eq!((size_of::<Instance>(), size_of::<Created>()), (3 * WORD, 7 * WORD));
    assert_eq!([REWARD, HULL_CORRECTION], ["reward/1", "hull-correction/1"]);
}

#[test]
fn the_root_is_one_function() {
    assert_eq!((size_of::<Root>(), offset_of!(Root, plugin)), (WORD, 0));
    assert_eq!(places!(RawPlugin: descriptor, interfaces), [0, 4]);
    assert_eq!((size_of::<RawPlugin>(), align_of::<RawPlugin>()), (8 * WORD, WORD));
    assert_eq!(ROOT_SYMBOL, "temper_plugin_root");
    assert!(API_VERSION.starts_with("1."), "another major version has another page of numbers");
}
