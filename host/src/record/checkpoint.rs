//! Checkpoints: a folder `step-N` with the parameters, the optimiser's moments, and the rest of the state as JSON.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RunError;
use super::json::read_json;
use crate::atomic::{sync_folder, temporary, write_atomically};
use crate::policy::{Hyperparameters, Parameters};
use crate::train::Adam;

/// Version of the layout; another one is refused.
const FORMAT: u64 = 1;

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

impl<S: Serialize> Checkpoint<S> {
    /// Writes the folder `step-N` under `folder`, whole or not at all.
    ///
    /// # Errors
    /// [`RunError::Write`].
    pub fn write(&self, folder: &Path) -> Result<PathBuf, RunError> {
        let target = folder.join(format!("step-{}", self.step));
        let failed = RunError::write(&target);
        fs::create_dir_all(folder).map_err(&failed)?;
        let aside = temporary(0o777).prefix(".writing-").tempdir_in(folder).map_err(&failed)?;
        let encoded = |p: &Parameters| p.to_safetensors().map_err(|e| failed(io::Error::other(e.to_string())));
        let put = |name: &str, bytes: &[u8]| write_atomically(&aside.path().join(name), bytes).map_err(&failed);
        put("params.safetensors", &encoded(&self.parameters)?)?;
        if let Some(best) = &self.best {
            put("best.safetensors", &encoded(best)?)?;
        }
        put("optimizer.safetensors", &self.encode_moments().map_err(&failed)?)?;
        let state = StateFile { format: FORMAT, step: self.step, adam_count: self.adam.count, state: &self.state };
        put("state.json", &serde_json::to_vec(&state).map_err(|e| failed(e.into()))?)?;
        if target.exists() {
            fs::remove_dir_all(&target).map_err(&failed)?;
        }
        fs::rename(aside.keep(), &target).map_err(&failed)?;
        sync_folder(folder).map_err(&failed)?;
        Ok(target)
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
        let file = folder.join("state.json");
        let text = fs::read(&file).map_err(RunError::read(&file))?;
        let Format { format } = read_json(&file, "", &text)?;
        if format != FORMAT {
            let reason = format!("`format`: checkpoint format {format}, but this program reads {FORMAT}");
            return Err(RunError::content(&file, reason));
        }
        let StateFile { step, adam_count, state, .. } = read_json(&file, "", &text)?;
        let parameters = Parameters::load(&folder.join("params.safetensors"), hyper)?;
        let best = folder.join("best.safetensors");
        let best = if best.exists() { Some(Parameters::load(&best, hyper)?) } else { None };
        let adam = decode_moments(&folder.join("optimizer.safetensors"), &parameters, adam_count)?;
        Ok(Self { step, parameters, adam, best, state })
    }
}

fn decode_moments(path: &Path, parameters: &Parameters, count: u64) -> Result<Adam, RunError> {
    let bytes = fs::read(path).map_err(RunError::read(path))?;
    let content = |reason: String| RunError::content(path, reason);
    let file = SafeTensors::deserialize(&bytes).map_err(|e| content(e.to_string()))?;
    let tensors: HashMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let moments = |kind: &str| {
        let read = |(name, parameter): (&str, &ArrayD<f32>)| {
            let key = format!("{kind}/{name}");
            let view = tensors.get(&key).filter(|v| v.dtype() == Dtype::F32 && v.shape() == parameter.shape());
            let view = view.ok_or_else(|| content(format!("no tensor `{key}` of shape {:?}", parameter.shape())))?;
            let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            ArrayD::from_shape_vec(parameter.raw_dim(), values).map_err(|e| content(e.to_string()))
        };
        parameters.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    Ok(Adam { first: moments("first")?, second: moments("second")?, count })
}

/// The newest checkpoint under `folder` and its step. Half-written folders have other names and are not seen.
pub fn latest_checkpoint(folder: &Path) -> Result<Option<(u64, PathBuf)>, RunError> {
    Ok(steps(folder)?.into_iter().max_by_key(|(step, _)| *step))
}

/// Removes all but the newest `keep` checkpoints and that of the step `spare`.
pub fn prune_checkpoints(folder: &Path, keep: usize, spare: Option<u64>) -> Result<(), RunError> {
    let mut found = steps(folder)?;
    found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    for (step, path) in found.into_iter().skip(keep.max(1)) {
        if spare != Some(step) {
            fs::remove_dir_all(&path).map_err(RunError::write(&path))?;
        }
    }
    Ok(())
}

fn steps(folder: &Path) -> Result<Vec<(u64, PathBuf)>, RunError> {
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
        let path = written.write(folder.path()).unwrap();
        let read = Checkpoint::read(&path, &tiny()).unwrap();
        assert_eq!((read.step, &read.parameters, &read.adam), (3, &written.parameters, &written.adam));
        assert_eq!((read.best, read.state), (written.best, written.state));
    }

    #[test]
    fn the_newest_and_the_spared_stay() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=5 {
            checkpoint(step).write(folder.path()).unwrap();
        }
        prune_checkpoints(folder.path(), 2, Some(1)).unwrap();
        let mut left: Vec<u64> = steps(folder.path()).unwrap().into_iter().map(|(s, _)| s).collect();
        left.sort_unstable();
        assert_eq!(left, [1, 4, 5]);
        assert_eq!(latest_checkpoint(folder.path()).unwrap().unwrap().0, 5);
    }

    #[test]
    fn damaged_checkpoints_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = checkpoint(1).write(folder.path()).unwrap();
        let file = path.join("optimizer.safetensors");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
        let error = Checkpoint::<Value>::read(&path, &tiny()).unwrap_err().to_string();
        assert!(error.contains("optimizer.safetensors"), "{error}");
    }
}
