//! Everything that ships, as it is loaded for CUDA.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, ArrayD, arr0};
use serde_json::Value;
use temper::crystal::{Element, Lattice, SpaceGroup, Structure, Tokens};
use temper::graph::onnx::ModelProto;
use temper::graph::{ForCuda, Tensor, decode, encode, for_cuda, for_runtime};
use temper::model::{Executor, ModelOptions, OnnxModel};
use temper::policy::{
    Draws, DropoutMasks, Features, Hyperparameters, Loss, Parameters, PolicyDirectory, Resources, SampleSettings,
    Sampler, compact_graph, decode_graph, logp_graph, loss_gradient_graph,
};
use temper::runtime::{Device, Session};
use temper::train::{NegativeLogLikelihood, PpoSurrogate};

use crate::support::shared;
use crate::{cpu, rewritten, runtime};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
const CRYSTALS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/chgnet/chgnet.jsonl");

fn structure(row: &Value) -> Structure {
    let vectors = |key: &str| -> Vec<[f64; 3]> { serde_json::from_value(row[key].clone()).unwrap() };
    let element = |species: &Value| match species.as_str() {
        Some(symbol) => Element::from_symbol(symbol).unwrap(),
        None => Element::from_number(species.as_u64().unwrap().try_into().unwrap()).unwrap(),
    };
    let species = row["species"].as_array().unwrap().iter().map(element).collect();
    Structure::new(Lattice(vectors("lattice").try_into().unwrap()), species, vectors("frac_coords")).unwrap()
}

/// Textbook crystals, some without triplets, and 40 of a benchmark where they are at hand.
fn crystals() -> Vec<Structure> {
    let read = |path: &Path, count| -> Vec<Structure> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().take(count).map(|line| structure(&serde_json::from_str(line).unwrap())).collect()
    };
    let mut all = read(CRYSTALS.as_ref(), 24);
    if let Some(shared) = shared() {
        all.extend(read(&shared.join("golden/mlip.dev.jsonl"), 40));
    }
    all
}

/// Every number of a model, by quantity, for crystals one by one and all at once.
fn numbers(path: &Path, crystals: &[&Structure]) -> BTreeMap<String, Vec<Option<f64>>> {
    let options = ModelOptions { device: Device::Cpu, ..ModelOptions::default() };
    let model = OnnxModel::open(&runtime(), &Executor::new(1).unwrap(), path, options).unwrap();
    let mut found = BTreeMap::new();
    for quantity in model.quantities() {
        let one = |structures: &[&Structure]| -> Vec<Option<f64>> {
            model.evaluate(structures, &[quantity]).into_iter().map(|row| Some(row.ok()?[0])).collect()
        };
        let mut values = one(crystals);
        crystals.iter().take(24).for_each(|crystal| values.extend(one(&[*crystal])));
        found.insert(quantity.to_owned(), values);
    }
    found
}

#[test]
fn models_that_ship_are_good_as_they_are() {
    for name in ["chgnet-0.3.0", "band-gap", "eps-total"] {
        let prepared = prepared(format!("{MODELS}/{name}/model.onnx").as_ref());
        assert!(prepared.obstacles.is_empty() && prepared.rewritten.is_none(), "{name}: {:?}", prepared.replaced);
    }
}

fn prepared(path: &Path) -> ForCuda {
    let model = decode(&std::fs::read(path).unwrap()).unwrap();
    for_cuda(&for_runtime(&model).unwrap().unwrap()).unwrap()
}

/// An export of CHGNet with PyTorch's own operators, among them an arc cosine.
#[test]
fn a_potential_that_is_rewritten_gives_the_same_numbers() {
    let Some(shared) = shared() else { return };
    let (crystals, folder) = (crystals(), tempfile::tempdir().unwrap());
    let crystals: Vec<&Structure> = crystals.iter().collect();
    let path = shared.join("models/chgnet-0.3.0-fast.onnx");
    let prepared = prepared(&path);
    assert!(prepared.obstacles.is_empty(), "{:?}", prepared.obstacles);
    assert_eq!(prepared.replaced, BTreeMap::from([("Acos".to_owned(), 1)]));
    let copy = folder.path().join("rewritten.onnx");
    std::fs::write(&copy, encode(&prepared.rewritten.unwrap())).unwrap();
    let (own, other) = (numbers(&path, &crystals), numbers(&copy, &crystals));
    let mut worst = 0.0_f64;
    for ((quantity, own), other) in own.iter().zip(other.values()) {
        for (own, other) in own.iter().zip(other) {
            assert_eq!(own.is_some(), other.is_some(), "{quantity}");
            let (own, other) = (own.unwrap_or_default(), other.unwrap_or_default());
            worst = worst.max((own - other).abs() / own.abs().max(1.0));
        }
    }
    println!("off by at most {worst:.1e}");
    // Some units in the last place of float32: the angles' arc cosine is another.
    assert!(worst < 4e-6, "{worst}");
}

