//! A physics check of a potential or property model: invariances, extensivity, and derivatives against differences. It
//! finds exports that run without an error and give wrong numbers, such as a sum over edges that overwrites instead of
//! adding.

mod batches;
mod change;
pub(super) mod crystals;
mod cutoff;
mod derivatives;
mod golden;
mod invariance;
mod limits;
mod quick;
mod report;
mod scale;

use crate::conformance::{CheckCrystals, CheckResult, NamedCrystal};
use crate::crystal::Structure;
use crate::model::{CrystalOutputs, EvaluationError, ForceModel, ModelOutput, OnnxModel};

pub use crystals::textbook_crystals;
pub use golden::{Golden, GoldenError, GoldenRow};
pub(super) use quick::check_until;
pub use quick::{QuickCheck, check_quickly};
use report::LargestDeviation;
pub use report::ModelReport;

/// A model under check.
struct ModelUnderTest<'a> {
    model: &'a OnnxModel,
    /// The crystals that the model can be asked about.
    crystals: Vec<NamedCrystal>,
    /// Their outputs, each evaluated alone.
    outputs: Vec<CrystalOutputs>,
}

/// Checks a model on crystals, and against known values where they are given.
///
/// Crystals that the model cannot be asked about (an element it does not know, an atom without neighbours) are set aside and
/// listed in the report. `forces` is the same model with the forces and the stress that its file lacks, or why there are none.
pub fn check_model(
    model: &OnnxModel,
    forces: Result<&ForceModel, &str>,
    crystals: CheckCrystals,
    golden: Option<&Golden>,
) -> ModelReport {
    let mut report = ModelReport::new();
    let tested = ModelUnderTest::new(model, crystals, &mut report);
    if tested.crystals.is_empty() {
        report.checks.push(CheckResult::skipped("invariance", "no crystal is left to check on"));
    } else {
        report.checks.extend(invariance::checks(&tested));
        report.checks.extend(batches::checks(&tested));
        report.checks.extend(cutoff::checks(&tested));
    }
    report.checks.extend(limits::checks(&tested));
    report.checks.extend(derivatives::checks(&tested, forces));
    report.checks.extend(scale::checks(&tested));
    report.checks.extend(golden.into_iter().flat_map(|golden| golden::checks(model, golden)));
    report.set_aside.extend(golden.into_iter().flat_map(|golden| golden.set_aside.clone()));
    report.explain(model);
    report
}

impl<'a> ModelUnderTest<'a> {
    fn new(model: &'a OnnxModel, crystals: CheckCrystals, report: &mut ModelReport) -> Self {
        report.set_aside = crystals.set_aside;
        let mut tested = Self { model, crystals: Vec::new(), outputs: Vec::new() };
        let mut broken: Vec<String> = Vec::new();
        for (name, structure) in crystals.named {
            match alone(model, &structure) {
                Ok(outputs) if outputs.iter().flatten().all(|x| x.is_finite()) => {
                    tested.crystals.push((name, structure));
                    tested.outputs.push(outputs);
                }
                Ok(_) => broken.push(format!("{name}: not finite")),
                Err(failure) if failure.is_of_the_model() => broken.push(format!("{name}: {failure}")),
                Err(failure) => report.set_aside.push(format!("{name}: {failure}")),
            }
        }
        report.crystals = tested.crystals.len();
        report.checks.push(CheckResult::count("runs, and is finite", &broken, "crystals"));
        tested
    }

    /// The outputs of the contract.
    fn ports(&self) -> &'a [ModelOutput] {
        &self.model.contract().outputs
    }
}

/// Every output for one crystal, in a batch of its own.
fn alone(model: &OnnxModel, structure: &Structure) -> Result<CrystalOutputs, EvaluationError> {
    let mut rows = model.evaluate_single_batch(&[structure], None)?;
    rows.pop().ok_or_else(|| EvaluationError::Failed("it gives nothing for one crystal".into()))
}
