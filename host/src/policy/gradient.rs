//! The gradient of a loss over a batch of any size.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array1, ArrayD, arr0};

use super::likelihood::{Group, GroupedGraph, Kept, LikelihoodError, LogProbability};
use super::loss::{DropoutMasks, Loss};
use super::network::{masked_loss_gradient_graph, summed_loss_gradient_graph};
use super::resources::Resources;
use super::{ElementMask, Hyperparameters, Parameters, Restriction};
use crate::crystal::Tokens;
use crate::graph::Tensor;
use crate::ranks::Ranks;
use crate::runtime::{Device, Runtime, Session};

/// Makes the dropout masks of a group of crystals: its number in the batch, how many crystals, tokens of each.
pub type MakeMasks<'a> = &'a (dyn Fn(usize, usize, usize) -> DropoutMasks + Sync);

/// The gradient graph of a loss, ready to run.
pub struct LossGradient<L> {
    graph: GroupedGraph,
    /// Whether the gradients of groups are summed where they are computed.
    sums: bool,
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
        let sums = runtime.resolve(resources.device, &|_| ())? != Device::Cpu;
        Self::summing(runtime, hyper, restriction, resources, sums)
    }

    fn summing(
        runtime: &Runtime,
        hyper: &Hyperparameters,
        restriction: Option<Arc<Restriction>>,
        resources: Resources,
        sums: bool,
    ) -> Result<Self, LikelihoodError> {
        let mask = ElementMask::of(restriction.as_deref());
        let graph = if sums {
            summed_loss_gradient_graph::<L>(hyper, mask)?
        } else {
            masked_loss_gradient_graph::<L>(hyper, mask)?
        };
        let name = "policy gradient graph";
        let graph = GroupedGraph::load(runtime, name, &graph, hyper, Kept::ForDerivative, resources)?;
        Ok(Self { graph: graph.restricted_to(restriction), sums, loss: PhantomData })
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
        // A device that sums has one session, and so takes the groups in their order.
        let sums = Mutex::new(Vec::new());
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
            if self.sums {
                let sums = &mut sums.lock().unwrap_or_else(PoisonError::into_inner);
                return self.graph.run_summing(session, parameters, crystals, group, &inputs, sums);
            }
            self.graph.run(session, parameters, crystals, group, &inputs)
        };
        let mut gradient: Vec<ArrayD<f32>> = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        let add = |part: Vec<ArrayD<f32>>| gradient.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
        let logp = self.graph.each_group(crystals, task, add)?;
        sum_over(self.graph.ranks, &mut gradient);
        Ok(GradientBatch { logp, gradient })
    }
}

/// Replaces tensors by their sums over the ranks.
fn sum_over(ranks: Ranks, tensors: &mut [ArrayD<f32>]) {
    if ranks.size() == 1 {
        return;
    }
    let mut flat: Vec<f32> = tensors.iter().flatten().copied().collect();
    ranks.sum(&mut flat);
    tensors.iter_mut().flatten().zip(flat).for_each(|(x, sum)| *x = sum);
}

#[cfg(test)]
mod tests {
    use super::super::hyper::tests::tiny;
    use super::super::loss::row_input;
    use super::*;
    use crate::crystal::{Element, Site, SpaceGroup};
    use crate::graph::{Builder, Value};
    use crate::runtime::Locator;

    /// The sum of log p, each times its weight.
    struct Weighted(Vec<f64>);

    impl Loss for Weighted {
        const GRAPH: &'static str = "weighted_grad";
        const DROPOUT: bool = false;

        fn build(b: &mut Builder, logp: Value) -> Value {
            let weight = row_input(b, "weight");
            let weighted = b.mul(weight, logp);
            b.sum_all(weighted)
        }

        fn row_inputs(&self) -> Vec<(&'static str, &[f64])> {
            vec![("weight", &self.0)]
        }
    }

    fn crystal(sites: usize) -> Tokens {
        let site = |i: usize| Site {
            wyckoff: 1,
            species: Element::from_number(11).unwrap(),
            coord: [0.1, 0.2, i as f64 / 8.0],
        };
        let lattice = [4.0, 4.1, 4.2, 1.5, 1.6, 1.7];
        Tokens { group: SpaceGroup::new(1).unwrap(), lattice, sites: (0..sites).map(site).collect() }
    }

    /// What a CUDA device does, on the processor.
    #[test]
    fn a_sum_that_stays_with_the_graph_is_that_of_the_groups() {
        let (runtime, hyper) = (Runtime::open(&Locator::from_env(&|_| ()), Device::Cpu).unwrap(), tiny());
        let resources = Resources { device: Device::Cpu, threads: 1, memory: 1 << 30, ranks: Ranks::one() };
        let crystals: Vec<Tokens> = [1, 4, 2, 4, 1, 3].map(crystal).into();
        let crystals: Vec<&Tokens> = crystals.iter().collect();
        let parameters = Parameters::initialise(&hyper, 3);
        let loss = Weighted(vec![1.0, -2.0, 0.5, 3.0, -1.0, 0.25]);
        let of = |sums| LossGradient::<Weighted>::summing(&runtime, &hyper, None, resources, sums).unwrap();
        let [by_group, summed] = [false, true].map(|sums| of(sums).gradient(&parameters, &crystals, &loss).unwrap());
        assert_eq!(by_group.logp, summed.logp);
        for ((name, p), (ours, theirs)) in parameters.iter().zip(summed.gradient.iter().zip(&by_group.gradient)) {
            assert_eq!(ours.shape(), p.shape(), "{name}");
            assert_eq!(ours, theirs, "{name}");
        }
        assert!(by_group.gradient.iter().flatten().any(|x| *x != 0.0));
    }
}
