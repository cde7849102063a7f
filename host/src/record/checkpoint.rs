//! Checkpoints: a folder `step-N` with the parameters, the optimiser's moments, the rest of the state as JSON, what makes a policy
//! of the parameters, and the checksums of it all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RunError;
use super::hash::{sha256, sha256_of};
use super::json::read_json;
use crate::atomic::{kill_point, sync_folder, temporary, write_atomically};
use crate::input::{MOST_DATA, MOST_TEXT, read};
use crate::policy::{Hyperparameters, MODEL, ModelToml, PARAMETERS, Parameters};
use crate::train::Adam;

/// Version of the layout. The first one had no checksums and no `model.toml`.
const FORMAT: u64 = 2;
/// Names of the files.
pub(super) const STATE: &str = "state.json";
pub(super) const BEST: &str = "best.safetensors";
const MOMENTS: &str = "optimizer.safetensors";
const CHECKSUMS: &str = "checksums.json";

/// A step or epoch that takes longer than this, seconds, is followed by a checkpoint: a signal finds hardly anything unsaved then,
/// however long the next one takes, and the checkpoint costs little beside it.
const LONG: f64 = 10.0;

/// Whether a checkpoint is due after a step (or epoch) that took `seconds`, if one is due every so many.
pub fn is_due(step: usize, every: usize, seconds: f64) -> bool {
    step.is_multiple_of(every) || seconds > LONG
}

/// The state of a run at the end of a step (or epoch).
#[derive(Debug)]
pub struct Checkpoint<S> {
    /// Steps (or epochs) finished.
    pub step: u64,
    /// Current parameters.
    pub parameters: Parameters,
    /// Optimiser.
    pub adam: Adam,
    /// Best parameters so far, where a run keeps them.
    pub best: Option<Parameters>,
    /// Counters, averages and whatever else the loop goes on from.
    pub state: S,
}

/// `state.json`.
#[derive(Serialize, Deserialize)]
struct StateFile<S> {
    format: u64,
    step: u64,
    adam_count: u64,
    state: S,
}

/// What `state.json` has in any version of the layout.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// A folder in the making.
struct Files<'a> {
    folder: &'a Path,
    checksums: BTreeMap<String, String>,
}

impl Files<'_> {
    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.checksums.insert(name.to_owned(), sha256(bytes));
        write_atomically(&self.folder.join(name), bytes)
    }
}

/// Holds the files of a checkpoint against their checksums. Those of the first layout have none.
pub fn verify(folder: &Path) -> Result<(), RunError> {
    let file = folder.join(CHECKSUMS);
    let text = match read(&file, MOST_TEXT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let state = folder.join(STATE);
            let text = read(&state, MOST_DATA).map_err(RunError::read(&state))?;
            let Format { format } = read_json(&state, "", &text)?;
            return if format < 2 { Ok(()) } else { Err(RunError::content(&file, "is missing")) };
        }
        text => text.map_err(RunError::read(&file))?,
    };
    let checksums: BTreeMap<String, String> = read_json(&file, "", &text)?;
    if let Some(name) = [PARAMETERS, MOMENTS, MODEL, STATE].iter().find(|name| !checksums.contains_key(**name)) {
        return Err(RunError::content(&file, format!("has no checksum of {name}")));
    }
    for (name, checksum) in &checksums {
        let file = folder.join(name);
        if sha256_of(&file).map_err(RunError::read(&file))? != *checksum {
            return Err(RunError::content(&file, format!("its SHA-256 is not that in {CHECKSUMS}")));
        }
    }
    Ok(())
}

impl<S: Serialize> Checkpoint<S> {
    /// Writes the folder `step-N` under `folder`, whole or not at all; `model` describes the policy.
    ///
    /// # Errors
    /// [`RunError::Write`].
    pub fn write(&self, folder: &Path, model: &ModelToml) -> Result<PathBuf, RunError> {
        let target = folder.join(format!("step-{}", self.step));
        let failed = RunError::write(&target);
        fs::create_dir_all(folder).map_err(&failed)?;
        let aside = temporary(0o777).prefix(".writing-").tempdir_in(folder).map_err(&failed)?;
        let mut files = Files { folder: aside.path(), checksums: BTreeMap::new() };
        self.write_files(&mut files, model).map_err(&failed)?;
        sync_folder(aside.path()).map_err(&failed)?;
        if target.exists() {
            remove(&target)?;
        }
        kill_point();
        fs::rename(aside.keep(), &target).map_err(&failed)?;
        kill_point();
        sync_folder(folder).map_err(&failed)?;
        Ok(target)
    }

