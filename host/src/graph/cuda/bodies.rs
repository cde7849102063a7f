//! The branches of `If` and the bodies of `Loop` and `Scan`, rewritten as the graph around them is.

use super::super::builder::{Builder, Node};
use super::{ForCuda, rewrite, table};

/// Rewrites the graphs inside of a node. One that cannot be read stays as it is; of it, only the operators are known.
pub(super) fn rewrite_inside(b: &mut Builder, node: &mut Node, prepared: &mut ForCuda) {
    let Node { name, attributes, .. } = node;
    for graph in attributes.0.iter_mut().flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs)) {
        let read = b.inside(graph, |b| {
            let mut inner = ForCuda::default();
            rewrite(b, &mut inner);
            inner
        });
        let obstacles = match read {
            Ok((body, inner)) => {
                if !inner.replaced.is_empty() {
                    *graph = body;
                }
                inner.replaced.into_iter().for_each(|(op, count)| *prepared.replaced.entry(op).or_default() += count);
                inner.obstacles
            }
            Err(_) => table::obstacles_by_name(graph),
        };
        let within = |obstacle: table::Obstacle| {
            let node = format!("{name}/{}", obstacle.node);
            table::Obstacle { node, ..obstacle }
        };
        prepared.obstacles.extend(obstacles.into_iter().map(within));
    }
}
