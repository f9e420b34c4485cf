//! Dotted paths of keys, as messages print them: `issuers[0].url`.

/// The path of what is called `name` in the mapping at `parent`.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// The path that a JSON pointer leads to.
pub(super) fn of_pointer(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            out = format!("{out}[{part}]");
        } else {
            out = join(&out, &part);
        }
    }
    out
}

/// What `key` lies in, from the section on, and itself.
pub(super) fn lineage(key: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends: Vec<_> = key.match_indices(['.', '[']).map(|(at, _)| at).chain([key.len()]).collect();
    ends.into_iter().filter_map(|end| key.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_said_with_dots_and_positions() {
        let pointers = [
            ("", ""),
            ("/limits/client/limit", "limits.client.limit"),
            ("/issuers/0/url", "issuers[0].url"),
            ("/upstreams/a~1b/x~0y", "upstreams.a/b.x~y"),
        ];
        for (pointer, key) in pointers {
            assert_eq!(of_pointer(pointer), key, "{pointer}");
        }
        let lineage: Vec<_> = lineage("issuers[0].url").collect();
        assert_eq!(lineage, ["issuers", "issuers[0]", "issuers[0].url"]);
    }
}
