//! Parameters of policies: our own files, and checkpoints of the reference code.

use temper::policy::{Hyperparameters, Parameters, import_checkpoint};

use super::{file, said};

/// Of the smallest policy there is, so that inputs may be whole ones.
pub fn smallest() -> Hyperparameters {
    Hyperparameters {
        Nf: 1,
        Kx: 1,
        Kl: 1,
        n_max: 1,
        h0_size: 0,
        num_layers: 1,
        num_heads: 1,
        key_size: 2,
        model_size: 1,
        embed_size: 1,
        atom_types: 2,
        wyck_types: 2,
        ..Hyperparameters::paper()
    }
}

pub fn safetensors(data: &[u8]) {
    if let Some(parameters) = said(Parameters::load(&file("params.safetensors", data), &smallest())) {
        assert!(parameters.iter().all(|(_, tensor)| tensor.iter().all(|x| x.is_finite())));
    }
}

pub fn pickle(data: &[u8]) {
    said(import_checkpoint(&file("epoch.pkl", data), &smallest()));
}
