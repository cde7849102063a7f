//! `temper model inspect`: the inputs, outputs and metadata of a model, and whether it can be used.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure, senseless};
use crate::cli::{Exit, Output, Search};
use crate::config::ModelSupervision;
use crate::crystal::Element;
use crate::graph::{ForCuda, GraphError, TABLE_OF, for_cuda};
use crate::model::{
    self, Axis, Contract, Executor, InputKind, Inspection, ModelInput, ModelOutput, OnnxModel, Operators, OutputKind,
    Port, Trial, check_quickly,
};
use crate::policy::{PolicyDirectory, Temperatures};
use crate::runtime::Device;

/// Show the inputs, outputs and metadata of a model, and whether it can be used.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper model inspect models/chgnet-0.3.0\n\nWith --device cuda, also says which nodes CUDA could \
                  not run, by a table of what ONNX Runtime lacks there; no GPU is needed."
)]
pub struct Inspect {
    /// A potential or property model (.onnx or its folder), or the folder of a policy
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Write a draft of the sidecar beside the file, with what the file does not say; an existing one is never overwritten
    #[arg(long)]
    write_sidecar: bool,
}

impl Inspect {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = Search::new(None).find("the model", &self.model)?;
        if path.join("model.toml").is_file() {
            return policy(&path, context);
        }
        let mut found = Inspection::read(&path)?;
        let trial = tried(&mut found, context);
        if self.write_sidecar {
            return write_sidecar(&found, trial, context);
        }
        reward_model(found, trial, context)
    }
}

/// Finds by trying what the names of inputs leave open. Where nothing can be run, the user is told why.
fn tried(found: &mut Inspection, context: &Context) -> Option<Trial> {
    if found.missing.is_empty() {
        return None;
    }
    let processes = context.model_processes(ModelSupervision::default());
    let trial = context.runtime(Device::Cpu).and_then(|runtime| Ok(found.try_inputs(&runtime, Some(processes))?));
    Some(trial.unwrap_or_else(|failure| Trial::NotMade(failure.to_string())))
}

/// What a trial found, in a sentence.
fn outcome(trial: &Trial) -> Option<String> {
    match trial {
        Trial::NotNeeded => None,
        Trial::NotMade(reason) => Some(format!("nothing was tried: {reason}")),
        Trial::Settled(tried) => {
            let which =
                if *tried == 1 { "this".to_owned() } else { format!("of {tried} meanings of its inputs only this") };
            Some(format!(
                "{which} lets small crystals keep their numbers when they are translated, turned and described otherwise"
            ))
        }
        Trial::Open(open) => {
            let means = if *open == 1 { "means" } else { "mean" };
            Some(format!(
                "what {open} of its inputs {means}, crystals that are described otherwise do not tell: you must say"
            ))
        }
        Trial::Contradicted(tried, complaint) => Some(format!(
            "with none of {tried} meanings of its inputs do small crystals keep their numbers: {complaint}"
        )),
    }
}

fn write_sidecar(found: &Inspection, trial: Option<Trial>, context: &Context) -> Result<(), Failure> {
    let path = &found.sidecar;
    if path.symlink_metadata().is_ok() {
        return Err(Failure::user(format!("{}: the file already exists, so nothing was written", path.display())));
    }
    let mut output = Output::create(path)?;
    output.write_all(found.sidecar_template().as_bytes()).map_err(|error| output.failed(&error))?;
    output.finish()?;
    let open = found.missing.iter().filter(|line| line.value.is_none()).count();
    context.say(&format!("{}: {open} lines to fill in", path.display()));
    found.beyond.iter().for_each(|error| context.say(&format!("warning: a sidecar cannot fix this: {error}")));
    match trial {
        Some(Trial::Contradicted(..)) => {
            trial.as_ref().and_then(outcome).iter().for_each(|line| context.say(&format!("warning: {line}")))
        }
        Some(Trial::NotMade(reason)) => {
            context.say(&format!("warning: nothing was tried: {reason}"));
        }
        trial => trial.as_ref().and_then(outcome).iter().for_each(|line| context.say(line)),
    }
    Ok(())
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
    row("descriptions", if hyper.description.is_found() { "as found" } else { "standard" })?;
    if !hyper.temperature.are_one() {
        let Temperatures { w, a, xyz, l } = hyper.temperature;
        row("temperature", &format!("letters {w}, elements {a}, coordinates {xyz}, lattice {l}"))?;
    }
    let groups = model.spacegroups.as_ref();
    row(
        "space groups",
        &groups.map_or("uniform".to_owned(), |table| format!("frequencies of {} groups", table.len())),
    )?;
    if let Some(provenance) = &model.provenance {
        provenance.iter().try_for_each(|(name, value)| row(name, &value.to_string()))?;
    }
    if !matches!(context.device()?, Device::Cuda(_)) {
        return Ok(());
    }
    super::export::GRAPHS.iter().try_for_each(|(name, make)| {
        let internal = |error: GraphError| Failure::from_error(Exit::Internal, &error);
        let graph = make(hyper).map_err(internal)?;
        on_cuda(&format!("{name}: "), &for_cuda(&graph).map_err(internal)?, context)
    })
}

