//! Conversations of two rustls peers in memory, for tests: their records, and what each side wrote.
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring as provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, KeyLog, ServerConfig,
    ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

use super::secrets::SecretSet;
use super::session::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    No,
    Accepted,
    Refused,
    /// By a HelloRetryRequest.
    Retried,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// So many bytes of `pattern`.
    Write(Side, usize),
    Send(Side, Vec<u8>),
    /// TLS 1.3; nothing happens in TLS 1.2.
    UpdateKey(Side),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub suite: u16,
    pub resumed: bool,
    /// A ticket, not a session id. TLS 1.3 with 0-RTT goes without.
    pub ticket: bool,
    pub early: Early,
    pub retry: bool,
    pub client_auth: bool,
    pub max_fragment: Option<usize>,
    pub steps: Vec<Step>,
}

impl Plan {
    pub fn new(suite: u16) -> Self {
        Self {
            suite,
            resumed: false,
            ticket: false,
            early: Early::No,
            retry: false,
            client_auth: false,
            max_fragment: None,
            steps: vec![Step::Write(Side::Client, 300), Step::Write(Side::Server, 900), Step::Write(Side::Client, 10)],
        }
    }

    pub fn is_tls13(&self) -> bool {
        self.suite >> 8 == 0x13
    }
}

#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// In the order in which they were sent.
    pub records: Vec<(Side, Vec<u8>)>,
    pub client_random: [u8; 32],
    /// As the server's library logs them.
    pub secrets: Lines,
    /// Application data that the other side took, 0-RTT included.
    pub client_sent: Vec<u8>,
    pub server_sent: Vec<u8>,
    pub early_sent: Vec<u8>,
}

impl Conversation {
    pub fn hold(plan: &Plan) -> Self {
        let mut world = World::new(plan);
        if plan.resumed || plan.early != Early::No {
            let first = Plan { early: Early::No, retry: false, ..plan.clone() };
            world.connect(&first);
        }
        match plan.early {
            Early::Refused => world.server_mut(|server| server.max_early_data_size = 0),
            Early::Retried => world.server_mut(|server| server.max_early_data_size = 0),
            _ => {}
        }
        if plan.retry || plan.early == Early::Retried {
            world.retry();
        }
        world.connect(plan)
    }

    pub fn secret_set(&self) -> SecretSet {
        let mut set = SecretSet::default();
        for (label, secret) in &self.secrets {
            set.set(label.as_bytes(), secret);
        }
        set
    }

    pub fn sent(&self, side: Side) -> &[u8] {
        match side {
            Side::Client => &self.client_sent,
            Side::Server => &self.server_sent,
        }
    }
}

struct World {
    client: ClientConfig,
    server: ServerConfig,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log(Mutex<HashMap<[u8; 32], Lines>>);

/// Label and secret.
type Lines = Vec<(String, Vec<u8>)>;

impl KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let random = client_random.try_into().unwrap();
        self.0.lock().unwrap().entry(random).or_default().push((label.to_owned(), secret.to_vec()));
    }
}

