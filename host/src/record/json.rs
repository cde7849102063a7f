//! Reading JSON strictly: what is missing or of another type is an error that names the file and the key.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::RunError;

/// The value of a JSON text; `place` (such as `line 3`) is named before the key.
pub fn read_json<T: DeserializeOwned>(file: &Path, place: &str, text: &[u8]) -> Result<T, RunError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let refused = |reason: String| RunError::content(file, format!("{place}{reason}"));
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (key, reason) = (error.path().to_string(), error.inner());
        refused(if key == "." { reason.to_string() } else { format!("`{key}`: {reason}") })
    })?;
    json.end().map_err(|error| refused(error.to_string()))?;
    Ok(value)
}