fn reward_model(found: Inspection, trial: Option<Trial>, context: &Context) -> Result<(), Failure> {
    let renames: Vec<String> = found.renames().map(ToString::to_string).collect();
    let sidecar = found.sidecar.display().to_string();
    let contract = match found.contract {
        Ok(contract) => contract,
        Err(error) => {
            unusable(&found.inputs, "input", context)?;
            unusable(&found.outputs, "output", context)?;
            found.operators.iter().try_for_each(|known| row(context, "operators", &operators(known)))?;
            row(context, "usable", &format!("no: {error}"))?;
            let add = format!("add to {sidecar}");
            found.missing.iter().try_for_each(|line| row(context, &add, &line.to_string()))?;
            renames.iter().try_for_each(|line| row(context, &add, line))?;
            if let Some(line) = trial.as_ref().and_then(outcome) {
                row(context, "trial", &line)?;
            }
            let failure = Failure::from(error);
            return Err(match found.beyond {
                _ if found.missing.is_empty() => failure,
                Some(beyond) => failure.hint(format!("a sidecar cannot fix this: {beyond}")),
                None => failure.hint("`temper model inspect FILE --write-sidecar` writes a draft of the missing lines"),
            });
        }
    };
    described_contract(&contract, context)?;
    // Whether the operators and types are there is for the runtime to say, and whether the numbers make sense for crystals.
    let runtime = context.runtime(Device::Cpu)?;
    let options = context.model_options(Device::Cpu, ModelSupervision::default());
    let model = OnnxModel::open(&runtime, &Executor::new(1)?, &contract.path, options)?;
    for warning in model.contract().warnings.iter().filter(|warning| !contract.warnings.contains(warning)) {
        row(context, "warning", warning)?;
    }
    let check = check_quickly(&model);
    for line in &renames {
        row(context, "hint", &format!("to use it as the contract's own, add to {sidecar}: {line}"))?;
    }
    if matches!(context.device()?, Device::Cuda(_)) {
        on_cuda("", &model::for_cuda(&contract.path)?, context)?;
    }
    if let Some(complaint) = check.complaint() {
        row(context, "usable", &format!("no: {complaint}"))?;
        return Err(senseless(&model, &complaint));
    }
    row(context, "usable", if check.passed() { YES } else { "yes: ONNX Runtime loads it; no crystal was tried" })
}

/// What is said of a model whose numbers make sense.
const YES: &str = "yes: ONNX Runtime loads it, and small crystals keep their numbers when they are translated, turned and described otherwise";

/// What of a graph CUDA runs only as other operators, and what it cannot run.
fn on_cuda(graph: &str, found: &ForCuda, context: &Context) -> Result<(), Failure> {
    let row = |text: &str| row(context, "CUDA", &format!("{graph}{text}"));
    if !found.replaced.is_empty() {
        row(&format!("written as operators that it has: {}", counted(&found.replaced)))?;
    }
    found.obstacles.iter().try_for_each(|obstacle| row(&obstacle.to_string()))?;
    if found.obstacles.is_empty() {
        row(&format!("every node runs there, as far as is known of ONNX Runtime {TABLE_OF}"))?;
    }
    Ok(())
}

fn row(context: &Context, name: &str, value: &str) -> Result<(), Failure> {
    context.print(&format!("{name:<18} {value}"))
}

fn unusable(ports: &[Port], what: &str, context: &Context) -> Result<(), Failure> {
    ports.iter().try_for_each(|port| row(context, what, &format!("{}: {}", port.name, port.description)))
}

