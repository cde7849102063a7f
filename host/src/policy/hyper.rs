//! Hyper-parameters of a CrystalFormer under the names that its reference code uses.

use serde::{Deserialize, Serialize};

use crate::crystal::Description;

/// Number of space groups: rows of the space group embedding.
pub const SPACE_GROUPS: usize = 230;

/// Ratio of the hidden width of the feed-forward blocks to `model_size`.
pub const WIDENING: usize = 4;

/// No model has more parameters than this (4 GB of float32).
const MAX_PARAMETERS: u64 = 1_000_000_000;

/// Sizes of the network and of its output distributions (arXiv 2504.02367, Table S1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case)] // The reference's names are the interface.
pub struct Hyperparameters {
    /// Fourier frequencies of a fractional coordinate.
    pub Nf: usize,
    /// Von Mises components per coordinate.
    pub Kx: usize,
    /// Gaussian components of the lattice.
    pub Kl: usize,
    /// Site slots per crystal.
    pub n_max: usize,
    /// Hidden width of the network for the first Wyckoff letter; 0 replaces that network by a table.
    pub h0_size: usize,
    /// Transformer layers.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width of query, key and value of one head; even, because rotary embeddings pair its two halves.
    pub key_size: usize,
    /// Width of the residual stream.
    pub model_size: usize,
    /// Width of the embeddings of space group, Wyckoff letter and element.
    pub embed_size: usize,
    /// Atom classes: 0 is padding, then atomic numbers.
    pub atom_types: usize,
    /// Wyckoff classes: 0 is padding, 1..=26 are a..z, 27 is A.
    pub wyck_types: usize,
    /// Dropout on the outputs of attention and feed-forward blocks, in pre-training only.
    #[serde(default = "paper_dropout")]
    pub dropout_rate: f64,
    /// Dropout on the attention probabilities, in pre-training only.
    #[serde(default = "paper_dropout")]
    pub attn_dropout: f64,
    /// In which of their equivalent descriptions crystals are learnt and scored.
    #[serde(default, skip_serializing_if = "Description::is_found")]
    pub description: Description,
    /// How sharp the distributions are that the network's outputs stand for, in all that is drawn, scored and learnt.
    #[serde(default, skip_serializing_if = "Temperatures::are_one")]
    pub temperature: Temperatures,
}

/// One temperature T for each kind of token. Logits are divided by T (of letters, of elements, and of the weights of mixtures), the
/// concentrations of coordinates as well, and the variances of the lattice are multiplied by T.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Temperatures {
    /// Of the Wyckoff letters.
    pub w: f64,
    /// Of the elements.
    pub a: f64,
    /// Of the coordinates.
    pub xyz: f64,
    /// Of the lattice.
    pub l: f64,
}

impl Default for Temperatures {
    fn default() -> Self {
        Self { w: 1.0, a: 1.0, xyz: 1.0, l: 1.0 }
    }
}

impl Temperatures {
    /// Whether they change nothing.
    pub fn are_one(&self) -> bool {
        *self == Self::default()
    }

