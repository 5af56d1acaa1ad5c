//! podmirror's capture: a thin napi façade over the owner thread in `capture`. `index.d.ts` is its contract.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::*;
use napi_derive::napi;

mod capture;
mod cgroup;
mod clock;
mod control;
mod counters;
mod direct;
mod error;
mod every_program;
mod flow;
#[cfg(test)]
mod flow_properties;
mod flows;
mod hold;
mod http1;
mod inbound;
mod kernel;
mod ledger;
pub mod library;
mod memory;
mod packed;
mod queue;
mod record;
#[cfg(test)]
mod room_properties;
#[cfg(test)]
mod room_tests;
mod rounds;
mod seq;
mod tls;
mod tls_calls;
mod tls_probes;
/// The wire contract, processor/exchange.proto.
pub mod wire {
    #![allow(clippy::all, clippy::pedantic)]
    include!(concat!(env!("OUT_DIR"), "/podmirror.v1.rs"));
}

pub use every_program::load_every_program;

use capture::{Account, Command, Outcome, Reply};
use error::{CaptureError, Code};
use kernel::Kind;
use tls_probes::ProcessCoverage;

impl From<CaptureError> for Error<Code> {
    fn from(error: CaptureError) -> Self {
        Self::new(error.code, error.message)
    }
}

#[napi(object)]
#[derive(Default)]
pub struct CaptureOptions {
    pub node: Option<String>,
    pub agent_version: Option<String>,
    pub ring_bytes: Option<u32>,
    pub max_flows: Option<u32>,
    pub max_connections_bytes: Option<u32>,
    pub max_flow_bytes: Option<u32>,
    pub max_queue_bytes: Option<u32>,
    pub max_batch_bytes: Option<u32>,
    pub max_body_bytes: Option<u32>,
    pub response_headers: Option<Vec<String>>,
    pub tls_mode: Option<String>,
}

#[napi(object)]
pub struct Identity {
    pub name: String,
    pub namespace: Option<String>,
    pub pod: Option<String>,
    pub pod_uid: Option<String>,
    pub container: Option<String>,
    pub workload: Option<String>,
}

#[napi(object)]
pub struct Target {
    pub cgroup: String,
    pub identity: Identity,
    pub per_child: Option<bool>,
}

#[napi(object)]
pub struct Batch {
    pub id: String,
    pub bytes: Buffer,
    pub exchanges: u32,
}

#[napi(object)]
pub struct DroppedOutcome {
    pub dropped: String,
}

#[napi(object)]
pub struct ExchangeLedger {
    pub captured: f64,
    pub delivered: f64,
    pub dropped: BTreeMap<String, f64>,
    pub in_flight: f64,
    pub bodies_stripped: f64,
}

#[napi(object)]
pub struct ByteLedger {
    pub seen: f64,
    pub copied: f64,
    pub elided: BTreeMap<String, f64>,
    pub lost: BTreeMap<String, f64>,
    pub parsed: f64,
    pub discarded: BTreeMap<String, f64>,
    pub held: f64,
}

#[napi(object)]
pub struct LedgerView {
    pub exchanges: ExchangeLedger,
    pub bytes: ByteLedger,
    pub closes: bool,
    pub incidents: BTreeMap<String, f64>,
}

#[napi(object)]
pub struct TargetCoverage {
    pub cgroup: String,
    pub identity: Identity,
    pub selected_at_ms: f64,
    pub last_exchange_at_ms: Either<f64, Null>,
    pub exchanges: f64,
    pub connections: BTreeMap<String, f64>,
    pub tls: TlsCoverage,
    pub notes: Vec<String>,
}

#[napi(object)]
pub struct TlsCoverage {
    pub handshakes: f64,
    pub decrypted: f64,
    pub dark: BTreeMap<String, f64>,
    pub called: BTreeMap<String, f64>,
    pub called_late: f64,
    pub processes: Vec<TlsProcess>,
    pub calls: Vec<String>,
}

#[napi(object)]
pub struct TlsProcess {
    pub pid: u32,
    pub executable: String,
    pub library: Option<String>,
    pub version: Option<String>,
    pub build_id: Option<String>,
    pub probe: String,
    pub attached: bool,
    pub armed: Either<bool, Null>,
    pub secrets: f64,
    pub verified: f64,
    pub proof: String,
}

#[napi(object)]
pub struct Coverage {
    pub targets: Vec<TargetCoverage>,
    pub secrets: BTreeMap<String, f64>,
}

type Resolver = Box<dyn FnOnce(Env) -> Result<Either<Batch, Null>>>;

#[napi]
pub struct Capture {
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<Account>>,
    last: Account,
}

