//! The configs that ship inside the binary.

use super::Failure;

/// A config that ships with Temper.
#[derive(Debug)]
pub struct Recipe {
    /// Its name, for `--recipe` and `temper init`.
    pub name: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
}

const RECIPES: [Recipe; 2] = [
    Recipe { name: "stability", text: include_str!("../../recipes/stability.toml") },
    Recipe { name: "dielectric", text: include_str!("../../recipes/dielectric.toml") },
];

impl Recipe {
    /// The recipe of that name.
    ///
    /// # Errors
    /// When there is none; names the nearest and all.
    pub fn named(name: &str) -> Result<&'static Self, Failure> {
        if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) {
            return Ok(recipe);
        }
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        let nearest = names.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known)).copied();
        Err(Failure::user(format!("no recipe `{name}`"))
            .hint(format!("did you mean `{}`?", nearest.unwrap_or_default()))
            .hint(format!("recipes: {}", names.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Document, Finetune};

    #[test]
    fn every_recipe_is_a_config() {
        for recipe in &RECIPES {
            Document::new(recipe.name, recipe.text, vec![]).read::<Finetune>().unwrap_or_else(|e| panic!("{e}"));
        }
    }

    #[test]
    fn a_misspelt_recipe_is_answered_with_the_nearest() {
        let failure = Recipe::named("stabilty").unwrap_err();
        let expected =
            "error: no recipe `stabilty`\nhint: did you mean `stability`?\nhint: recipes: stability, dielectric";
        assert_eq!(failure.to_string(), expected);
    }
}
