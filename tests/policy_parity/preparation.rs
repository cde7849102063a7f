//! The decoder in two parts, as a CUDA device runs it.

use ndarray::{arr0, arr1, arr2};
use temper::graph::{Split, Tensor, encode, split};
use temper::policy::decode_graph;
use temper::runtime::{Device, Input, Session, SessionOptions};

use crate::evaluate::runtime;
use crate::reference::Golden;

/// A decoder that is handed what follows from the parameters computes what one does that computes it with every token.
#[test]
fn what_is_prepared_once_is_what_every_token_would_compute() {
    let golden = Golden::made_up();
    let whole = decode_graph(&golden.hyper).unwrap();
    let names: Vec<&str> = golden.parameters.iter().map(|(name, _)| name).collect();
    let Split { prepare, rest, handed } = split(&whole, &names).unwrap();
    let open = |name, model| {
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        Session::from_bytes(runtime(), name, &encode(model), &options).unwrap()
    };
    let (mut prepare, mut rest, mut whole) = (open("prepare", &prepare), open("rest", &rest), open("whole", &whole));
    let parameters = |wanted: &dyn Fn(&str) -> bool| {
        let all = golden.parameters.iter().map(|(name, p)| (name, Input::F32(p)));
        all.filter(|(name, _)| wanted(name)).collect::<Vec<_>>()
    };
    let made: Vec<String> = prepare.outputs().iter().map(|output| output.name.clone()).collect();
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    let read: Vec<String> = prepare.inputs().iter().map(|input| input.name.clone()).collect();
    let values = prepare.run(&parameters(&|name| read.iter().any(|n| n == name)), &made).unwrap();
    assert!(made.len() >= golden.hyper.num_layers, "little is prepared: {made:?}");

    let h = &golden.hyper;
    let caches: Vec<Tensor> = (0..h.num_layers)
        .flat_map(|_| [vec![1, 2, h.num_heads, h.key_size], vec![1, 2, h.model_size]])
        .map(|shape| Tensor::F32(ndarray::ArrayD::zeros(shape)))
        .collect();
    let cache_names: Vec<String> = (0..h.num_layers).flat_map(|i| [format!("k_{i}"), format!("x_{i}")]).collect();
    let token: [(&str, Tensor); 6] = [
        ("G", arr1(&[225_i64, 12]).into()),
        ("kind", arr0(0_i64).into()),
        ("position", arr1(&[0_i64]).into()),
        ("type", arr1(&[3_i64, 1]).into()),
        ("M", arr2(&[[8.0_f32], [2.0]]).into()),
        ("x", arr2(&[[0.0_f64], [0.0]]).into()),
    ];
    let token = || {
        let caches = cache_names.iter().zip(&caches).map(|(name, cache)| (name.as_str(), Input::Tensor(cache)));
        token.iter().map(|(name, tensor)| (*name, Input::Tensor(tensor))).chain(caches).collect::<Vec<_>>()
    };
    let outputs = ["raw", "first", "k_out_1"];
    let expected = whole.run(&[token(), parameters(&|_| true)].concat(), &outputs).unwrap();
    let handed_over = made.iter().zip(&values).map(|(name, value)| (*name, Input::Tensor(value))).collect();
    let own = parameters(&|name| handed.iter().any(|n| n == name));
    let found = rest.run(&[token(), own, handed_over].concat(), &outputs).unwrap();
    for (name, (found, expected)) in outputs.iter().zip(found.iter().zip(&expected)) {
        let (found, expected) = (found.as_f32().unwrap(), expected.as_f32().unwrap());
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        assert!(apart <= 1e-5 && found.len() == expected.len(), "{name}: {apart}");
    }
}
