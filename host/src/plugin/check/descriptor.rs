//! Whether a plugin's descriptor is consistent.

use super::super::{Descriptor, HULL_CORRECTION, InterfaceDescriptor, Properties, REWARD};
use crate::conformance::CheckResult;

pub(super) const NAME: &str = "descriptor";

pub(super) fn check(descriptor: &Descriptor) -> CheckResult {
    let mut wrong = identity(descriptor);
    for (place, interface) in descriptor.interfaces.iter().enumerate() {
        let said = complaints(interface);
        wrong.extend(said.into_iter().map(|complaint| format!("{}: {complaint}", interface.id)));
        if descriptor.interfaces[..place].iter().any(|other| other.id == interface.id) {
            wrong.push(format!("{} is offered twice", interface.id));
        }
    }
    let check = CheckResult::count(NAME, &wrong, "complaints");
    // A user's own program needs none.
    if wrong.is_empty() && descriptor.licence.is_empty() {
        return CheckResult { note: "no licence is stated".to_owned(), ..check };
    }
    check
}

fn identity(descriptor: &Descriptor) -> Vec<String> {
    let Descriptor { name, version, licence, .. } = descriptor;
    let mut wrong = Vec::new();
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || "/\\".contains(c)) {
        wrong.push(format!("the name {name:?} cannot stand in a config: it is empty, or has a space or a slash"));
    }
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        wrong.push(format!("the version {version:?} does not begin with a number"));
    }
    if !licence.is_empty() && !looks_like_spdx(licence) {
        wrong.push(format!("the licence {licence:?} is not an SPDX expression, such as \"MIT OR Apache-2.0\""));
    }
    if descriptor.interfaces.is_empty() {
        wrong.push("it offers nothing".to_owned());
    }
    wrong
}

/// Identifiers joined by AND, OR and WITH; which identifiers there are is not looked up.
fn looks_like_spdx(licence: &str) -> bool {
    let spaced = licence.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().filter(|word| !"()".contains(word)).collect();
    let is_identifier = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-.+:".contains(c));
    let joins = ["AND", "OR", "WITH"];
    let fits = |(place, word): (usize, &&str)| joins.contains(word) == (place % 2 == 1) && is_identifier(word);
    words.len() % 2 == 1 && words.iter().enumerate().all(fits)
}

fn complaints(interface: &InterfaceDescriptor) -> Vec<String> {
    let properties = &interface.properties;
    let mut wrong = Vec::new();
    if ![REWARD, HULL_CORRECTION].contains(&interface.id.as_str()) {
        wrong.push(format!("an interface that this Temper does not know; it knows {REWARD} and {HULL_CORRECTION}"));
    }
    if properties.unit.trim().is_empty() {
        wrong.push("the unit is empty; that of plain numbers is \"1\"".to_owned());
    }
    wrong.extend(properties.elements.as_deref().and_then(elements));
    wrong.extend(bounds(properties));
    if interface.id == HULL_CORRECTION {
        wrong.extend(scales(properties));
    }
    let schema = &interface.config_schema;
    if !(schema.is_null() || schema["type"] == "object" || schema["type"] == "null" || schema["properties"].is_object())
    {
        wrong.push("the schema of the config is not that of an object".to_owned());
    }
    wrong
}

fn elements(numbers: &[u8]) -> Option<String> {
    if numbers.is_empty() {
        return Some("it knows no element".to_owned());
    }
    let twice = |(place, number): (usize, &u8)| numbers[..place].contains(number).then_some(*number);
    let odd = numbers.iter().find(|number| !(1..=118).contains(*number));
    let odd = odd.map(|number| format!("no element has the atomic number {number}"));
    odd.or_else(|| Some(format!("the element {} is listed twice", numbers.iter().enumerate().find_map(twice)?)))
}

fn bounds(properties: &Properties) -> Vec<String> {
    let [least, greatest] = properties.range;
    let mut wrong = Vec::new();
    if let (Some(least), Some(greatest)) = (least, greatest)
        && least >= greatest
    {
        wrong.push(format!("the range from {least} to {greatest} is empty"));
    }
    if [least, greatest, properties.worst].into_iter().flatten().any(|x| !x.is_finite()) {
        wrong.push("a bound of the range, or the worst value, is not finite".to_owned());
    }
    // Which end is the better one is the user's to say; inside of the range a failure would beat successes either way.
    if let (Some(worst), Some(least), Some(greatest)) = (properties.worst, least, greatest)
        && least < worst
        && worst < greatest
    {
        wrong.push(format!("a failure counts as {worst}, which is better than some values from {least} to {greatest}"));
    }
    wrong
}

fn scales(properties: &Properties) -> Option<String> {
    match &properties.scales {
        None => Some("a correction says from which energy reference to which it goes (scales)".to_owned()),
        Some([from, to]) if from.trim().is_empty() || to.trim().is_empty() || from == to => {
            Some(format!("a correction goes from one energy reference to another, not from {from:?} to {to:?}"))
        }
        Some(_) if properties.unit != "eV" => {
            Some(format!("a correction is in eV (per cell), not {}", properties.unit))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::CheckStatus;

    #[test]
    fn licences_are_expressions() {
        for licence in
            ["MIT", "MIT OR Apache-2.0", "(MIT AND GPL-2.0+) OR LicenseRef-own", "GPL-3.0 WITH GCC-exception"]
        {
            assert!(looks_like_spdx(licence), "{licence}");
        }
        for licence in ["", "MIT License", "OR MIT", "MIT OR", "MIT, Apache", "free for all of you"] {
            assert!(!looks_like_spdx(licence), "{licence}");
        }
    }

    #[test]
    fn claims_that_cannot_be_are_told() {
        let of = |properties: &str, id: &str| {
            let text = format!(
                r#"{{"name": "x", "version": "1", "licence": "MIT", "interfaces": [{{"id": "{id}", "unit": "eV" {properties}}}]}}"#
            );
            check(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(of("", REWARD).status, CheckStatus::Pass);
        assert_eq!(of(r#", "scales": ["PBE", "MP2020"]"#, HULL_CORRECTION).status, CheckStatus::Pass);
        let cases = [
            (r#", "elements": [1, 119]"#, "no element has the atomic number 119"),
            (r#", "elements": [8, 1, 8]"#, "the element 8 is listed twice"),
            (r#", "elements": []"#, "it knows no element"),
            (r#", "range": [1.0, 0.0]"#, "the range from 1 to 0 is empty"),
            (r#", "range": [0.0, 1.0], "worst": 0.5"#, "a failure counts as 0.5, which is better"),
            (r#", "config_schema": {"type": "string"}"#, "the schema of the config is not"),
        ];
        for (properties, complaint) in cases {
            let check = of(properties, REWARD);
            assert!(check.status == CheckStatus::Fail && check.note.contains(complaint), "{check:?}");
        }
        assert!(of("", HULL_CORRECTION).note.contains("(scales)"));
        assert!(of("", "reward/9").note.contains("does not know"));
        let nobody = check(&serde_json::from_str(r#"{"name": "a b", "version": "", "interfaces": []}"#).unwrap());
        assert_eq!(nobody.number, Some(3.0));
    }
}
