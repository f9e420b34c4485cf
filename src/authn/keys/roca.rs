//! CVE-2017-15361 (ROCA): RSA moduli of a faulty generator, recognisable by their residues.
//!
//! Every prime of such a modulus is a power of 65537 modulo small primes, so the modulus is one
//! too. An honest modulus passes for one in about one of 10^8 cases.

const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

const GENERATOR: u32 = 65_537;

pub(super) fn is_fingerprinted(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| is_power_of_generator(remainder(modulus, prime), prime))
}

fn remainder(modulus: &[u8], prime: u32) -> u32 {
    modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_generator(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * (GENERATOR % prime) % prime;
        if power == 1 {
            return false;
        }
    }
}
