//! What a header is to us, by its name.

/// What headers of a name are to us. Where several entries fit a name, the first kind wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Said by us or by nobody: never passes as it came.
    Reserved,
    /// Tells of the way that a request has come, which we write ourselves; only a relay sends it.
    Way,
    /// What a proxy tells of its client. Applications believe it, so strangers may not say it.
    Report,
    /// Passes, and only a relay sends it.
    Hop,
    /// The client's credential.
    Credential,
    /// Part of the message, and passes; whatever would be taken for it does not.
    Message,
}
