//! What a thing takes in memory, which is more than it holds.

/// What an allocator takes for so many bytes. The sizes that ours (mimalloc) has to give, as most
/// do, are a quarter of a power of two apart.
pub(super) fn block_bytes(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 8).max(16);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_the_next_size_that_there_is() {
        for (bytes, block) in [
            (0, 0),
            (1, 16),
            (100, 112),
            (4_096, 4_096),
            (60_000, 65_536),
            (65_536, 65_536),
            (65_537, 81_920),
        ] {
            assert_eq!(block_bytes(bytes), block, "{bytes}");
        }
    }
}
