//! What was found, as JSON and as Markdown.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use temper::runtime::Device;

/// How a stage ended.
pub struct Outcome {
    seconds: f64,
    result: Result<Value, String>,
}

impl Outcome {
    pub fn done(seconds: f64, result: Value) -> Self {
        Self { seconds, result: Ok(result) }
    }

    pub fn failed(seconds: f64, reason: String) -> Self {
        Self { seconds, result: Err(reason) }
    }

    fn is_good(&self) -> bool {
        self.result.as_ref().is_ok_and(|result| result["ok"] == true)
    }
}

/// All stages so far.
pub struct Report {
    device: Device,
    hardware: String,
    stages: Vec<(&'static str, Outcome)>,
}

impl Report {
    pub fn new(device: Device) -> Self {
        Self { device, hardware: hardware(), stages: Vec::new() }
    }

    pub fn add(&mut self, name: &'static str, outcome: Outcome) {
        let word = if outcome.is_good() { "ok" } else { "FAILED" };
        println!("{name}: {word}, {:.1} s", outcome.seconds);
        self.stages.push((name, outcome));
    }

    pub fn is_good(&self) -> bool {
        self.stages.iter().all(|(_, outcome)| outcome.is_good())
    }

    pub fn write(&self, folder: &Path) {
        let stage = |(name, outcome): &(&str, Outcome)| {
            let (result, reason) = (outcome.result.as_ref().ok(), outcome.result.as_ref().err());
            json!({ "name": name, "ok": outcome.is_good(), "seconds": outcome.seconds, "result": result, "reason": reason })
        };
        let stages: Vec<Value> = self.stages.iter().map(stage).collect();
        let all = json!({ "device": self.device.to_string(), "hardware": self.hardware, "stages": stages });
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join("gpu.json"), format!("{all:#}\n")).expect("a file");
        std::fs::write(folder.join("gpu.md"), self.markdown()).expect("a file");
    }

    pub fn markdown(&self) -> String {
        let mut text =
            format!("Device `{}`: {}\n\n| stage | | s | result |\n|---|---|---|---|\n", self.device, self.hardware);
        for (name, outcome) in &self.stages {
            let word = if outcome.is_good() { "ok" } else { "**failed**" };
            let said = outcome.result.as_ref().map_or_else(Clone::clone, in_words);
            text += &format!(
                "| {name} | {word} | {:.1} | {} |\n",
                outcome.seconds,
                said.replace('|', "/").replace('\n', "<br>")
            );
        }
        text
    }
}

fn in_words(result: &Value) -> String {
    if let Some(rows) = result["rows"].as_array() {
        let row = |row: &Value| {
            format!(
                "{} {:.1e} of {:.1e}",
                row["name"],
                row["worst"].as_f64().unwrap_or(f64::NAN),
                row["tolerance"].as_f64().unwrap_or(f64::NAN)
            )
        };
        let rest =
            result.get("same_letters_and_elements_as_on_the_cpu").map(|share| format!("; {share} equal the CPU's"));
        return rows.iter().map(row).collect::<Vec<_>>().join(", ").replace('"', "") + &rest.unwrap_or_default();
    }
    if let Some(rate) = result["per_second"].as_f64() {
        let number = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
        return format!(
            "{rate:.1} /s, {:.3} ms, CPU {:.3} ms; {}",
            number("wall_ms"),
            number("cpu_ms"),
            result["on"].as_str().unwrap_or_default()
        );
    }
    if let Some(text) = result["text"].as_str() {
        return text.trim().to_owned();
    }
    let mut short = result.clone();
    if let Some(map) = short.as_object_mut() {
        map.remove("ok");
        map.remove("last");
    }
    short.to_string()
}

/// The GPU and its driver, or the processor.
fn hardware() -> String {
    let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    let gpu = Command::new("nvidia-smi").args(query).output().ok().filter(|output| output.status.success());
    let gpu = gpu.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let cores = super::crystals::cores();
    format!("{}; {cores} cores", gpu.unwrap_or_else(|| "no GPU".into()))
}
