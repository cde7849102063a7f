//! The configs that ship inside the binary.

use super::Failure;
use crate::config::{FINETUNE_KEYS, KeyTable, PRETRAIN_KEYS};

/// A config that ships with Temper.
#[derive(Debug)]
pub struct Recipe {
    /// Its name, for `--recipe` and `temper init`.
    pub name: &'static str,
    /// The subcommand whose config it is.
    pub command: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
}

const FINETUNE: &str = "finetune";
const PRETRAIN: &str = "pretrain";

const RECIPES: [Recipe; 4] = [
    Recipe { name: "stability", command: FINETUNE, text: include_str!("../../recipes/stability.toml") },
    Recipe { name: "dielectric", command: FINETUNE, text: include_str!("../../recipes/dielectric.toml") },
    Recipe { name: "sft", command: PRETRAIN, text: include_str!("../../recipes/sft.toml") },
    Recipe { name: "dpo", command: PRETRAIN, text: include_str!("../../recipes/dpo.toml") },
];

impl Recipe {
    /// The recipe of that name for a subcommand.
    ///
    /// # Errors
    /// When there is none, or it is another subcommand's.
    pub fn of_command(name: &str, command: &str) -> Result<&'static Self, Failure> {
        let recipe = Self::named(name)?;
        if recipe.command == command {
            return Ok(recipe);
        }
        let other = recipe.command;
        Err(Failure::user(format!("`{name}` is a recipe of temper {other}"))
            .hint(format!("temper {other} --recipe {name}")))
    }

    /// The tables of its subcommand's configs.
    pub fn tables(&self) -> &'static [KeyTable] {
        if self.command == FINETUNE { &FINETUNE_KEYS } else { &PRETRAIN_KEYS }
    }

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
    use crate::config::{Document, Finetune, Pretrain};

    #[test]
    fn every_recipe_is_a_config() {
        for recipe in &RECIPES {
            let document = Document::new(recipe.name, recipe.text, vec![]);
            let read = match recipe.command {
                FINETUNE => document.read::<Finetune>().map(drop),
                _ => document.read::<Pretrain>().map(drop),
            };
            read.unwrap_or_else(|e| panic!("{e}"));
        }
    }

    #[test]
    fn a_misspelt_recipe_is_answered_with_the_nearest() {
        let failure = Recipe::named("stabilty").unwrap_err();
        let expected = "error: no recipe `stabilty`\nhint: did you mean `stability`?\nhint: recipes: stability, dielectric, sft, dpo";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_recipe_of_another_command_is_named_with_it() {
        let failure = Recipe::of_command("sft", FINETUNE).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "error: `sft` is a recipe of temper pretrain\nhint: temper pretrain --recipe sft"
        );
    }
}
