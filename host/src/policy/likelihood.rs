//! Log-probabilities and gradients of crystals: the exported graphs, run over a batch of any size.
//!
//! A batch is cut into groups of like length. Groups run on several single-threaded sessions side by side, and their results are
//! gathered in the order of the groups. Neither the groups nor the order depend on the number of threads, so results do not.

use std::sync::Mutex;

use ndarray::{Array1, ArrayD};

use super::batch::{BatchError, Features, check_crystal};
use super::workers::in_order;
use super::{Hyperparameters, Parameters};
use crate::crystal::Tokens;
use crate::graph::onnx::ModelProto;
use crate::graph::{GraphError, Tensor, encode};
use crate::runtime::{Device, Input, Runtime, Session, SessionOptions};

/// Most bytes and tokens of a group on the CPU. More tokens than this leave the processor's caches between two operators.
const GROUP_BYTES: u64 = 1 << 30;
const GROUP_TOKENS: usize = 1024;

/// The parts of log p, nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogProbability {
    /// Wyckoff letters.
    pub w: f64,
    /// Fractional coordinates.
    pub xyz: f64,
    /// Elements.
    pub a: f64,
    /// Lattice.
    pub l: f64,
}

impl LogProbability {
    /// log p of the crystal.
    pub fn total(&self) -> f64 {
        self.w + self.xyz + self.a + self.l
    }
}

/// Where and how widely the graphs run.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// CPU or a CUDA device.
    pub device: Device,
    /// Sessions side by side on the CPU.
    pub threads: usize,
    /// Bytes that the activations of all sessions may take together.
    pub memory: u64,
}

/// What each worker gets of [`Resources`].
pub(super) struct Split {
    /// Sessions side by side.
    pub workers: usize,
    /// Bytes that a task of a worker may take.
    pub bytes: u64,
    /// Whether the one worker is a CUDA device.
    pub cuda: bool,
}

impl Resources {
    /// Workers whose tasks take `bytes` each: less memory means fewer workers, and smaller tasks only where not even one fits.
    /// So the cut into tasks, and with it the last bits of results, does not depend on the number of threads.
    pub(super) fn split(&self, runtime: &Runtime, bytes: u64) -> Result<Split, LikelihoodError> {
        if matches!(runtime.resolve(self.device, &|_| ())?, Device::Cuda(_)) {
            return Ok(Split { workers: 1, bytes: self.memory, cuda: true });
        }
        let fit = usize::try_from(self.memory / bytes).unwrap_or(usize::MAX);
        Ok(Split { workers: self.threads.min(fit).max(1), bytes: bytes.min(self.memory), cuda: false })
    }
}

/// Why a policy could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum LikelihoodError {
    /// A crystal that the policy cannot take.
    #[error("crystal {}: {source}", .row + 1)]
    Crystal {
        /// Row of the batch, from 0.
        row: usize,
        /// The reason.
        source: BatchError,
    },
    /// A graph that could not be made.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A graph that could not be loaded or run.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::Error),
    /// A graph that gives something else than its table of outputs says.
    #[error("the policy graph's output {output} is not {expected}")]
    Output {
        /// Which.
        output: usize,
        /// Type and shape.
        expected: &'static str,
    },
}

/// One of the likelihood graphs, ready to run.
pub struct Likelihood {
    sessions: Vec<Mutex<Session>>,
    hyper: Hyperparameters,
    /// Most tokens of a group, and most bytes that they may take.
    group_tokens: usize,
    group_bytes: u64,
    /// Whether activations are kept for a derivative.
    gradient: bool,
    /// One flag per atom class, where only some elements may be drawn.
    elements: Option<Vec<bool>>,
}

/// What a gradient graph wants besides the crystals: one value per row, and the same for all rows.
pub type RowInputs<'a> = &'a [(&'static str, &'a [f64])];