impl Capture {
    fn send(&self, command: Command) -> Result<(), Code> {
        let commands = self.commands.as_ref().ok_or_else(CaptureError::closed)?;
        commands.send(command).map_err(|_| CaptureError::internal("capture thread", "it ended").into())
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Code> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(command(reply))?;
        let answer = answer.recv().map_err(|_| CaptureError::internal("capture thread", "it ended"))?;
        Ok(answer?)
    }
}

#[napi]
impl Capture {
    #[napi(constructor)]
    pub fn new(options: Option<CaptureOptions>) -> Result<Self, Code> {
        let options = to_options(options.unwrap_or_default())?;
        capture::check(&options)?;
        let (commands, received) = mpsc::channel();
        let (reply, ready) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("podmirror-ring".into())
            .spawn(move || capture::run(&options, &received, &reply))
            .map_err(|e| CaptureError::internal("start the capture thread", e))?;
        ready.recv().map_err(|_| CaptureError::internal("capture thread", "it ended while it loaded"))??;
        Ok(Self { commands: Some(commands), thread: Some(thread), last: Account::default() })
    }

    #[napi]
    pub fn select(&self, target: Target) -> Result<(), Code> {
        let path = PathBuf::from(&target.cgroup);
        let identity = to_wire(target.identity, below_mount(&path));
        let kind = if target.per_child.unwrap_or(false) { Kind::PerChild } else { Kind::Whole };
        self.ask(|reply| Command::Select(path, kind, identity, reply))
    }

    #[napi]
    pub fn exclude(&self, cgroup: String) -> Result<(), Code> {
        let path = PathBuf::from(&cgroup);
        let identity = wire::Identity { cgroup: below_mount(&path), ..wire::Identity::default() };
        self.ask(|reply| Command::Select(path, Kind::Excluded, identity, reply))
    }

    #[napi]
    pub fn release(&self, cgroup: String) -> Result<bool, Code> {
        self.ask(|reply| Command::Release(PathBuf::from(cgroup), reply))
    }

    #[napi]
    pub fn next_batch<'e>(&self, env: &'e Env, max_wait_ms: u32) -> Result<Object<'e>> {
        let (deferred, promise) = env.create_deferred::<Either<Batch, Null>, Resolver>()?;
        let deliver: capture::Deliver = Box::new(move |encoded| {
            deferred.resolve(Box::new(move |_| {
                Ok(match encoded {
                    Some(e) => Either::A(Batch { id: e.id, bytes: e.bytes.into(), exchanges: e.exchanges }),
                    None => Either::B(Null),
                })
            }));
        });
        let deadline = Instant::now() + Duration::from_millis(max_wait_ms.into());
        let command = Command::Next { deadline, deliver };
        match &self.commands {
            Some(commands) => {
                if let Err(mpsc::SendError(Command::Next { deliver, .. })) = commands.send(command) {
                    deliver(None);
                }
            }
            None => {
                if let Command::Next { deliver, .. } = command {
                    deliver(None);
                }
            }
        }
        Ok(promise)
    }

    #[napi]
    pub fn settle(&self, batch_id: String, outcome: Either<String, DroppedOutcome>) -> Result<bool, Code> {
        let outcome = match outcome {
            Either::A(word) if word == "delivered" => Outcome::Delivered,
            Either::A(word) => {
                return Err(CaptureError::new(
                    Code::BadOption,
                    format!("settle: '{word}' is no outcome. Write 'delivered' or {{dropped: reason}}"),
                )
                .into());
            }
            Either::B(DroppedOutcome { dropped }) => Outcome::Dropped(dropped),
        };
        self.ask(|reply| Command::Settle(batch_id, outcome, reply))
    }

    #[napi]
    pub fn ledger(&self) -> Result<LedgerView, Code> {
        let account = if self.commands.is_some() { self.ask(Command::Account)? } else { self.last.clone() };
        Ok(to_view(&account))
    }

    #[napi]
    pub fn coverage(&self) -> Result<Coverage, Code> {
        let coverage = self.ask(Command::Coverage)?;
        let targets = coverage.targets.into_iter().map(to_coverage).collect();
        Ok(Coverage { targets, secrets: to_numbers(coverage.secrets) })
    }

    #[napi]
    pub fn stop(&self) -> Result<(), Code> {
        if self.commands.is_none() {
            return Ok(());
        }
        self.ask(Command::Stop)
    }

    #[napi]
    pub fn close(&mut self) {
        // The thread ends when its last sender is gone, too; both say the same.
        if let Some(commands) = self.commands.take() {
            let _ = commands.send(Command::Close);
        }
        if let Some(Ok(account)) = self.thread.take().map(JoinHandle::join) {
            self.last = account;
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.close();
    }
}

