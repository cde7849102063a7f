//! `temper model inspect`: the inputs, outputs and metadata of a model, and whether it can be used.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure};
use crate::cli::{Exit, Output, Search};
use crate::crystal::Element;
use crate::graph::{ForCuda, GraphError, TABLE_OF, for_cuda};
use crate::model::{self, Contract, InputKind, Inspection, ModelOutput, Operators, OutputKind, Port};
use crate::policy::PolicyDirectory;
use crate::runtime::{Device, Session, SessionOptions};

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
        let found = Inspection::read(&path)?;
        if self.write_sidecar {
            return write_sidecar(&found, context);
        }
        reward_model(found, context)
    }
}

fn write_sidecar(found: &Inspection, context: &Context) -> Result<(), Failure> {
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

fn reward_model(found: Inspection, context: &Context) -> Result<(), Failure> {
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
            let failure = Failure::from(error);
            return Err(match found.beyond {
                _ if found.missing.is_empty() => failure,
                Some(beyond) => failure.hint(format!("a sidecar cannot fix this: {beyond}")),
                None => failure.hint("`temper model inspect FILE --write-sidecar` writes a draft of the missing lines"),
            });
        }
    };
    described_contract(&contract, context)?;
    // Whether the operators and types are there is for the runtime to say.
    let runtime = context.runtime(Device::Cpu)?;
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    Session::from_file(&runtime, &contract.path, &options)?;
    for line in &renames {
        row(context, "hint", &format!("to use it as the contract's own, add to {sidecar}: {line}"))?;
    }
    if matches!(context.device()?, Device::Cuda(_)) {
        on_cuda("", &model::for_cuda(&contract.path)?, context)?;
    }
    row(context, "usable", "yes: ONNX Runtime loads it")
}

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
        let factor = if input.factor == 1.0 { String::new() } else { format!(", times {} in the file", input.factor) };
        row("input", &format!("{}: {}{factor}", input.name, meaning(input.kind)))?;
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
