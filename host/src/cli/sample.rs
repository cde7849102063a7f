//! `temper sample`: crystals drawn from a policy.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::wanted::{WishError, possible_groups, restriction, training_groups};
use super::{Context, Failure, Output, Search};
use crate::config::{ElementCount, Elements, Sampling};
use crate::crystal::{Composition, Format, Record, Structure, StructureWriter, Tokens, tokens_json};
use crate::policy::{
    Draws, ModelToml, PolicyDirectory, Refusal, Resources, SampleSettings, Sampler, SpaceGroupDistribution,
    Temperatures,
};

/// Crystals that are drawn at a time.
const CHUNK: usize = 1000;

/// Draw crystals from a policy.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper sample -m models/crystalformer-small -n 100 --spacegroup 225,216 -o crystals.jsonl"
)]
pub struct Sample {
    /// The policy: a folder with model.toml and params.safetensors, a run directory or one of its checkpoints
    #[arg(long, short, value_name = "DIR")]
    model: PathBuf,
    /// Number of crystals
    #[arg(short, value_name = "N")]
    n: usize,
    /// Space groups, each equally often; without it, with the frequencies of the training data
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=230))]
    spacegroup: Vec<u8>,
    /// Only these elements
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',', conflicts_with = "exclude_elements")]
    elements: Vec<String>,
    /// None of these elements; `radioactive` and `noble-gas` stand for several
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    exclude_elements: Vec<String>,
    /// All of these elements in every crystal
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    require_elements: Vec<String>,
    /// Most Wyckoff sites of a crystal
    #[arg(long, value_name = "N")]
    max_sites: Option<usize>,
    /// Most atoms in the conventional cell
    #[arg(long, value_name = "N")]
    max_atoms: Option<usize>,
    /// Fewest different elements
    #[arg(long, value_name = "N")]
    min_elements: Option<usize>,
    /// Most different elements
    #[arg(long, value_name = "N")]
    max_elements: Option<usize>,
    /// Only compositions of this family; A, E, G, J, L, M, Q, R, X and Z stand for any other element: LiMO2
    #[arg(long, value_name = "FORMULA")]
    formula: Option<String>,
    /// Below 1 favours likely crystals; 0 takes the most likely token. One number, or one for some of the letters (w), elements (a),
    /// coordinates (xyz) and the lattice (l): xyz=0.2,l=0.2
    #[arg(long, value_name = "T", default_value = "1", value_parser = temperatures)]
    temperature: Temperatures,
    /// Share of the probability that is drawn from in each discrete choice
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f64,
    /// Write CIFs in P 1, with every atom listed, instead of the space group and one atom of each Wyckoff site
    #[arg(long)]
    p1: bool,
    /// File that receives the crystals: .jsonl (with tokens), .cif, .extxyz or .csv
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

/// Reads `--temperature`.
fn temperatures(text: &str) -> Result<Temperatures, String> {
    let number = |text: &str| match text.trim().parse::<f64>() {
        Ok(t) if t >= 0.0 && t.is_finite() => Ok(t),
        _ => Err(format!("{text:?} is no temperature: a number of at least 0 is needed")),
    };
    if !text.contains('=') {
        let t = number(text)?;
        return Ok(Temperatures { w: t, a: t, xyz: t, l: t });
    }
    let mut found = Temperatures::default();
    for part in text.split(',') {
        let (kind, value) = part.split_once('=').ok_or_else(|| format!("{part:?}: write KIND=T"))?;
        let place = match kind.trim() {
            "w" => &mut found.w,
            "a" => &mut found.a,
            "xyz" => &mut found.xyz,
            "l" => &mut found.l,
            other => return Err(format!("{other:?} is no kind of token: they are w, a, xyz and l")),
        };
        *place = number(value)?;
    }
    Ok(found)
}