    fn named(&self) -> [(&'static str, f64); 4] {
        [("temperature.w", self.w), ("temperature.a", self.a), ("temperature.xyz", self.xyz), ("temperature.l", self.l)]
    }
}

/// Why hyper-parameters make no network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HyperparameterError {
    /// A size outside of what a network can have.
    #[error("`{name}` is {value}, but must be between {low} and {high}")]
    Range {
        /// Name of the hyper-parameter.
        name: &'static str,
        /// Its value.
        value: usize,
        /// Smallest value allowed.
        low: usize,
        /// Largest value allowed.
        high: usize,
    },
    /// An odd `key_size`.
    #[error("`key_size` is {0}, but must be even: rotary embeddings pair the two halves of a head")]
    OddKeySize(usize),
    /// A dropout rate that is no probability below 1.
    #[error("`{name}` is {value}, but must be at least 0 and below 1")]
    Dropout {
        /// Name of the hyper-parameter.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A temperature that is not positive and finite.
    #[error("`{name}` is {value}, but must be more than 0 and finite")]
    Temperature {
        /// Name of the hyper-parameter.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Sizes that are fine one by one but not together.
    #[error("these hyper-parameters make {count} parameters; at most {MAX_PARAMETERS} are supported")]
    TooLarge {
        /// Number of parameters.
        count: u64,
    },
}

fn paper_dropout() -> f64 {
    0.1
}

impl Hyperparameters {
    /// Table S1 of arXiv 2504.02367: 4 833 575 parameters.
    pub fn paper() -> Self {
        Self {
            Nf: 5,
            Kx: 16,
            Kl: 4,
            n_max: 21,
            h0_size: 256,
            num_layers: 16,
            num_heads: 16,
            key_size: 64,
            model_size: 64,
            embed_size: 32,
            atom_types: 119,
            wyck_types: 28,
            dropout_rate: paper_dropout(),
            attn_dropout: paper_dropout(),
            description: Description::Found,
            temperature: Temperatures::default(),
        }
    }

    /// Checks every value, and the number of parameters that they make.
    ///
    /// # Errors
    /// The first value out of range, by name.
    pub fn check(&self) -> Result<(), HyperparameterError> {
        let ranges = [
            ("Nf", self.Nf, 1, 256),
            ("Kx", self.Kx, 1, 1024),
            ("Kl", self.Kl, 1, 1024),
            ("n_max", self.n_max, 1, 1024),
            ("h0_size", self.h0_size, 0, 65_536),
            ("num_layers", self.num_layers, 1, 256),
            ("num_heads", self.num_heads, 1, 256),
            ("key_size", self.key_size, 2, 4096),
            ("model_size", self.model_size, 1, 65_536),
            ("embed_size", self.embed_size, 1, 65_536),
            ("atom_types", self.atom_types, 2, 119),
            ("wyck_types", self.wyck_types, 2, 28),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(HyperparameterError::Range { name, value, low, high });
            }
        }
        if !self.key_size.is_multiple_of(2) {
            return Err(HyperparameterError::OddKeySize(self.key_size));
        }
        for (name, value) in [("dropout_rate", self.dropout_rate), ("attn_dropout", self.attn_dropout)] {
            if !(0.0..1.0).contains(&value) {
                return Err(HyperparameterError::Dropout { name, value });
            }
        }
        for (name, value) in self.temperature.named() {
            if !(value > 0.0 && value.is_finite()) {
                return Err(HyperparameterError::Temperature { name, value });
            }
        }
        match self.parameter_count() {
            count if count > MAX_PARAMETERS => Err(HyperparameterError::TooLarge { count }),
            _ => Ok(()),
        }
    }

    /// Number of parameters; no overflow within the ranges of [`Self::check`].
    pub fn parameter_count(&self) -> u64 {
        let [embed, model, h0, wyck] =
            [self.embed_size, self.model_size, self.h0_size, self.wyck_types].map(|n| n as u64);
        let linear = |inputs: u64, outputs: u64| (inputs + 1) * outputs;
        let embeddings = (SPACE_GROUPS as u64 + wyck + self.atom_types as u64) * embed;
        let first = if h0 == 0 { SPACE_GROUPS as u64 * wyck } else { linear(embed, h0) + linear(h0, wyck) };
        let tokens =
            linear(2 * embed + 1, model) + linear(2 * embed, model) + 3 * linear(embed + 2 * self.Nf as u64, model);
        let heads = (self.num_heads * self.key_size) as u64;
        let hidden = WIDENING as u64 * model;
        let attention = 3 * linear(model, heads) + linear(heads, model);
        let layer = 4 * model + attention + linear(model, hidden) + linear(hidden, model);
        let last = 2 * model + linear(model, self.output_size() as u64);
        embeddings + first + tokens + self.num_layers as u64 * layer + last
    }

    /// Width of a row of the network's output: the widest of the three kinds of row (atom and lattice, coordinate, Wyckoff).
    pub fn output_size(&self) -> usize {
        (self.atom_types + 13 * self.Kl).max(3 * self.Kx).max(self.wyck_types)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The small configuration of the reference values.
    pub fn tiny() -> Hyperparameters {
        Hyperparameters {
            Nf: 3,
            Kx: 4,
            Kl: 2,
            n_max: 8,
            h0_size: 32,
            num_layers: 2,
            num_heads: 2,
            key_size: 8,
            model_size: 16,
            embed_size: 8,
            ..Hyperparameters::paper()
        }
    }

    #[test]
    fn counts_and_widths_are_the_published_ones() {
        assert_eq!(Hyperparameters::paper().parameter_count(), 4_833_575);
        assert_eq!(tiny().parameter_count(), 14_565);
        assert_eq!((Hyperparameters::paper().output_size(), tiny().output_size()), (171, 145));
    }

    #[test]
    fn senseless_values_are_refused_by_name() {
        assert_eq!(Hyperparameters::paper().check(), Ok(()));
        assert_eq!(Hyperparameters { h0_size: 0, ..tiny() }.check(), Ok(()));
        let wrong = [
            (Hyperparameters { Kx: 0, ..tiny() }, "`Kx` is 0, but must be between 1 and 1024"),
            (Hyperparameters { atom_types: 120, ..tiny() }, "`atom_types` is 120, but must be between 2 and 119"),
            (
                Hyperparameters { key_size: 7, ..tiny() },
                "`key_size` is 7, but must be even: rotary embeddings pair the two halves of a head",
            ),
            (
                Hyperparameters { dropout_rate: 1.0, ..tiny() },
                "`dropout_rate` is 1, but must be at least 0 and below 1",
            ),
            (
                Hyperparameters { attn_dropout: f64::NAN, ..tiny() },
                "`attn_dropout` is NaN, but must be at least 0 and below 1",
            ),
        ];
        for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let temperature = Temperatures { xyz: t, ..Temperatures::default() };
            let refused = Hyperparameters { temperature, ..tiny() }.check().unwrap_err().to_string();
            assert_eq!(refused, format!("`temperature.xyz` is {t}, but must be more than 0 and finite"));
        }
        for (hyper, message) in wrong {
            assert_eq!(hyper.check().unwrap_err().to_string(), message);
        }
        let huge = Hyperparameters { model_size: 65_536, num_layers: 256, num_heads: 256, key_size: 4096, ..tiny() };
        assert!(matches!(huge.check(), Err(HyperparameterError::TooLarge { .. })));
        let endless = Hyperparameters { n_max: usize::MAX, ..tiny() };
        assert!(matches!(endless.check(), Err(HyperparameterError::Range { name: "n_max", .. })));
    }
}
