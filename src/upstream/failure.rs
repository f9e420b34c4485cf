//! How an error of Pingora's is told.

use pingora::prelude::Error;

/// Where, what, and the cause that is not Pingora's. Its contexts are left out: they quote messages,
/// with credentials and cookies in them.
pub fn describe(error: &Error) -> String {
    let mut text = format!("{} {}", error.esource().as_str(), error.etype().as_str());
    let mut outer = error;
    while let Some(cause) = outer.cause.as_deref() {
        let Some(inner) = cause.downcast_ref::<Box<Error>>() else {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            break;
        };
        if inner.etype() != outer.etype() {
            text.push_str(": ");
            text.push_str(inner.etype().as_str());
        }
        outer = inner;
    }
    text
}
