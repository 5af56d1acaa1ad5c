//! The real programs, fed packet by packet (BPF_PROG_TEST_RUN), and the flows behind them: the only place where the order
//! of packets, programs and user space is ours to choose. Needs root, as loading does; does nothing without it.
use std::path::Path;

use libbpf_rs::{MapCore, MapFlags, ProgramInput};

use super::{Drained, Kernel, Kind, Rings, Storage, check_capabilities};
use crate::cgroup;
use crate::clock::monotonic_ns;
use crate::flow::{Limits, default_response_headers};
use crate::flows::Flows;
use crate::ledger::Ledger;
use crate::record::Record;
use crate::tls::{Logged, Logger};
use crate::wire::Exchange;

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;
const CLIENT_ISN: u32 = u32::MAX - 90;
const SERVER_ISN: u32 = u32::MAX - 300;

pub struct Machine<'k> {
    pub kernel: Kernel<'k>,
    pub rings: Rings,
    pub flows: Flows,
    pub ledger: Ledger,
    pub done: Vec<Exchange>,
    /// The client's, of the connection at hand.
    port: u16,
    pub client: u32,
    pub server: u32,
    /// What the client has acknowledged of the server's.
    pub client_ack: u32,
}

/// Calls `test` with the programs loaded and our own cgroup as their target, where that is possible.
pub fn with_machine(test: impl FnOnce(&mut Machine)) {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let (Ok(()), Ok(mount)) = (check_capabilities(), cgroup::mount()) else {
        return eprintln!("not tested: needs root and cgroup2");
    };
    let (_, id) = cgroup::open(&Path::new(&mount).join(own)).unwrap();
    let mut storage = Storage::uninit();
    let mut kernel = Kernel::load(&mut storage, 1 << 20, true).unwrap();
    let since = kernel.now();
    kernel.set_target(id, Kind::Whole, since).unwrap();
    let rings = kernel.rings().unwrap();
    let limits =
        Limits { max_flow_bytes: 1 << 16, max_body_bytes: 1 << 16, response_headers: default_response_headers() };
    let mut machine = Machine {
        kernel,
        rings,
        flows: Flows::new(16, limits),
        ledger: Ledger::default(),
        done: Vec::new(),
        port: 1024,
        client: 0,
        server: 0,
        client_ack: 0,
    };
    test(&mut machine);
}

impl Machine<'_> {
    fn packet(&self, out: bool, flags: u8, payload: &[u8]) {
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (from, to) = if out { (server, client) } else { (client, server) };
        let (source, destination) = if out { (80, self.port) } else { (self.port, 80) };
        let (seq, ack) = if out { (self.server, self.client) } else { (self.client, self.client_ack) };
        // Ethernet, which the test run takes off, IPv4, TCP; nobody looks at a checksum.
        let mut bytes = vec![0; 12];
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend((40 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        bytes.extend(from);
        bytes.extend(to);
        bytes.extend(source.to_be_bytes());
        bytes.extend(destination.to_be_bytes());
        bytes.extend(seq.to_be_bytes());
        bytes.extend(ack.to_be_bytes());
        bytes.extend([0x50, flags, 255, 255, 0, 0, 0, 0]);
        bytes.extend(payload);
        let programs = &self.kernel.skel.progs;
        let program = if out { &programs.podmirror_out } else { &programs.podmirror_in };
        let input = ProgramInput { data_in: Some(&bytes), ..Default::default() };
        assert_eq!(program.test_run(input).unwrap().return_value, 1);
    }

    /// A new connection, its handshake done.
    pub fn connect(&mut self) {
        self.port += 1;
        self.ledger = Ledger::default();
        (self.client, self.server, self.client_ack) = (CLIENT_ISN, SERVER_ISN, 0);
        self.packet(false, SYN, b"");
        self.client = self.client.wrapping_add(1);
        self.packet(true, SYN | ACK, b"");
        self.server = self.server.wrapping_add(1);
        self.client_ack = self.server;
    }

    pub fn send(&mut self, payload: &[u8]) {
        self.packet(false, ACK, payload);
        self.client = self.client.wrapping_add(payload.len() as u32);
    }

    pub fn answer(&mut self, payload: &[u8]) {
        self.packet(true, ACK, payload);
        self.server = self.server.wrapping_add(payload.len() as u32);
    }

    /// A connection that began before; its next packet is the first that is seen.
    pub fn join(&mut self) {
        self.port += 1;
        (self.client, self.server, self.client_ack) = (CLIENT_ISN, SERVER_ISN, SERVER_ISN);
    }

    /// The connection at hand, `struct flow` of kernel/plaintext.bpf.c: its id. As if its client had been silent for `ns`.
    pub fn age(&self, ns: u64) -> u64 {
        let map = &self.kernel.skel.maps.flows;
        let is_it = |key: &Vec<u8>| key[40..42] == self.port.to_ne_bytes();
        let key = map.keys().find(is_it).unwrap();
        let mut value = map.lookup(&key, MapFlags::ANY).unwrap().unwrap();
        let then = (monotonic_ns() - ns).to_ne_bytes();
        // in_ns, older_ns
        value[8..16].copy_from_slice(&then);
        value[24..32].copy_from_slice(&then);
        map.update(&key, &value, MapFlags::EXIST).unwrap();
        u64::from_ne_bytes(value[96..104].try_into().unwrap())
    }

    /// A TLS library logs it.
    pub fn secret(&mut self, client_random: &[u8; 32], label: &[u8], secret: &[u8]) {
        let Self { flows, ledger, done, .. } = self;
        let logged = Logged { random: client_random, label, secret, by: Logger::default() };
        flows.secret(&logged, 0, ledger, &mut |_, exchange| done.push(exchange));
    }

    /// What the owner thread does every millisecond.
    pub fn drain(&mut self) {
        let Self { kernel, rings, flows, ledger, done, .. } = self;
        rings.drain(1 << 16, |drained| {
            let Drained::Record(bytes) = drained else { return };
            let record = Record::parse(bytes).unwrap();
            ledger.drained += record.payload.len() as u64;
            let wish = flows.push(&record, ledger, &mut |_, exchange| done.push(exchange));
            kernel.controls.write(record.flow_id, &wish);
        });
    }

    /// Ends the connection; the targets of its exchanges with their status.
    pub fn close(&mut self) -> Vec<(String, u32)> {
        self.packet(true, ACK | FIN, b"");
        self.packet(false, ACK | FIN, b"");
        self.drain();
        let name = |exchange: Exchange| {
            let (request, response) = (exchange.request.unwrap(), exchange.response.unwrap());
            (String::from_utf8(request.target.to_vec()).unwrap(), response.status)
        };
        std::mem::take(&mut self.done).into_iter().map(name).collect()
    }
}
