//! Sampling: one token at a time with a key/value cache (spec section 7, the equivalent cheap algorithm).
//!
//! All crystals of a chunk are at the same token, because each is written as W, A, X, Y, Z in turn from position 0. Finished crystals
//! stay in the caches until they are a quarter of the chunk, then the caches are compacted. The caches have room for some tokens more,
//! which are written in place. Each sample has a random stream of its
//! own, and the chunks do not depend on the number of threads. Where the caches of long crystals would need more memory than there
//! is, half of a chunk waits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;

use super::likelihood::LikelihoodError;
use super::partial_crystal::{PartialCrystal, Refusal, SampleSettings};
use super::resources;
use super::workers::in_order;
use super::{Hyperparameters, Parameters, Resources, SampleStream, compact_graph, decode_graph};
use crate::crystal::{SpaceGroup, Tokens};
use crate::graph::onnx::ModelProto;
use crate::graph::{Split, Tensor, encode, fix_inputs, split};
use crate::runtime::{Device, Input, OrtTensor, Passed, Runtime, Session, SessionOptions};

/// A batch is cut into this many chunks, so that several workers get some, but of rows between these bounds: with few rows the
/// weights are read for little.
const CHUNKS: usize = 4;
const CHUNK_ROWS: (usize, usize) = (64, 256);
/// Rows of a chunk on a CUDA device, which takes about as long for a token of many rows as of few. Four sessions side by side
/// drew half as many crystals a second as one on an H100.
const CUDA_ROWS: usize = 2048;
/// Tokens by which the room of the caches grows: four sites. Memory for more would be taken long before it is used.
const ROOM: usize = 20;
/// Bytes of the caches of a chunk on the CPU.
const CHUNK_BYTES: u64 = 768 << 20;

/// Which random numbers a batch uses: sample i of the batch has the stream (seed, step, first + i).
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Of the run.
    pub seed: u64,
    /// Of the training; 0 outside of one.
    pub step: u32,
    /// Index of the first sample.
    pub first: u32,
}

/// The decoding graphs, and sessions of them for the parameters that were last sampled with.
pub struct Sampler {
    runtime: Runtime,
    decode: ModelProto,
    /// Whether what follows from the parameters is handed to sessions that outlive them. Otherwise it is made of constants of new
    /// sessions, which the CPU brings into the layout that suits it. It sums in another order then, so that the last digits of
    /// samples would be others with inputs.
    hands_over: bool,
    compact: Vec<u8>,
    options: SessionOptions,
    hyper: Hyperparameters,
    split: resources::Split,
    loaded: Mutex<Option<Loaded>>,
    /// Number of sites of each sample, where it is given and not drawn.
    sites: Option<Vec<usize>>,
}

/// Sessions that hold the parameters, so that what follows from them alone is computed once, not with every token.
struct Loaded {
    parameters: Parameters,
    handed: Handed,
    prepare: Prepare,
    workers: Vec<Mutex<Worker>>,
}

/// Inputs of the decoding graph that are the same for every token.
#[derive(Default)]
struct Handed {
    /// What was computed from the parameters.
    made: Vec<(String, OrtTensor)>,
    /// Parameters, and their positions among all.
    parameters: Vec<(String, usize)>,
    copies: Arc<Vec<OrtTensor>>,
}

impl Handed {
    /// The same as arrays.
    fn into_tensors(self, parameters: &Parameters) -> Result<Vec<(String, Tensor)>, LikelihoodError> {
        let made = self.made.into_iter().map(|(name, value)| Ok((name, value.to_tensor()?)));
        let read = |name: String| parameters.get(&name).map(|p| Ok((name.clone(), Tensor::F32(p.clone()))));
        made.chain(self.parameters.into_iter().filter_map(|(name, _)| read(name))).collect()
    }

    fn inputs(&self) -> Vec<(&str, Input<'_>)> {
        let made = self.made.iter().map(|(name, value)| (name.as_str(), value.into()));
        let read = self.parameters.iter().map(|(name, i)| (name.as_str(), Input::from(&self.copies[*i])));
        made.chain(read).collect()
    }
}

