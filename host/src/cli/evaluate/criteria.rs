//! What samples are judged by: files that are opened once.

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::Evaluate;
use super::properties::PropertyModels;
use super::protocol::{Settings, Used};
use super::twins::Twins;
use crate::cli::known::known_structures;
use crate::cli::score::open_hull;
use crate::cli::{Context, Failure, Search};
use crate::crystal::{SYMPREC, Structure, map_ok, symmetry};
use crate::matching::StructureIndex;
use crate::metrics::{AverageDistances, Tally};
use crate::model::OnnxModel;
use crate::reward::{Builtin, Failure as Failed, HullTerm, Sanity, Stability, Tables};

/// Known structures whose distributions are counted; of more, so many evenly spread.
const COUNTED: usize = 100_000;
/// Known structures that are held in memory at a time.
const CHUNK: usize = 4096;

/// What samples are judged by.
pub(super) struct Criteria {
    pub settings: Settings,
    /// SMACT's rule.
    pub neutrality: Builtin,
    pub known: Vec<StructureIndex>,
    /// What the known structures are like; `None` without any.
    pub tally: Option<Tally>,
    /// Their average minimum distances, if they are asked for.
    pub distances: Vec<AverageDistances>,
    pub judges: Vec<Judge>,
    pub properties: PropertyModels,
    pub twins: Twins,
}

/// A potential with its hull.
pub(super) struct Judge {
    /// The potential's name.
    pub name: String,
    /// Where the hull's entries come from.
    pub hull_source: String,
    /// The files, for the record.
    pub files: [PathBuf; 2],
    /// The correction's name.
    pub correction: String,
    term: HullTerm,
}

impl Criteria {
    pub fn open(evaluate: &Evaluate, settings: Settings, context: &Context) -> Result<Self, Failure> {
        let judges = judges(evaluate, context)?;
        let data = evaluate.reference.iter().chain(&evaluate.training);
        data.into_iter().try_for_each(|path| context.same_files_on_all_ranks(path))?;
        let known = evaluate.reference.iter().map(|path| known_structures(path, &settings.matcher, context));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        let (tally, distances) = described(&known, evaluate.amd, context)?;
        let tally = (!known.is_empty()).then_some(tally);
        let tables = if evaluate.smact == "2.2.1" { Tables::Smact2 } else { Tables::Smact3 };
        let twins = Twins::open(&evaluate.training, evaluate.property.as_deref(), &settings.matcher, context)?;
        let properties = PropertyModels::open(&evaluate.property_model, context)?;
        Ok(Self {
            settings,
            neutrality: Builtin::ChargeNeutral(tables),
            known,
            tally,
            distances,
            judges,
            properties,
            twins,
        })
    }

    /// What is used in place of what a protocol prescribes.
    pub fn used(&self, reference: &[PathBuf]) -> Used {
        let names = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let of_judges = |text: fn(&Judge) -> String| self.judges.iter().map(text).collect::<Vec<_>>().join("; ");
        Used {
            models: of_judges(|judge| judge.name.clone()),
            hulls: of_judges(|judge| judge.hull_source.clone()),
            judges: self.judges.len(),
            known: reference.iter().filter_map(names).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The pairs of `--model` and `--hull`, in order.
fn judges(evaluate: &Evaluate, context: &Context) -> Result<Vec<Judge>, Failure> {
    let (models, hulls, corrections) = (&evaluate.model, &evaluate.hull, &evaluate.correction);
    if models.len() != hulls.len() {
        let counts = format!("--model is given {} times and --hull {} times", models.len(), hulls.len());
        return Err(Failure::user(counts).hint("each potential is measured against a hull of its own, in their order"));
    }
    if corrections.len() > 1 && corrections.len() != models.len() {
        let counts = format!("--correction is given {} times for {} judges", corrections.len(), models.len());
        return Err(Failure::user(counts).hint("give it once for all judges, or once for each"));
    }
    let search = Search::new(None);
    let correction = |judge: usize| corrections.get(judge).or(corrections.first()).map_or("none", String::as_str);
    let pairs = models.iter().zip(hulls).enumerate();
    pairs
        .map(|(judge, (model, hull))| {
            let files = [search.find("--model", model)?, search.find("--hull", hull)?];
            Judge::open(files, correction(judge), context)
        })
        .collect()
}

impl Judge {
    fn open(files: [PathBuf; 2], correction: &str, context: &Context) -> Result<Self, Failure> {
        let model = Arc::new(context.open_model(&files[0])?);
        let term = open_hull(&files[1], &model, context.correction(correction)?, context)?;
        let name = model.contract().name.clone();
        let hull_source = term.hull().header().source.clone();
        Ok(Self { name, hull_source, files, correction: correction.to_owned(), term })
    }

    /// The potential.
    pub fn potential(&self) -> &Arc<OnnxModel> {
        self.term.potential()
    }

    /// Energies above hull, eV/atom, as a reward believes them; errors stay in their places.
    pub fn energies(&self, structures: Vec<Result<&Structure, String>>) -> Vec<Result<f64, String>> {
        let sanity = Sanity::default();
        map_ok(structures, |structures| {
            let believed = |row: Result<Stability, Failed>| sanity.believe(row?.above.e_above_hull);
            let rows = self.term.stabilities(&structures).into_iter();
            rows.map(|row| believed(row).map_err(|e| e.to_string())).collect()
        })
    }
}

/// What the known structures are like, and their average minimum distances if they are asked for.
fn described(
    known: &[StructureIndex],
    amd: bool,
    context: &Context,
) -> Result<(Tally, Vec<AverageDistances>), Failure> {
    let (mut tally, mut distances) = (Tally::default(), Vec::new());
    let share = COUNTED / known.len().max(1);
    let progress = context.progress("distributions", known.iter().map(|index| index.len().min(share) as u64).sum());
    for index in known {
        let mut structures = index.spread(share);
        loop {
            let chunk = structures.by_ref().take(CHUNK).collect::<Result<Vec<_>, _>>()?;
            if chunk.is_empty() {
                break;
            }
            progress.advance(chunk.len() as u64);
            let described = chunk.into_par_iter().filter_map(|reduced| {
                let structure = reduced.to_structure().ok()?;
                let group = symmetry(&structure, SYMPREC).ok().map(|found| found.group);
                let averages = if amd { AverageDistances::new(&structure).ok() } else { None };
                Some((structure, group, averages))
            });
            for (structure, group, averages) in described.collect::<Vec<_>>() {
                tally.add(&structure, group);
                distances.extend(averages);
            }
        }
    }
    Ok((tally, distances))
}
