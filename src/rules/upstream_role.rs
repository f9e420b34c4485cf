//! What the upstreams that rules name are to the gateway.

/// What an upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamRole {
    /// Any service that the gateway protects.
    Application,
    /// The issuer, which checks tokens itself.
    Zitadel,
    /// OpenFGA's API: whoever reaches it can grant himself anything.
    OpenFga,
}

impl UpstreamRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Application, Self::Zitadel, Self::OpenFga];

    /// The upstream that has this role in every configuration; the application's is where rules go
    /// that name none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "app",
            Self::Zitadel => "zitadel",
            Self::OpenFga => "openfga",
        }
    }

    /// What an upstream of this name is.
    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|role| role.name() == name).unwrap_or(Self::Application)
    }
}
