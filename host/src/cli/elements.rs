//! Names of elements and classes of elements, as flags per atom class.

use crate::config::Elements;
use crate::crystal::{Element, NOBLE_GASES, RADIOACTIVE};

/// One flag per atom class 0..`classes`; class 0 is the pad and never allowed.
///
/// # Errors
/// A sentence, when a name is neither an element nor a class, or nothing is left.
pub(super) fn element_flags(elements: &Elements, classes: usize) -> Result<Vec<bool>, String> {
    let (names, listed) = match elements {
        Elements::Only(names) => (names, true),
        Elements::Exclude(names) => (names, false),
    };
    let mut flags = vec![!listed; classes];
    for name in names {
        for number in numbers(name)? {
            if let Some(flag) = flags.get_mut(usize::from(number)) {
                *flag = listed;
            }
        }
    }
    if let Some(pad) = flags.first_mut() {
        *pad = false;
    }
    if flags.contains(&true) { Ok(flags) } else { Err("no element is left".into()) }
}

fn numbers(name: &str) -> Result<Vec<u8>, String> {
    match name {
        "radioactive" => Ok(RADIOACTIVE.to_vec()),
        "noble-gas" => Ok(NOBLE_GASES.to_vec()),
        symbol => match Element::from_symbol(symbol) {
            Some(element) => Ok(vec![element.number()]),
            None => Err(format!("`{symbol}` is not an element; write symbols such as Li, or radioactive or noble-gas")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_classes() {
        let only = element_flags(&Elements::Only(vec!["Li".into(), "O".into()]), 119).unwrap();
        assert_eq!(only.iter().filter(|f| **f).count(), 2);
        assert!(only[3] && only[8]);
        let excluded = element_flags(&Elements::Exclude(vec!["noble-gas".into(), "Fe".into()]), 119).unwrap();
        assert_eq!(excluded.iter().filter(|f| **f).count(), 118 - 7);
        assert!(!excluded[0] && !excluded[2] && !excluded[26]);
        assert!(element_flags(&Elements::Only(vec!["Xx".into()]), 119).unwrap_err().contains("`Xx`"));
        assert!(element_flags(&Elements::Only(vec![]), 119).is_err());
    }
}
