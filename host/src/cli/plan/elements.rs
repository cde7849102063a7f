//! Whether the hulls of a run know the elements that may be drawn.

use std::path::Path;

use super::Planner;
use crate::cli::Failure;
use crate::config::{Finetune, JudgeKind, RewardKind};
use crate::crystal::Element;
use crate::policy::{Hyperparameters, Restriction};

/// Elements that a message names.
const NAMED: usize = 8;

impl Planner<'_> {
    /// Refuses a hull against which every crystal would fail, and warns of elements that a hull does not know.
    pub(super) fn check_elements(
        &mut self,
        config: &Finetune,
        restriction: Option<&Restriction>,
        hyper: &Hyperparameters,
    ) -> Result<(), Failure> {
        let drawn = drawn(restriction, hyper);
        let hull_term = |(name, reward): (&String, &crate::config::Reward)| match &reward.kind {
            RewardKind::Hull(term) => Some((format!("rewards.{name}.hull.reference"), term.reference.clone())),
            _ => None,
        };
        let mut hulls: Vec<_> = config.rewards.iter().filter_map(hull_term).collect();
        let judge = config.judge.as_ref().and_then(|judge| match &judge.kind {
            JudgeKind::Hull(hull) => hull.reference.clone(),
            JudgeKind::Term(_) => None,
        });
        hulls.extend(judge.map(|path| ("judge.hull.reference".to_owned(), path)));
        for (key, path) in hulls {
            self.check_hull(&key, &path, &drawn, restriction)?;
        }
        Ok(())
    }

    fn check_hull(
        &mut self,
        key: &str,
        path: &Path,
        drawn: &[Element],
        restriction: Option<&Restriction>,
    ) -> Result<(), Failure> {
        let known = self.hull(key, path)?.info().elements;
        let missing: Vec<Element> = drawn.iter().filter(|element| !known.contains(element)).copied().collect();
        if let Some(element) = restriction.and_then(|r| r.always().find(|element| !known.contains(element))) {
            let message = format!("`{key}`: the hull has no reference for {element}, which every crystal has");
            return Err(self.mistake(key, message));
        }
        if missing.len() == drawn.len() {
            let message = format!("`{key}`: the hull has a reference for none of the elements that may be drawn");
            return Err(self.mistake(key, message).hint(format!("it has {}", list(&known))));
        }
        if !missing.is_empty() {
            self.context.say(&format!(
                "warning: `{key}`: crystals with {} fail: the hull has no reference for {} of the {} elements that may be drawn",
                list(&missing),
                missing.len(),
                drawn.len()
            ));
        }
        Ok(())
    }
}

/// The elements that a run may draw.
fn drawn(restriction: Option<&Restriction>, hyper: &Hyperparameters) -> Vec<Element> {
    let all = || (1..hyper.atom_types).filter_map(|class| Element::from_number(u8::try_from(class).ok()?)).collect();
    restriction.map_or_else(all, Restriction::possible)
}

/// The first of some elements.
fn list(elements: &[Element]) -> String {
    let named: Vec<&str> = elements.iter().take(NAMED).map(|element| element.symbol()).collect();
    format!("{}{}", named.join(", "), if elements.len() > NAMED { ", ..." } else { "" })
}