/// Computes what follows from the parameters alone, for the names of the decoding graph's inputs.
struct Prepare {
    session: Session,
    handed: Vec<String>,
    /// The decoding graph, which reads what is handed.
    rest: ModelProto,
}

struct Worker {
    decode: Session,
    compact: Session,
    /// Caches that are not in use: their memory, which is that of `compact`, is taken again, because new pages are costly.
    spare: Option<Caches>,
}

/// Room for the keys and the vectors of each layer.
type Caches = Vec<OrtTensor>;

impl Sampler {
    /// Makes the decoding graphs.
    ///
    /// # Errors
    /// [`LikelihoodError`] when they cannot be made or the device cannot be used.
    pub fn load(runtime: &Runtime, hyper: &Hyperparameters, resources: Resources) -> Result<Self, LikelihoodError> {
        let split = resources.split(runtime, CHUNK_BYTES)?;
        Ok(Self {
            runtime: runtime.clone(),
            decode: decode_graph(hyper)?,
            hands_over: split.device != Device::Cpu,
            compact: encode(&compact_graph(hyper)?),
            options: SessionOptions { device: resources.device, threads: 1, ..SessionOptions::default() },
            hyper: hyper.clone(),
            split,
            loaded: Mutex::new(None),
            sites: None,
        })
    }

    /// Sessions for these parameters, made anew or brought up to date.
    fn loaded(&self, old: Option<Loaded>, parameters: &Parameters) -> Result<Loaded, LikelihoodError> {
        let (mut prepare, mut workers) = match old {
            Some(same) if same.parameters == *parameters => return Ok(same),
            // What was handed makes room for what will be.
            Some(Loaded { prepare, workers, .. }) => (prepare, workers),
            None => (Prepare::new(self, parameters)?, Vec::new()),
        };
        let mut handed = prepare.run(parameters)?;
        if !self.hands_over {
            let fixed = std::mem::take(&mut handed).into_tensors(parameters)?;
            workers = self.workers(workers, &prepare.rest_with(&fixed))?;
        } else if workers.is_empty() {
            workers = self.workers(workers, &encode(&prepare.rest))?;
        }
        Ok(Loaded { parameters: parameters.clone(), handed, prepare, workers })
    }

    /// Workers for a decoding graph. What those that there are have beside its session stays with them.
    fn workers(&self, old: Vec<Mutex<Worker>>, decode: &[u8]) -> Result<Vec<Mutex<Worker>>, LikelihoodError> {
        let mut old = old.into_iter().map(|worker| worker.into_inner().unwrap_or_else(PoisonError::into_inner));
        let kept: Vec<Option<Worker>> = (0..self.split.workers).map(|_| old.next()).collect();
        let worker = |kept: Option<Worker>| {
            let (compact, spare) = match kept {
                Some(Worker { compact, spare, .. }) => (compact, spare),
                None => (self.session("cache compaction graph", &self.compact)?, None),
            };
            Ok(Mutex::new(Worker { decode: self.session("policy decoding graph", decode)?, compact, spare }))
        };
        kept.into_par_iter().map(worker).collect()
    }

    fn session(&self, name: &str, bytes: &[u8]) -> Result<Session, LikelihoodError> {
        Ok(Session::from_bytes(&self.runtime, name, bytes, &self.options)?)
    }

    /// Gives sample i `sites[i]` sites, as far as its group allows: to measure what a policy that has not been trained would
    /// take for crystals of usual lengths.
    pub fn with_sites(mut self, sites: Vec<usize>) -> Self {
        self.sites = Some(sites);
        self
    }

