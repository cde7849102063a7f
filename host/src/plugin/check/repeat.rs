//! The same crystals again: twice more, in another worker, in two workers at once, and in several threads of one.

use super::super::{Outcome, PluginError};
use super::compare::Comparison;
use super::plugin_under_test::PluginUnderTest;
use super::sample::Sample;
use super::{Kit, PluginCheck};

pub(super) const NAMES: [&str; 4] = ["determinism", "another worker", "two workers at once", "threads"];

/// Crystals that threads are asked about at once, and how often.
const CRYSTALS: usize = 200;
const TIMES: usize = 3;

pub(super) fn checks(kit: &mut Kit<'_>) -> Vec<PluginCheck> {
    if !kit.subject.properties.deterministic {
        kit.unsteady = Some("it says that its values differ from call to call");
        return kit.skip(&NAMES);
    }
    let own = determinism(kit);
    if kit.unsteady.is_some() {
        return std::iter::once(own).chain(kit.skip(&NAMES[1..])).collect();
    }
    vec![own, another(kit), two_at_once(kit), threads(kit)]
}

/// Three calls, with those of the values.
fn determinism(kit: &mut Kit<'_>) -> PluginCheck {
    let mut comparison = Comparison::default();
    for _ in 0..2 {
        let again = kit.subject.ask(&kit.samples);
        compare(kit, &mut comparison, &again);
    }
    if comparison.largest() > 0.0 {
        kit.unsteady = Some("its values differ from call to call");
    }
    comparison.check(NAMES[0], 0.0)
}

fn another(kit: &Kit<'_>) -> PluginCheck {
    let mut comparison = Comparison::default();
    compare(kit, &mut comparison, &kit.subject.another().ask(&kit.samples));
    comparison.check(NAMES[1], 0.0)
}

fn two_at_once(kit: &Kit<'_>) -> PluginCheck {
    let mut comparison = Comparison::default();
    let mut subjects = [kit.subject.another(), kit.subject.another()];
    let ask = |subject: &mut PluginUnderTest| (0..TIMES).map(|_| subject.ask(&kit.samples)).collect::<Vec<_>>();
    let answers = std::thread::scope(|scope| {
        let asked = subjects.each_mut().map(|subject| scope.spawn(|| ask(subject)));
        asked.map(|asked| asked.join().unwrap_or_default())
    });
    answers.iter().flatten().for_each(|answer| compare(kit, &mut comparison, answer));
    comparison.check(NAMES[2], 0.0)
}

fn compare(kit: &Kit<'_>, comparison: &mut Comparison, found: &Result<Vec<Outcome>, PluginError>) {
    comparison.batch(&kit.outcomes.iter().collect::<Vec<_>>(), found, &kit.names());
}

/// The worker itself asks one instance from several threads, and fails the batch if they disagree.
fn threads(kit: &Kit<'_>) -> PluginCheck {
    let name = NAMES[3];
    let Some(command) = &kit.asked.in_threads else {
        return PluginCheck::skipped(name, "a program is asked by one thread");
    };
    if !kit.subject.properties.thread_safe {
        return PluginCheck::skipped(name, "it says that it is not safe for threads");
    }
    let many: Vec<Sample> = kit.samples.iter().cycle().take(CRYSTALS).cloned().collect();
    let names: Vec<&str> = many.iter().map(|sample| sample.name.as_str()).collect();
    // Threads that agree with each other may still be wrong together.
    let by_one = match kit.subject.another().ask(&many) {
        Ok(outcomes) => outcomes,
        Err(error) => return PluginCheck::broken(name, error),
    };
    let expected: Vec<&Outcome> = by_one.iter().collect();
    let mut subject = kit.subject.by(command.clone());
    let mut comparison = Comparison::default();
    (0..TIMES).for_each(|_| comparison.batch(&expected, &subject.ask(&many), &names));
    comparison.check(name, 0.0)
}
