//! Wall time, processor time and memory of a stage.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// How much is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A few items once, for the assertions.
    Once,
    /// Enough for a median.
    Full,
}

impl Effort {
    /// Number of items of a round.
    pub fn items(self, full: usize) -> usize {
        if self == Self::Full { full } else { full.min(8) }
    }
}

/// What a stage took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// What was measured on, where that varies.
    pub on: String,
    /// Items of a round; a part of one where the unit is large.
    pub items: f64,
    /// Seconds of wall time of each round.
    pub wall: Vec<f64>,
    /// Seconds of processor time of each round, all threads together.
    pub cpu: Vec<f64>,
    /// Largest resident memory of the stage's process, bytes.
    pub peak: u64,
}

impl Measured {
    /// Runs rounds of `items` until half a minute has passed or there are seven; the first has warmed up and is left out if
    /// there are others.
    pub fn of(effort: Effort, on: impl Into<String>, items: usize, mut round: impl FnMut()) -> Self {
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        let start = Instant::now();
        loop {
            let (began, used) = (Instant::now(), processor_seconds());
            round();
            wall.push(began.elapsed().as_secs_f64());
            cpu.push(processor_seconds() - used);
            if effort == Effort::Once || wall.len() == 8 || start.elapsed().as_secs_f64() > 30.0 {
                break;
            }
        }
        if wall.len() > 1 {
            wall.remove(0);
            cpu.remove(0);
        }
        Self { on: on.into(), items: items as f64, wall, cpu, peak: peak_memory() }
    }

    /// Counts each item as `by` of them.
    pub fn scale(&mut self, by: f64) {
        self.items *= by;
    }

    /// Seconds of wall time per item, median of the rounds.
    pub fn wall_per_item(&self) -> f64 {
        median(&self.wall) / self.items
    }

    /// Seconds of processor time per item, median of the rounds.
    pub fn cpu_per_item(&self) -> f64 {
        median(&self.cpu) / self.items
    }

    /// Says it to the process that waits for it.
    pub fn tell(&self) {
        println!("{MARK}{}", serde_json::to_string(self).expect("numbers"));
    }

    /// What the process of a stage has said.
    pub fn heard(text: &str) -> Option<Self> {
        serde_json::from_str(text.lines().find_map(|line| line.strip_prefix(MARK))?).ok()
    }
}

const MARK: &str = "measured ";

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// User and system time of this process and of the children that it has waited for, in the kernel's ticks of 10 ms
/// (proc(5), fields 14 to 17 of `stat`).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets, and may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
