//! Reference values for tests, where they are available.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// A file of the reference values; without them, says so and gives none.
pub fn golden(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("golden/crystalformer").join(name);
    if !path.exists() {
        println!("skipped: no shared data at {}", path.display());
    }
    path.exists().then_some(path)
}

/// A tensor of floats or integers as float64.
pub fn numbers(path: &Path, name: &str) -> ArrayD<f64> {
    let bytes = std::fs::read(path).unwrap();
    let archive = SafeTensors::deserialize(&bytes).unwrap();
    let view = archive.tensor(name).unwrap();
    let values = match view.dtype() {
        Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect(),
        Dtype::F64 => view.data().as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect(),
        Dtype::I64 => view.data().as_chunks::<8>().0.iter().map(|c| i64::from_le_bytes(*c) as f64).collect(),
        other => panic!("{name} holds {other:?}"),
    };
    ArrayD::from_shape_vec(view.shape(), values).unwrap()
}
