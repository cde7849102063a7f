//! The same crystals again: twice more, in another worker, in two workers at once, and in several threads of one.

use super::super::{Outcome, PluginError};
use super::CheckSession;
use super::compare::Comparison;
use super::plugin_under_test::PluginUnderTest;
use super::sample::Sample;
use crate::conformance::CheckResult;

pub(super) const NAMES: [&str; 4] = ["determinism", "another worker", "two workers at once", "threads"];

/// Crystals that threads are asked about at once, and how often.
const CRYSTALS: usize = 200;
const TIMES: usize = 3;

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    if !session.plugin.properties.deterministic {
        session.unsteady = Some("it says that its values differ from call to call");
        return session.skip(&NAMES);
    }
    let own = determinism(session);
    if session.unsteady.is_some() {
        return std::iter::once(own).chain(session.skip(&NAMES[1..])).collect();
    }
    vec![own, another(session), two_at_once(session), threads(session)]
}

/// Three calls, with those of the values.
fn determinism(session: &mut CheckSession<'_>) -> CheckResult {
    let mut comparison = Comparison::default();
    for _ in 0..2 {
        let again = session.plugin.ask(&session.samples);
        compare(session, &mut comparison, &again);
    }
    if comparison.largest() > 0.0 {
        session.unsteady = Some("its values differ from call to call");
    }
    comparison.check(NAMES[0], 0.0)
}

fn another(session: &CheckSession<'_>) -> CheckResult {
    let mut comparison = Comparison::default();
    compare(session, &mut comparison, &session.plugin.another().ask(&session.samples));
    comparison.check(NAMES[1], 0.0)
}

fn two_at_once(session: &CheckSession<'_>) -> CheckResult {
    let mut comparison = Comparison::default();
    let mut subjects = [session.plugin.another(), session.plugin.another()];
    let ask = |plugin: &mut PluginUnderTest| (0..TIMES).map(|_| plugin.ask(&session.samples)).collect::<Vec<_>>();
    let answers = std::thread::scope(|scope| {
        let asked = subjects.each_mut().map(|plugin| scope.spawn(|| ask(plugin)));
        asked.map(|asked| asked.join().unwrap_or_default())
    });
    answers.iter().flatten().for_each(|answer| compare(session, &mut comparison, answer));
    comparison.check(NAMES[2], 0.0)
}

fn compare(session: &CheckSession<'_>, comparison: &mut Comparison, found: &Result<Vec<Outcome>, PluginError>) {
    comparison.batch(&session.outcomes.iter().collect::<Vec<_>>(), found, &session.names());
}

/// The worker itself asks one instance from several threads, and fails the batch if they disagree.
fn threads(session: &CheckSession<'_>) -> CheckResult {
    let name = NAMES[3];
    let Some(command) = &session.asked.in_threads else {
        return CheckResult::skipped(name, "a program is asked by one thread");
    };
    if !session.plugin.properties.thread_safe {
        return CheckResult::skipped(name, "it says that it is not safe for threads");
    }
    let many: Vec<Sample> = session.samples.iter().cycle().take(CRYSTALS).cloned().collect();
    let names: Vec<&str> = many.iter().map(|sample| sample.name.as_str()).collect();
    // Threads that agree with each other may still be wrong together.
    let by_one = match session.plugin.another().ask(&many) {
        Ok(outcomes) => outcomes,
        Err(error) => return CheckResult::broken(name, error),
    };
    let expected: Vec<&Outcome> = by_one.iter().collect();
    let mut plugin = session.plugin.by(command.clone());
    let mut comparison = Comparison::default();
    (0..TIMES).for_each(|_| comparison.batch(&expected, &plugin.ask(&many), &names));
    comparison.check(name, 0.0)
}