fn sampled(policy: &PolicyDirectory) -> Vec<Tokens> {
    let resources = Resources { device: Device::Cpu, threads: 1, memory: 1 << 30, ranks: temper::ranks::Ranks::one() };
    let sampler = Sampler::load(&runtime(), &policy.model.hyper, resources).unwrap();
    let groups: Vec<SpaceGroup> = [2, 14, 62, 139, 166, 225, 216, 1].map(|n| SpaceGroup::new(n).unwrap()).to_vec();
    let draws = Draws { seed: 3, step: 0, first: 0 };
    let drawn = sampler.sample(&policy.parameters, &groups, draws, &SampleSettings::of_policy(None)).unwrap();
    drawn.into_iter().flatten().collect()
}

/// The outputs that `names` tell, of a graph that takes parameters, crystals and the inputs of a loss.
fn outputs(model: &ModelProto, parameters: &Parameters, inputs: &[(&str, Tensor)], names: &[String]) -> Vec<Tensor> {
    let mut session = Session::from_bytes(&runtime(), "graph", &encode(model), &cpu()).unwrap();
    let parameters: Vec<(&str, Tensor)> = parameters.iter().map(|(name, p)| (name, Tensor::F32(p.clone()))).collect();
    let fed: Vec<_> = parameters.iter().chain(inputs).map(|(name, tensor)| (*name, tensor.into())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    session.run(&fed, &names).unwrap()
}

fn extra(loss: &impl Loss) -> Vec<(&'static str, Tensor)> {
    let rows = loss.row_inputs().into_iter().map(|(name, rows)| (name, Array1::from(rows.to_vec()).into()));
    rows.chain(loss.scalar_inputs().into_iter().map(|(name, number)| (name, arr0(number).into()))).collect()
}

fn as_f64(tensor: &Tensor) -> ArrayD<f64> {
    match tensor {
        Tensor::F32(a) => a.mapv(f64::from),
        Tensor::F64(a) => a.clone(),
        other => panic!("{}", other.data_type()),
    }
}

#[test]
fn graphs_of_the_policy_give_the_same_numbers() {
    let policy = PolicyDirectory::open(format!("{MODELS}/crystalformer-small").as_ref()).unwrap();
    let hyper = &policy.model.hyper;
    let crystals = sampled(&policy);
    let count = crystals.len();
    assert!(count >= 4);
    let features = Features::new(&crystals.iter().collect::<Vec<_>>(), hyper).unwrap();
    let weights = vec![1.0 / count as f64; count];
    let likelihood = NegativeLogLikelihood { row_weight: weights.clone() };
    let advantage = (0..count).map(|i| i as f64 - 2.0).collect();
    let (old_logp, base_logp) = (vec![-60.0; count], vec![-61.0; count]);
    let ppo = PpoSurrogate { row_weight: weights, old_logp, base_logp, advantage, clip: 0.2, beta: 0.1 };
    let gradients = policy.parameters.iter().map(|(name, _)| format!("grad/{name}"));
    let logp = ["logp_w", "logp_xyz", "logp_a", "logp_l"].map(str::to_owned);
    let all: Vec<String> = logp.iter().cloned().chain(gradients).collect();
    let mut nll_inputs = extra(&likelihood);
    nll_inputs.extend(DropoutMasks::none(hyper).into_inputs());
    let graphs = [
        (logp_graph(hyper).unwrap(), Vec::new(), &logp[..]),
        (loss_gradient_graph::<NegativeLogLikelihood>(hyper).unwrap(), nll_inputs, &all[..]),
        (loss_gradient_graph::<PpoSurrogate>(hyper).unwrap(), extra(&ppo), &all[..]),
    ];
    for (model, more, names) in graphs {
        let inputs: Vec<(&str, Tensor)> = features.inputs().iter().cloned().chain(more).collect();
        let of = |model: &ModelProto| outputs(model, &policy.parameters, &inputs, names);
        for ((own, other), name) in of(&model).iter().zip(of(&rewritten(&model))).zip(names) {
            let (own, other) = (as_f64(own), as_f64(&other));
            let size = own.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
            let off = (own - other).iter().fold(0.0_f64, |off, x| off.max(x.abs()));
            assert!(off <= 1e-6 * size, "{name}: off by {off} of {size}");
        }
    }
}

/// The graphs of a policy of any size have nothing that CUDA lacks, and those of sampling are good as they are.
#[test]
fn no_graph_of_the_policy_has_an_obstacle() {
    for hyper in [Hyperparameters::paper(), crate::support::small()] {
        for model in [decode_graph(&hyper).unwrap(), compact_graph(&hyper).unwrap()] {
            let prepared = for_cuda(&model).unwrap();
            assert!(prepared.obstacles.is_empty() && prepared.rewritten.is_none(), "{:?}", prepared.obstacles);
        }
        rewritten(&logp_graph(&hyper).unwrap());
        rewritten(&loss_gradient_graph::<NegativeLogLikelihood>(&hyper).unwrap());
        rewritten(&loss_gradient_graph::<PpoSurrogate>(&hyper).unwrap());
    }
}
