//! One TLS connection between its TCP streams and HTTP: records in, verified plaintext out.
//!
//! Positions that HTTP sees are those of TCP: the plaintext of a record counts as its last bytes, so that a message that
//! ends with its record ends where acknowledgements of it stand, and an answer that begins with a record begins where the
//! record does.
use std::fmt;

use super::half::{self, Half};
use super::record::{ALERT, CHANGE_CIPHER_SPEC};
use super::records::{self, HEADER_BYTES, Next};
use super::secrets::SecretSet;
use super::session::{Alpn, Dark, Opened, Session, Side};
use super::skip::{Scan, Skip};
use super::store::{ClientRandom, Loggers, Store};
use super::suite::Version;
use crate::http1::request::{Begin, Requests};
use crate::http1::response::Responses;
use crate::inbound::{Origin, Sink};
use crate::ledger::{Discard, Ledger};
use crate::memory;
use crate::record::{self, Record};
use crate::seq::ahead;
use crate::wire;

/// Bytes of records that may be opened in vain on one connection while its place is looked for: each costs as much as one
/// that verifies, and whoever forges segments decides how many there are.
const SEARCH_BYTES: usize = 8 << 20;
/// A secret is logged within the handshake that makes it; this allows for a slow agent and a slow client.
const WAIT_NS: u64 = 60_000_000_000;
/// Records that do not verify, of the server's, before the connection is given up.
const MAX_BAD: u32 = 16;
/// The least that a lost record takes: a header, a tag and a byte.
const LEAST_RECORD: u32 = 22;
/// Why a connection is not read (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Session(Dark),
    /// Nobody logged its secrets, or not in time.
    SecretMissing,
    /// More came before its secrets than a connection may hold.
    HeldTooMuch,
    /// Its place was lost and not found again.
    PlaceLost,
    /// HTTP/2 by its ALPN.
    Http2,
    /// Its ClientHello never came, or it was put out of the table of connections meanwhile.
    BeginningLost,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(dark) => dark.fmt(f),
            Self::SecretMissing => f.write_str("no secret was logged"),
            Self::HeldTooMuch => f.write_str("no secret was logged in time"),
            Self::PlaceLost => f.write_str("its place was lost"),
            Self::Http2 => f.write_str("HTTP/2: not decoded yet"),
            Self::BeginningLost => f.write_str("its beginning was lost"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In its handshake, or waiting for a secret.
    Opening,
    /// Application data of its client's was verified.
    Open,
    Dark(Why),
}

impl From<Dark> for Why {
    fn from(dark: Dark) -> Self {
        Self::Session(dark)
    }
}

impl Why {
    /// The connection is of a kind that is not covered, whatever its library hands out.
    pub fn is_of_kind(self) -> bool {
        matches!(self, Self::Session(Dark::Suite(_) | Dark::Version(_) | Dark::Compression))
    }

    /// What its library reads and writes may be HTTP nevertheless.
    fn leaves_calls(self) -> bool {
        let unseen = matches!(self, Self::Session(Dark::NoClientHello | Dark::NoServerHello));
        unseen || self.is_of_kind() || matches!(self, Self::SecretMissing | Self::HeldTooMuch)
    }
}

/// What HTTP and the rest of the capture lend for a step.
pub struct World<'a> {
    pub store: &'a mut Store,
    pub requests: &'a mut Requests,
    pub responses: &'a mut Responses,
}

enum Read {
    /// All that is there, or the rest is part of a record.
    All,
    /// The other side has to get further first.
    WaitsForPeer,
    WaitsForSecret,
}

/// What became of other copies in the place of the client's next record.
enum Tried {
    Read,
    /// They are none of it, whatever comes.
    Refuted,
    /// More has to be there, of them or of secrets.
    Open,
}

