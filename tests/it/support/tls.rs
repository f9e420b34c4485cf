//! HTTPS in front of an application, and addresses where a handshake comes to nothing.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::gateway::Plan;
use super::process::tool;
use super::upstream::Upstream;

/// A certificate that vouches for itself, and its key.
#[derive(Debug)]
pub struct Identity(TempDir);

impl Identity {
    pub fn of(name: &str) -> Self {
        let identity = Self(TempDir::new().unwrap());
        let mut command = Command::new(tool("openssl"));
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        command.args(["-nodes", "-days", "2", "-subj", "/CN=a", "-addext"]);
        command.args([&format!("subjectAltName=DNS:{name}"), "-addext"]);
        command.args(["basicConstraints=critical,CA:FALSE", "-keyout"]);
        command.arg(identity.key()).arg("-out").arg(identity.certificate());
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        identity
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// The gateway trusts this certificate and no other.
    pub fn trusted_by(&self, plan: Plan) -> Plan {
        plan.env("SSL_CERT_FILE", self.certificate().to_str().unwrap())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(self.certificate()).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(config.with_single_cert(chain, key).unwrap()).into()
    }
}

/// Something that takes connections at an address.
#[derive(Debug)]
pub struct Front(JoinHandle<()>);

impl Front {
    /// Hands what it decrypts to `upstream`.
    pub async fn start(at: SocketAddrV4, identity: &Identity, upstream: &Upstream) -> Self {
        let (acceptor, upstream) = (identity.acceptor(), upstream.authority());
        Self::accept(at, move |stream| {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            async move {
                // A handshake that fails is what its story is about.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut upstream = TcpStream::connect(upstream).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut upstream).await;
            }
        })
        .await
    }

    /// Closes every connection at once.
    pub async fn start_closing(at: SocketAddrV4) -> Self {
        Self::accept(at, |stream| async { drop(stream) }).await
    }

    /// Never says a word.
    pub async fn start_frozen(at: SocketAddrV4) -> Self {
        Self::accept(at, |stream| async {
            let _open = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Its address is free afterwards.
    pub async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }

    async fn accept<F>(at: SocketAddrV4, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(at).await.unwrap();
        Self(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        }))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.abort();
    }
}
