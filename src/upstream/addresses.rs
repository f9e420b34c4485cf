//! Which of a name's addresses are tried, and in which order.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One address of an upstream.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) at: SocketAddr,
    is_avoided: AtomicBool,
}

impl Address {
    fn new(at: SocketAddr) -> Self {
        Self { at, is_avoided: AtomicBool::new(false) }
    }

    pub(super) fn is_avoided(&self) -> bool {
        self.is_avoided.load(Ordering::Relaxed)
    }

    /// True when it was not avoided before.
    pub(super) fn avoid(&self) -> bool {
        !self.is_avoided.swap(true, Ordering::Relaxed)
    }

    /// True when it was avoided before.
    pub(super) fn trust(&self) -> bool {
        self.is_avoided.swap(false, Ordering::Relaxed)
    }
}

/// The addresses that a name had at its last look-up.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses(Arc<[Arc<Address>]>);

impl Addresses {
    /// The addresses that were `found` now; of those that stay, what is known of them stays.
    pub(super) fn renewed(&self, found: &[SocketAddr]) -> Self {
        let address = |at: &SocketAddr| {
            let known = self.0.iter().find(|known| known.at == *at);
            known.cloned().unwrap_or_else(|| Arc::new(Address::new(*at)))
        };
        Self(found.iter().map(address).collect())
    }

    /// Those that were not `tried`.
    pub(super) fn without(&self, tried: &[SocketAddr]) -> Self {
        Self(self.0.iter().filter(|address| !tried.contains(&address.at)).cloned().collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Address>> {
        self.0.iter()
    }

    pub(super) fn position(&self, at: SocketAddr) -> Option<usize> {
        self.0.iter().position(|address| address.at == at)
    }

    /// Position of the address that is next in turn among those that were not `tried`; one that is
    /// avoided only when there is no other.
    pub(super) fn pick(&self, turn: usize, tried: &[SocketAddr]) -> Option<usize> {
        let is_left = |address: &Address| !tried.contains(&address.at);
        let first = turn.checked_rem(self.len())?;
        if self.0.get(first).is_some_and(|address| !address.is_avoided() && is_left(address)) {
            return Some(first);
        }
        // What an avoided address would have got goes to all others alike, not to its neighbour.
        let round = turn / self.len();
        [false, true].into_iter().find_map(|is_avoided| {
            let wanted = |address: &Address| address.is_avoided() == is_avoided && is_left(address);
            let positions = || (0..).zip(self.iter()).filter(|(_, address)| wanted(address));
            let nth = round.checked_rem(positions().count())?;
            positions().nth(nth).map(|(position, _)| position)
        })
    }

    /// The order in which a connection is tried that is to go to `first`: the families take turns, so
    /// that one that leads nowhere delays once (RFC 8305 section 4), and avoided ones come last.
    pub(super) fn order(&self, first: SocketAddr) -> Vec<Arc<Address>> {
        let position = self.position(first);
        let in_turn = self.0.iter().cycle().skip(position.unwrap_or_default()).take(self.len());
        let (avoided, trusted): (Vec<_>, Vec<_>) = in_turn
            .filter(|address| address.at != first)
            .cloned()
            .partition(|address| address.is_avoided());
        let known = position.and_then(|position| self.0.get(position)).cloned();
        // Between a look-up and an attempt, a name may lose an address.
        let first = known.unwrap_or_else(|| Arc::new(Address::new(first)));
        let mut order = vec![Arc::clone(&first)];
        for class in [trusted, avoided] {
            let is_kin = |address: &Arc<Address>| address.at.is_ipv4() == first.at.is_ipv4();
            let (kin, others): (Vec<_>, Vec<_>) = class.into_iter().partition(is_kin);
            order.extend(alternate(others, kin));
        }
        order
    }
}

/// One of each in turn, then what is left of the longer one.
fn alternate<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let mut both = [first.into_iter(), second.into_iter()];
    let mut all = Vec::new();
    while both.iter().any(|half| half.len() > 0) {
        all.extend(both.iter_mut().filter_map(Iterator::next));
    }
    all
}
