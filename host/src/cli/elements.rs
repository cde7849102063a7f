//! Names of elements and classes of elements, as flags per atom class.

use crate::config::Elements;
use crate::crystal::{Element, NOBLE_GASES, RADIOACTIVE};

/// One flag per atom class 0..`classes`, if some elements may not appear; class 0 is the pad and never allowed.
///
/// # Errors
/// A sentence, when a name is neither an element nor a class, or nothing is left.
pub(super) fn element_flags(elements: &Elements, classes: usize) -> Result<Option<Vec<bool>>, String> {
    let (names, listed) = match (&elements.only, &elements.exclude) {
        (Some(names), _) => (names, true),
        (None, Some(names)) => (names, false),
        (None, None) => return Ok(None),
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
    if flags.contains(&true) { Ok(Some(flags)) } else { Err("no element is left".into()) }
}

/// The elements that every crystal shall have.
///
/// # Errors
/// A sentence, when a name is no element.
pub(super) fn required_elements(elements: &Elements) -> Result<Vec<Element>, String> {
    let element = |name: &String| {
        Element::from_symbol(name).ok_or_else(|| format!("`{name}` is not an element; write symbols such as Li"))
    };
    elements.require.iter().map(element).collect()
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
        let flags = |elements: &Elements| element_flags(elements, 119);
        let names = |list: &[&str]| Some(list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let only = flags(&Elements { only: names(&["Li", "O"]), ..Elements::default() }).unwrap().unwrap();
        assert_eq!(only.iter().filter(|f| **f).count(), 2);
        assert!(only[3] && only[8]);
        let excluded = Elements { exclude: names(&["noble-gas", "Fe"]), ..Elements::default() };
        let excluded = flags(&excluded).unwrap().unwrap();
        assert_eq!(excluded.iter().filter(|f| **f).count(), 118 - 7);
        assert!(!excluded[0] && !excluded[2] && !excluded[26]);
        assert!(flags(&Elements { only: names(&["Xx"]), ..Elements::default() }).unwrap_err().contains("`Xx`"));
        assert!(flags(&Elements { only: names(&[]), ..Elements::default() }).is_err());
        let require = |list: &[&str]| Elements { require: names(list).unwrap(), ..Elements::default() };
        assert_eq!(flags(&require(&["Li"])), Ok(None));
        assert_eq!(required_elements(&require(&["Li", "O"])).unwrap().len(), 2);
        // A class is no element that a crystal could have.
        assert!(required_elements(&require(&["noble-gas"])).unwrap_err().starts_with("`noble-gas` is not an element"));
    }
}
