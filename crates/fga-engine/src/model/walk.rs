//! A rewrite and everything below it.

use crate::wire::Userset;

/// Set operators inside each other. OpenFGA has no such limit, but its messages do not
/// nest deeper either.
pub(crate) const MAX_NESTING: usize = 40;

/// Visits a rewrite and everything below it.
pub(crate) fn walk<'m>(userset: &'m Userset, visit: &mut impl FnMut(&'m Userset)) {
    walk_at(userset, 0, visit);
}

fn walk_at<'m>(userset: &'m Userset, depth: usize, visit: &mut impl FnMut(&'m Userset)) {
    visit(userset);
    if depth < MAX_NESTING {
        children(userset).for_each(|child| walk_at(child, depth + 1, visit));
    }
}

/// What a set operator combines.
pub(crate) fn children(userset: &Userset) -> impl Iterator<Item = &Userset> {
    let difference = userset.difference.as_ref();
    let union = userset.union.iter().chain(&userset.intersection).flat_map(|set| &set.child);
    union
        .chain(difference.and_then(|d| d.base.as_deref()))
        .chain(difference.and_then(|d| d.subtract.as_deref()))
}