/// Makes the inputs that belong to a group as a whole: (group number, crystals, tokens).
pub type GroupInputs<'a> = &'a (dyn Fn(usize, usize, usize) -> Vec<(&'static str, Tensor)> + Sync);

/// The result of a gradient graph.
pub struct GradientBatch {
    /// Per row.
    pub logp: Vec<LogProbability>,
    /// Sum of the groups' gradients, one per parameter, in the parameters' order.
    pub gradient: Vec<ArrayD<f32>>,
}

impl Likelihood {
    /// Loads a graph made by `logp_graph` (`gradient` false), `nll_gradient_graph` or `ppo_gradient_graph` (true).
    ///
    /// # Errors
    /// [`LikelihoodError::Runtime`].
    pub fn load(
        runtime: &Runtime,
        model: &ModelProto,
        hyper: &Hyperparameters,
        gradient: bool,
        resources: Resources,
    ) -> Result<Self, LikelihoodError> {
        let bytes = encode(model);
        let split = resources.split(runtime, GROUP_BYTES)?;
        let options = SessionOptions { device: resources.device, threads: 1, ..SessionOptions::default() };
        let name = if gradient { "policy gradient graph" } else { "policy likelihood graph" };
        let sessions = (0..split.workers)
            .map(|_| Session::from_bytes(runtime, name, &bytes, &options).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let (group_tokens, group_bytes) = (if split.cuda { usize::MAX } else { GROUP_TOKENS }, split.bytes);
        Ok(Self { sessions, hyper: hyper.clone(), group_tokens, group_bytes, gradient, elements: None })
    }

    /// Scores under the policy restricted to some elements: one flag per atom class.
    pub fn restricted_to(mut self, elements: Option<Vec<bool>>) -> Self {
        self.elements = elements;
        self
    }

    /// log p of each crystal.
    ///
    /// # Errors
    /// Any [`LikelihoodError`].
    pub fn log_probabilities(
        &self,
        parameters: &Parameters,
        crystals: &[&Tokens],
    ) -> Result<Vec<LogProbability>, LikelihoodError> {
        let mut logp = vec![LogProbability::default(); crystals.len()];
        let run = |session: &mut Session, group: &Vec<usize>| {
            let features = self.features(crystals, group)?;
            run_group(session, parameters, &features, &[], false)
        };
        in_order(&self.sessions, &self.groups(crystals)?, run, |group, (values, _)| scatter(&mut logp, group, values))?;
        Ok(logp)
    }

    /// Gradient over the whole batch of what the graph differentiates.
    ///
    /// # Errors
    /// Any [`LikelihoodError`].
    pub fn gradient(
        &self,
        parameters: &Parameters,
        crystals: &[&Tokens],
        rows: RowInputs<'_>,
        group_inputs: GroupInputs<'_>,
    ) -> Result<GradientBatch, LikelihoodError> {
        let mut logp = vec![LogProbability::default(); crystals.len()];
        let mut gradient: Vec<ArrayD<f32>> = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        let groups: Vec<(usize, Vec<usize>)> = self.groups(crystals)?.into_iter().enumerate().collect();
        let run = |session: &mut Session, (number, group): &(usize, Vec<usize>)| {
            let features = self.features(crystals, group)?;
            let mut extra = group_inputs(*number, features.crystals(), features.tokens());
            for (name, values) in rows {
                let own: Vec<f64> = group.iter().map(|row| values[*row]).collect();
                extra.push((name, Array1::from_vec(own).into()));
            }
            run_group(session, parameters, &features, &extra, true)
        };
        in_order(&self.sessions, &groups, run, |(_, group), (values, part)| {
            scatter(&mut logp, group, values);
            gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += &part);
        })?;
        Ok(GradientBatch { logp, gradient })
    }

    fn features(&self, crystals: &[&Tokens], group: &[usize]) -> Result<Features, LikelihoodError> {
        let members: Vec<&Tokens> = group.iter().map(|row| crystals[*row]).collect();
        let features = Features::new(&members, &self.hyper);
        let mut features = features.map_err(|source| LikelihoodError::Crystal { row: group[0], source })?;
        if let Some(allowed) = &self.elements {
            features.restrict_elements(allowed, &self.hyper);
        }
        Ok(features)
    }

    fn groups(&self, crystals: &[&Tokens]) -> Result<Vec<Vec<usize>>, LikelihoodError> {
        for (row, crystal) in crystals.iter().enumerate() {
            check_crystal(crystal, &self.hyper).map_err(|source| LikelihoodError::Crystal { row, source })?;
        }
        let lengths: Vec<usize> = crystals.iter().map(|c| c.sites.len()).collect();
        let fits = |rows: usize, sites| {
            let tokens = 5 * sites + 1;
            rows * tokens <= self.group_tokens && rows as u64 * self.row_bytes(tokens) <= self.group_bytes
        };
        Ok(group_by_length(&lengths, fits))
    }

    /// Bytes that a row of T tokens takes: everything that a layer keeps for its derivative, or one layer's intermediates.
    fn row_bytes(&self, tokens: usize) -> u64 {
        let h = &self.hyper;
        let (heads, width) = (h.num_heads * (h.key_size + h.model_size), h.model_size);
        let layer = tokens * (4 * h.num_heads * tokens + 4 * heads + 32 * width);
        let layers = if self.gradient { h.num_layers + 2 } else { 2 };
        let head = tokens * (6 * h.output_size() + 12 * 3 * h.Kx);
        4 * (layer * layers + head) as u64
    }
}

/// Puts the values of a group where its rows stand in the batch.
fn scatter(logp: &mut [LogProbability], group: &[usize], values: Vec<LogProbability>) {
    for (row, value) in group.iter().zip(values) {
        logp[*row] = value;
    }
}

/// Rows in groups of like length, longest first: a costly group that is begun last would keep one thread busy alone. A group
/// grows while padding stays below an eighth and `fits(rows, longest)`; every group has a row.
fn group_by_length(lengths: &[usize], fits: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for row in order {
        let joins = groups.last().is_some_and(|group: &Vec<usize>| {
            let (rows, longest) = (group.len() + 1, lengths[group[0]]);
            8 * longest * rows <= 9 * (filled + lengths[row]) && fits(rows, longest)
        });
        match groups.last_mut().filter(|_| joins) {
            Some(group) => {
                group.push(row);
                filled += lengths[row];
            }
            None => {
                groups.push(vec![row]);
                filled = lengths[row];
            }
        }
    }
    groups
}

type GroupResult = (Vec<LogProbability>, Vec<ArrayD<f32>>);

fn run_group(
    session: &mut Session,
    parameters: &Parameters,
    features: &Features,
    extra: &[(&'static str, Tensor)],
    with_gradient: bool,
) -> Result<GroupResult, LikelihoodError> {
    let mut inputs: Vec<(&str, Input<'_>)> = parameters.iter().map(|(name, p)| (name, Input::F32(p))).collect();
    inputs.extend(features.inputs().iter().chain(extra).map(|(name, tensor)| (*name, Input::Tensor(tensor))));
    let gradients: Vec<String> = parameters.iter().map(|(name, _)| format!("grad/{name}")).collect();
    let mut outputs = vec!["logp_w", "logp_xyz", "logp_a", "logp_l"];
    if with_gradient {
        outputs.extend(gradients.iter().map(String::as_str));
    }
    let mut results = session.run(&inputs, &outputs)?.into_iter();
    let mut parts = Vec::with_capacity(4);
    for output in 0..4 {
        let expected = "float64 (b)";
        let Some(Tensor::F64(values)) = results.next() else {
            return Err(LikelihoodError::Output { output, expected });
        };
        if values.len() != features.crystals() {
            return Err(LikelihoodError::Output { output, expected });
        }
        parts.push(values.into_iter().collect::<Vec<f64>>());
    }
    let row = |i: usize| LogProbability { w: parts[0][i], xyz: parts[1][i], a: parts[2][i], l: parts[3][i] };
    let logp = (0..features.crystals()).map(row).collect();
    let gradient = results
        .enumerate()
        .map(|(i, tensor)| match tensor {
            Tensor::F32(array) => Ok(array),
            _ => Err(LikelihoodError::Output { output: i + 4, expected: "float32" }),
        })
        .collect::<Result<_, _>>()?;
    Ok((logp, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_row_once_and_pad_little() {
        let lengths = [3, 1, 20, 3, 4, 1, 7, 8, 8, 2, 2, 2, 19];
        let groups = group_by_length(&lengths, |rows, sites| rows <= 4 && rows * sites <= 30);
        let mut rows: Vec<usize> = groups.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        for group in &groups {
            let longest = group.iter().map(|r| lengths[*r]).max().unwrap();
            let sum: usize = group.iter().map(|r| lengths[*r]).sum();
            assert!(group.len() <= 4);
            assert!(8 * longest * group.len() <= 9 * sum);
            assert!(group.len() == 1 || longest * group.len() <= 30);
        }
    }
}
