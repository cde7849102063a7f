//! An instance of a plugin's interface, wherever it runs, and its evaluation of rows.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::library::{EvaluateError, PluginInstance};
use super::message::{Answer, Hello};
use super::pool::WorkerPool;
use super::start::StartError;
use super::{
    Crystals, Descriptor, InterfaceDescriptor, LoadError, Outcome, PluginError, PluginLibrary, Properties, Supervision,
    WorkerCommand, columns,
};
use crate::crystal::{SYMPREC, Structure, symmetry};
use crate::hint::Hint;
use crate::worker::quotable;

/// Most crystals of one batch in a worker: a bound on memory, and on what one failure takes with it.
const LARGEST_BATCH: usize = 4096;
/// Crystals of one batch in this process, where batches are shared among threads.
const SMALL_BATCH: usize = 256;

/// Taken by calls in this process of plugins that are not safe for threads: two of them may rest on the same library.
static TURN: Mutex<()> = Mutex::new(());

/// An instance of a plugin's interface with its config.
pub struct Evaluator {
    name: String,
    interface: InterfaceDescriptor,
    backend: Backend,
}

enum Backend {
    /// Calls, one at a time unless the plugin is safe for threads.
    InProcess {
        instance: PluginInstance,
        one_at_a_time: bool,
    },
    Workers(WorkerPool),
}

/// Why a plugin cannot be used for a term.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is none.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The plugin's own reason: mostly what it thinks of its config.
    #[error("{name}: {reason}")]
    Refused {
        /// The plugin or program.
        name: String,
        /// Its reason.
        reason: String,
        /// What to do about it.
        advice: Option<String>,
    },
    /// The worker did not come to its greeting.
    #[error("{name}: {reason}")]
    Start {
        /// The plugin or program.
        name: String,
        /// What happened.
        reason: String,
    },
    /// Another interface is wanted.
    #[error("{name} offers {}, and no {wanted}", .offered.join(" and "))]
    Interface {
        /// The plugin.
        name: String,
        /// What it has.
        offered: Vec<String>,
        /// What is asked for.
        wanted: String,
    },
}

impl Hint for OpenError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Load(error) => error.hints(),
            Self::Refused { advice, .. } => advice.iter().cloned().collect(),
            Self::Start { .. } | Self::Interface { .. } => Vec::new(),
        }
    }
}

