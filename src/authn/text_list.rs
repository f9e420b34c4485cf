//! Names in a row, in one allocation.

use std::fmt;

use super::block::block_bytes;

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

    /// Bytes that it takes outside of itself.
    pub(super) fn held_bytes(&self) -> usize {
        block_bytes(self.text.len())
    }
}

impl<T: AsRef<str>> From<&[T]> for TextList {
    fn from(texts: &[T]) -> Self {
        let kept = || texts.iter().map(AsRef::as_ref).filter(|text| !text.contains(END));
        // Exact: many an allocator keeps a block that was made smaller as large as it was.
        let mut text = String::with_capacity(kept().map(|one| one.len() + END.len_utf8()).sum());
        for one in kept() {
            text.push_str(one);
            text.push(END);
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
        let list = TextList::from(&["read", "", "write"][..]);
        assert!(["read", "", "write"].iter().all(|text| list.contains(text)));
        for other in ["rea", "readwrite", "read\0", "\0", "read\0\0write", "write\0"] {
            assert!(!list.contains(other), "{other:?}");
        }
        assert!(!TextList::default().contains(""));
    }

    #[test]
    fn a_text_with_the_end_in_it_cannot_pose_as_two() {
        let list = TextList::from(&["a\0admin", "b"][..]);
        assert_eq!(list.iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_thousand_texts_are_one_allocation_of_the_told_size() {
        let texts: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
        let mut list = TextList::default();
        let held = measure(|| list = TextList::from(&*texts));
        assert_eq!((held.count_total, held.count_current), (1, 1));
        assert_eq!(held.bytes_current, i64::try_from(list.text.len()).expect("small"));
        assert_eq!(list.held_bytes(), block_bytes(list.text.len()));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(texts in proptest::collection::vec("[^\0]{0,5}", 0..10)) {
            let list = TextList::from(&*texts);
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), texts);
        }
    }
}