#[napi]
pub fn cgroup2_mount() -> Result<String, Code> {
    Ok(cgroup::mount()?.display().to_string())
}

fn to_options(options: CaptureOptions) -> std::result::Result<capture::Options, CaptureError> {
    let size = |value: Option<u32>, default: usize| value.map_or(default, |v| v as usize);
    let tls = match options.tls_mode.as_deref() {
        None => tls::Mode::default(),
        Some(word) => tls::Mode::parse(word).ok_or_else(|| {
            let what = format!("tlsMode: '{word}' is none. Write 'auto', 'secrets', 'calls' or 'off'");
            CaptureError::new(Code::BadOption, what)
        })?,
    };
    let lower = |names: Vec<String>| names.into_iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>().into();
    Ok(capture::Options {
        node: options.node.unwrap_or_else(host_name),
        agent_version: options.agent_version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        ring_bytes: options.ring_bytes.unwrap_or(8 << 20),
        max_flows: size(options.max_flows, 32768),
        max_connections_bytes: size(options.max_connections_bytes, 64 << 20),
        max_queue_bytes: size(options.max_queue_bytes, 32 << 20),
        max_batch_bytes: size(options.max_batch_bytes, 1 << 20),
        limits: flow::Limits {
            max_flow_bytes: size(options.max_flow_bytes, 256 << 10),
            max_body_bytes: size(options.max_body_bytes, 64 << 10),
            response_headers: options.response_headers.map_or_else(flow::default_response_headers, lower),
        },
        tls,
    })
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

fn to_wire(identity: Identity, cgroup: String) -> wire::Identity {
    wire::Identity {
        cgroup,
        name: identity.name,
        namespace: identity.namespace,
        pod: identity.pod,
        pod_uid: identity.pod_uid,
        container: identity.container,
        workload: identity.workload,
    }
}

/// "/system.slice/nginx.service", wherever cgroup2 is mounted.
fn below_mount(path: &Path) -> String {
    let inside = cgroup::mount().ok().and_then(|mount| Some(path.strip_prefix(mount).ok()?.to_owned()));
    inside.map_or_else(|| path.display().to_string(), |inside| format!("/{}", inside.display()))
}

fn to_coverage(target: capture::TargetCoverage) -> TargetCoverage {
    let identity = target.identity;
    TargetCoverage {
        cgroup: target.cgroup,
        identity: Identity {
            name: identity.name,
            namespace: identity.namespace,
            pod: identity.pod,
            pod_uid: identity.pod_uid,
            container: identity.container,
            workload: identity.workload,
        },
        selected_at_ms: target.selected_at_ms,
        last_exchange_at_ms: target.last_exchange_at_ms.map_or(Either::B(Null), Either::A),
        exchanges: target.exchanges as f64,
        connections: to_numbers(target.connections),
        tls: TlsCoverage {
            handshakes: target.tls.handshakes as f64,
            decrypted: target.tls.decrypted as f64,
            dark: to_numbers(target.tls.dark),
            called: to_numbers(target.tls.called),
            called_late: target.tls.called_late as f64,
            processes: target.processes.into_iter().map(to_process).collect(),
            calls: target.calls,
        },
        notes: target.notes,
    }
}

fn to_process(process: ProcessCoverage) -> TlsProcess {
    TlsProcess {
        pid: process.pid,
        executable: process.executable,
        library: process.library,
        version: process.version,
        build_id: process.build_id,
        probe: process.probe,
        attached: process.attached,
        armed: process.armed.map_or(Either::B(Null), Either::A),
        secrets: process.hits as f64,
        verified: process.verified as f64,
        proof: process.proof.name().to_owned(),
    }
}

/// Counts stay exact in a double up to 2^53.
fn to_numbers(counts: BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    counts.into_iter().map(|(name, n)| (name, n as f64)).collect()
}

fn to_view(account: &Account) -> LedgerView {
    let (ledger, counters) = (&account.ledger, &account.counters);
    LedgerView {
        exchanges: ExchangeLedger {
            captured: ledger.captured as f64,
            delivered: ledger.delivered as f64,
            dropped: to_numbers(ledger.dropped()),
            in_flight: account.in_flight as f64,
            bodies_stripped: ledger.bodies_stripped as f64,
        },
        bytes: ByteLedger {
            seen: counters.seen() as f64,
            copied: counters.copied() as f64,
            elided: to_numbers(counters.elided()),
            lost: to_numbers(counters.lost()),
            parsed: ledger.parsed as f64,
            discarded: to_numbers(ledger.discarded()),
            held: account.held as f64,
        },
        closes: account.closes,
        incidents: to_numbers(account.incidents.clone()),
    }
}
