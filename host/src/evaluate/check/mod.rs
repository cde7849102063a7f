//! A physics check of a potential or property model: invariances, extensivity, and derivatives against differences. It
//! finds exports that run without an error and give wrong numbers, such as a sum over edges that overwrites instead of
//! adding.

mod batches;
mod change;
mod crystals;
mod derivatives;
mod golden;
mod invariance;
mod limits;
mod report;

use crate::crystal::Structure;
use crate::model::{CrystalOutputs, EvaluationError, ForceModel, ModelOutput, OnnxModel};

pub use crystals::Crystals;
pub use golden::{Golden, GoldenError, GoldenRow};
use report::Worst;
pub use report::{Check, ModelReport, Status};

/// A crystal and what it is called.
pub type Named = (String, Structure);

/// A model under check.
struct Subject<'a> {
    model: &'a OnnxModel,
    /// The crystals that the model can be asked about.
    crystals: Vec<Named>,
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
    crystals: Crystals,
    golden: Option<&Golden>,
) -> ModelReport {
    let mut report = ModelReport::new(model);
    let subject = Subject::new(model, crystals, &mut report);
    if subject.crystals.is_empty() {
        report.checks.push(Check::skipped("invariance", "", "no crystal is left to check on"));
    } else {
        report.checks.extend(invariance::checks(&subject));
        report.checks.extend(batches::checks(&subject));
    }
    report.checks.extend(limits::checks(&subject));
    report.checks.extend(derivatives::checks(&subject, forces));
    report.checks.extend(golden.into_iter().flat_map(|golden| golden::checks(model, golden)));
    report.set_aside.extend(golden.into_iter().flat_map(|golden| golden.set_aside.clone()));
    report.explain();
    report
}

impl<'a> Subject<'a> {
    fn new(model: &'a OnnxModel, crystals: Crystals, report: &mut ModelReport) -> Self {
        report.set_aside = crystals.set_aside;
        let mut subject = Self { model, crystals: Vec::new(), outputs: Vec::new() };
        let mut broken: Vec<String> = Vec::new();
        for (name, structure) in crystals.named {
            match alone(model, &structure) {
                Ok(outputs) if outputs.iter().flatten().all(|x| x.is_finite()) => {
                    subject.crystals.push((name, structure));
                    subject.outputs.push(outputs);
                }
                Ok(_) => broken.push(format!("{name}: not finite")),
                Err(failure @ EvaluationError::Failed(_)) => broken.push(format!("{name}: {failure}")),
                Err(failure) => report.set_aside.push(format!("{name}: {failure}")),
            }
        }
        report.crystals = subject.crystals.len();
        report.checks.push(Check::count("runs, and is finite", broken, "crystals"));
        subject
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