    /// One crystal for each of `groups`, in their order.
    ///
    /// # Errors
    /// [`LikelihoodError`] when a graph cannot be run; a sample that fails by itself is a [`Refusal`].
    pub fn sample(
        &self,
        parameters: &Parameters,
        groups: &[SpaceGroup],
        draws: Draws,
        settings: &SampleSettings,
    ) -> Result<Vec<Result<Tokens, Refusal>>, LikelihoodError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.loaded(loaded.take(), parameters)?;
        let loaded = loaded.insert(current);
        let ranks = self.split.ranks;
        let rows = match self.split.device {
            // A device for each rank.
            Device::Cuda(_) => groups.len().div_ceil(ranks.size()).clamp(1, CUDA_ROWS),
            Device::Auto | Device::Cpu => groups.len().div_ceil(CHUNKS).clamp(CHUNK_ROWS.0, CHUNK_ROWS.1),
        };
        let chunks: Vec<(usize, &[SpaceGroup])> = groups.chunks(rows).enumerate().collect();
        let sizes: Vec<usize> = chunks.iter().map(|(_, chunk)| chunk.len()).collect();
        let (mut own, handed) = (Vec::with_capacity(groups.len()), loaded.handed.inputs());
        let decode = |worker: &mut Worker, (index, chunk): &(usize, &[SpaceGroup])| {
            let first = draws.first + (index * rows) as u32;
            Chunk::new(self, &handed, settings, chunk, Draws { first, ..draws }).decode(worker)
        };
        in_order(&loaded.workers, &chunks[ranks.part(&sizes)], decode, |_, drawn| own.extend(drawn))?;
        Ok(ranks.gather(own))
    }
}

impl Prepare {
    fn new(sampler: &Sampler, parameters: &Parameters) -> Result<Self, LikelihoodError> {
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        let Split { prepare, rest, handed } = split(&sampler.decode, &names)?;
        let session = sampler.session("policy preparation graph", &encode(&prepare))?;
        Ok(Self { session, handed, rest })
    }

    /// The decoding graph with these tensors as constants, encoded.
    fn rest_with(&self, handed: &[(String, Tensor)]) -> Vec<u8> {
        let mut rest = self.rest.clone();
        fix_inputs(&mut rest, handed.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())));
        encode(&rest)
    }

    /// The decoding graph's inputs for these parameters.
    fn run(&mut self, parameters: &Parameters) -> Result<Handed, LikelihoodError> {
        let copies = parameters.on_device(self.session.device())?;
        let read: HashSet<&str> = self.session.inputs().iter().map(|input| input.name.as_str()).collect();
        let all = parameters.iter().map(|(name, _)| name).zip(copies.iter().map(Input::from));
        let fed: Vec<(&str, Input<'_>)> = all.filter(|(name, _)| read.contains(name)).collect();
        let names: Vec<String> = self.session.outputs().iter().map(|output| output.name.clone()).collect();
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let (_, values) = self.session.run_keeping(&fed, &[], &asked)?;
        let is_handed = |name: &str| self.handed.iter().any(|handed| handed == name);
        let numbered = parameters.iter().enumerate().filter(|(_, (name, _))| is_handed(name));
        let parameters = numbered.map(|(i, (name, _))| (name.to_owned(), i)).collect();
        Ok(Handed { made: names.into_iter().zip(values).collect(), parameters, copies })
    }
}

/// Crystals that are decoded side by side.
struct Chunk<'a> {
    sampler: &'a Sampler,
    /// Inputs that are the same for every token.
    handed: &'a [(&'a str, Input<'a>)],
    settings: &'a SampleSettings,
    crystals: Vec<PartialCrystal>,
    section: Section,
}

/// The crystals of a chunk that stand at the same token.
struct Section {
    /// Crystal of each row of the caches.
    rows: Vec<usize>,
    /// (tokens, rows, ...).
    caches: Caches,
    /// Tokens that the caches have room for.
    room: usize,
    /// Tokens so far.
    position: usize,
}

/// What is fed for each row of a token.
struct Token {
    kind: i64,
    class: Vec<i64>,
    multiplicity: Vec<f32>,
    coordinate: Vec<f64>,
}

