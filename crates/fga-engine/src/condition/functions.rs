//! The CEL environment of conditions: the standard library and OpenFGA's IP addresses.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use cel::extractors::This;
use cel::objects::Opaque;
use cel::{Context, Env, ExecutionError, Program, Value};

use super::bound;

static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Brackets inside each other, question marks and repeated signs that an expression may
/// have: for each the parser recurses deeply.
const MAX_NESTING: usize = 32;
/// Levels of the syntax tree; checking and evaluating recurse over it.
const MAX_DEPTH: usize = 100;
/// The stack of the thread that parses, because the parser needs a lot per level.
const PARSER_STACK: usize = 64 << 20;

/// An IP address; mapped IPv4 addresses count as IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ip {
    address: IpAddr,
    /// An address with a zone is in no network.
    zone: Option<Box<str>>,
}

impl Opaque for Ip {
    fn runtime_type_name(&self) -> &'static str {
        "IPAddress"
    }
}

impl Ip {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) if address.contains(':') && !zone.is_empty() => {
                (address, Some(zone.into()))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        Some(Self { address: if zone.is_some() { address } else { address.to_canonical() }, zone })
    }

    /// `None` if the network is malformed.
    pub(crate) fn in_cidr(&self, cidr: &str) -> Option<bool> {
        let (network, bits) = cidr.split_once('/')?;
        let is_plain =
            bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
        let mut bits: u32 = bits.parse().ok().filter(|_| is_plain)?;
        let mut network: IpAddr = network.parse().ok()?;
        if bits > if network.is_ipv4() { 32 } else { 128 } {
            return None;
        }
        if let (IpAddr::V6(_), IpAddr::V4(mapped)) = (network, network.to_canonical())
            && bits >= 96
        {
            network = IpAddr::V4(mapped);
            bits -= 96;
        }
        Some(self.zone.is_none() && is_within(self.address, network, bits))
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (address.to_bits() ^ network.to_bits()) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            (address.to_bits() ^ network.to_bits()) & mask == 0
        }
        _ => false,
    }
}

/// Parses an expression, or says why not.
pub(crate) fn parse(expression: &str) -> Result<Program, String> {
    if nesting(expression) > MAX_NESTING {
        return Err("the expression is nested too deeply".to_owned());
    }
    let source = expression.to_owned();
    let parser = std::thread::Builder::new()
        .name("condition-parser".to_owned())
        .stack_size(PARSER_STACK)
        .spawn(move || parse_here(&source));
    let parsed = parser.map_err(|error| error.to_string())?.join();
    parsed.unwrap_or_else(|_| Err("the expression cannot be parsed".to_owned()))
}

fn nesting(expression: &str) -> usize {
    let (mut depth, mut deepest, mut others) = (0_usize, 0, 0);
    let mut before = b' ';
    for byte in expression.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'?' => others += 1,
            b'!' | b'-' if before == byte => others += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    deepest + others
}

fn parse_here(source: &str) -> Result<Program, String> {
    let program = ENVIRONMENT.compile(source).map_err(|error| error.to_string())?;
    if bound::depth(program.expression()) > MAX_DEPTH {
        return Err("the expression is nested too deeply".to_owned());
    }
    Ok(program)
}

/// Evaluates to a bool, or says why not.
pub(crate) fn run(program: &Program, parameters: Vec<(String, Value)>) -> Result<bool, String> {
    if !bound::is_affordable(program.expression(), &parameters) {
        return Err("operation cancelled: actual cost limit exceeded".to_owned());
    }
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    for (name, value) in parameters {
        context.add_variable_from_value(name, value);
    }
    context.add_function("ipaddress", ipaddress).map_err(|error| error.to_string())?;
    context.add_function("in_cidr", in_cidr).map_err(|error| error.to_string())?;
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(_) => Err("expected CEL type conversion to return a bool".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a CEL function")]
fn ipaddress(text: Arc<String>) -> Result<Value, ExecutionError> {
    Ip::parse(&text).map(|ip| Value::Opaque(Arc::new(ip))).ok_or_else(|| {
        ExecutionError::function_error("ipaddress", format!("'{text}' is no IP address"))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a CEL function")]
fn in_cidr(This(this): This<Value>, cidr: Arc<String>) -> Result<bool, ExecutionError> {
    let Value::Opaque(value) = &this else {
        return Err(ExecutionError::not_supported_as_method("in_cidr", this));
    };
    let ip = value.downcast_ref::<Ip>();
    ip.and_then(|ip| ip.in_cidr(&cidr)).ok_or_else(|| {
        ExecutionError::function_error("in_cidr", format!("'{cidr}' is a malformed CIDR string"))
    })
}