pub struct Connection {
    flow: u64,
    pub(super) session: Session,
    pub(super) client: Half,
    /// The rest of the present body went by in the kernel, or goes.
    pub(super) skip: Option<Skip>,
    pub(super) scan: Scan,
    /// Up to where the kernel was last asked to pass the client's bytes by.
    unwanted: Option<u32>,
    server: Half,
    state: State,
    /// Application data was verified.
    opened: bool,
    /// What is encrypted was seen, and no secret for it.
    waits: bool,
    /// Some secret of it has come.
    keyed: bool,
    /// As of `goes_unlogged`, when it was given up.
    unlogged: bool,
    /// Whose secrets opened it.
    proven_by: Loggers,
    /// The server has received everything of the client's before this.
    pub(super) acknowledged: u32,
    /// Records of the server's that were read, and what the kernel's count is behind that.
    server_index: u32,
    kernel_offset: Option<u32>,
    /// End of the server's last record with application data: what follows it up to the next is none of HTTP.
    server_data_end: u32,
    bad: u32,
    /// Where the client's next record begins, and so many copies of its bytes: no choice of them is one that verifies.
    refuted: Option<(u32, usize)>,
    search_left: usize,
    pub(super) plain: Vec<u8>,
    claimed: Option<ClientRandom>,
    max_held_bytes: usize,
    since_ns: u64,
}