impl<'a> Chunk<'a> {
    fn new(
        sampler: &'a Sampler,
        handed: &'a [(&'a str, Input<'a>)],
        settings: &'a SampleSettings,
        groups: &[SpaceGroup],
        draws: Draws,
    ) -> Self {
        let wanted = |index: usize| sampler.sites.as_ref().and_then(|sites| sites.get(index)).copied();
        let begun = |(i, group): (usize, &SpaceGroup)| {
            let index = draws.first + i as u32;
            PartialCrystal::new(*group, SampleStream::new(draws.seed, draws.step, index), wanted(index as usize))
        };
        let section = Section { rows: (0..groups.len()).collect(), caches: Vec::new(), room: ROOM, position: 0 };
        Self { sampler, handed, settings, crystals: groups.iter().enumerate().map(begun).collect(), section }
    }

    fn decode(mut self, worker: &mut Worker) -> Result<Vec<Result<Tokens, Refusal>>, LikelihoodError> {
        let hyper = &self.sampler.hyper;
        self.section.caches = self.caches(worker, self.section.rows.len() * ROOM)?;
        let first = self.first_letters(worker)?;
        self.each_row(|crystal, row| crystal.first_letters(&first[row], self.settings, hyper));
        let mut waiting = Vec::new();
        loop {
            while !self.section.rows.is_empty() && self.section.position < 5 * hyper.n_max {
                self.halve(worker, &mut waiting)?;
                self.site(worker)?;
            }
            match waiting.pop() {
                Some(section) => self.go_on(worker, section),
                None => break,
            }
        }
        worker.spare = Some(std::mem::take(&mut self.section.caches));
        let unfinished = || Err(Refusal::Unfinished { tokens: 5 * hyper.n_max });
        Ok(self.crystals.into_iter().map(|crystal| crystal.outcome.unwrap_or_else(unfinished)).collect())
    }

    /// Writes one site of every crystal, or its end.
    fn site(&mut self, worker: &mut Worker) -> Result<(), LikelihoodError> {
        let (hyper, settings) = (&self.sampler.hyper, self.settings);
        let slot = self.section.position / 5;
        if self.section.position + 5 > self.section.room {
            let all: Vec<usize> = (0..self.section.rows.len()).collect();
            let grown = self.keep(worker, &all, self.section.position + ROOM)?;
            self.go_on(worker, grown);
        }
        let raw = self.letter_token(worker)?;
        self.each_row(|crystal, row| crystal.element(&raw[row], slot, settings, hyper));
        self.compact(worker)?;
        if self.section.rows.is_empty() {
            return Ok(());
        }
        let mut raw = self.step(worker, &self.element_token())?;
        for axis in 0..3 {
            self.each_row(|crystal, row| crystal.coordinate(&raw[row], axis, settings, hyper));
            raw = self.step(worker, &self.coordinate_token(axis))?;
        }
        let last = slot + 1 == hyper.n_max;
        self.each_row(
            |crystal, row| {
                if last { crystal.finish(settings) } else { crystal.next_letters(&raw[row], settings, hyper) }
            },
        );
        Ok(())
    }

    /// Sets half of the crystals aside for as long as the caches, old and new, could outgrow the memory within a site.
    fn halve(&mut self, worker: &mut Worker, waiting: &mut Vec<Section>) -> Result<(), LikelihoodError> {
        let h = &self.sampler.hyper;
        let token_bytes = 2 * 4 * h.num_layers * (h.num_heads * h.key_size + h.model_size);
        let fits = |rows: usize, tokens: usize| (rows * tokens * token_bytes) as u64 <= self.sampler.split.bytes / 2;
        while self.section.rows.len() > 1 && !fits(self.section.rows.len(), self.section.position + 5) {
            let all: Vec<usize> = (0..self.section.rows.len()).collect();
            let (here, aside) = all.split_at(all.len() / 2);
            let room = self.section.room;
            waiting.push(self.keep(worker, aside, room)?);
            let here = self.keep(worker, here, room)?;
            self.go_on(worker, here);
        }
        Ok(())
    }

