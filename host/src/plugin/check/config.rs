//! How a plugin handles configs that are empty or wrong.

use serde_json::Value;

use super::super::InterfaceDescriptor;
use super::super::start::StartError;
use super::has_panicked;
use super::plugin_under_test::Start;
use crate::conformance::CheckResult;

pub(super) const NAMES: [&str; 2] = ["empty config", "unknown key"];

/// No plugin has a key of this name.
const UNKNOWN: &str = "temper_plugin_check_no_such_key";

pub(super) fn checks(start: &Start, interface: &InterfaceDescriptor) -> Vec<CheckResult> {
    vec![empty(start, interface), unknown(start)]
}

/// Accepted, or refused by a sentence that names what is missing.
fn empty(start: &Start, interface: &InterfaceDescriptor) -> CheckResult {
    let name = NAMES[0];
    if start.hello.config.is_empty() {
        return CheckResult::passed(name, "");
    }
    match start.with(serde_json::Map::new()).greeting() {
        Ok(_) => CheckResult::passed(name, ""),
        Err(StartError::Refused(reason, _)) if !has_panicked(&reason) => refused(name, &reason, interface),
        Err(error) => CheckResult::broken(name, error),
    }
}

fn refused(name: &'static str, reason: &str, interface: &InterfaceDescriptor) -> CheckResult {
    let required: Vec<&str> = match &interface.config_schema["required"] {
        Value::Array(keys) => keys.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if reason.trim().is_empty() {
        CheckResult::broken(name, "it is refused without a reason")
    } else if required.is_empty() || required.iter().any(|key| reason.contains(key)) {
        CheckResult::passed(name, format!("refused: {reason}"))
    } else {
        CheckResult::broken(name, format!("the reason names none of {}: {reason}", required.join(", ")))
    }
}

/// A typing error of the user's must not pass in silence.
fn unknown(start: &Start) -> CheckResult {
    let name = NAMES[1];
    let mut config = start.hello.config.clone();
    config.insert(UNKNOWN.to_owned(), Value::from(1));
    match start.with(config).greeting() {
        Ok(_) => CheckResult::broken(
            name,
            "it is ignored, and so would be a typing error; refuse it: #[serde(deny_unknown_fields)]",
        ),
        Err(StartError::Refused(reason, _)) if !has_panicked(&reason) => CheckResult::passed(name, ""),
        Err(error) => CheckResult::broken(name, error),
    }
}