impl fmt::Debug for Connection {
    /// Never its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("flow", &self.flow).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Connection {
    /// `client_at`, `server_at`: where the two streams begin. `since_ns`: CLOCK_MONOTONIC.
    pub fn new(flow: u64, client_at: u32, server_at: u32, max_held_bytes: usize, since_ns: u64) -> Self {
        Self {
            flow,
            session: Session::new(),
            client: Half::new(client_at),
            skip: None,
            scan: Scan::default(),
            unwanted: None,
            server: Half::new(server_at),
            state: State::Opening,
            opened: false,
            waits: false,
            keyed: false,
            unlogged: false,
            proven_by: Loggers::default(),
            acknowledged: client_at,
            server_index: 0,
            kernel_offset: Some(0),
            server_data_end: server_at,
            bad: 0,
            refuted: None,
            search_left: SEARCH_BYTES,
            plain: Vec::new(),
            claimed: None,
            max_held_bytes,
            since_ns,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_dark(&self) -> bool {
        matches!(self.state, State::Dark(_))
    }

    /// Nothing of it was read, nor will be, so that its library's calls may be read instead.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.state, State::Dark(why) if why.leaves_calls()) && !self.opened
    }

    /// Nothing of it was read, nor can be by what was logged up to now.
    pub fn is_without_secrets(&self, store: &Store) -> bool {
        let secrets = self.claimed.as_ref().and_then(|random| store.get(random));
        self.state == State::Opening && !self.opened && secrets.is_none_or(SecretSet::is_empty)
    }

    /// Its handshake has got to where it is encrypted, and no secret has come (yet).
    pub fn waits_for_secret(&self) -> bool {
        self.state == State::Opening && self.waits
    }

    /// Its server has gone on behind what is encrypted, so it had the secrets of its handshake, and none of them was logged.
    /// What only a client sends says nothing: anybody may send that.
    pub fn goes_unlogged(&self) -> bool {
        self.unlogged || (self.waits_for_secret() && !self.keyed && !self.server.lost && self.server_goes_on())
    }

    /// What of the server's is not read yet is encrypted; or, of TLS 1.2, its ChangeCipherSpec is there.
    fn server_goes_on(&self) -> bool {
        let mut rest = self.server.records.bytes();
        if self.session.is_server_encrypted() {
            return rest.first().is_some_and(|kind| *kind != ALERT);
        }
        // Its first flight is in the clear, and may come in pieces.
        loop {
            match (rest.first(), records::next(rest)) {
                (Some(&CHANGE_CIPHER_SPEC), _) => return true,
                (Some(_), Next::Whole(len)) => rest = &rest[len..],
                _ => return false,
            }
        }
    }

    /// Who logged the secrets that opened it.
    pub fn proven_by(&self) -> Loggers {
        self.proven_by
    }

    /// When it began, CLOCK_MONOTONIC.
    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// What is told of it with each exchange.
    pub fn wire(&self) -> wire::Tls {
        let facts = self.session.facts();
        wire::Tls {
            version: facts.version.map(version_name).unwrap_or_default(),
            cipher_suite: facts.suite.map(|suite| suite.to_string()).unwrap_or_default(),
            server_name: facts.server_name.map(str::to_owned),
            alpn: match facts.alpn {
                Alpn::Protocol(name) => Some(String::from_utf8_lossy(name).into_owned()),
                Alpn::NotNegotiated | Alpn::Unseen => None,
            },
            bound_by: "aead".to_owned(),
        }
    }

    /// Gives up waiting for a secret. `now_ns`: CLOCK_MONOTONIC.
    pub fn expire(&mut self, now_ns: u64, ledger: &mut Ledger) {
        if self.state == State::Opening && self.held_bytes() > 0 && now_ns.saturating_sub(self.since_ns) > WAIT_NS {
            self.go_dark(Why::SecretMissing, ledger);
        }
    }

    pub fn held_bytes(&self) -> usize {
        self.client.held_bytes() + self.server.held_bytes()
    }

    /// On the heap, but for its keys.
    pub fn memory(&self) -> usize {
        self.session.memory() + self.client.memory() + self.server.memory() + self.plain.capacity()
    }

    /// A record's end that the kernel, which copies everything, may go on from.
    pub fn boundary(&self) -> Option<u32> {
        if self.server.lost || self.state != State::Open {
            return None;
        }
        let records = &self.server.records;
        match records.next() {
            Next::Part(Some(whole)) => Some(records.at().wrapping_add(whole as u32)),
            Next::Part(None) if records.len() == 0 => Some(records.at()),
            _ => None,
        }
    }

    /// The server has received everything before `ack`.
    pub fn acknowledged(&mut self, ack: u32, world: &mut World, ledger: &mut Ledger) {
        self.acknowledged = ack;
        // What did not verify may be past saving now.
        if self.client.records.len() > 0 {
            self.advance(world, ledger);
        }
        self.conclude(world, ledger);
    }

    /// Bytes of the server's, as the kernel copied them.
    pub fn server_data(&mut self, record: &Record, world: &mut World, ledger: &mut Ledger) {
        if let State::Dark(_) = self.state {
            return ledger.discard(Discard::Undecrypted, record.payload.len());
        }
        if record.seq != self.server.records.end() || (record.has(record::RESYNC) && record.has(record::TLS)) {
            self.place(record, world, ledger);
        }
        if record.seq != self.server.records.end() {
            // The first piece of what follows a hole was lost with it.
            return ledger.discard(Discard::Undecrypted, record.payload.len());
        }
        if record.has(record::RAW) {
            // The kernel does not count now.
            self.kernel_offset = None;
        }
        let origin = Origin { ktime_ns: record.ktime_ns, ack: record.ack };
        self.server.push(record.payload, origin);
        self.advance(world, ledger);
    }

    /// A secret has come.
    pub fn advance(&mut self, world: &mut World, ledger: &mut Ledger) {
        loop {
            let at = (self.client.records.at(), self.server.records.at());
            let client = self.read(Side::Client, world, ledger);
            // Answers wait for the requests before them.
            let server = match client {
                Read::WaitsForSecret => Read::All,
                _ => self.read(Side::Server, world, ledger),
            };
            let moved = at != (self.client.records.at(), self.server.records.at());
            // One may have waited for what the other has just read.
            if !moved || matches!((client, server), (Read::All, Read::All)) {
                break;
            }
        }
        if self.held_bytes() > self.max_held_bytes {
            self.go_dark(Why::HeldTooMuch, ledger);
        }
    }

    /// Nothing more will come.
    pub fn finish(&mut self, why: Discard, store: &mut Store, ledger: &mut Ledger) {
        self.unlogged = self.goes_unlogged();
        for half in [&mut self.client, &mut self.server] {
            let at = half.records.end();
            ledger.discard(why, half.restart(at));
        }
        if let Some(random) = self.claimed.take() {
            store.forget(&random, self.flow);
        }
        if self.state == State::Opening {
            self.state = State::Dark(Why::SecretMissing);
        }
    }

    pub fn go_dark(&mut self, why: Why, ledger: &mut Ledger) {
        self.unlogged = self.goes_unlogged();
        for half in [&mut self.client, &mut self.server] {
            let at = half.records.end();
            ledger.discard(Discard::Undecrypted, half.restart(at));
        }
        self.skip = None;
        self.state = State::Dark(why);
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The kernel left something out before this piece, or lost it.
    fn place(&mut self, record: &Record, world: &mut World, ledger: &mut Ledger) {
        let expected = self.server.records.end();
        if record.seq != expected {
            let begins = record.has(record::TLS) && record.has(record::HEAD);
            if record.has(record::TLS) && !begins {
                return;
            }
            self.server_data_end = record.seq;
            let cut = self.server.restart(record.seq);
            ledger.discard(Discard::Undecrypted, cut);
            let whole = cut == 0 && record.base == expected;
            let before = record.records_before();
            // Behind a place that was given back the kernel counts anew; all that was copied up to there has been read.
            let count = match record.has(record::RESYNC) {
                true => Some(self.server_index.wrapping_add(before)).filter(|_| whole),
                false => self.kernel_offset.map(|offset| before.wrapping_add(offset)),
            };
            match count.filter(|_| begins) {
                Some(count) => {
                    let missing = count.wrapping_sub(self.server_index);
                    self.session.pass_over(Side::Server, missing.into());
                    self.server_index = count;
                    self.server.lost = false;
                    match self.session.overhead() {
                        Some(overhead) if whole => {
                            let bytes = u64::from(record.seq.wrapping_sub(record.base));
                            let plain = bytes.saturating_sub(u64::from(missing) * overhead as u64);
                            world.responses.passed(plain, world.requests);
                        }
                        _ => self.lose_answers(world, ledger),
                    }
                }
                None => {
                    let most = record.seq.wrapping_sub(expected) / LEAST_RECORD + 1;
                    self.session.lose(Side::Server, most.into());
                    self.server.lost = !begins;
                    self.kernel_offset = None;
                    self.lose_answers(world, ledger);
                }
            }
        }
        if record.has(record::TLS)
            && record.has(record::HEAD)
            && (record.has(record::RESYNC) || self.kernel_offset.is_none())
        {
            self.kernel_offset = Some(self.server_index.wrapping_sub(record.records_before()));
        }
    }

    fn read(&mut self, side: Side, world: &mut World, ledger: &mut Ledger) -> Read {
        loop {
            if let State::Dark(_) = self.state {
                return Read::All;
            }
            if let (Side::Client, Some(skip)) = (side, self.skip) {
                if !self.find_end(skip, world, ledger) {
                    return Read::All;
                }
                continue;
            }
            if self.half(side).lost {
                if !self.search(side, world, ledger) {
                    return Read::All;
                }
                continue;
            }
            let next = self.half(side).records.next();
            let opened = match next {
                Next::Whole(len) => self.open(side, 0, len, world),
                Next::Part(_) => {
                    // A forged header may wait for bytes that never come.
                    if side == Side::Client && self.swap_until_it_verifies(world, ledger) {
                        continue;
                    }
                    return Read::All;
                }
                Next::Other => Opened::Bad,
            };
            match (opened, next) {
                (Opened::SecretMissing, _) => {
                    self.waits = true;
                    return Read::WaitsForSecret;
                }
                (Opened::PeerMissing, _) => return Read::WaitsForPeer,
                (Opened::Dark(dark), _) => self.go_dark(dark.into(), ledger),
                (Opened::Bad, _) if side == Side::Client => {
                    if !self.swap_until_it_verifies(world, ledger) && !self.give_up_place(world, ledger) {
                        return Read::All;
                    }
                }
                (Opened::Bad, _) => self.pass_bad(next, world, ledger),
                (opened, Next::Whole(len)) => self.consume(side, len, &opened, world, ledger),
                _ => return Read::All,
            }
        }
    }

    /// Opens the record of `len` bytes that begins `from` bytes behind the present place.
    fn open(&mut self, side: Side, from: usize, len: usize, world: &mut World) -> Opened {
        let half = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let Some(record) = half.records.bytes().get(from..from + len) else {
            return Opened::Bad;
        };
        let secrets = self.claimed.as_ref().and_then(|random| world.store.get(random));
        if !self.keyed {
            self.keyed = secrets.is_some_and(|secrets| !secrets.is_empty());
        }
        let opened = self.session.open(side, record, secrets, &mut self.plain);
        if self.claimed.is_none()
            && let Some(random) = self.session.client_random()
        {
            world.store.claim(random, self.flow, self.since_ns);
            self.claimed = Some(*random);
        }
        opened
    }

    /// Hands the plaintext of a verified record on.
    pub(super) fn consume(&mut self, side: Side, len: usize, opened: &Opened, world: &mut World, ledger: &mut Ledger) {
        let half = self.half(side);
        let (at, origin) = (half.records.at(), half.origin());
        half.take(len);
        if side == Side::Server {
            self.server_index = self.server_index.wrapping_add(1);
            self.bad = 0;
        }
        match opened {
            Opened::Data | Opened::Early => {}
            Opened::Refused => return ledger.discard(Discard::Undecrypted, len),
            _ => {
                if side == Side::Client {
                    world.requests.pass_record(at, at.wrapping_add(len as u32));
                }
                return ledger.parse(len);
            }
        }
        self.opened = true;
        ledger.parse(len - self.plain.len().min(len));
        let seq = at.wrapping_add((len - self.plain.len().min(len)) as u32);
        match side {
            Side::Client => {
                if self.state == State::Opening {
                    if self.session.is_first_data(Side::Client) {
                        world.requests.begin();
                    }
                    self.state = State::Open;
                    self.proven_by =
                        self.claimed.as_ref().map(|random| world.store.loggers(random)).unwrap_or_default();
                }
                // What another step left may be of another body.
                world.requests.wanted_from = None;
                world.requests.record(at, seq, &self.plain, origin, ledger);
                // Places in the plaintext mean nothing to the kernel.
                let is_over_cap = world.requests.wanted_from.take().is_some();
                world.requests.wanted_from = self.unwanted_until(world.requests).filter(|_| is_over_cap);
                if world.requests.body_left().is_none() || world.requests.wanted_from.is_some() {
                    self.unwanted = world.requests.wanted_from;
                }
            }
            Side::Server => {
                let begin = Begin { from: self.server_data_end, at };
                world.responses.data(begin, seq, &self.plain, origin, world.requests, ledger);
                if !self.plain.is_empty() {
                    self.server_data_end = at.wrapping_add(len as u32);
                }
                self.conclude(world, ledger);
            }
        }
        if self.session.facts().alpn == Alpn::Protocol(b"h2") {
            self.go_dark(Why::Http2, ledger);
        }
        self.plain.clear();
        memory::give_back(&mut self.plain);
    }

    /// Another copy of the client's bytes may be the one that the server took.
    fn swap_until_it_verifies(&mut self, world: &mut World, ledger: &mut Ledger) -> bool {
        let at = self.client.records.at();
        let is_header_sure = self.client.seconds_before(at.wrapping_add(HEADER_BYTES as u32)) == 0;
        let end = match self.client.records.next() {
            Next::Part(Some(_)) if is_header_sure => return false,
            Next::Whole(len) if is_header_sure => at.wrapping_add(len as u32),
            // How long it is is to come, or may be forged.
            _ => self.client.records.end(),
        };
        let copies = self.client.seconds_before(end);
        if copies == 0 || self.refuted == Some((at, copies)) {
            return false;
        }
        let mut is_refuted = true;
        for (index, is_tried) in half::swaps(copies) {
            self.client.swap_second(index);
            if !is_tried {
                continue;
            }
            match self.try_here(world, ledger) {
                Tried::Read => return true,
                Tried::Refuted => {}
                Tried::Open => is_refuted = false,
            }
            if self.is_dark() {
                return false;
            }
        }
        self.refuted = is_refuted.then_some((at, copies));
        false
    }

    fn try_here(&mut self, world: &mut World, ledger: &mut Ledger) -> Tried {
        let len = match self.client.records.next() {
            Next::Whole(len) => len,
            Next::Part(_) => return Tried::Open,
            Next::Other => return Tried::Refuted,
        };
        if !self.pay(len, ledger) {
            return Tried::Open;
        }
        let opened = self.open(Side::Client, 0, len, world);
        match opened {
            Opened::Data | Opened::Early | Opened::Control | Opened::Closed => {}
            Opened::Bad => return Tried::Refuted,
            _ => return Tried::Open,
        }
        // Who verifies pays for what was tried in its place, as much as it was.
        self.repay(len as u64);
        self.consume(Side::Client, len, &opened, world, ledger);
        Tried::Read
    }

    /// What stands at the client's place does not verify. False: another copy may come yet.
    fn give_up_place(&mut self, world: &mut World, ledger: &mut Ledger) -> bool {
        let records = &self.client.records;
        let end = match records.next() {
            Next::Whole(len) => len,
            _ => HEADER_BYTES,
        };
        // The server took bytes for these: if another copy was sent, it was seen or lost.
        if ahead(self.acknowledged, records.at().wrapping_add(end as u32)) < 0 {
            return false;
        }
        let (at, len) = (records.at(), records.len());
        // That copy may have stayed in the kernel.
        let skipped = self.unwanted.is_some_and(|to| ahead(to, at) > 0);
        if !self.pass_by(at, skipped, world, ledger) {
            self.lose_client(at, len as u32, world, ledger);
        }
        true
    }

    /// `bytes` that stand behind `from` are lost; all before them were read.
    pub(super) fn lose_client(&mut self, from: u32, bytes: u32, world: &mut World, ledger: &mut Ledger) {
        self.session.lose(Side::Client, (bytes / LEAST_RECORD + 1).into());
        self.client.lost = true;
        // Sequence comparisons hold for 2 GiB.
        let left = Some(world.requests.least_left()).filter(|left| *left < 1 << 30);
        let least_end = left.map(|left| Skip::new(from, left, self.session.overhead().unwrap_or(0)).sure_end());
        world.requests.lose(least_end, ledger);
        world.requests.wanted_from = None;
    }

    /// A record of the server's that does not verify: its bytes are the host's own, so it is our count that is wrong.
    fn pass_bad(&mut self, next: Next, world: &mut World, ledger: &mut Ledger) {
        self.bad += 1;
        let Next::Whole(len) = next else {
            return self.go_dark(Why::PlaceLost, ledger);
        };
        if self.bad > MAX_BAD || !self.pay(len, ledger) {
            return self.go_dark(Why::PlaceLost, ledger);
        }
        self.server.take(len);
        self.server_data_end = self.server.records.at();
        ledger.discard(Discard::Undecrypted, len);
        self.server_index = self.server_index.wrapping_add(1);
        self.session.lose(Side::Server, 8);
        self.lose_answers(world, ledger);
    }

    fn lose_answers(&mut self, world: &mut World, ledger: &mut Ledger) {
        world.responses.lost(world.requests);
        self.give_up_skip(world, ledger);
    }

    /// Looks for the next record that verifies. True: it was found and read.
    fn search(&mut self, side: Side, world: &mut World, ledger: &mut Ledger) -> bool {
        let mut keep = None;
        let mut from = 0;
        loop {
            let bytes = self.half(side).records.bytes();
            let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            match records::next(rest) {
                Next::Other => {}
                Next::Part(_) => {
                    keep.get_or_insert(from);
                }
                // What verifies is encrypted: of version 1.2 by its header.
                Next::Whole(_) if rest[1..3] != [3, 3] || rest[0] == 20 => {}
                Next::Whole(len) => {
                    if !self.pay(len, ledger) {
                        return false;
                    }
                    match self.open(side, from, len, world) {
                        Opened::SecretMissing | Opened::PeerMissing => {
                            keep.get_or_insert(from);
                        }
                        Opened::Bad | Opened::Refused => {}
                        Opened::Dark(dark) => {
                            self.go_dark(dark.into(), ledger);
                            return false;
                        }
                        opened => {
                            let half = self.half(side);
                            half.take(from);
                            half.lost = false;
                            if side == Side::Server {
                                self.server_data_end = self.server.records.at();
                            }
                            ledger.discard(Discard::Undecrypted, from);
                            self.consume(side, len, &opened, world, ledger);
                            return true;
                        }
                    }
                }
            }
            from += 1;
        }
        let gone = keep.unwrap_or(from);
        self.half(side).take(gone);
        ledger.discard(Discard::Undecrypted, gone);
        false
    }

    pub(super) fn repay(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(SEARCH_BYTES);
        self.search_left = self.search_left.saturating_add(bytes).min(SEARCH_BYTES);
    }

    /// False, and the connection is given up, when it has cost enough.
    pub(super) fn pay(&mut self, bytes: usize, ledger: &mut Ledger) -> bool {
        match self.search_left.checked_sub(bytes + 64) {
            Some(left) => {
                self.search_left = left;
                true
            }
            None => {
                self.go_dark(Why::PlaceLost, ledger);
                false
            }
        }
    }
}

/// As OpenSSL and nginx write it.
fn version_name(version: Version) -> String {
    match version {
        Version::Tls12 => "TLSv1.2",
        Version::Tls13 => "TLSv1.3",
    }
    .to_owned()
}

/// The client's bytes, on their way to its connection.
pub struct ClientBytes<'a, 'w> {
    pub connection: &'a mut Connection,
    pub world: &'a mut World<'w>,
}

impl Sink for ClientBytes<'_, '_> {
    fn data(&mut self, _seq: u32, bytes: &[u8], origin: Origin, _packet_start: bool, ledger: &mut Ledger) {
        if let State::Dark(_) = self.connection.state {
            return ledger.discard(Discard::Undecrypted, bytes.len());
        }
        self.connection.client.push(bytes, origin);
        self.connection.advance(self.world, ledger);
    }

    fn gap(&mut self, seq: u32, len: u32, skipped: bool, ledger: &mut Ledger) {
        let connection = &mut *self.connection;
        if let State::Dark(_) = connection.state {
            return;
        }
        let read = connection.client.records.at();
        let cut = connection.client.restart(seq);
        ledger.discard(Discard::Undecrypted, cut);
        if !connection.pass_by(read, skipped, self.world, ledger) {
            connection.lose_client(read, len.saturating_add(cut as u32), self.world, ledger);
        }
    }

    /// Which copy is the right one only its tag can tell.
    fn conflict(&mut self, seq: u32, second: &[u8]) {
        self.connection.client.keep_second(seq, second);
    }

    fn is_wanted(&self, _seq: u32) -> bool {
        true
    }
}