impl Sample {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.check()?;
        let mut sink = Sink::create(&context.writable(&self.out))?;
        let folder = Search::new(None).find("--model", &self.model)?;
        let found = context.policy(&folder)?;
        [&found.model_file, &found.parameters_file]
            .into_iter()
            .try_for_each(|file| context.same_files_on_all_ranks(file))?;
        let PolicyDirectory { model, parameters } = found.policy;
        let wanted = restriction(&self.wishes(), &model.hyper, context).map_err(|wish| self.refused(wish))?;
        let groups =
            possible_groups(self.groups(&model, context)?, wanted.as_deref(), context).map_err(Failure::user)?;
        let settings = SampleSettings { temperature: self.temperature, top_p: self.top_p, restriction: wanted };
        let device = context.device()?;
        let runtime = context.runtime(device)?;
        let device = context.resolve(&runtime, device)?;
        let memory = runtime.memory(device);
        let resources = Resources { device, threads: context.threads(0), memory, ranks: context.ranks };
        let sampler = Sampler::load(&runtime, &model.hyper, resources)?;
        let progress = context.progress("crystals", self.n as u64);
        let mut refused = 0;
        for first in (0..self.n).step_by(CHUNK) {
            let count = CHUNK.min(self.n - first);
            let draws = Draws { seed: context.globals.seed.unwrap_or(42), step: 0, first: first as u32 };
            let groups = groups.draw(draws, count);
            for (i, drawn) in sampler.sample(&parameters, &groups, draws, &settings)?.into_iter().enumerate() {
                refused += usize::from(!sink.add(first + i, &drawn, !self.p1)?);
            }
            progress.advance(count as u64);
        }
        drop(progress);
        sink.finish()?;
        context.say(&format!("{} crystals: {}", self.n - refused, self.out.display()));
        if refused > 0 {
            context.say(&format!("{refused} of {} draws are not crystals", self.n));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        if self.n == 0 || u32::try_from(self.n).is_err() {
            return Err(Failure::user(format!("-n {}: between 1 and {} crystals can be drawn", self.n, u32::MAX)));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Failure::user(format!("--top-p {}: must be more than 0 and at most 1", self.top_p)));
        }
        Ok(())
    }

    /// The options as the table of a config.
    fn wishes(&self) -> Sampling {
        let list = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        let elements = Elements {
            only: list(&self.elements),
            exclude: list(&self.exclude_elements),
            require: self.require_elements.clone(),
        };
        let count = ElementCount { min: self.min_elements, max: self.max_elements };
        Sampling {
            elements: (elements != Elements::default()).then_some(elements),
            max_sites: self.max_sites,
            max_atoms: self.max_atoms,
            n_elements: (count != ElementCount::default()).then_some(count),
            formula: self.formula.clone(),
            ..Sampling::default()
        }
    }

    fn refused(&self, wish: WishError) -> Failure {
        let flag = match wish.key {
            Some("formula") => "--formula: ",
            Some("elements.require") => "--require-elements: ",
            Some(_) if !self.elements.is_empty() => "--elements: ",
            Some(_) => "--exclude-elements: ",
            None => "",
        };
        wish.hints.into_iter().fold(Failure::user(format!("{flag}{}", wish.message)), Failure::hint)
    }

    fn groups(&self, model: &ModelToml, context: &Context) -> Result<SpaceGroupDistribution, Failure> {
        let groups = if self.spacegroup.is_empty() {
            training_groups(model, context)
        } else {
            SpaceGroupDistribution::new(&self.spacegroup.iter().map(|n| (*n, 1.0)).collect())
        };
        groups.ok_or_else(|| Failure::user("in the policy's model.toml, every space group has the weight 0"))
    }
}

/// Where crystals go, as they come.
enum Sink {
    /// Tokens and structures, or why there is none.
    Lines(Output),
    /// Structures alone.
    Structures(StructureWriter),
}