impl World {
    fn new(plan: &Plan) -> Self {
        let provider = Arc::new(provider_of(plan.suite, provider::ALL_KX_GROUPS.to_vec()));
        let version: &SupportedProtocolVersion =
            if plan.is_tls13() { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
        let (certificate, key) = certificate();
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let mut client = if plan.client_auth {
            client.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        } else {
            client.with_no_client_auth()
        };
        client.enable_early_data = true;
        client.max_fragment_size = plan.max_fragment;
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let server = if plan.client_auth {
            server.with_client_cert_verifier(Arc::new(Anybody))
        } else {
            server.with_no_client_auth()
        };
        let mut server = server.with_single_cert(vec![certificate], key).unwrap();
        let log = Arc::new(Log::default());
        server.key_log = log.clone();
        server.max_fragment_size = plan.max_fragment;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        if plan.early != Early::No {
            server.max_early_data_size = 16 << 10;
        } else if plan.ticket {
            server.ticketer = provider::Ticketer::new().unwrap();
        }
        Self { client, server, log }
    }

    fn server_mut(&mut self, change: impl FnOnce(&mut ServerConfig)) {
        change(&mut self.server);
    }

    /// The server wants a group for which the client has sent no share.
    fn retry(&mut self) {
        let suite = self.server.crypto_provider().cipher_suites[0].suite().into();
        let retrying = provider_of(suite, vec![provider::kx_group::SECP384R1]);
        let mut server = ServerConfig::builder_with_provider(Arc::new(retrying))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(self.server.cert_resolver.clone());
        server.key_log = self.server.key_log.clone();
        server.max_fragment_size = self.server.max_fragment_size;
        server.alpn_protocols = self.server.alpn_protocols.clone();
        server.session_storage = self.server.session_storage.clone();
        server.ticketer = self.server.ticketer.clone();
        self.server = server;
    }

    fn connect(&mut self, plan: &Plan) -> Conversation {
        let name = ServerName::try_from("example.org").unwrap();
        let mut pair = Pair {
            client: ClientConnection::new(Arc::new(self.client.clone()), name).unwrap(),
            server: ServerConnection::new(Arc::new(self.server.clone())).unwrap(),
            conversation: Conversation::default(),
        };
        if plan.early != Early::No {
            let sent = pattern(Side::Client, 0, 1000);
            pair.client.early_data().expect("a ticket with 0-RTT").write_all(&sent).unwrap();
            if plan.early == Early::Accepted {
                pair.conversation.client_sent.extend_from_slice(&sent);
                pair.conversation.early_sent = sent;
            }
        }
        while pair.client.is_handshaking() || pair.server.is_handshaking() {
            pair.flush();
        }
        pair.flush();
        assert_eq!(pair.client.is_early_data_accepted(), plan.early == Early::Accepted);
        for step in &plan.steps {
            pair.take(step);
        }
        pair.client.send_close_notify();
        pair.server.send_close_notify();
        pair.flush();
        let mut conversation = pair.conversation;
        conversation.client_random = conversation.records[0].1[11..43].try_into().unwrap();
        conversation.secrets = self.log.0.lock().unwrap()[&conversation.client_random].clone();
        conversation
    }
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    conversation: Conversation,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(side, len) => self.send(*side, &pattern(*side, self.conversation.sent(*side).len(), *len)),
            Step::Send(side, bytes) => self.send(*side, bytes),
            Step::UpdateKey(Side::Client) => drop(self.client.refresh_traffic_keys()),
            Step::UpdateKey(Side::Server) => drop(self.server.refresh_traffic_keys()),
        }
        self.flush();
    }

    fn send(&mut self, side: Side, bytes: &[u8]) {
        match side {
            Side::Client => {
                self.client.writer().write_all(bytes).unwrap();
                self.conversation.client_sent.extend_from_slice(bytes);
            }
            Side::Server => {
                self.server.writer().write_all(bytes).unwrap();
                self.conversation.server_sent.extend_from_slice(bytes);
            }
        }
    }

    /// Hands on what both have to say, until nothing is left.
    fn flush(&mut self) {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let mut answered = Vec::new();
            let mut arriving = &sent[..];
            while !arriving.is_empty() {
                self.server.read_tls(&mut arriving).unwrap();
                self.server.process_new_packets().unwrap();
                if let Some(mut early) = self.server.early_data() {
                    early.read_to_end(&mut Vec::new()).unwrap();
                }
                let _ = self.server.reader().read_to_end(&mut Vec::new());
            }
            while self.server.wants_write() {
                self.server.write_tls(&mut answered).unwrap();
            }
            let mut arriving = &answered[..];
            while !arriving.is_empty() {
                self.client.read_tls(&mut arriving).unwrap();
                self.client.process_new_packets().unwrap();
                let _ = self.client.reader().read_to_end(&mut Vec::new());
            }
            let is_silent = sent.is_empty() && answered.is_empty();
            self.conversation.records.extend(frame(&sent).map(|record| (Side::Client, record)));
            self.conversation.records.extend(frame(&answered).map(|record| (Side::Server, record)));
            if is_silent {
                return;
            }
        }
    }
}

pub fn frame(mut stream: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || {
        let length = stream.get(3..5)?;
        let (record, rest) = stream.split_at(5 + usize::from(u16::from_be_bytes([length[0], length[1]])));
        stream = rest;
        Some(record.to_vec())
    })
}

/// Bytes that tell where they were sent.
pub fn pattern(side: Side, at: usize, len: usize) -> Vec<u8> {
    let salt = if side == Side::Client { 0x5555 } else { 0xa1a1 };
    (at..at + len).map(|n| (((n ^ salt).wrapping_mul(0x9e37_79b1)) >> 13) as u8).collect()
}

fn provider_of(suite: u16, kx_groups: Vec<&'static dyn SupportedKxGroup>) -> CryptoProvider {
    let all = provider::default_provider();
    let cipher_suites = all.cipher_suites.iter().copied().filter(|s| u16::from(s.suite()) == suite).collect();
    CryptoProvider { cipher_suites, kx_groups, ..all }
}

fn certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    static MADE: std::sync::OnceLock<(CertificateDer<'static>, Vec<u8>)> = std::sync::OnceLock::new();
    let (certificate, key) = MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
        (made.cert.der().clone(), made.signing_key.serialize_der())
    });
    (certificate.clone(), PrivatePkcs8KeyDer::from(key.clone()).into())
}

/// Believes every certificate.
#[derive(Debug)]
struct Anybody;

fn schemes() -> Vec<SignatureScheme> {
    provider::default_provider().signature_verification_algorithms.supported_schemes()
}

type Signed = Result<HandshakeSignatureValid, Error>;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signed {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signed {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signed {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signed {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}