    /// Applies a rule to the crystals that are not finished; one that fails is finished by its failure.
    fn each_row(&mut self, rule: impl Fn(&mut PartialCrystal, usize) -> Result<(), Refusal>) {
        for (row, index) in self.section.rows.iter().enumerate() {
            let crystal = &mut self.crystals[*index];
            if crystal.outcome.is_none()
                && let Err(refusal) = rule(crystal, row)
            {
                crystal.outcome = Some(Err(refusal));
            }
        }
    }

    /// Logits of the first letter, which depend on the group alone: a token is fed for them and forgotten.
    fn first_letters(&mut self, worker: &mut Worker) -> Result<Vec<Vec<f32>>, LikelihoodError> {
        let n = self.section.rows.len();
        let token = Token { kind: 0, class: vec![0; n], multiplicity: vec![0.0; n], coordinate: vec![0.0; n] };
        split_rows(self.run(worker, &token, "first")?)
    }

    /// Draws the letters and feeds them.
    fn letter_token(&mut self, worker: &mut Worker) -> Result<Vec<Vec<f32>>, LikelihoodError> {
        let settings = self.settings;
        self.each_row(|crystal, _| crystal.draw_letter(settings));
        let mut token = self.token(0);
        for (row, index) in self.section.rows.iter().enumerate() {
            let crystal = &self.crystals[*index];
            token.class[row] = i64::from(crystal.letter);
            token.multiplicity[row] = crystal.position().map_or(0.0, |p| p.multiplicity() as f32);
        }
        self.step(worker, &token)
    }

    fn element_token(&self) -> Token {
        let mut token = self.token(1);
        for (class, index) in token.class.iter_mut().zip(&self.section.rows) {
            *class = self.crystals[*index].sites.last().map_or(0, |site| i64::from(site.species.number()));
        }
        token
    }

    fn coordinate_token(&self, axis: usize) -> Token {
        let mut token = self.token(2 + axis as i64);
        for (x, index) in token.coordinate.iter_mut().zip(&self.section.rows) {
            *x = self.crystals[*index].sites.last().map_or(0.0, |site| site.coord[axis]);
        }
        token
    }

    fn token(&self, kind: i64) -> Token {
        let n = self.section.rows.len();
        Token { kind, class: vec![0; n], multiplicity: vec![0.0; n], coordinate: vec![0.0; n] }
    }

    /// Feeds a token and returns the output layer's rows.
    fn step(&mut self, worker: &mut Worker, token: &Token) -> Result<Vec<Vec<f32>>, LikelihoodError> {
        let raw = self.run(worker, token, "raw")?;
        self.section.position += 1;
        split_rows(raw)
    }

