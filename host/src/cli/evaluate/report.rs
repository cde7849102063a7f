//! metrics.json, the figures, and what is said at the terminal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::criteria::{Criteria, Judge};
use super::earlier::Earlier;
use super::judgement::Judgement;
use super::relaxed::{self, RelaxedFigures};
use super::table::Twinned;
use super::{Evaluate, pictures};
use crate::cli::{Context, Failure, Output};
use crate::metrics::{Evaluation, Judges, Proportion};

/// Crystals that are named at the terminal.
const NAMED: usize = 5;

/// An evaluation that is about to be written.
pub(super) struct Report<'a> {
    pub evaluate: &'a Evaluate,
    pub criteria: &'a Criteria,
    pub judgement: &'a Judgement<'a>,
    pub requested: usize,
    pub twinned: Twinned,
    /// Of the relaxed samples.
    pub relaxed: Option<RelaxedFigures>,
    /// Of opening what is known, and of judging.
    pub durations: [Duration; 2],
}

impl Report<'_> {
    /// Writes metrics.json and the figures, and says the main ones.
    pub fn write(&self, context: &Context, evaluation: &Evaluation, earlier: Option<&Earlier>) -> Result<(), Failure> {
        let protocol = self.protocol()?;
        let id: String =
            Sha256::digest(protocol.to_string()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        if earlier.is_some_and(|earlier| earlier.protocol_id != id) {
            context.say(
                "warning: the earlier evaluation has another protocol id: the figures differ in more than the samples",
            );
        }
        let mut all = Map::new();
        all.insert("protocol_id".into(), json!(id));
        all.insert("protocol".into(), protocol);
        all.extend(self.figures(evaluation, earlier));
        self.write_json(&Value::Object(all))?;
        pictures::write(&self.evaluate.out, evaluation, self.criteria.settings.limits, earlier)?;
        self.say(context, evaluation, earlier);
        Ok(())
    }

    /// What stands in metrics.json besides the protocol.
    fn figures(&self, evaluation: &Evaluation, earlier: Option<&Earlier>) -> Map<String, Value> {
        let mut all = Map::new();
        let differs = self.differs();
        if !differs.is_empty() {
            all.insert("differs_from_protocol".into(), json!(differs));
        }
        all.insert("samples".into(), json!(self.judgement.len()));
        all.insert("requested".into(), json!(self.requested));
        if let Ok(Value::Object(figures)) = serde_json::to_value(evaluation) {
            all.extend(figures);
        }
        if let Some(judges) = &evaluation.judges {
            self.name_judges(judges, &mut all);
        }
        if let Some(tally) = &self.criteria.tally {
            all.insert("known_structures_counted".into(), json!(tally.len()));
        }
        if !self.twinned.found.is_empty() {
            all.insert("twins".into(), self.twins());
        }
        if let Some(relaxed) = &self.relaxed {
            all.insert("relaxed".into(), relaxed.json());
        }
        if let Some(earlier) = earlier {
            all.insert("differences".into(), json!(earlier.differences(&evaluation.metrics)));
        }
        all.insert("time".into(), self.time(evaluation));
        all
    }

    fn write_json(&self, all: &Value) -> Result<(), Failure> {
        let mut file = Output::create(&self.evaluate.out.join("metrics.json"))?;
        writeln!(file, "{all:#}").map_err(|e| file.failed(&e))?;
        file.finish()
    }

    /// Every setting and the contents of every file that the figures depend on, the samples aside.
    fn protocol(&self) -> Result<Value, Failure> {
        let contents = |path: &Path| contents(path).map_err(|e| Failure::user(format!("{}: {e}", path.display())));
        let judge = |judge: &Judge| -> Result<Value, Failure> {
            let [model, hull] = &judge.files;
            Ok(json!({ "model": contents(model)?, "hull": contents(hull)?, "correction": judge.correction }))
        };
        let Value::Object(mut protocol) = self.criteria.settings.json() else { return Ok(Value::Null) };
        protocol.insert("smact".into(), json!(self.evaluate.smact));
        let judges: Vec<Value> = self.criteria.judges.iter().map(judge).collect::<Result<_, _>>()?;
        protocol.insert("judges".into(), json!(judges));
        if let Some(settings) = self.evaluate.relax.map(relaxed::settings) {
            protocol.insert("relaxation".into(), json!({ "steps": settings.steps, "fmax": settings.fmax }));
        }
        let known: Vec<String> = self.evaluate.reference.iter().map(|path| contents(path)).collect::<Result<_, _>>()?;
        protocol.insert("reference".into(), json!(known));
        Ok(Value::Object(protocol))
    }

    /// In what this differs from the protocol that was asked for.
    fn differs(&self) -> Vec<String> {
        let used = self.criteria.used(&self.evaluate.reference);
        let settings = &self.criteria.settings;
        settings.named.map_or_else(Vec::new, |named| named.differences(&used, settings.relaxed))
    }

    fn name_judges(&self, judges: &Judges, all: &mut Map<String, Value>) {
        let names: Vec<Value> = self
            .criteria
            .judges
            .iter()
            .map(|judge| json!({ "model": judge.name, "hull": judge.hull_source }))
            .collect();
        let alone: Vec<&String> = judges.only_by_first.iter().map(|index| &self.judgement.ids[*index]).collect();
        if let Some(Value::Object(judges)) = all.get_mut("judges") {
            judges.insert("names".into(), json!(names));
            judges.insert("only_by_first".into(), json!(alone));
        }
    }

    fn twins(&self) -> Value {
        let share = |(name, count): (&&'static str, &usize)| {
            ((*name).to_owned(), json!(Proportion::new(*count, self.requested)))
        };
        let mut twins: Map<String, Value> = self.twinned.found.iter().map(share).collect();
        twins.insert("compared".into(), json!(self.twinned.compared));
        Value::Object(twins)
    }

    /// What depends on the clock.
    fn time(&self, evaluation: &Evaluation) -> Value {
        let [opening, judging] = self.durations.map(|duration| duration.as_secs_f64());
        let sun = evaluation.metrics.get("sun").map(|sun| sun.count as f64);
        let msun = evaluation.metrics.get("msun").map(|msun| msun.count as f64);
        let per_second = |count: Option<f64>| Some(count? / self.evaluate.sampling_time?);
        json!({
            "opening": opening, "judging": judging,
            "samples_per_second": self.judgement.len() as f64 / judging.max(1e-9),
            "sampling": self.evaluate.sampling_time, "sun_per_second": per_second(sun), "msun_per_second": per_second(msun),
        })
    }

    fn say(&self, context: &Context, evaluation: &Evaluation, earlier: Option<&Earlier>) {
        self.say_shares(context, evaluation, earlier);
        if let Some(relaxed) = &self.relaxed {
            context.say(&relaxed.sentence());
            self.say_shares(context, &relaxed.evaluation, None);
        }
        for (name, share) in evaluation.weighted.iter().filter(|(name, _)| ["sun", "msun"].contains(name)) {
            let ([low, high], value) = (share.interval.map(percent), percent(share.value));
            let covered = percent(share.covered);
            context.say(&format!(
                "{name}, weighted by space groups: {value} % [{low}, {high}], covering {covered} % of the reference"
            ));
        }
        if let Some(judges) = &evaluation.judges {
            self.say_judges(context, judges);
        }
        if let Some(named) = self.criteria.settings.named {
            context.say(&format!("protocol {}: what differs here", named.name()));
            self.differs().iter().for_each(|difference| context.say(&format!("  {difference}")));
        }
        context.say(&format!("{} samples evaluated: {}", self.judgement.len(), self.evaluate.out.display()));
    }

    fn say_shares(&self, context: &Context, evaluation: &Evaluation, earlier: Option<&Earlier>) {
        let differences = earlier.map(|earlier| earlier.differences(&evaluation.metrics)).unwrap_or_default();
        for (name, figure) in &evaluation.metrics {
            let (Some(value), Some(interval)) = (figure.value, figure.interval) else { continue };
            let ([low, high], value) = (interval.map(percent), percent(value));
            let (count, of) = (figure.count, figure.of);
            let change = differences.get(name).map_or_else(String::new, |change| {
                let [change, low, high] = [change.value, change.interval[0], change.interval[1]].map(|x| 100.0 * x);
                format!("  change {change:+.1} [{low:+.1}, {high:+.1}]")
            });
            context.say(&format!("{name:<18} {value:>5} % [{low}, {high}]  {count} of {of}{change}"));
        }
    }

    fn say_judges(&self, context: &Context, judges: &Judges) {
        for pair in &judges.pairs {
            let [first, second] = pair.judges.map(|judge| self.criteria.judges[judge - 1].name.as_str());
            let rank = pair.spearman.map_or_else(|| "none".to_owned(), |rho| format!("{rho:.2}"));
            let (confirmed, of) = (pair.confirmed.count, pair.confirmed.of);
            context.say(&format!(
                "{first} and {second}: rank correlation {rank} over {} crystals; the second confirms {confirmed} of {of} metastable ones",
                pair.both
            ));
        }
        let alone = &judges.only_by_first;
        if !alone.is_empty() {
            let names: Vec<&str> = alone.iter().take(NAMED).map(|index| self.judgement.ids[*index].as_str()).collect();
            let more = if alone.len() > NAMED { ", ..." } else { "" };
            let (count, judge) = (alone.len(), &self.criteria.judges[0].name);
            context.say(&format!("{count} crystals are metastable for {judge} alone: {}{more}", names.join(", ")));
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// SHA-256 of a file, or of the files of a folder in the order of their names.
fn contents(path: &Path) -> io::Result<String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = path.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.sort();
    }
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    for file in files.iter().filter(|file| file.is_file()) {
        let mut file = File::open(file)?;
        while let length @ 1.. = file.read(&mut block)? {
            hash.update(&block[..length]);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