    fn write_files(&self, files: &mut Files<'_>, model: &ModelToml) -> io::Result<()> {
        let encoded = |p: &Parameters| p.to_safetensors().map_err(|e| io::Error::other(e.to_string()));
        files.put(PARAMETERS, &encoded(&self.parameters)?)?;
        if let Some(best) = &self.best {
            files.put(BEST, &encoded(best)?)?;
        }
        files.put(MOMENTS, &self.encode_moments()?)?;
        model.write(&files.folder.join(MODEL)).map_err(|e| io::Error::other(e.to_string()))?;
        files.checksums.insert(MODEL.to_owned(), sha256_of(&files.folder.join(MODEL))?);
        let state = StateFile { format: FORMAT, step: self.step, adam_count: self.adam.count, state: &self.state };
        files.put(STATE, &serde_json::to_vec(&state)?)?;
        let checksums = serde_json::to_vec_pretty(&files.checksums)?;
        write_atomically(&files.folder.join(CHECKSUMS), &checksums)
    }

    fn encode_moments(&self) -> io::Result<Vec<u8>> {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name).collect();
        let mut tensors = Vec::new();
        for (kind, moments) in [("first", &self.adam.first), ("second", &self.adam.second)] {
            for (name, moment) in names.iter().zip(moments) {
                let bytes: Vec<u8> = moment.iter().flat_map(|x| x.to_le_bytes()).collect();
                tensors.push((format!("{kind}/{name}"), moment.shape().to_vec(), bytes));
            }
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let encoded = views.and_then(|views| safetensors::serialize(views, None));
        encoded.map_err(|e| io::Error::other(e.to_string()))
    }
}

impl<S: DeserializeOwned> Checkpoint<S> {
    /// Reads a folder that [`Checkpoint::write`] made, for a policy of the given hyper-parameters.
    ///
    /// # Errors
    /// [`RunError::Read`], [`RunError::Content`] and [`RunError::Parameters`].
    pub fn read(folder: &Path, hyper: &Hyperparameters) -> Result<Self, RunError> {
        let file = folder.join(STATE);
        let text = read(&file, MOST_DATA).map_err(RunError::read(&file))?;
        let Format { format } = read_json(&file, "", &text)?;
        if !(1..=FORMAT).contains(&format) {
            let reason = format!("`format`: checkpoint format {format}, but this program reads 1 to {FORMAT}");
            return Err(RunError::content(&file, reason));
        }
        verify(folder)?;
        let StateFile { step, adam_count, state, .. } = read_json(&file, "", &text)?;
        if folder.file_name().is_some_and(|name| name.to_str() != Some(&format!("step-{step}"))) {
            return Err(RunError::content(&file, format!("`step` is {step}, which is not that of its folder")));
        }
        if step > u64::from(u32::MAX) {
            return Err(RunError::content(&file, format!("`step` is {step}, more than any run can have")));
        }
        let parameters = Parameters::load(&folder.join(PARAMETERS), hyper)?;
        let best = folder.join(BEST);
        let best = if best.exists() { Some(Parameters::load(&best, hyper)?) } else { None };
        let adam = decode_moments(&folder.join(MOMENTS), &parameters, adam_count)?;
        Ok(Self { step, parameters, adam, best, state })
    }
}

