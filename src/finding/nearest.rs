//! The name that a misspelled one was probably meant to be.

/// A part of a name that stands for the whole has at least this many bytes.
const MIN_PART: usize = 4;

/// The one of `known` that `word` was probably meant to be: the same but for case, a few slips of the
/// fingers away (two letters swapped are one), or a part of it such as `limit` of `rate_limit`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // Of short words everything is near.
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    let rank = |name: &'a str| {
        let lower = name.to_lowercase();
        let distance = if lower.len().abs_diff(word.len()) > allowed * 4 {
            usize::MAX
        } else {
            strsim::osa_distance(&word, &lower)
        };
        if distance <= allowed {
            return Some((distance, name));
        }
        let is_part = word.len() >= MIN_PART
            && (lower.starts_with(&word) || lower.split(['_', '-', '.']).any(|part| part == word));
        is_part.then_some((allowed + 1, name))
    };
    let near = known.into_iter().filter_map(rank).min_by_key(|(distance, _)| *distance);
    near.map(|(_, name)| name)
}
