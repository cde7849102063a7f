//! Which numbered module of the reference code has which role.

use crate::policy::Hyperparameters;

/// Module names of one network, in the reference's spelling.
pub(super) struct Names {
    /// Linear layers of the network for the first Wyckoff letter; absent when `h0_size` is 0.
    pub first: Option<[String; 2]>,
    /// Input layers of the tokens W and A.
    pub letter: String,
    pub atom: String,
    /// Input layers of the tokens X, Y, Z.
    pub axes: [String; 3],
    pub layers: Vec<LayerNames>,
    pub final_norm: String,
    pub output: String,
}

pub(super) struct LayerNames {
    pub attention_norm: String,
    pub attention: String,
    pub feed_norm: String,
    pub feed: [String; 2],
}

fn numbered(stem: &str, index: usize) -> String {
    if index == 0 { stem.to_owned() } else { format!("{stem}_{index}") }
}

impl Names {
    pub fn new(hyper: &Hyperparameters) -> Self {
        let mut next = 0;
        let mut linear = || {
            next += 1;
            numbered("linear", next - 1)
        };
        let first = (hyper.h0_size > 0).then(|| [linear(), linear()]);
        let (letter, atom) = (linear(), linear());
        let axes = [linear(), linear(), linear()];
        let layers = (0..hyper.num_layers)
            .map(|i| LayerNames {
                attention_norm: numbered("layer_norm", 2 * i),
                attention: numbered("multi_head_attention", i),
                feed_norm: numbered("layer_norm", 2 * i + 1),
                feed: [linear(), linear()],
            })
            .collect();
        Self {
            first,
            letter,
            atom,
            axes,
            layers,
            final_norm: numbered("layer_norm", 2 * hyper.num_layers),
            output: linear(),
        }
    }
}
