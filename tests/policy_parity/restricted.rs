//! A restricted policy: its crystals are the wanted ones, and their probabilities are what they are drawn with.

use std::collections::HashMap;
use std::sync::Arc;

use temper::crystal::{Composition, Element, SpaceGroup, Tokens, wyckoff_positions};
use temper::policy::{
    Draws, Hyperparameters, Likelihood, LossGradient, Restriction, SampleSettings, Sampler, SpaceGroupDistribution,
    WantedCrystals,
};
use temper::train::NegativeLogLikelihood;

use crate::evaluate::{
    crystal, gradient, log_probabilities, logp, random_parameters, refs, resources, runtime, small, totals,
};

fn element(symbol: &str) -> Element {
    Element::from_symbol(symbol).unwrap()
}

fn only(symbols: &[&str]) -> Option<Vec<bool>> {
    let mut flags = vec![false; 119];
    symbols.iter().for_each(|symbol| flags[usize::from(element(symbol).number())] = true);
    Some(flags)
}

fn restriction(wanted: WantedCrystals, hyper: &Hyperparameters) -> Option<Arc<Restriction>> {
    Some(Arc::new(Restriction::new(wanted, hyper).unwrap()))
}

fn restricted(hyper: &Hyperparameters, restriction: &Option<Arc<Restriction>>) -> Likelihood {
    Likelihood::restricted(runtime(), hyper, restriction.clone(), resources()).unwrap()
}

fn draw(
    hyper: &Hyperparameters,
    seed: u64,
    groups: &[SpaceGroup],
    restriction: &Option<Arc<Restriction>>,
) -> Vec<Tokens> {
    let sampler = Sampler::load(runtime(), hyper, resources()).unwrap();
    let draws = Draws { seed: 5, step: 1, first: 0 };
    let settings = SampleSettings::of_policy(restriction.clone());
    let drawn = sampler.sample(&random_parameters(hyper, seed), groups, draws, &settings).unwrap();
    drawn.into_iter().map(Result::unwrap).collect()
}

/// Crystals on different ones of the eight fixed points of Pmmm, which have one atom each, with some orders of elements.
fn on_fixed_points(orders: &[Vec<&str>]) -> Vec<Tokens> {
    let group = SpaceGroup::new(47).unwrap();
    let fixed: Vec<u8> = wyckoff_positions(group).iter().filter(|p| p.dof0).map(|p| p.index).collect();
    assert_eq!(fixed.len(), 8);
    let mut crystals = Vec::new();
    for chosen in 0u32..256 {
        let letters: Vec<u8> = (0..8).filter(|i| chosen >> i & 1 == 1).map(|i| fixed[i]).collect();
        for order in orders.iter().filter(|order| order.len() == letters.len()) {
            let site = |(letter, symbol): (&u8, &&str)| {
                let position = &wyckoff_positions(group)[usize::from(*letter) - 1];
                (*letter, element(symbol).number(), position.project([0.0; 3]))
            };
            crystals.push(crystal(47, &letters.iter().zip(order).map(site).collect::<Vec<_>>()));
        }
    }
    crystals
}

/// Letters and elements alone: the fixed points leave no coordinate to be drawn.
fn discrete(graph: &Likelihood, hyper: &Hyperparameters, seed: u64, crystals: &[Tokens]) -> Vec<f64> {
    let values = log_probabilities(graph, &random_parameters(hyper, seed), crystals);
    values.iter().map(|p| (p.w + p.a + p.xyz).exp()).collect()
}