fn decode_moments(path: &Path, parameters: &Parameters, count: u64) -> Result<Adam, RunError> {
    let bytes = read(path, MOST_DATA).map_err(RunError::read(path))?;
    let content = |reason: String| RunError::content(path, reason);
    let file = SafeTensors::deserialize(&bytes).map_err(|e| content(e.to_string()))?;
    let tensors: HashMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let moments = |kind: &str| {
        let read = |(name, parameter): (&str, &ArrayD<f32>)| {
            let key = format!("{kind}/{name}");
            let view = tensors.get(&key).filter(|v| v.dtype() == Dtype::F32 && v.shape() == parameter.shape());
            let view = view.ok_or_else(|| content(format!("no tensor `{key}` of shape {:?}", parameter.shape())))?;
            let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            if let Some(value) = values.iter().find(|x| !x.is_finite() || (kind == "second" && **x < 0.0)) {
                return Err(content(format!("`{key}` has the value {value}, which no moment can have")));
            }
            ArrayD::from_shape_vec(parameter.raw_dim(), values).map_err(|e| content(e.to_string()))
        };
        parameters.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    Ok(Adam { first: moments("first")?, second: moments("second")?, count })
}

/// Removes all but the newest `keep` checkpoints and that of the step `spare`.
pub fn prune_checkpoints(folder: &Path, keep: usize, spare: Option<u64>) -> Result<(), RunError> {
    let mut found = checkpoints(folder)?;
    found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    for (step, path) in found.into_iter().skip(keep.max(1)) {
        if spare != Some(step) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a checkpoint. It has another name while files of it are missing.
fn remove(checkpoint: &Path) -> Result<(), RunError> {
    let failed = RunError::write(checkpoint);
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let aside = checkpoint.with_file_name(format!(".writing-{name}"));
    kill_point();
    fs::rename(checkpoint, &aside).map_err(&failed)?;
    kill_point();
    fs::remove_dir_all(&aside).map_err(&failed)
}

/// The checkpoints under `folder` with their steps, in no order. Half-written folders have other names and are not seen.
pub fn checkpoints(folder: &Path) -> Result<Vec<(u64, PathBuf)>, RunError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(RunError::read(folder))?,
    };
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(RunError::read(folder))?.path();
        found.extend(step(&path).map(|step| (step, path)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tiny_hyperparameters as tiny;
    use serde_json::Value;

    #[test]
    fn long_steps_are_not_lost() {
        assert!(is_due(10, 5, 0.1) && !is_due(11, 5, 9.9) && is_due(11, 5, 10.1));
    }

    fn model() -> ModelToml {
        ModelToml { hyper: tiny(), spacegroups: None, provenance: None }
    }

    fn checkpoint(step: u64) -> Checkpoint<Value> {
        let parameters = Parameters::initialise(&tiny(), step);
        let mut adam = Adam::new(&parameters);
        adam.first[0].fill(0.1);
        adam.second[3].fill(1e-20);
        adam.count = 7;
        let best = Some(Parameters::initialise(&tiny(), 99));
        Checkpoint { step, parameters, adam, best, state: serde_json::json!({"b": 0.1}) }
    }

    #[test]
    fn what_is_written_is_read_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let written = checkpoint(3);
        let path = written.write(folder.path(), &model()).unwrap();
        let read = Checkpoint::read(&path, &tiny()).unwrap();
        assert_eq!((read.step, &read.parameters, &read.adam), (3, &written.parameters, &written.adam));
        assert_eq!((read.best, read.state), (written.best, written.state));
    }

    #[test]
    fn the_newest_and_the_spared_stay() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=5 {
            checkpoint(step).write(folder.path(), &model()).unwrap();
        }
        prune_checkpoints(folder.path(), 2, Some(1)).unwrap();
        let mut left: Vec<u64> = checkpoints(folder.path()).unwrap().into_iter().map(|(s, _)| s).collect();
        left.sort_unstable();
        assert_eq!(left, [1, 4, 5]);
    }

    /// What reading says of a checkpoint of step 1 to which something was done.
    fn refusal(damage: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = checkpoint(1).write(folder.path(), &model()).unwrap();
        damage(&path);
        let error = Checkpoint::<Value>::read(&path, &tiny()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_flipped_bit_in_any_file_is_found() {
        for name in [PARAMETERS, BEST, MOMENTS, MODEL, STATE, CHECKSUMS] {
            for place in [0.4, 0.999] {
                let said = refusal(|path| {
                    let mut bytes = fs::read(path.join(name)).unwrap();
                    let at = (place * (bytes.len() - 1) as f64) as usize;
                    bytes[at] ^= 1;
                    fs::write(path.join(name), bytes).unwrap();
                });
                // A bit of a checksum accuses the file that it is of.
                assert!(said.contains(if name == CHECKSUMS { ": " } else { name }), "{name}: {said}");
            }
            let said = refusal(|path| fs::remove_file(path.join(name)).unwrap());
            assert!(said.contains(name), "{name}: {said}");
        }
    }

    #[test]
    fn what_has_no_checksums_is_still_looked_at() {
        let old = |path: &Path, from: &str, to: &str| {
            fs::remove_file(path.join(CHECKSUMS)).unwrap();
            let text = fs::read_to_string(path.join(STATE)).unwrap().replacen("\"format\":2", "\"format\":1", 1);
            fs::write(path.join(STATE), text.replacen(from, to, 1)).unwrap();
        };
        let said = refusal(|path| old(path, "\"step\":1", "\"step\":1000000000000000000"));
        assert!(said.ends_with("`step` is 1000000000000000000, which is not that of its folder"), "{said}");
        let said = refusal(|path| fs::remove_file(path.join(CHECKSUMS)).unwrap());
        assert!(said.ends_with("checksums.json: is missing"), "{said}");
        for (kind, value) in [("first", f32::NAN), ("second", f32::INFINITY), ("second", -1.0)] {
            let folder = tempfile::tempdir().unwrap();
            let mut bad = checkpoint(1);
            let moments = if kind == "first" { &mut bad.adam.first } else { &mut bad.adam.second };
            moments[0].fill(value);
            let path = bad.write(folder.path(), &model()).unwrap();
            let said = Checkpoint::<Value>::read(&path, &tiny()).unwrap_err().to_string();
            assert!(said.contains(&format!("optimizer.safetensors: `{kind}/")), "{said}");
            assert!(said.contains(&format!("has the value {value}, which no moment can have")), "{said}");
        }
    }

    #[test]
    fn a_checkpoint_is_a_policy() {
        let folder = tempfile::tempdir().unwrap();
        let written = checkpoint(3);
        let path = written.write(folder.path(), &model()).unwrap();
        let policy = crate::policy::PolicyDirectory::open(&path).unwrap();
        assert_eq!((policy.model, policy.parameters), (model(), written.parameters));
    }
}
