//! Stands between the author's code and the boundary: no panic and no error crosses it but as text.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::erased_types::TD_Opaque;
use abi_stable::library::RootModuleResult;
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::std_types::{RErr, ROk, RResult, RStr, RString};
use serde::de::DeserializeOwned;

use crate::abi::{Created, Evaluator, Evaluator_TO, RawBatch, RawOutcomes, RawPlugin, Root};
use crate::{Batch, HullCorrection, Outcome, Plugin, Properties, Result, Reward};

/// Runs an author's code; a panic is an error with its message.
fn guarded<T>(code: impl FnOnce() -> Result<T>) -> RResult<T, RString> {
    // The error's text is the author's code as well.
    match catch_unwind(AssertUnwindSafe(|| code().map_err(|error| chain(error.as_ref())))) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(reason)) => RErr(reason.into()),
        Err(payload) => RErr(format!("it panicked: {}", message(payload)).into()),
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What a panic said.
fn message(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // Dropping what somebody threw may panic again.
    std::mem::forget(payload);
    text.unwrap_or_else(|| "(something that is no text)".to_owned())
}

/// Keeps a panic in the author's `drop` from crossing the boundary.
struct Guarded<T>(ManuallyDrop<T>);

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        #[allow(unsafe_code, reason = "the value is dropped here once, and nobody can reach it afterwards")]
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: `drop` runs once, and the field is not touched after it.
            unsafe { ManuallyDrop::drop(&mut self.0) }
        }));
        if let Err(payload) = dropped {
            std::mem::forget(payload);
        }
    }
}

struct RewardInstance<T>(Guarded<T>);

impl<T: Reward> Evaluator for RewardInstance<T> {
    fn evaluate(&self, batch: RawBatch<'_>) -> RResult<RawOutcomes, RString> {
        let batch = Batch::of(batch);
        guarded(|| counted(self.0.0.score(&batch)?, &batch))
    }
}

struct CorrectionInstance<T>(Guarded<T>);

impl<T: HullCorrection> Evaluator for CorrectionInstance<T> {
    fn evaluate(&self, batch: RawBatch<'_>) -> RResult<RawOutcomes, RString> {
        let batch = Batch::of(batch);
        guarded(|| counted(self.0.0.correct(&batch)?, &batch))
    }
}

fn counted(outcomes: Vec<Outcome>, batch: &Batch<'_>) -> Result<RawOutcomes> {
    if outcomes.len() != batch.len() {
        return Err(format!("it gave {} outcomes for {} crystals", outcomes.len(), batch.len()).into());
    }
    Ok(RawOutcomes::pack(outcomes))
}

/// Reads a config; an absent one is an empty table, and none at all for a plugin whose config is `()`.
fn config<T: DeserializeOwned>(text: &str) -> Result<T> {
    let read = serde_json::from_str(text);
    let empty = || text.trim() == "{}";
    match read {
        Err(_) if empty() && serde_json::from_str::<T>("null").is_ok() => Ok(serde_json::from_str("null")?),
        read => read.map_err(|error| without_place(&error.to_string()).into()),
    }
}

/// The config crosses the boundary on one line of JSON that the user never saw.
fn without_place(text: &str) -> String {
    text.rsplit_once(" at line ").map_or(text, |(message, _)| message).to_owned()
}

fn created(properties: &Properties, instance: impl Evaluator) -> Result<Created> {
    let properties = serde_json::to_string(properties)?.into();
    Ok(Created { instance: Evaluator_TO::from_value(instance, TD_Opaque), properties })
}

pub(crate) extern "C" fn create_reward<T: Reward>(text: RStr<'_>) -> RResult<Created, RString> {
    guarded(|| {
        let reward = T::new(config(text.as_str())?)?;
        created(&reward.configured(), RewardInstance(Guarded(ManuallyDrop::new(reward))))
    })
}

pub(crate) extern "C" fn create_correction<T: HullCorrection>(text: RStr<'_>) -> RResult<Created, RString> {
    guarded(|| {
        let correction = T::new(config(text.as_str())?)?;
        created(&correction.configured(), CorrectionInstance(Guarded(ManuallyDrop::new(correction))))
    })
}

/// What [`export!`](crate::export) calls.
pub fn describe(plugin: fn() -> Plugin) -> RResult<RawPlugin, RString> {
    guarded(|| plugin().into_raw())
}

/// What [`export!`](crate::export) calls.
pub fn root(plugin: extern "C" fn() -> RResult<RawPlugin, RString>) -> RootModuleResult {
    let root = Root { plugin }.leak_into_prefix().to_prefix_ref();
    #[allow(unsafe_code, reason = "the header of the library needs its root without a type")]
    // SAFETY: the header is made for the same type of root, by which the host reads it.
    let erased = unsafe { root.cast() };
    ROk(erased)
}