/// The crystals of Pmmm with at most as many atoms as they need sites are all there is, so their probabilities make one; and
/// they come as often as that.
#[test]
fn all_wanted_crystals_together_are_certain_and_come_as_often_as_they_are_likely() {
    let hyper = small(6);
    let wanted = WantedCrystals { allowed: only(&["Li", "O", "Fe"]), ..WantedCrystals::default() };
    let pairs = vec![vec!["Li", "O"], vec!["O", "Li"]];
    let required = vec![element("Li"), element("O")];
    let three = WantedCrystals { max_atoms: Some(3), ..wanted.clone() };
    let orders = |symbols: [&'static str; 3]| {
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(|o| o.map(|i| symbols[i]).to_vec())
    };
    let cases = [
        (WantedCrystals { required: required.clone(), max_atoms: Some(2), ..wanted.clone() }, pairs.clone(), 56),
        (WantedCrystals { formula: Some("LiO".parse().unwrap()), max_atoms: Some(2), ..wanted.clone() }, pairs, 56),
        (
            WantedCrystals { min_elements: Some(3), max_sites: Some(3), ..three.clone() },
            orders(["Li", "O", "Fe"]).to_vec(),
            56 * 6,
        ),
        (
            WantedCrystals { formula: Some("LiMX".parse().unwrap()), allowed: only(&["Li", "O", "Fe", "Co"]), ..three },
            [["Li", "O", "Fe"], ["Li", "O", "Co"], ["Li", "Fe", "Co"]].map(orders).concat(),
            56 * 18,
        ),
        (WantedCrystals { max_atoms: Some(1), ..wanted }, vec![vec!["Li"], vec!["O"], vec!["Fe"]], 24),
    ];
    for (case, (wanted, orders, count)) in cases.into_iter().enumerate() {
        let restriction = restriction(wanted, &hyper);
        let crystals = on_fixed_points(&orders);
        assert_eq!(crystals.len(), count, "case {case}");
        let p = discrete(&restricted(&hyper, &restriction), &hyper, 31, &crystals);
        let sum: f64 = p.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "case {case}: {sum}");
        const DRAWN: usize = 2000;
        let drawn = draw(&hyper, 31, &[SpaceGroup::new(47).unwrap(); DRAWN], &restriction);
        let key = |t: &Tokens| t.sites.iter().map(|s| (s.wyckoff, s.species)).collect::<Vec<_>>();
        let mut times: HashMap<_, usize> = HashMap::new();
        drawn.iter().for_each(|crystal| *times.entry(key(crystal)).or_default() += 1);
        let seen = |crystal| times.get(&key(crystal)).copied().unwrap_or(0);
        assert_eq!(crystals.iter().map(seen).sum::<usize>(), DRAWN, "case {case}: other crystals were drawn");
        let (chi, bound) = chi_square(&p, &crystals.iter().map(seen).collect::<Vec<_>>(), DRAWN);
        assert!(chi < bound, "case {case}: chi square {chi}, bound {bound}");
    }
}

/// Pearson's statistic over bins of at least ten expected counts, and what it exceeds once in 10,000 (Wilson and Hilferty).
fn chi_square(p: &[f64], counts: &[usize], drawn: usize) -> (f64, f64) {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut bins, mut bin) = (Vec::new(), (0.0, 0.0));
    for i in order {
        bin = (bin.0 + p[i] * drawn as f64, bin.1 + counts[i] as f64);
        if bin.0 >= 10.0 {
            bins.push(std::mem::take(&mut bin));
        }
    }
    assert!(bins.len() > 5, "{}", bins.len());
    let chi = bins.iter().map(|(expected, found)| (found - expected).powi(2) / expected).sum();
    let freedom = bins.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    (chi, freedom * (1.0 - spread + 3.719 * spread.sqrt()).powi(3))
}

/// What a mask leaves keeps its proportions: an element's probability is the unrestricted one over the sum of those allowed.
#[test]
fn masks_renormalise() {
    let hyper = small(6);
    let symbols = ["Li", "O", "Fe"];
    // The second site may not bring a third element, and lithium must come.
    let wanted = WantedCrystals { required: vec![element("Li")], max_elements: Some(2), ..WantedCrystals::default() };
    let wanted = WantedCrystals { allowed: only(&symbols), max_sites: Some(2), ..wanted };
    let (own, free) = (restricted(&hyper, &restriction(wanted, &hyper)), logp(&hyper));
    let parameters = random_parameters(&hyper, 32);
    let salt = |first: &str, second: &str| crystal(221, &[site(1, first), site(2, second)]);
    let a = |graph: &Likelihood, first: &str, second: &str| {
        log_probabilities(graph, &parameters, &[salt(first, second)])[0].a.exp()
    };
    // Of the unrestricted policy: p(second | first) for each of three, and p(first).
    let joint = |first: &str| symbols.map(|second| a(&free, first, second));
    for first in symbols {
        // With lithium there, any of the two elements may come that do not make three; without, it must be lithium.
        let second = joint(first);
        for (i, symbol) in symbols.iter().enumerate() {
            let may = first == "Li" || *symbol == "Li";
            let allowed: f64 = if first == "Li" { second.iter().sum() } else { second[0] };
            let expected = if may { second[i] / allowed } else { 0.0 };
            let first_p = {
                // p(first) needs no second site: crystals of one site.
                let p = |s: &str| log_probabilities(&free, &parameters, &[crystal(221, &[site(1, s)])])[0].a.exp();
                p(first) / symbols.iter().map(|s| p(s)).sum::<f64>()
            };
            let found = a(&own, first, symbol);
            assert!((found - expected * first_p).abs() < 1e-6, "{first} {symbol}: {found} {}", expected * first_p);
        }
    }
}

fn site(letter: u8, symbol: &str) -> (u8, u8, [f64; 3]) {
    (letter, element(symbol).number(), if letter == 1 { [0.0; 3] } else { [0.5; 3] })
}