impl Sink {
    fn create(path: &Path) -> Result<Self, Failure> {
        match Format::of(path) {
            Some(Format::JsonLines) => Ok(Self::Lines(Output::create(path)?)),
            Some(Format::Cif | Format::Extxyz | Format::Csv) => {
                Ok(Self::Structures(StructureWriter::create(path, &["formula", "spacegroup"])?))
            }
            Some(Format::Poscar) | None => {
                Err(Failure::user(format!("{}: crystals are not written in this format", path.display()))
                    .hint("use .jsonl, .cif, .extxyz or .csv, each also with .gz"))
            }
        }
    }

    /// Adds a draw, in CIFs with its symmetry or without; false if it makes no crystal.
    fn add(&mut self, index: usize, drawn: &Result<Tokens, Refusal>, symmetric: bool) -> Result<bool, Failure> {
        let structure = match drawn {
            Ok(tokens) => tokens.to_structure().map_err(|e| e.to_string()),
            Err(refusal) => Err(refusal.to_string()),
        };
        let mut extra = Map::new();
        if let (Ok(tokens), Ok(structure)) = (drawn, &structure) {
            let formula = Composition::of_structure(structure).map(|c| c.reduced_formula()).unwrap_or_default();
            extra.insert("formula".into(), json!(formula));
            extra.insert("spacegroup".into(), json!(tokens.group.number()));
        }
        let (id, made) = (format!("sample-{index}"), structure.is_ok());
        match (self, structure) {
            (Self::Lines(output), structure) => {
                let line = json_line(id, drawn.as_ref().ok(), structure, extra);
                writeln!(output, "{line}").map_err(|e| output.failed(&e))?;
            }
            (Self::Structures(writer), Ok(structure)) => {
                let orbits = drawn.as_ref().ok().filter(|_| symmetric).map(Tokens::orbits);
                let line = index + 1;
                writer.add(&Record { id, line, structure: Ok(structure), orbits, extra, warnings: Vec::new() })?;
            }
            (Self::Structures(_), Err(_)) => {}
        }
        Ok(made)
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Lines(output) => output.finish(),
            Self::Structures(writer) => Ok(writer.finish()?),
        }
    }
}

fn json_line(
    id: String,
    tokens: Option<&Tokens>,
    structure: Result<Structure, String>,
    extra: Map<String, Value>,
) -> Value {
    let mut line = Map::from_iter([("id".to_owned(), json!(id))]);
    line.extend(extra);
    if let Some(tokens) = tokens {
        line.insert("tokens".into(), tokens_json(tokens));
    }
    match structure {
        Ok(s) => {
            let species: Vec<&str> = s.species.iter().map(|e| e.symbol()).collect();
            line.insert("lattice".into(), json!(s.lattice.0));
            line.insert("species".into(), json!(species));
            line.insert("frac_coords".into(), json!(s.frac));
        }
        Err(reason) => drop(line.insert("refused".into(), json!(reason))),
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_one_for_all_or_one_for_each_kind() {
        let all = |w, a, xyz, l| Ok(Temperatures { w, a, xyz, l });
        assert_eq!(temperatures("0.5"), all(0.5, 0.5, 0.5, 0.5));
        assert_eq!(temperatures("0"), all(0.0, 0.0, 0.0, 0.0));
        assert_eq!(temperatures("xyz=0.2, l=0.1"), all(1.0, 1.0, 0.2, 0.1));
        assert_eq!(temperatures("w=0.7,a=2"), all(0.7, 2.0, 1.0, 1.0));
        for (text, reason) in [
            ("-1", "\"-1\" is no temperature: a number of at least 0 is needed"),
            ("cold", "\"cold\" is no temperature: a number of at least 0 is needed"),
            ("xyz=inf", "\"inf\" is no temperature: a number of at least 0 is needed"),
            ("x=0.2", "\"x\" is no kind of token: they are w, a, xyz and l"),
            ("xyz=0.2,0.5", "\"0.5\": write KIND=T"),
        ] {
            assert_eq!(temperatures(text), Err(reason.to_owned()));
        }
    }
}
