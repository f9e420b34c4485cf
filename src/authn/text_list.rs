//! Names in a row, in one allocation.

use std::fmt;

/// Ends every name. A name that holds it itself is left out: no rule can ask for it.
const END: char = '\0';

/// Texts of a token, of which there may be thousands, held as compactly as they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct TextList {
    text: Box<str>,
}

impl TextList {
    /// The texts in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator(END)
    }

    /// Whether one of the texts is `wanted`.
    pub(super) fn contains(&self, wanted: &str) -> bool {
        self.iter().any(|text| text == wanted)
    }

    /// Bytes outside of the list itself.
    pub(super) fn held_bytes(&self) -> usize {
        self.text.len()
    }
}

impl<T: AsRef<str>> FromIterator<T> for TextList {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut text = String::new();
        for one in texts {
            let one = one.as_ref();
            if !one.contains(END) {
                text.push_str(one);
                text.push(END);
            }
        }
        Self { text: text.into_boxed_str() }
    }
}

impl fmt::Debug for TextList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_found_whole_and_nothing_is_found_across_them() {
        let list: TextList = ["read", "", "write"].into_iter().collect();
        assert!(["read", "", "write"].iter().all(|text| list.contains(text)));
        for other in ["rea", "readwrite", "read\0", "\0", "read\0\0write", "write\0"] {
            assert!(!list.contains(other), "{other:?}");
        }
        assert!(!TextList::default().contains(""));
    }

    #[test]
    fn a_text_with_the_end_in_it_cannot_pose_as_two() {
        let list: TextList = ["a\0admin", "b"].into_iter().collect();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_thousand_texts_are_one_allocation_of_the_told_size() {
        let mut list = TextList::default();
        let held = measure(|| list = (0..1_000).map(|n| n.to_string()).collect());
        assert_eq!(held.count_current, 1);
        assert_eq!(held.bytes_current, i64::try_from(list.held_bytes()).expect("small"));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(texts in proptest::collection::vec("[^\0]{0,5}", 0..10)) {
            let list: TextList = texts.iter().collect();
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), texts);
        }
    }
}