    /// Runs the decoding graph, which writes the token into the caches; only the output `fetched` leaves the device.
    fn run(&mut self, worker: &mut Worker, token: &Token, fetched: &'static str) -> Result<Tensor, LikelihoodError> {
        let position = self.section.position;
        let groups = self.section.rows.iter().map(|i| i64::from(self.crystals[*i].group.number())).collect();
        let fed: [(&str, Tensor); 6] = [
            ("G", Array1::from_vec(groups).into()),
            ("kind", ndarray::arr0(token.kind).into()),
            ("position", ndarray::arr1(&[position as i64]).into()),
            ("type", Array1::from_vec(token.class.clone()).into()),
            ("M", column(&token.multiplicity).into()),
            ("x", column(&token.coordinate).into()),
        ];
        let mut inputs: Vec<(&str, Input<'_>)> =
            fed.iter().map(|(name, tensor)| (*name, Input::Tensor(tensor))).collect();
        inputs.extend(self.handed);
        let (names, outputs) = (self.cache_names(""), self.cache_names("_out"));
        let shapes = self.cache_shapes(position + 1, self.section.rows.len());
        let caches = names.iter().zip(&outputs).zip(self.section.caches.iter_mut().zip(shapes));
        let mut caches: Vec<Passed<'_>> = caches
            .map(|((input, output), (to, shape))| Passed {
                input,
                from: None,
                output,
                to,
                shapes: [shape.clone(), shape],
            })
            .collect();
        Ok(worker.decode.run_passing(&inputs, &[fetched], &mut caches)?.remove(0))
    }

    /// Drops finished rows from the caches once they are a quarter of all, or all.
    fn compact(&mut self, worker: &mut Worker) -> Result<(), LikelihoodError> {
        let alive = |index: &usize| self.crystals[*index].outcome.is_none();
        let rows = &self.section.rows;
        let keep: Vec<usize> = (0..rows.len()).filter(|row| alive(&rows[*row])).collect();
        if keep.is_empty() {
            self.section.rows.clear();
        } else if 4 * keep.len() <= 3 * rows.len() {
            let kept = self.keep(worker, &keep, self.section.room)?;
            self.go_on(worker, kept);
        }
        Ok(())
    }

    /// Some rows of the section at hand, with room for `room` tokens.
    fn keep(&self, worker: &mut Worker, keep: &[usize], room: usize) -> Result<Section, LikelihoodError> {
        let rows = keep.iter().map(|row| self.section.rows[*row]).collect();
        let position = self.section.position;
        let mut caches = self.caches(worker, keep.len() * room)?;
        let indices: Tensor = Array1::from_iter(keep.iter().map(|row| *row as i64)).into();
        let (names, outputs) = (self.cache_names(""), self.cache_names("_out"));
        let shapes = self.cache_shapes(position, self.section.rows.len());
        let shapes = shapes.into_iter().zip(self.cache_shapes(position, keep.len()));
        let mut passed: Vec<Passed<'_>> = names
            .iter()
            .zip(&outputs)
            .zip(self.section.caches.iter().zip(&mut caches).zip(shapes))
            .map(|((input, output), ((from, to), (read, written)))| Passed {
                input,
                from: Some(from),
                output,
                to,
                shapes: [read, written],
            })
            .collect();
        worker.compact.run_passing(&[("keep", Input::Tensor(&indices))], &[], &mut passed)?;
        Ok(Section { rows, caches, room, position })
    }

    /// Goes on with another section; the caches of the one at hand are free.
    fn go_on(&mut self, worker: &mut Worker, section: Section) {
        worker.spare = Some(std::mem::replace(&mut self.section, section).caches);
    }

    /// Caches with room for a number of tokens, of all rows together.
    fn caches(&self, worker: &mut Worker, tokens: usize) -> Result<Caches, LikelihoodError> {
        let numbers: Vec<usize> = self.cache_shapes(tokens, 1).iter().map(|shape| shape.iter().product()).collect();
        let fits = |(cache, numbers): (&OrtTensor, &usize)| cache.shape().iter().product::<usize>() >= *numbers;
        if let Some(spare) = worker.spare.take().filter(|spare| spare.iter().zip(&numbers).all(fits)) {
            return Ok(spare);
        }
        let made = numbers.iter().map(|numbers| worker.compact.allocate(*numbers));
        Ok(made.collect::<Result<_, _>>()?)
    }

    /// In the order of [`Self::cache_names`].
    fn cache_shapes(&self, tokens: usize, rows: usize) -> Vec<Vec<usize>> {
        let h = &self.sampler.hyper;
        let shapes = [vec![tokens, rows, h.num_heads, h.key_size], vec![tokens, rows, h.model_size]];
        (0..h.num_layers).flat_map(|_| shapes.clone()).collect()
    }

    fn cache_names(&self, suffix: &str) -> Vec<String> {
        (0..self.sampler.hyper.num_layers).flat_map(|i| ["k", "x"].map(|c| format!("{c}{suffix}_{i}"))).collect()
    }
}

/// Numbers as (n, 1).
fn column<T: Clone>(values: &[T]) -> Array2<T> {
    ArrayView1::from(values).insert_axis(Axis(1)).to_owned()
}

/// A float32 matrix as its rows.
fn split_rows(tensor: Tensor) -> Result<Vec<Vec<f32>>, LikelihoodError> {
    match tensor {
        Tensor::F32(a) if a.ndim() == 2 => Ok(a.outer_iter().map(|row| row.iter().copied().collect()).collect()),
        _ => Err(LikelihoodError::Output { output: 0, expected: "float32 (b, columns)" }),
    }
}