impl Evaluator {
    /// An instance in this process.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn in_process(
        library: &PluginLibrary,
        interface: &str,
        config: &Map<String, Value>,
    ) -> Result<Self, OpenError> {
        let descriptor = library.descriptor();
        let mut offered = offered(descriptor, interface)?;
        let refused = |reason| OpenError::Refused { name: descriptor.name.clone(), reason, advice: None };
        let instance = library.create(interface, config).map_err(refused)?;
        offered.properties.clone_from(instance.properties());
        let one_at_a_time = !offered.properties.thread_safe;
        Ok(Self {
            name: descriptor.name.clone(),
            interface: offered,
            backend: Backend::InProcess { instance, one_at_a_time },
        })
    }

    /// An instance in every worker; `name` is what messages call it until it has greeted.
    ///
    /// # Errors
    /// [`OpenError`], when the first worker does not greet as it should.
    pub fn in_workers(
        name: &str,
        command: WorkerCommand,
        interface: &str,
        config: &Map<String, Value>,
        supervision: Supervision,
    ) -> Result<Self, OpenError> {
        let hello = Hello { interface: interface.to_owned(), config: config.clone() };
        let (pool, descriptor) = WorkerPool::start(command, hello, supervision).map_err(|error| match error {
            StartError::Refused(reason, advice) => OpenError::Refused { name: name.to_owned(), reason, advice },
            error => OpenError::Start { name: name.to_owned(), reason: error.to_string() },
        })?;
        let interface = offered(&descriptor, interface)?;
        Ok(Self { name: descriptor.name, interface, backend: Backend::Workers(pool) })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs in processes of its own.
    pub fn is_out_of_process(&self) -> bool {
        matches!(self.backend, Backend::Workers(_))
    }

    /// What its author claims.
    pub fn properties(&self) -> &Properties {
        &self.interface.properties
    }

    /// The values that its author claims.
    pub fn range(&self) -> [f64; 2] {
        let [least, greatest] = self.properties().range;
        [least.unwrap_or(f64::NEG_INFINITY), greatest.unwrap_or(f64::INFINITY)]
    }

    /// One value per structure (`None`: the plugin abstains), or why there is none. `energies` in eV per cell, NaN where one is
    /// not known. Batches are cut into pieces; what goes wrong with a piece fails its rows alone.
    pub fn evaluate(
        &self,
        structures: &[&Structure],
        energies: Option<&[f64]>,
    ) -> Vec<Result<Option<f64>, PluginError>> {
        let unknown: Vec<Option<u8>> = structures.iter().map(|structure| self.unknown_element(structure)).collect();
        let known: Vec<usize> = (0..structures.len()).filter(|row| unknown[*row].is_none()).collect();
        let pieces: Vec<&[usize]> = known.chunks(self.piece(known.len())).collect();
        let batches: Vec<Crystals> = pieces.iter().map(|rows| self.columns(rows, structures, energies)).collect();
        let range = self.range();
        let mut values: Vec<Result<Option<f64>, PluginError>> =
            unknown.into_iter().map(|element| element.map_or(Ok(None), |z| Err(PluginError::Element(z)))).collect();
        for (rows, outcomes) in pieces.iter().zip(self.batches(batches)) {
            match outcomes {
                Ok(outcomes) => {
                    rows.iter().zip(outcomes).for_each(|(row, outcome)| values[*row] = value(outcome, range))
                }
                Err(error) => rows.iter().for_each(|row| values[*row] = Err(error.clone())),
            }
        }
        values
    }

    /// The outcomes of one batch as it is.
    ///
    /// # Errors
    /// What went wrong with the batch as a whole.
    pub fn evaluate_batch(&self, crystals: Crystals) -> Result<Vec<Outcome>, PluginError> {
        self.batches(vec![crystals]).pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    fn piece(&self, rows: usize) -> usize {
        match &self.backend {
            Backend::InProcess { one_at_a_time: false, .. } => SMALL_BATCH,
            Backend::InProcess { .. } => LARGEST_BATCH,
            Backend::Workers(pool) => {
                let most = pool.max_batch().map_or(LARGEST_BATCH, |most| most.min(LARGEST_BATCH));
                rows.div_ceil(pool.width()).clamp(1, most)
            }
        }
    }

    fn columns(&self, rows: &[usize], structures: &[&Structure], energies: Option<&[f64]>) -> Crystals {
        let own: Vec<&Structure> = rows.iter().map(|row| structures[*row]).collect();
        let mut crystals = columns(&own);
        if self.interface.properties.symmetry {
            let found: Vec<(u8, Vec<u8>)> = own.par_iter().map(|structure| letters(structure)).collect();
            let (groups, letters): (Vec<u8>, Vec<Vec<u8>>) = found.into_iter().unzip();
            crystals.set_symmetry(groups, letters.concat());
        }
        if let Some(energies) = energies {
            crystals.set_energies(rows.iter().map(|row| energies[*row]).collect());
        }
        crystals
    }

    fn batches(&self, batches: Vec<Crystals>) -> Vec<Result<Vec<Outcome>, PluginError>> {
        match &self.backend {
            Backend::InProcess { instance, one_at_a_time } => {
                let call = |crystals: &Crystals| {
                    let _turn = one_at_a_time.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
                    let batch = crystals.batch();
                    instance.evaluate(&batch).map_err(|refusal| match refusal {
                        EvaluateError::Plugin(reason) => PluginError::Batch(quotable(&reason), batch.len()),
                        EvaluateError::Invalid(reason) => PluginError::Outcomes(reason),
                    })
                };
                if *one_at_a_time { batches.iter().map(call).collect() } else { batches.par_iter().map(call).collect() }
            }
            Backend::Workers(pool) => {
                let sizes: Vec<usize> = batches.iter().map(|crystals| crystals.batch().len()).collect();
                let outcomes = |(answer, size): (Result<Answer, PluginError>, usize)| match answer? {
                    Answer::Outcomes(outcomes) => Ok(outcomes),
                    Answer::Failed(reason) => Err(PluginError::Batch(quotable(&reason), size)),
                };
                pool.evaluate(batches).into_iter().zip(sizes).map(outcomes).collect()
            }
        }
    }

    /// An element of the structure that the plugin does not claim to know.
    fn unknown_element(&self, structure: &Structure) -> Option<u8> {
        let elements = self.interface.properties.elements.as_ref()?;
        structure.species.iter().map(|element| element.number()).find(|number| !elements.contains(number))
    }
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("name", &self.name)
            .field("interface", &self.interface.id)
            .finish_non_exhaustive()
    }
}

pub(super) fn offered(descriptor: &Descriptor, interface: &str) -> Result<InterfaceDescriptor, OpenError> {
    descriptor.interface(interface).cloned().ok_or_else(|| OpenError::Interface {
        name: descriptor.name.clone(),
        offered: descriptor.interfaces.iter().map(|offered| offered.id.clone()).collect(),
        wanted: interface.to_owned(),
    })
}

/// Space group and Wyckoff letters; zeros where none are found.
pub(super) fn letters(structure: &Structure) -> (u8, Vec<u8>) {
    match symmetry(structure, SYMPREC) {
        Ok(found) => (found.group.number(), found.letters.iter().map(|letter| *letter as u8).collect()),
        Err(_) => (0, vec![0; structure.species.len()]),
    }
}

/// The value of an outcome, if it can be one.
fn value(outcome: Outcome, [least, greatest]: [f64; 2]) -> Result<Option<f64>, PluginError> {
    match outcome {
        Outcome::Value(value) if !value.is_finite() => Err(PluginError::NotFinite(value)),
        Outcome::Value(value) if !(least..=greatest).contains(&value) => {
            Err(PluginError::OutOfRange { value, least, greatest })
        }
        Outcome::Value(value) => Ok(Some(value)),
        Outcome::Abstain => Ok(None),
        Outcome::Failed(reason) => Err(PluginError::Crystal(quotable(&reason))),
    }
}