#[test]
fn drawn_crystals_are_the_wanted_ones_in_every_space_group() {
    let hyper = small(8);
    let wanted = WantedCrystals { formula: Some("LiMO2".parse().unwrap()), ..WantedCrystals::default() };
    let wanted = WantedCrystals { max_sites: Some(6), max_atoms: Some(48), ..wanted };
    let restriction = restriction(wanted, &hyper);
    let (groups, left_out) = SpaceGroupDistribution::uniform().restricted(restriction.as_ref().unwrap());
    // Ia-3d has 16, 16, 24, 24, 32 and 48 atoms: more than 48 for one, one and two of any. Only the low ones are left.
    assert!(left_out.iter().any(|group| group.number() == 230) && left_out.len() < 100, "{left_out:?}");
    let groups = groups.unwrap().draw(Draws { seed: 1, step: 0, first: 0 }, 300);
    assert!(groups.iter().all(|group| !left_out.contains(group)));
    let drawn = draw(&hyper, 33, &groups, &restriction);
    let mut metals = std::collections::HashSet::new();
    for crystal in &drawn {
        let atoms = crystal.sites.iter().zip(crystal.positions().unwrap());
        let composition = Composition::new(atoms.map(|(site, p)| (site.species, p.multiplicity() as f64))).unwrap();
        let share =
            |symbol: &str| composition.amounts().iter().find(|(e, _)| e.symbol() == symbol).map_or(0.0, |e| e.1);
        let others: Vec<_> = composition.amounts().iter().filter(|(e, _)| !["Li", "O"].contains(&e.symbol())).collect();
        assert!(share("Li") >= 1.0 && share("O") == 2.0 * share("Li"), "{composition}");
        assert!(matches!(others[..], [(_, n)] if *n == share("Li")), "{composition}");
        assert!(crystal.sites.len() <= 6 && composition.num_atoms() <= 48.0);
        metals.insert(others[0].0);
    }
    assert!(metals.len() > 30, "{}", metals.len());
    // Nothing that was drawn is out of the question, and a restriction only takes choices away.
    let parameters = random_parameters(&hyper, 33);
    let own = log_probabilities(&restricted(&hyper, &restriction), &parameters, &drawn);
    let free = log_probabilities(&logp(&hyper), &parameters, &drawn);
    for (own, free) in own.iter().zip(&free) {
        assert!(own.w >= free.w - 1e-5 && own.a >= free.a - 1e-5 && own.w <= 1e-6 && own.a <= 1e-6, "{own:?} {free:?}");
        assert!((own.xyz - free.xyz).abs() < 1e-5 && (own.l - free.l).abs() < 1e-5);
    }
}

/// Along the gradient itself and a step of the same length.
#[test]
fn the_gradient_of_a_restricted_policy_is_its_slope() {
    let hyper = small(6);
    let wanted = WantedCrystals { formula: Some("LiMO2".parse().unwrap()), ..WantedCrystals::default() };
    let restriction = restriction(WantedCrystals { max_sites: Some(5), ..wanted }, &hyper);
    let groups = [166, 2, 12, 1].map(|group| SpaceGroup::new(group).unwrap());
    let crystals = draw(&hyper, 34, &groups, &restriction);
    let parameters = random_parameters(&hyper, 34);
    let loss = NegativeLogLikelihood::mean(crystals.len());
    let graph = LossGradient::restricted(runtime(), &hyper, restriction.clone(), resources()).unwrap();
    let found = gradient(&graph, &parameters, &crystals, &loss);
    let graph = restricted(&hyper, &restriction);
    let together = totals(&graph.log_probabilities(&parameters, &refs(&crystals)).unwrap());
    for (a, b) in totals(&found.logp).iter().zip(&together) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    for (i, (name, _)) in
        parameters.iter().enumerate().filter(|(_, (name, _))| name.contains("linear_") || name.contains("embedding"))
    {
        let own = &found.gradient[i];
        let norm = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if norm < 1e-3 {
            continue;
        }
        let at = |step: f64| {
            let mut tensors: std::collections::BTreeMap<_, _> =
                parameters.iter().map(|(name, p)| (name.to_owned(), p.clone())).collect();
            let moved = tensors.get_mut(name).unwrap();
            *moved = &*moved + &(own * (step / norm) as f32);
            let moved = temper::policy::Parameters::assemble(tensors, &hyper, "moved".as_ref()).unwrap();
            let values = totals(&graph.log_probabilities(&moved, &refs(&crystals)).unwrap());
            -values.iter().sum::<f64>() / values.len() as f64
        };
        let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
        let difference = (4.0 * slope(0.01) - slope(0.02)) / 3.0;
        assert!((difference - norm).abs() < 2e-3 * (1.0 + norm), "{name}: {difference} {norm}");
    }
}
