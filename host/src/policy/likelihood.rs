//! Log-probabilities of crystals: a graph, run over a batch of any size.
//!
//! A batch is cut into groups of like length. Groups run on several single-threaded sessions side by side, and their results are
//! gathered in the order of the groups. Neither the groups nor the order depend on the number of threads, so results do not.

use std::sync::{Arc, Mutex};

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::batch::{BatchError, Features, check_crystal};
use super::network::masked_logp_graph;
use super::resources::Resources;
use super::workers::in_order;
use super::{ElementMask, Hyperparameters, Parameters, Restriction};
use crate::crystal::Tokens;
use crate::graph::onnx::ModelProto;
use crate::graph::{GraphError, Tensor, encode};
use crate::ranks::Ranks;
use crate::runtime::{Device, Input, OrtTensor, Runtime, Session, SessionOptions};

/// Most bytes and tokens of a group on the CPU. More tokens than this leave the processor's caches between two operators.
const GROUP_BYTES: u64 = 1 << 30;
const GROUP_TOKENS: usize = 1024;
/// Tokens of a group, pads included, for each token that counts. A CUDA device takes about as long for a small group as for a
/// larger one, and so is given fewer of them.
const PADDING_CPU: f64 = 1.125;
const PADDING_CUDA: f64 = 1.5;

/// The outputs that log p is made of.
const LOGP: [&str; 4] = ["logp_w", "logp_xyz", "logp_a", "logp_l"];

/// The parts of log p, nats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// An input of a loss that has not one number for each crystal.
    #[error("the loss gives {found} numbers as `{name}` for {crystals} crystals")]
    LossInput {
        /// Of the input.
        name: &'static str,
        /// Its numbers.
        found: usize,
        /// Crystals of the batch.
        crystals: usize,
    },
    /// A graph that gives something else than its table of outputs says.
    #[error("the policy graph's output {output} is not {expected}")]
    Output {
        /// Which.
        output: usize,
        /// Type and shape.
        expected: &'static str,
    },
}

/// The graph of log p, ready to run.
pub struct Likelihood(GroupedGraph);

impl Likelihood {
    /// Builds and loads the graph.
    ///
    /// # Errors
    /// [`LikelihoodError::Graph`] and [`LikelihoodError::Runtime`].
    pub fn load(runtime: &Runtime, hyper: &Hyperparameters, resources: Resources) -> Result<Self, LikelihoodError> {
        Self::restricted(runtime, hyper, None, resources)
    }

    /// The same for a restricted policy.
    ///
    /// # Errors
    /// As [`Likelihood::load`].
    pub fn restricted(
        runtime: &Runtime,
        hyper: &Hyperparameters,
        restriction: Option<Arc<Restriction>>,
        resources: Resources,
    ) -> Result<Self, LikelihoodError> {
        let graph = masked_logp_graph(hyper, ElementMask::of(restriction.as_deref()))?;
        let graph = GroupedGraph::load(runtime, "policy likelihood graph", &graph, hyper, Kept::Nothing, resources)?;
        Ok(Self(graph.restricted_to(restriction)))
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
        let task = |session: &mut Session, group: &Group| self.0.run(session, parameters, crystals, group, &[]);
        self.0.each_group(crystals, task, |_| ())
    }
}

/// What a graph keeps of its activations.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kept {
    /// Only what the next layer reads.
    Nothing,
    /// Everything that the derivative reads.
    ForDerivative,
}

/// Rows of a batch that are run together.
pub(super) struct Group {
    /// From 0, in the order in which results are gathered.
    pub number: usize,
    /// Whether no other group follows on this rank.
    pub is_last: bool,
    /// Rows of the batch.
    pub rows: Vec<usize>,
    /// Tokens of the longest crystal.
    pub tokens: usize,
}

/// A graph over batches of crystals, ready to run group by group.
pub(super) struct GroupedGraph {
    sessions: Vec<Mutex<Session>>,
    /// Where the graph runs.
    device: Device,
    pub hyper: Hyperparameters,
    /// Most tokens of a group, and most bytes that they may take.
    group_tokens: usize,
    group_bytes: u64,
    kept: Kept,
    /// The processes that share the groups.
    pub ranks: Ranks,
    /// Where only some crystals are wanted.
    restriction: Option<Arc<Restriction>>,
}

/// What a run reads besides the extra inputs, where it lies.
struct Fed<'a> {
    parameters: &'a Parameters,
    /// Their copies on a CUDA device; the CPU reads them where they are.
    copies: Option<Arc<Vec<OrtTensor>>>,
    features: Features,
}

impl Fed<'_> {
    fn inputs<'a>(&'a self, extra: &'a [(&'static str, Tensor)]) -> Vec<(&'a str, Input<'a>)> {
        let names = self.parameters.iter().map(|(name, _)| name);
        let mut inputs: Vec<(&str, Input<'_>)> = match &self.copies {
            Some(copies) => names.zip(copies.iter().map(Input::from)).collect(),
            None => self.parameters.iter().map(|(name, p)| (name, Input::F32(p))).collect(),
        };
        let own = self.features.inputs().iter();
        inputs.extend(own.chain(extra).map(|(name, tensor)| (*name, Input::Tensor(tensor))));
        inputs
    }
}

