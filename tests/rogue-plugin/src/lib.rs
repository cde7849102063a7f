//! A reward that misbehaves as its config says. Where it behaves, the value is the number of atoms.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
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
    /// Values that depend on how the crystal is turned.
    ByOrientation,
    /// Values that depend on which atom comes first.
    ByAtomOrder,
    /// Values that depend on how many threads ask.
    ByThread,
    /// Values outside of the range that is claimed.
    OutOfRange,
    /// Different values each time, as claimed.
    RandomAsClaimed,
    /// Values for cells that are no numbers, which depend on the cell.
    MakesUp,
    /// One crystal that is not a number changes the others in its batch.
    Infects,
    CrashesOnNan,
    CrashesOnEmpty,
    CrashesOnElement119,
    IgnoresUnknownKeys,
    /// A millisecond for each crystal.
    Slow,
    LeavesAProcess,
    Leaks,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
struct Config {
    how: How,
    /// Refused, unless the config says otherwise.
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: BTreeMap<String, IgnoredAny>,
}

struct Rogue {
    how: How,
    calls: AtomicUsize,
    /// Calls that are under way.
    at_once: AtomicUsize,
}

impl Reward for Rogue {
    type Config = Config;

    fn properties() -> Properties {
        Properties::new("atoms")
    }

    fn configured(&self) -> Properties {
        match self.how {
            How::OutOfRange => Self::properties().range(0.0, 0.5),
            How::RandomAsClaimed => Self::properties().not_deterministic(),
            _ => Self::properties(),
        }
    }

    fn new(config: Config) -> Result<Self> {
        if let Some((key, _)) = config.unknown.first_key_value()
            && config.how != How::IgnoresUnknownKeys
        {
            return Err(format!("unknown field `{key}`, expected `how`").into());
        }
        match config.how {
            How::PanicInNew => panic!("no instance today"),
            How::SlowStart => std::thread::sleep(Duration::from_secs(600)),
            How::LeavesAThread => {
                std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
            }
            How::LeavesAProcess => {
                std::process::Command::new("sleep").arg("600").spawn()?;
            }
            _ => {}
        }
        Ok(Self { how: config.how, calls: AtomicUsize::new(0), at_once: AtomicUsize::new(0) })
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
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
            How::CrashesOnNan if !is_finite(batch) => std::process::abort(),
            How::CrashesOnEmpty if batch.is_empty() => panic!("no crystal"),
            How::CrashesOnElement119 if batch.atomic_numbers().contains(&119) => panic!("no element 119"),
            How::Slow => std::thread::sleep(Duration::from_millis(batch.len() as u64)),
            How::ByThread => return Ok(self.by_thread(batch)),
            How::Infects if !is_finite(batch) => return Ok(vec![Outcome::Value(0.0); batch.len()]),
            How::Leaks => std::mem::forget(vec![1_u8; 1 << 20]),
            _ => {}
        }
        Ok(batch.crystals().enumerate().map(|(row, crystal)| self.outcome(row, &crystal, calls)).collect())
    }
}

impl Rogue {
    fn by_thread(&self, batch: &Batch<'_>) -> Vec<Outcome> {
        self.at_once.fetch_add(1, Ordering::SeqCst);
        // Time for the others to come.
        std::thread::sleep(Duration::from_millis(5));
        let at_once = self.at_once.load(Ordering::SeqCst) as f64;
        std::thread::sleep(Duration::from_millis(5));
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        vec![Outcome::Value(at_once); batch.len()]
    }

    fn outcome(&self, row: usize, crystal: &Crystal<'_>, calls: usize) -> Outcome {
        let atoms = crystal.atomic_numbers.len() as f64;
        match self.how {
            How::Nan => Outcome::Value(f64::NAN),
            How::Abstains => Outcome::Abstain,
            How::FailsEverySecond if row % 2 == 1 => Outcome::failed(format!("row {row} is odd")),
            How::Random | How::RandomAsClaimed => Outcome::Value(atoms + calls as f64),
            How::ByRow => Outcome::Value(atoms + row as f64),
            How::ByOrigin => Outcome::Value(crystal.fractional.iter().map(|f| f[0]).sum()),
            How::ByOrientation => Outcome::Value(crystal.lattice[0][0]),
            How::ByAtomOrder => Outcome::Value(crystal.atomic_numbers.first().map_or(0.0, |z| f64::from(*z))),
            // The larger of a number and NaN is the number.
            How::MakesUp => Outcome::Value(volume(crystal).max(0.0)),
            _ => Outcome::Value(atoms),
        }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        assert!(self.how != How::PanicInDrop, "not even this");
    }
}

fn is_finite(batch: &Batch<'_>) -> bool {
    let mut vectors = batch.lattices().as_flattened().iter().chain(batch.fractional());
    vectors.all(|vector| vector.iter().all(|x| x.is_finite()))
}

fn volume(crystal: &Crystal<'_>) -> f64 {
    let [a, b, c] = crystal.lattice;
    let normal = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
    a.iter().zip(normal).map(|(x, y)| x * y).sum::<f64>().abs()
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
