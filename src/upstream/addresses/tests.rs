use std::collections::BTreeMap;

use super::*;

/// Written as `4.1` or `6.1`: family and number.
fn at(name: &str) -> SocketAddr {
    let (family, number) = name.split_once('.').unwrap();
    let ip =
        if family == "4" { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") };
    SocketAddr::new(ip.parse().unwrap(), 80)
}

fn addresses(names: &str) -> Addresses {
    Addresses::default().renewed(&names.split(' ').map(at).collect::<Vec<_>>())
}

fn avoid(addresses: &Addresses, name: &str) {
    let position = addresses.position(at(name)).unwrap();
    addresses.iter().nth(position).unwrap().avoid();
}

/// How often each position is picked in as many turns.
fn picks(addresses: &Addresses, turns: usize, tried: &[SocketAddr]) -> BTreeMap<usize, usize> {
    let mut picks = BTreeMap::new();
    for turn in 0..turns {
        if let Some(position) = addresses.pick(turn, tried) {
            *picks.entry(position).or_default() += 1;
        }
    }
    picks
}

fn order(addresses: &Addresses, first: &str) -> Vec<SocketAddr> {
    addresses.order(at(first)).iter().map(|address| address.at).collect()
}

fn all(names: &str) -> Vec<SocketAddr> {
    names.split(' ').map(at).collect()
}

#[test]
fn addresses_are_picked_in_turn() {
    assert_eq!(picks(&addresses("4.1 4.2 4.3"), 9, &[]), [(0, 3), (1, 3), (2, 3)].into());
    assert_eq!(Addresses::default().pick(7, &[]), None);
}

#[test]
fn the_share_of_an_avoided_address_goes_to_all_others_alike() {
    let addresses = addresses("4.1 4.2 4.3 4.4");
    avoid(&addresses, "4.2");
    avoid(&addresses, "4.4");
    assert_eq!(picks(&addresses, 80, &[]), [(0, 40), (2, 40)].into());
}

#[test]
fn when_all_are_avoided_all_are_tried() {
    let addresses = addresses("4.1 4.2");
    avoid(&addresses, "4.1");
    avoid(&addresses, "4.2");
    assert_eq!(picks(&addresses, 8, &[]), [(0, 4), (1, 4)].into());
}

#[test]
fn what_was_tried_is_not_picked_again_and_an_avoided_one_comes_last() {
    let addresses = addresses("4.1 4.2 4.3");
    avoid(&addresses, "4.2");
    for turn in 0..6 {
        assert_eq!(addresses.pick(turn, &all("4.1")), Some(2));
        assert_eq!(addresses.pick(turn, &all("4.1 4.3")), Some(1));
        assert_eq!(addresses.pick(turn, &all("4.1 4.2 4.3")), None);
    }
}

#[test]
fn an_address_is_avoided_until_it_is_trusted_and_each_change_is_noticed_once() {
    let addresses = addresses("4.1 4.2");
    let address = addresses.iter().next().unwrap();
    assert!(address.avoid() && !address.avoid());
    assert!(address.trust() && !address.trust());
    assert_eq!(picks(&addresses, 4, &[]), [(0, 2), (1, 2)].into());
}

#[test]
fn what_is_known_of_an_address_outlives_a_look_up() {
    let before = addresses("4.1 4.2");
    avoid(&before, "4.2");
    let after = before.renewed(&all("4.2 4.3"));
    assert_eq!(picks(&after, 4, &[]), [(1, 4)].into());
    // The same address and not a copy: what is learnt through the old list counts.
    before.iter().last().unwrap().trust();
    assert_eq!(picks(&after, 4, &[]), [(0, 2), (1, 2)].into());
}

#[test]
fn a_connection_is_tried_with_its_own_address_first_and_then_with_the_other_family() {
    let addresses = addresses("4.1 4.2 4.3 6.1 6.2");
    assert_eq!(order(&addresses, "4.2"), all("4.2 6.1 4.3 6.2 4.1"));
    assert_eq!(order(&addresses, "6.2"), all("6.2 4.1 6.1 4.2 4.3"));
}

#[test]
fn a_connection_is_tried_with_avoided_addresses_last() {
    let addresses = addresses("4.1 4.2 6.1 6.2");
    avoid(&addresses, "6.1");
    avoid(&addresses, "4.1");
    assert_eq!(order(&addresses, "4.2"), all("4.2 6.2 6.1 4.1"));
    assert_eq!(order(&addresses, "4.1"), all("4.1 6.2 4.2 6.1"), "its own first all the same");
}

#[test]
fn an_address_that_the_name_has_lost_is_tried_all_the_same() {
    assert_eq!(order(&addresses("4.1 4.2"), "4.9"), all("4.9 4.1 4.2"));
    assert_eq!(order(&Addresses::default(), "4.9"), all("4.9"));
}
