//! `temper model inspect`: what a model takes and gives, and whether it can be used.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure};
use crate::cli::Search;
use crate::crystal::Element;
use crate::policy::PolicyDirectory;
use crate::reward::{Contract, InputKind, ModelOutput, OutputKind};
use crate::runtime::{Device, Session, SessionOptions};

/// What a model takes and gives, and whether it can be used.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper model inspect models/chgnet-0.3.0")]
pub struct Inspect {
    /// A potential or property model (.onnx or its folder), or the folder of a policy
    #[arg(value_name = "MODEL")]
    model: PathBuf,
}

impl Inspect {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = Search::new(None).find("the model", &self.model)?;
        if path.join("model.toml").is_file() { policy(&path, context) } else { reward_model(&path, context) }
    }
}

fn policy(folder: &Path, context: &Context) -> Result<(), Failure> {
    let row = |name: &str, value: &str| context.print(&format!("{name:<18} {value}"));
    let PolicyDirectory { model, parameters } = PolicyDirectory::open(folder)?;
    let hyper = &model.hyper;
    row("policy", &folder.display().to_string())?;
    row("architecture", "crystalformer")?;
    row("parameters", &format!("{} in {} tensors", parameters.count(), parameters.iter().count()))?;
    row("layers", &format!("{} of {} heads of {}", hyper.num_layers, hyper.num_heads, hyper.key_size))?;
    row("widths", &format!("model {}, embeddings {}", hyper.model_size, hyper.embed_size))?;
    row("site slots", &hyper.n_max.to_string())?;
    let groups = model.spacegroups.as_ref();
    row(
        "space groups",
        &groups.map_or("uniform".to_owned(), |table| format!("frequencies of {} groups", table.len())),
    )?;
    if let Some(provenance) = &model.provenance {
        provenance.iter().try_for_each(|(name, value)| row(name, &value.to_string()))?;
    }
    Ok(())
}

fn reward_model(path: &Path, context: &Context) -> Result<(), Failure> {
    let contract = Contract::read(path)?;
    let row = |name: &str, value: &str| context.print(&format!("{name:<18} {value}"));
    row("file", &contract.path.display().to_string())?;
    row("name", &contract.name)?;
    for (name, value) in [("version", &contract.version), ("licence", &contract.license), ("source", &contract.source)]
    {
        row(name, value.as_deref().unwrap_or("not stated"))?;
    }
    for input in &contract.inputs {
        row("input", &format!("{}: {}", input.name, meaning(input.kind)))?;
    }
    for output in &contract.outputs {
        row("output", &described(output))?;
    }
    let distance = |cutoff: f64| format!("{cutoff} A");
    for (name, cutoff) in [("cutoff", contract.cutoff), ("triplet cutoff", contract.triplet_cutoff)] {
        cutoff.map_or(Ok(()), |cutoff| row(name, &distance(cutoff)))?;
    }
    row("elements", &elements(&contract))?;
    if contract.output("energy").is_some() {
        row("energy reference", contract.energy_reference.as_deref().unwrap_or("not stated: no hull can be used"))?;
    }
    if let Some(states) = &contract.states {
        row("state", &format!("{} ({states})", contract.state))?;
    }
    contract.warnings.iter().try_for_each(|warning| row("warning", warning))?;
    // Whether the operators and types are there is for the runtime to say.
    let runtime = context.runtime(Device::Cpu)?;
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    Session::from_file(&runtime, &contract.path, &options)?;
    row("usable", "yes: ONNX Runtime loads it")
}

fn meaning(kind: InputKind) -> String {
    match kind {
        InputKind::AtomicNumbers => "atomic numbers [n]".to_owned(),
        InputKind::Positions => "Cartesian positions [n, 3], A".to_owned(),
        InputKind::Cell => "lattice vectors as rows [b, 3, 3], A".to_owned(),
        InputKind::Batch => "crystal of each atom [n]".to_owned(),
        InputKind::EdgeIndex => "centre and neighbour of each edge [2, e]".to_owned(),
        InputKind::EdgeShift => "cell offset of each edge's neighbour [e, 3]".to_owned(),
        InputKind::EdgeReverse => "opposite edge [e]".to_owned(),
        InputKind::TripletIndex => "pairs of edges with one centre [2, t]".to_owned(),
        InputKind::State => "state [b]".to_owned(),
        InputKind::Constant(value) => format!("the constant {value}"),
    }
}

fn described(output: &ModelOutput) -> String {
    let meaning = match output.kind {
        OutputKind::Energy => "total energy [b], eV",
        OutputKind::EnergyPerAtom => "energy per atom [b], eV",
        OutputKind::Forces => "forces [n, 3], eV/A",
        OutputKind::Stress => "stress [b, 3, 3], eV/A^3",
        OutputKind::Magmoms => "magnetic moments [n], muB",
        OutputKind::Property => "one number per crystal [b]",
        OutputKind::MeanEigenvalue => "mean eigenvalue of a symmetric tensor [b, 6]",
    };
    let renamed =
        if output.name == output.quantity { String::new() } else { format!(" (in the file: {})", output.name) };
    let unit =
        if output.factor == 1.0 { String::new() } else { format!(", the file's number times {}", output.factor) };
    format!("{}: {meaning}{unit}{renamed}", output.quantity)
}

/// Ranges of atomic numbers that the model knows.
fn elements(contract: &Contract) -> String {
    let known: Vec<u8> =
        (1..=118).filter(|z| Element::from_number(*z).is_some_and(|element| contract.knows(element))).collect();
    let ranges = known.chunk_by(|a, b| a + 1 == *b).map(|range| match range {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    format!("{}: {}", known.len(), ranges.collect::<Vec<_>>().join(","))
}
