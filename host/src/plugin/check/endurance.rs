//! How long a batch takes, whether many calls leak memory, and how a worker ends.

use std::time::{Duration, Instant};

use super::sample::Sample;
use super::{Kit, PluginCheck};

pub(super) const NAMES: [&str; 3] = ["deadline", "memory", "end"];

/// Crystals of the batch that is timed.
const TIMED: usize = 1000;
/// Calls before memory is looked at: caches are filled by then.
const WARM: usize = 100;
/// Memory that may be taken for good: by noise of allocators, by each call, and in all; bytes.
const NOISE: f64 = 4.0 * MIB;
const PER_CALL: f64 = 1024.0;
const MOST: f64 = 16.0 * MIB;
const MIB: f64 = 1_048_576.0;
/// The calls together may take so many deadlines.
const DEADLINES: u32 = 6;

pub(super) fn checks(kit: &mut Kit<'_>) -> Vec<PluginCheck> {
    vec![deadline(kit), memory(kit), end(kit)]
}

fn deadline(kit: &mut Kit<'_>) -> PluginCheck {
    let batch: Vec<Sample> = kit.samples.iter().cycle().take(TIMED).cloned().collect();
    let allowed = kit.subject.deadline();
    // The worker may have to be started first, which is not the batch's time.
    let began = kit.subject.ask(&kit.samples[..1]).map(|_| Instant::now());
    match began.and_then(|began| kit.subject.ask(&batch).map(|_| began.elapsed())) {
        Ok(took) => PluginCheck {
            note: format!("a batch of {TIMED}"),
            ..PluginCheck::measured(NAMES[0], per_crystal(took), per_crystal(allowed), "us/crystal")
        },
        Err(error) => PluginCheck::broken(NAMES[0], format!("a batch of {TIMED}: {error}")),
    }
}

fn per_crystal(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6 / TIMED as f64
}

fn memory(kit: &mut Kit<'_>) -> PluginCheck {
    let name = NAMES[1];
    let (calls, warm) = (kit.asked.calls, WARM.min(kit.asked.calls / 2));
    let (began, allowed) = (Instant::now(), DEADLINES * kit.subject.deadline());
    let mut before = None;
    let mut done = 0;
    while done < calls && began.elapsed() < allowed {
        if let Err(error) = kit.subject.ask(&kit.samples) {
            return PluginCheck::broken(name, format!("call {}: {error}", done + 1));
        }
        done += 1;
        if done == warm {
            before = kit.subject.resident();
        }
    }
    let (Some(before), Some(after)) = (before, kit.subject.resident()) else {
        return PluginCheck::skipped(name, &format!("not measured, after {done} calls"));
    };
    let counted = done.saturating_sub(warm);
    let allowed = (NOISE + PER_CALL * counted as f64).min(MOST);
    let grown = (after as f64 - before as f64).max(0.0);
    PluginCheck {
        note: format!("in {counted} calls after the first {warm}"),
        ..PluginCheck::measured(name, grown / MIB, allowed / MIB, "MiB")
    }
}

fn end(kit: &mut Kit<'_>) -> PluginCheck {
    let name = NAMES[2];
    // One that has something to end.
    let ending = kit.subject.ask(&kit.samples[..1]).and_then(|_| kit.subject.end());
    match ending {
        Err(error) => PluginCheck::broken(name, error),
        Ok(ending) if !ending.in_time => PluginCheck::broken(name, "it goes on when its input is closed"),
        Ok(ending) if !ending.well => PluginCheck::broken(name, format!("it {} when its input is closed", ending.how)),
        Ok(ending) if ending.leaves_others => PluginCheck::broken(name, "it leaves processes of its own behind"),
        Ok(_) => PluginCheck::passed(name, ""),
    }
}
