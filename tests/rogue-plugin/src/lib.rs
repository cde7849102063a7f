//! A reward that misbehaves as its config says. Where it behaves, the value is the number of atoms.

use std::io::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use temper_plugin_api::{Batch, Crystal, Outcome, Plugin, Properties, Result, Reward};

/// What to do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    #[default]
    Well,
    Panic,
    PanicInNew,
    PanicInDrop,
    Segfault,
    Abort,
    Hang,
    Memory,
    Exit,
    ExitAfterOne,
    ExitWellAfterOne,
    Nan,
    TooFew,
    FailsEverySecond,
    Abstains,
    PrintsToStdout,
    SlowStart,
    LeavesAThread,
    /// Aborts for crystals whose first coordinate is below 0.01.
    Sometimes,
    /// Different values each time, whatever is claimed.
    Random,
    /// Values that depend on where a crystal stands in its batch.
    ByRow,
    /// Values that depend on the origin.
    ByOrigin,
    Leaks,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    how: How,
}

struct Rogue {
    how: How,
    calls: std::sync::atomic::AtomicUsize,
}

impl Reward for Rogue {
    type Config = Config;

    fn properties() -> Properties {
        Properties::new("atoms")
    }

    fn new(config: Config) -> Result<Self> {
        match config.how {
            How::PanicInNew => panic!("no instance today"),
            How::SlowStart => std::thread::sleep(Duration::from_secs(600)),
            How::LeavesAThread => {
                std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
            }
            _ => {}
        }
        Ok(Self { how: config.how, calls: Default::default() })
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        let calls = self.calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match self.how {
            How::Panic => panic!("no score for {} crystals", batch.len()),
            How::Segfault => segfault(),
            How::Abort => std::process::abort(),
            How::Hang => std::thread::sleep(Duration::from_secs(600)),
            How::Memory => eat_memory(),
            How::Exit => std::process::exit(7),
            How::ExitAfterOne if calls > 0 => std::process::exit(7),
            How::ExitWellAfterOne if calls > 0 => std::process::exit(0),
            How::Sometimes if batch.crystals().any(|crystal| crystal.fractional[0][0] < 0.01) => std::process::abort(),
            How::TooFew => return Ok(vec![Outcome::Value(1.0); batch.len().saturating_sub(1)]),
            How::PrintsToStdout => {
                println!("TMPR is what a frame begins with");
                std::io::stdout().flush()?;
            }
            How::Leaks => std::mem::forget(vec![1_u8; 1 << 20]),
            _ => {}
        }
        Ok(batch.crystals().enumerate().map(|(row, crystal)| self.outcome(row, &crystal, calls)).collect())
    }
}

impl Rogue {
    fn outcome(&self, row: usize, crystal: &Crystal<'_>, calls: usize) -> Outcome {
        let atoms = crystal.atomic_numbers.len() as f64;
        match self.how {
            How::Nan => Outcome::Value(f64::NAN),
            How::Abstains => Outcome::Abstain,
            How::FailsEverySecond if row % 2 == 1 => Outcome::failed(format!("row {row} is odd")),
            How::Random => Outcome::Value(atoms + calls as f64),
            How::ByRow => Outcome::Value(atoms + row as f64),
            How::ByOrigin => Outcome::Value(crystal.fractional.first().map_or(0.0, |f| f[0])),
            _ => Outcome::Value(atoms),
        }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        assert!(self.how != How::PanicInDrop, "not even this");
    }
}

fn segfault() {
    // SAFETY: none; that is the point.
    unsafe { std::ptr::null_mut::<u8>().wrapping_add(8).write_volatile(1) }
}

/// Until somebody stops it.
fn eat_memory() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 16 << 20]);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn plugin() -> Plugin {
    Plugin::new("rogue", env!("CARGO_PKG_VERSION"))
        .licence("MIT")
        .description("Misbehaves on request.")
        .reward::<Rogue>()
}

temper_plugin_api::export!(plugin);
