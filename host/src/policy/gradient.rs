//! The gradient of a loss over a batch of any size.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array1, ArrayD, arr0};

use super::likelihood::{Group, GroupOutput, GroupedGraph, Kept, LikelihoodError, LogProbability};
use super::loss::{DropoutMasks, Loss};
use super::network::masked_loss_gradient_graph;
use super::resources::Resources;
use super::{ElementMask, Hyperparameters, Parameters, Restriction};
use crate::crystal::Tokens;
use crate::graph::Tensor;
use crate::runtime::{Runtime, Session};

/// Makes the dropout masks of a group of crystals: its number in the batch, how many crystals, tokens of each.
pub type MakeMasks<'a> = &'a (dyn Fn(usize, usize, usize) -> DropoutMasks + Sync);

/// The gradient graph of a loss, ready to run.
pub struct LossGradient<L> {
    graph: GroupedGraph,
    loss: PhantomData<fn(&L)>,
}

/// A gradient and what was computed on the way to it.
#[derive(Debug)]
pub struct GradientBatch {
    /// Per row.
    pub logp: Vec<LogProbability>,
    /// Derivative of the loss, one tensor per parameter, in the parameters' order.
    pub gradient: Vec<ArrayD<f32>>,
}

impl<L: Loss> LossGradient<L> {
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
    /// As [`LossGradient::load`].
    pub fn restricted(
        runtime: &Runtime,
        hyper: &Hyperparameters,
        restriction: Option<Arc<Restriction>>,
        resources: Resources,
    ) -> Result<Self, LikelihoodError> {
        let graph = masked_loss_gradient_graph::<L>(hyper, ElementMask::of(restriction.as_deref()))?;
        let name = "policy gradient graph";
        let graph = GroupedGraph::load(runtime, name, &graph, hyper, Kept::ForDerivative, resources)?;
        Ok(Self { graph: graph.restricted_to(restriction), loss: PhantomData })
    }

    /// Bytes that the gradient of the longest crystal takes by itself: with a smaller budget, crystals are taken one by one, and the
    /// longest of them take this all the same.
    pub fn least_bytes(&self) -> u64 {
        self.graph.least_bytes()
    }

    /// The gradient of `loss` over a batch, without dropout.
    ///
    /// # Errors
    /// Any [`LikelihoodError`].
    pub fn gradient(
        &self,
        parameters: &Parameters,
        crystals: &[&Tokens],
        loss: &L,
    ) -> Result<GradientBatch, LikelihoodError> {
        self.gradient_with_dropout(parameters, crystals, loss, &|_, _, _| DropoutMasks::none(&self.graph.hyper))
    }

    /// The gradient of `loss` over a batch. A loss without dropout makes no use of masks.
    ///
    /// # Errors
    /// Any [`LikelihoodError`].
    pub fn gradient_with_dropout(
        &self,
        parameters: &Parameters,
        crystals: &[&Tokens],
        loss: &L,
        masks: MakeMasks<'_>,
    ) -> Result<GradientBatch, LikelihoodError> {
        let (rows, scalars) = (loss.row_inputs(), loss.scalar_inputs());
        if let Some((name, values)) = rows.iter().find(|(_, values)| values.len() != crystals.len()) {
            return Err(LikelihoodError::LossInput { name, found: values.len(), crystals: crystals.len() });
        }
        let task = |session: &mut Session, group: &Group| {
            let mut inputs: Vec<(&'static str, Tensor)> = Vec::new();
            if L::DROPOUT {
                inputs.extend(masks(group.number, group.rows.len(), group.tokens).into_inputs());
            }
            inputs.extend(scalars.iter().map(|(name, value)| (*name, arr0(*value).into())));
            for (name, values) in &rows {
                let own: Array1<f64> = group.rows.iter().map(|row| values[*row]).collect();
                inputs.push((name, own.into()));
            }
            self.graph.run(session, parameters, crystals, group, &inputs)
        };
        let mut batch = GradientBatch::zero(parameters, crystals.len());
        self.graph.each_group(crystals, task, |group, output| batch.add(group, output))?;
        Ok(batch)
    }
}

impl GradientBatch {
    fn zero(parameters: &Parameters, crystals: usize) -> Self {
        let gradient = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        Self { logp: vec![LogProbability::default(); crystals], gradient }
    }

    /// The gradients of groups are summed here, in the order of the groups.
    fn add(&mut self, group: &Group, output: GroupOutput) {
        output.scatter(&mut self.logp, group);
        self.gradient.iter_mut().zip(&output.gradient).for_each(|(sum, part)| *sum += part);
    }
}
