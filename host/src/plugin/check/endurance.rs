//! How long a batch takes, whether many calls leak memory, and how a worker ends.

use std::time::{Duration, Instant};

use super::CheckSession;
use super::sample::Sample;
use crate::conformance::CheckResult;

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

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    vec![deadline(session), memory(session), end(session)]
}

fn deadline(session: &mut CheckSession<'_>) -> CheckResult {
    let batch: Vec<Sample> = session.samples.iter().cycle().take(TIMED).cloned().collect();
    let allowed = session.plugin.deadline();
    // The worker may have to be started first, which is not the batch's time.
    let began = session.plugin.ask(&session.samples[..1]).map(|_| Instant::now());
    match began.and_then(|began| session.plugin.ask(&batch).map(|_| began.elapsed())) {
        Ok(took) => CheckResult {
            note: format!("a batch of {TIMED}"),
            ..CheckResult::measured(NAMES[0], per_crystal(took), per_crystal(allowed), "us/crystal")
        },
        Err(error) => CheckResult::broken(NAMES[0], format!("a batch of {TIMED}: {error}")),
    }
}

fn per_crystal(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6 / TIMED as f64
}

fn memory(session: &mut CheckSession<'_>) -> CheckResult {
    let name = NAMES[1];
    let (calls, warm) = (session.asked.calls, WARM.min(session.asked.calls / 2));
    let (began, allowed) = (Instant::now(), DEADLINES * session.plugin.deadline());
    let mut before = None;
    let mut done = 0;
    while done < calls && began.elapsed() < allowed {
        if let Err(error) = session.plugin.ask(&session.samples) {
            return CheckResult::broken(name, format!("call {}: {error}", done + 1));
        }
        done += 1;
        if done == warm {
            before = session.plugin.resident();
        }
    }
    let (Some(before), Some(after)) = (before, session.plugin.resident()) else {
        return CheckResult::skipped(name, format!("not measured, after {done} calls"));
    };
    let counted = done.saturating_sub(warm);
    let allowed = (NOISE + PER_CALL * counted as f64).min(MOST);
    let grown = (after as f64 - before as f64).max(0.0);
    CheckResult {
        note: format!("in {counted} calls after the first {warm}"),
        ..CheckResult::measured(name, grown / MIB, allowed / MIB, "MiB")
    }
}

fn end(session: &mut CheckSession<'_>) -> CheckResult {
    let name = NAMES[2];
    // One that has something to end.
    let mut plugin = session.plugin.unguarded();
    let ending = plugin.ask(&session.samples[..1]).and_then(|_| plugin.end());
    match ending {
        Err(error) => CheckResult::broken(name, error),
        Ok(ending) if !ending.in_time => CheckResult::broken(name, "it goes on when its input is closed"),
        Ok(ending) if !ending.well => CheckResult::broken(name, format!("it {} when its input is closed", ending.how)),
        Ok(ending) if ending.leaves_others => CheckResult::broken(name, "it leaves processes of its own behind"),
        Ok(_) => CheckResult::passed(name, ""),
    }
}
