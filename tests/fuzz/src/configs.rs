//! What users write: configs, objectives, descriptions of policies.

use std::path::Path;

use temper::config::{Config, Document, Finetune, Pretrain};
use temper::policy::ModelToml;
use temper::reward::Objective;

use super::said;

pub fn finetune_config(data: &[u8]) {
    config::<Finetune>(data);
}

pub fn pretrain_config(data: &[u8]) {
    config::<Pretrain>(data);
}

/// A config that is accepted is written to the run's directory, and must be the same when it is read there.
fn config<T: Config + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(config) = said(Document::new("run.toml", text, Vec::new()).read::<T>()) else { return };
    let written = config.to_toml().unwrap();
    assert_eq!(Document::new("run.toml", written, Vec::new()).read::<T>().unwrap(), config);
}

/// Whatever an expression is, each of its values is finite or refused.
pub fn objective(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(objective) = said(Objective::parse(text, &["e_hull", "gap", "x"])) else { return };
    for value in [0.0, 0.5, -1.0, 1e300, f64::NAN] {
        let values = vec![value; objective.terms().len()];
        assert!(said(objective.evaluate(&values)).is_none_or(f64::is_finite));
    }
}

pub fn model_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(model) = said(ModelToml::parse(text, Path::new("model.toml"))) else { return };
    let path = super::folder().join("model.toml");
    model.write(&path).unwrap();
    assert_eq!(ModelToml::read(&path).unwrap(), model);
}