impl GroupedGraph {
    /// `name` stands in errors.
    pub fn load(
        runtime: &Runtime,
        name: &'static str,
        model: &ModelProto,
        hyper: &Hyperparameters,
        kept: Kept,
        resources: Resources,
    ) -> Result<Self, LikelihoodError> {
        let bytes = encode(model);
        let split = resources.split(runtime, GROUP_BYTES)?;
        let options = SessionOptions { device: resources.device, threads: 1, ..SessionOptions::default() };
        let sessions = (0..split.workers)
            .map(|_| Session::from_bytes(runtime, name, &bytes, &options).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let (group_tokens, group_bytes) =
            (if split.device == Device::Cpu { GROUP_TOKENS } else { usize::MAX }, split.bytes);
        let (device, ranks, hyper) = (split.device, split.ranks, hyper.clone());
        Ok(Self { sessions, device, hyper, group_tokens, group_bytes, kept, ranks, restriction: None })
    }

    /// Scores under a restricted policy; the graph must have the form of [`ElementMask`] that it needs.
    pub fn restricted_to(mut self, restriction: Option<Arc<Restriction>>) -> Self {
        self.restriction = restriction;
        self
    }

    /// Runs `task` on every group of a batch, each on one of the ranks, and returns log p of every crystal. The gradients of this
    /// rank's groups go to `gather`, group by group in their order.
    pub fn each_group(
        &self,
        crystals: &[&Tokens],
        task: impl Fn(&mut Session, &Group) -> Result<GroupOutput, LikelihoodError> + Sync,
        mut gather: impl FnMut(Vec<ArrayD<f32>>) + Send,
    ) -> Result<Vec<LogProbability>, LikelihoodError> {
        let mut groups = self.groups(crystals)?;
        let tokens: Vec<usize> = groups.iter().map(|group| group.rows.len() * group.tokens).collect();
        let part = self.ranks.part(&tokens);
        if let Some(last) = groups[part.clone()].last_mut() {
            last.is_last = true;
        }
        let mut own = Vec::new();
        in_order(&self.sessions, &groups[part], task, |_, output| {
            own.push(output.logp);
            gather(output.gradient);
        })?;
        let mut logp = vec![LogProbability::default(); crystals.len()];
        for (group, values) in groups.iter().zip(self.ranks.gather(own)) {
            group.rows.iter().zip(values).for_each(|(row, value)| logp[*row] = value);
        }
        Ok(logp)
    }

    /// Runs one group. `extra` are inputs besides parameters and crystals.
    pub fn run(
        &self,
        session: &mut Session,
        parameters: &Parameters,
        crystals: &[&Tokens],
        group: &Group,
        extra: &[(&'static str, Tensor)],
    ) -> Result<GroupOutput, LikelihoodError> {
        let fed = self.fed(parameters, crystals, group)?;
        let gradients = self.gradients(parameters);
        let mut outputs = LOGP.to_vec();
        outputs.extend(gradients.iter().map(String::as_str));
        GroupOutput::read(session.run(&fed.inputs(extra), &outputs)?, fed.features.crystals())
    }

    /// Runs one group of a graph that sums gradients. The sums stay on the device from one group to the next, in `sums`, and come
    /// to the host with the last.
    pub fn run_summing(
        &self,
        session: &mut Session,
        parameters: &Parameters,
        crystals: &[&Tokens],
        group: &Group,
        extra: &[(&'static str, Tensor)],
        sums: &mut Vec<OrtTensor>,
    ) -> Result<GroupOutput, LikelihoodError> {
        let fed = self.fed(parameters, crystals, group)?;
        let mut inputs = fed.inputs(extra);
        let before: Vec<String> = parameters.iter().map(|(name, _)| format!("before/{name}")).collect();
        let zeros: Vec<Tensor> =
            parameters.iter().map(|(_, p)| ArrayD::<f32>::zeros(vec![1; p.ndim()]).into()).collect();
        let old = std::mem::take(sums);
        let sum = |i: usize| old.get(i).map_or(Input::Tensor(&zeros[i]), Input::OrtTensor);
        inputs.extend(before.iter().enumerate().map(|(i, name)| (name.as_str(), sum(i))));
        let gradients = self.gradients(parameters);
        let gradients: Vec<&str> = gradients.iter().map(String::as_str).collect();
        let (fetched, kept) =
            if group.is_last { ([&LOGP, &gradients[..]].concat(), &[][..]) } else { (LOGP.to_vec(), &gradients[..]) };
        let (outputs, kept) = session.run_keeping(&inputs, &fetched, kept)?;
        *sums = kept;
        GroupOutput::read(outputs, fed.features.crystals())
    }

    /// Names of the gradients among the outputs.
    fn gradients(&self, parameters: &Parameters) -> Vec<String> {
        match self.kept {
            Kept::Nothing => Vec::new(),
            Kept::ForDerivative => parameters.iter().map(|(name, _)| format!("grad/{name}")).collect(),
        }
    }

    fn fed<'a>(
        &self,
        parameters: &'a Parameters,
        crystals: &[&Tokens],
        group: &Group,
    ) -> Result<Fed<'a>, LikelihoodError> {
        let copies = (self.device != Device::Cpu).then(|| parameters.on_device(self.device)).transpose()?;
        Ok(Fed { parameters, copies, features: self.features(crystals, &group.rows)? })
    }

    fn features(&self, crystals: &[&Tokens], group: &[usize]) -> Result<Features, LikelihoodError> {
        let members: Vec<&Tokens> = group.iter().map(|row| crystals[*row]).collect();
        let features = Features::restricted(&members, &self.hyper, self.restriction.as_deref());
        features.map_err(|source| LikelihoodError::Crystal { row: group[0], source })
    }

    fn groups(&self, crystals: &[&Tokens]) -> Result<Vec<Group>, LikelihoodError> {
        for (row, crystal) in crystals.iter().enumerate() {
            check_crystal(crystal, &self.hyper).map_err(|source| LikelihoodError::Crystal { row, source })?;
        }
        let lengths: Vec<usize> = crystals.iter().map(|c| c.sites.len()).collect();
        let fits = |rows: usize, sites| {
            let tokens = 5 * sites + 1;
            rows * tokens <= self.group_tokens && rows as u64 * self.row_bytes(tokens) <= self.group_bytes
        };
        let padding = if self.device == Device::Cpu { PADDING_CPU } else { PADDING_CUDA };
        let groups = group_by_length(&lengths, padding, fits).into_iter().enumerate();
        // A crystal without sites takes a slot all the same.
        let tokens = |rows: &[usize]| 5 * rows.iter().map(|row| lengths[*row]).max().unwrap_or(0).max(1) + 1;
        let group = |(number, rows): (usize, Vec<usize>)| Group { number, is_last: false, tokens: tokens(&rows), rows };
        Ok(groups.map(group).collect())
    }

    /// Bytes that the longest crystal takes by itself, whatever the budget is.
    pub(super) fn least_bytes(&self) -> u64 {
        self.row_bytes(5 * self.hyper.n_max + 1)
    }

    /// Bytes that a row of T tokens takes: everything that a layer keeps for its derivative, or one layer's intermediates.
    fn row_bytes(&self, tokens: usize) -> u64 {
        let h = &self.hyper;
        let (heads, width) = (h.num_heads * (h.key_size + h.model_size), h.model_size);
        let layer = tokens * (4 * h.num_heads * tokens + 4 * heads + 32 * width);
        let layers = if self.kept == Kept::ForDerivative { h.num_layers + 2 } else { 2 };
        let head = tokens * (6 * h.output_size() + 12 * 3 * h.Kx);
        4 * (layer * layers + head) as u64
    }
}

/// Rows in groups of like length, longest first: a costly group that is begun last would keep one thread busy alone. A group
/// grows while its sites, padding included, are at most `padding` times its crystals' and `fits(rows, longest)`; every group has
/// a row.
fn group_by_length(lengths: &[usize], padding: f64, fits: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for row in order {
        let joins = groups.last().is_some_and(|group: &Vec<usize>| {
            let (rows, longest) = (group.len() + 1, lengths[group[0]]);
            (longest * rows) as f64 <= padding * (filled + lengths[row]) as f64 && fits(rows, longest)
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

/// What a graph gives for a group.
pub(super) struct GroupOutput {
    /// One per crystal.
    pub logp: Vec<LogProbability>,
    /// One tensor per parameter, in the parameters' order; none without a derivative, nor where the sum is still on the device.
    pub gradient: Vec<ArrayD<f32>>,
}

impl GroupOutput {
    fn read(outputs: Vec<Tensor>, crystals: usize) -> Result<Self, LikelihoodError> {
        let mut outputs = outputs.into_iter();
        let mut parts = Vec::with_capacity(LOGP.len());
        for output in 0..LOGP.len() {
            match outputs.next() {
                Some(Tensor::F64(values)) if values.len() == crystals => {
                    parts.push(values.into_iter().collect::<Vec<f64>>());
                }
                _ => return Err(LikelihoodError::Output { output, expected: "float64 (b)" }),
            }
        }
        let row = |i: usize| LogProbability { w: parts[0][i], xyz: parts[1][i], a: parts[2][i], l: parts[3][i] };
        let gradient = outputs.enumerate().map(|(i, tensor)| match tensor {
            Tensor::F32(array) => Ok(array),
            _ => Err(LikelihoodError::Output { output: i + LOGP.len(), expected: "float32" }),
        });
        Ok(Self { logp: (0..crystals).map(row).collect(), gradient: gradient.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_row_once_and_pad_little() {
        let lengths = [3, 1, 20, 3, 4, 1, 7, 8, 8, 2, 2, 2, 19];
        let groups = group_by_length(&lengths, PADDING_CPU, |rows, sites| rows <= 4 && rows * sites <= 30);
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