fn described_contract(contract: &Contract, context: &Context) -> Result<(), Failure> {
    let row = |name: &str, value: &str| row(context, name, value);
    row("file", &contract.path.display().to_string())?;
    row("name", &contract.name)?;
    for (name, value) in [("version", &contract.version), ("licence", &contract.license), ("source", &contract.source)]
    {
        row(name, value.as_deref().unwrap_or("not stated"))?;
    }
    for input in &contract.inputs {
        row("input", &format!("{}: {}", input.name, meaning(input)))?;
    }
    for output in &contract.outputs {
        row("output", &described(output))?;
    }
    let distance = |cutoff: f64| format!("{cutoff} A");
    for (name, cutoff) in [("cutoff", contract.cutoff), ("triplet cutoff", contract.triplet_cutoff)] {
        cutoff.map_or(Ok(()), |cutoff| row(name, &distance(cutoff)))?;
    }
    row("elements", &elements(contract))?;
    if contract.output("energy").is_some() {
        row("energy reference", contract.energy_reference.as_deref().unwrap_or("not stated: no hull can be used"))?;
    }
    if let Some(states) = &contract.states {
        row("state", &format!("{} ({states})", contract.state))?;
    }
    row("operators", &operators(&contract.operators))?;
    contract.warnings.iter().try_for_each(|warning| row("warning", warning))
}

/// "544 of opset 18: 83 Gather, 61 Mul", the most frequent first.
fn operators(operators: &Operators) -> String {
    format!("{} of opset {}: {}", operators.total(), operators.opset, counted(&operators.counts))
}

fn counted(counts: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<(&String, &usize)> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    let list: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    list.join(", ")
}

fn meaning(input: &ModelInput) -> String {
    let what = match input.kind {
        InputKind::AtomicNumbers => "atomic numbers",
        InputKind::SpeciesIndex => "places of the elements in `elements`",
        InputKind::SpeciesOneHot => "1 in the column of each atom's element",
        InputKind::Positions => "Cartesian positions",
        InputKind::Cell => "lattice vectors as rows",
        InputKind::Pbc => "whether the crystal repeats, which it does",
        InputKind::Batch => "crystal of each atom",
        InputKind::AtomCounts => "atoms of each crystal",
        InputKind::FirstAtoms => "first atom of each crystal",
        InputKind::EdgeCounts => "edges of each crystal",
        InputKind::EdgeIndex => "centre and neighbour of each edge",
        InputKind::EdgeCentre => "centre of each edge",
        InputKind::EdgeNeighbour => "neighbour of each edge",
        InputKind::EdgeShift => "cell offset of each edge's neighbour",
        InputKind::EdgeShiftCartesian => "Cartesian cell offset of each edge's neighbour",
        InputKind::EdgeVector => "from the centre of each edge to its neighbour",
        InputKind::EdgeLength => "length of each edge",
        InputKind::EdgeReverse => "opposite edge",
        InputKind::TripletIndex => "pairs of edges with one centre",
        InputKind::State => "state",
        InputKind::Constant(value) => return format!("the constant {value} [{}]", extents(&input.axes)),
    };
    let length = if input.kind.is_length() { ", A" } else { "" };
    let factor = if input.factor == 1.0 { String::new() } else { format!(", times {} in the file", input.factor) };
    format!("{what} [{}]{length}{factor}", extents(&input.axes))
}

/// "n, 3".
fn extents(axes: &[Axis]) -> String {
    let extent = |axis: &Axis| match axis {
        Axis::Atoms => "n".to_owned(),
        Axis::Crystals => "b".to_owned(),
        Axis::CrystalsAndOne => "b + 1".to_owned(),
        Axis::Edges => "e".to_owned(),
        Axis::Triplets => "t".to_owned(),
        Axis::Species => "s".to_owned(),
        Axis::Fixed(length) => length.to_string(),
    };
    axes.iter().map(extent).collect::<Vec<_>>().join(", ")
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
    let own = output.unit.as_ref().map_or_else(String::new, |unit| format!(", {unit}"));
    let unit =
        if output.factor == 1.0 { String::new() } else { format!(", the file's number times {}", output.factor) };
    format!("{}: {meaning}{own}{unit}{renamed}", output.quantity)
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
