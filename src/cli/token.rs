//! `auth-gateway token`: one token, what it says and what was wanted, by the configuration as `run` would.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use serde_json::{Value, json};

use super::{refuse, usage};
use crate::authn::bearer::MAX_TOKEN_BYTES;
use crate::authn::{
    Authenticator, Bearer, FetchError, Inspection, JwksError, KeySet, KeySource, Member, Shape,
    TokenPart,
};
use crate::clock::{Now, SharedClock, SystemClock};
use crate::config::{self, Origin, Settings};
use crate::gate::rejection::Reason;

/// Characters of a value that are shown in the text; the JSON has them all.
const MAX_SHOWN: usize = 160;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the token is read from: - for standard input, or @FILE
    #[arg(value_name = "-|@FILE")]
    token: String,
    /// Configuration file, laid over the built-in defaults [default: conf/gateway.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Key set (JWKS) to verify with, instead of asking the issuer
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
enum TokenFault {
    #[error("{}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("standard input: {0}")]
    Input(std::io::Error),
    #[error("{}: {cause}", path.display())]
    Keys { path: PathBuf, cause: JwksError },
    #[error("issuers: {0}")]
    Issuers(#[from] crate::authn::SettingsError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Exit status 0 when it verifies, 1 when it does not or nobody can say.
pub(super) fn run(before: super::Options, options: Options) -> ExitCode {
    let Options { token, config, keys, json } = options;
    let place = match Place::parse(&token) {
        Ok(place) => place,
        Err(hint) => return usage(hint),
    };
    let overrides = before.and(super::Options { config, ..super::Options::default() });
    let origin = Origin::of(&overrides);
    let settings = match config::load(&overrides) {
        Ok(settings) => settings,
        Err(error) => return refuse(&format!("the {origin} is not usable"), &error),
    };
    match inspect(&settings, &place, keys.as_deref()) {
        Ok((inspection, now)) => print(&inspection, now, json),
        Err(error @ (TokenFault::Keys { .. } | TokenFault::Issuers(_))) => {
            refuse("the token cannot be looked at", &error)
        }
        Err(error) => {
            eprintln!("auth-gateway: cannot look at the token: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where a token comes from.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Input,
    File(PathBuf),
}

impl Place {
    /// A token itself is refused, and not repeated: it would stay in the history of the shell, and every
    /// process of the machine could read it.
    fn parse(word: &str) -> Result<Self, &'static str> {
        match (word, word.strip_prefix('@')) {
            ("-", _) => Ok(Self::Input),
            (_, Some(file)) if !file.is_empty() => Ok(Self::File(file.into())),
            _ => {
                Err("a token on the command line stays in the shell's history and in the list of \
                      processes; give - and the token on standard input, or @FILE")
            }
        }
    }

    fn read(&self) -> Result<String, TokenFault> {
        let mut text = String::new();
        // Longer ones are no tokens, and are told as that.
        let most = MAX_TOKEN_BYTES as u64 * 2;
        match self {
            Self::Input => {
                let input = std::io::stdin();
                if input.is_terminal() {
                    eprintln!("paste the token, then press Enter and Ctrl-D");
                }
                input.lock().take(most).read_to_string(&mut text).map_err(TokenFault::Input)?;
            }
            Self::File(path) => {
                let read = std::fs::File::open(path)
                    .and_then(|file| file.take(most).read_to_string(&mut text));
                read.map_err(|cause| TokenFault::Unreadable { path: path.clone(), cause })?;
            }
        }
        let text = text.trim_start_matches('\u{feff}').trim();
        // As it is copied from a header.
        let bare = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
            _ => text,
        };
        Ok(bare.to_owned())
    }
}

/// Keys that were had otherwise.
#[derive(Debug)]
struct FileKeys(Vec<u8>);

#[async_trait]
impl KeySource for FileKeys {
    async fn load(&self, _now: Now) -> Result<KeySet, FetchError> {
        Ok(KeySet::parse(&self.0)?)
    }
}

fn file_keys(path: &Path) -> Result<Arc<dyn KeySource>, TokenFault> {
    let content = std::fs::read(path)
        .map_err(|cause| TokenFault::Unreadable { path: path.to_owned(), cause })?;
    KeySet::parse(&content).map_err(|cause| TokenFault::Keys { path: path.to_owned(), cause })?;
    Ok(Arc::new(FileKeys(content)))
}

fn inspect(
    settings: &Settings,
    place: &Place,
    keys: Option<&Path>,
) -> Result<(Inspection, Now), TokenFault> {
    let clock: SharedClock = Arc::new(SystemClock);
    let source = keys.map(file_keys).transpose()?;
    let token = place.read()?;
    crate::app::install_crypto();
    let authenticator =
        Authenticator::with_key_sources(settings.issuers.clone(), &clock, |_| source.clone())?;
    let now = clock.now();
    let inspection = match Bearer::parse(token.as_bytes()) {
        Ok(bearer) => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(authenticator.inspect(bearer, now))
        }
        Err(error) => Inspection {
            shape: None,
            members: Vec::new(),
            verdict: Err(error),
            detail: Some(
                "what was read is no token: empty, too long, or with characters that none has"
                    .to_owned(),
            ),
        },
    };
    Ok((inspection, now))
}

fn print(inspection: &Inspection, now: Now, as_json: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let written = if as_json {
        writeln!(out, "{:#}", report(inspection, now))
    } else {
        write_text(&mut out, inspection)
    };
    match (written, &inspection.verdict) {
        (Ok(()), Ok(_)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

const fn name_of(shape: Option<Shape>) -> &'static str {
    match shape {
        Some(Shape::Jwt) => "jwt",
        Some(Shape::Opaque) => "opaque",
        None => "neither",
    }
}

/// A 503 is no verdict on the token.
fn verdict_of(reason: Reason) -> &'static str {
    if reason.status() == 503 { "undecided" } else { "refused" }
}

fn report(inspection: &Inspection, now: Now) -> Value {
    let mut report = json!({
        "kind": name_of(inspection.shape),
        "now": now.unix_secs(),
        "members": inspection.members,
        "detail": inspection.detail,
    });
    let more = match &inspection.verdict {
        Ok(principal) => json!({
            "verdict": "verified",
            "issuer": principal.issuer(),
            "subject": principal.subject(),
            "user": principal.user(),
            "roles": principal.roles().collect::<Vec<_>>(),
            "doubted_roles": principal.doubted_roles().collect::<Vec<_>>(),
            "scopes": principal.scopes().collect::<Vec<_>>(),
        }),
        Err(error) => {
            let reason = Reason::from(*error);
            json!({
                "verdict": verdict_of(reason),
                "reason": reason.word(),
                "status": reason.status(),
                "cause": error.to_string(),
            })
        }
    };
    if let (Value::Object(report), Value::Object(more)) = (&mut report, more) {
        report.extend(more);
    }
    report
}

fn write_text(out: &mut impl Write, inspection: &Inspection) -> std::io::Result<()> {
    let mut part = None;
    for member in &inspection.members {
        if part != Some(member.part) {
            part = Some(member.part);
            writeln!(out, "{}", heading(member.part, inspection.shape))?;
        }
        write_member(out, member)?;
    }
    match &inspection.verdict {
        Ok(principal) => {
            let (user, issuer) = (principal.user(), principal.issuer());
            writeln!(out, "verified    {} of {}", Plain(user), Plain(issuer))?;
            let lists = [
                ("roles", principal.roles().collect::<Vec<_>>()),
                ("not believed", principal.doubted_roles().collect()),
                ("scopes", principal.scopes().collect()),
            ];
            for (name, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
                writeln!(out, "            {name}: {}", Plain(&list.join(", ")))?;
            }
        }
        Err(error) => {
            let reason = Reason::from(*error);
            let (verdict, status) = (verdict_of(reason), reason.status());
            writeln!(out, "{verdict:<11} {} ({status}): {error}", reason.word())?;
        }
    }
    match &inspection.detail {
        Some(detail) => writeln!(out, "            {}", Plain(detail)),
        None => Ok(()),
    }
}

fn heading(part: TokenPart, shape: Option<Shape>) -> &'static str {
    match (part, shape) {
        (TokenPart::Header, _) => "header",
        (TokenPart::Claim, Some(Shape::Opaque)) => "the issuer's answer",
        (TokenPart::Claim, _) => "claims",
        (TokenPart::Signature, _) => "signature",
    }
}

fn write_member(out: &mut impl Write, member: &Member) -> std::io::Result<()> {
    let Member { name, found, meaning, wanted, fits, .. } = member;
    let mark = match fits {
        Some(true) => "ok",
        Some(false) => "NO",
        None => "",
    };
    let found = match found {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let (name, found) = (clip(name), clip(&found));
    writeln!(out, "  {mark:<2} {:<11} {}", Plain(&name).to_string(), Plain(&found))?;
    match wanted {
        Some(wanted) => {
            writeln!(out, "                 ({}; wanted: {})", Plain(meaning), Plain(wanted))
        }
        None => writeln!(out, "                 ({})", Plain(meaning)),
    }
}

fn clip(text: &str) -> String {
    let more = if text.chars().nth(MAX_SHOWN).is_some() { "…" } else { "" };
    text.chars().take(MAX_SHOWN).chain(more.chars()).collect()
}

/// What a stranger wrote must not move the cursor of whoever looks at it: what is no printable character
/// comes out escaped.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\'' | '"' | '\\' => f.write_char(c),
            c => write!(f, "{}", c.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::TokenError;

    #[test]
    fn a_token_on_the_command_line_is_refused_without_being_repeated() {
        assert_eq!(Place::parse("-"), Ok(Place::Input));
        assert_eq!(Place::parse("@token.txt"), Ok(Place::File("token.txt".into())));
        for word in ["eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "b3BhcXVl", "", "@", "token.txt"] {
            let hint = Place::parse(word).unwrap_err();
            assert!(hint.contains("@FILE") && (word.len() < 3 || !hint.contains(word)), "{hint}");
        }
    }

    #[test]
    fn a_token_cannot_write_to_the_terminal_of_who_looks_at_it() {
        let odd = "\u{1b}[31m\n\u{9b}2J\u{202e}\"";
        let member = Member {
            part: TokenPart::Claim,
            name: odd.to_owned(),
            found: odd.into(),
            meaning: odd.to_owned(),
            wanted: Some(odd.to_owned()),
            fits: Some(false),
        };
        let inspection = Inspection {
            shape: Some(Shape::Jwt),
            members: vec![member],
            verdict: Err(TokenError::WrongIssuer),
            detail: Some(odd.to_owned()),
        };
        let mut written = Vec::new();
        write_text(&mut written, &inspection).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.matches(r#"\u{1b}[31m\n\u{9b}2J\u{202e}""#).count(), 5, "{text}");
        assert!(text.replace('\n', "").is_ascii() && text.lines().count() == 5, "{text}");
        assert!(!text.replace('\n', "").contains(char::is_control), "{text}");
    }

    #[test]
    fn what_stands_around_a_token_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for text in ["abc", "abc\n", "\u{feff}abc\r\n", "Bearer abc", "  bearer   abc\n"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Place::File(file.clone()).read().unwrap(), "abc", "{text:?}");
        }
    }
}
