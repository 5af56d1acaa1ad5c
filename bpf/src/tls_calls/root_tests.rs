//! Real servers with connections that are older than the capture. Needs root and cgroup2; does nothing without.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prost::Message;

use super::programs::{Programs, Shared};
use super::sites::examine;
use crate::capture::{self, Account, Command as Ask, Options, Outcome, TargetCoverage};
use crate::cgroup;
use crate::flow::{Limits, default_response_headers};
use crate::kernel::{Kernel, Kind, Storage, check_capabilities};
use crate::tls;
use crate::tls_probes::finding;
use crate::wire;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps connections; `/echo` answers with what it got, in chunks where the path says so.
const SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        n = int(self.headers.get('content-length', 0))
        body = self.rfile.read(n) if n else b'x' * int(self.path.split('?')[1] if '?' in self.path else 3)
        self.send_response(200 if n == 0 else 201)
        self.send_header('x-id', self.headers['x-id'])
        if 'chunked' in self.path:
            self.send_header('transfer-encoding', 'chunked')
            self.end_headers()
            for at in range(0, len(body), 9000):
                part = body[at:at + 9000]
                self.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
            self.wfile.write(b'0\r\n\r\n')
        else:
            self.send_header('content-length', str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != 'HEAD' else b'')
    do_GET = do_POST = do_HEAD = answer
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// Puts the code of its libssl as it is in the file once, when it is told to.
const RESTORER: &str = r#"
import os, threading, time
def restore():
    while not os.path.exists('restore'):
        time.sleep(0.01)
    with open('/proc/self/mem', 'r+b', buffering=0) as memory:
        for line in open('/proc/self/maps'):
            if 'r-xp' in line and 'libssl' in line:
                place, _, offset, _, _, path = line.split()
                start, end = (int(x, 16) for x in place.split('-'))
                with open(path, 'rb') as file:
                    file.seek(int(offset, 16))
                    original = file.read(end - start)
                memory.seek(start)
                present = memory.read(end - start)
                for at in range(len(original)):
                    if present[at] != original[at]:
                        memory.seek(start + at)
                        memory.write(original[at:at + 1])
                        print(at, file=open('restored', 'a'))
threading.Thread(target=restore, daemon=True).start()
"#;

const SHARER: &str = r#"
import ctypes, mmap, os, ssl, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_size_t]
MAP_FIXED = 0x10
at = int(sys.argv[2]) & -mmap.PAGESIZE
for line in open('/proc/self/maps').readlines():
    if 'r-xp' in line and 'libssl' in line:
        place, _, offset, _, _, path = line.split()
        address = int(place.split('-')[0], 16) + at - int(offset, 16)
        flags = mmap.MAP_SHARED | MAP_FIXED
        assert libc.mmap(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC, flags, os.open(path, os.O_RDONLY), at) == address
"#;

/// A directory, a cgroup and processes, gone at the end.
struct Bench {
    cgroup: PathBuf,
    dir: PathBuf,
    children: Vec<Child>,
}

impl Bench {
    /// None, with the reason printed: it cannot be tested here.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (Ok(()), Ok(mount)) = (check_capabilities(), cgroup::mount()) else {
            eprintln!("not tested: needs root and cgroup2");
            return None;
        };
        let name = format!("calls-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).unwrap();
        let cgroup = mount.join(name);
        if let Err(error) = fs::create_dir(&cgroup) {
            eprintln!("not tested: no cgroup can be made: {error}");
            return None;
        }
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -subj /CN=x";
        let made = Command::new("openssl").args(request.split(' ')).current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(Self { cgroup, dir, children: Vec::new() })
    }

    /// Threads; its port, which answers by now.
    fn serve(&mut self) -> u16 {
        let port = free_port();
        let mut command = Command::new("/usr/bin/python3");
        command.arg("-c").arg(SERVER).arg(port.to_string());
        self.spawn(command, port)
    }

    /// Likewise, of one that takes the probe out of its own code. Its library is its own, or the probes of other tests would
    /// bring it back.
    fn serve_restoring(&mut self) -> u16 {
        let port = free_port();
        fs::copy(system_libssl(), self.dir.join("libssl.so.3")).unwrap();
        let mut command = Command::new("/usr/bin/python3");
        command.env("LD_LIBRARY_PATH", &self.dir);
        command.arg("-c").arg(format!("{RESTORER}{SERVER}")).arg(port.to_string());
        self.spawn(command, port)
    }

    /// Likewise, of one that has mapped the page of its libssl at this place in the file shared.
    fn serve_sharing(&mut self, offset: u64) -> u16 {
        let port = free_port();
        let mut command = Command::new("/usr/bin/python3");
        command.arg("-c").arg(format!("{SHARER}{SERVER}")).args([port.to_string(), offset.to_string()]);
        self.spawn(command, port)
    }

    /// Forked workers; likewise.
    fn nginx(&mut self, workers: usize) -> u16 {
        let port = free_port();
        let dir = self.dir.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off; user root; worker_processes {workers}; pid {dir}/pid; error_log {dir}/log;\n\
             events {{ worker_connections 512; }}\n\
             http {{ {temporary} access_log off; ssl_certificate {dir}/cert; ssl_certificate_key {dir}/key;\n\
             server {{ listen 127.0.0.1:{port} ssl reuseport; add_header X-Id $http_x_id always; location / {{ return 200 ok; }} }} }}\n"
        );
        fs::write(self.dir.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(self.dir.join("nginx.conf")).arg("-e").arg(self.dir.join("log"));
        self.spawn(command, port)
    }

    /// A server that is born in the cgroup.
    fn spawn(&mut self, mut command: Command, port: u16) -> u16 {
        let procs = self.cgroup.join("cgroup.procs");
        command.current_dir(&self.dir);
        // SAFETY: between fork and exec only files are opened and written, from memory that was made before.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push(command.spawn().unwrap());
        wait("the server listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        port
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in &mut self.children {
            // nginx takes its workers with it.
            // SAFETY: a process of ours that nobody has waited for.
            unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
            let _ = child.wait();
        }
        for _ in 0..100 {
            if fs::remove_dir(&self.cgroup).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A connection from outside of the cgroup.
struct Client {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    name: String,
    sent: u32,
}

impl Client {
    fn connect(port: u16, name: &str) -> Self {
        let line = format!("s_client -connect 127.0.0.1:{port} -quiet -verify_quiet -nocommands");
        let mut child = Command::new("openssl")
            .args(line.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output, name: name.to_owned(), sent: 0 }
    }

    /// Its id: the connection's name and its own number.
    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> String {
        let (id, text) = self.request(method, target, body);
        self.input.write_all(&text).unwrap();
        id
    }

    fn request(&mut self, method: &str, target: &str, body: &[u8]) -> (String, Vec<u8>) {
        let id = format!("{}-{}", self.name, self.sent);
        self.sent += 1;
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nx-id: {id}\r\n{length}\r\n");
        (id, [head.as_bytes(), body].concat())
    }

    /// One whole answer.
    fn receive(&mut self, head_only: bool) -> String {
        let mut got = Vec::new();
        let mut byte = [0];
        while !got.ends_with(b"\r\n\r\n") {
            self.output.read_exact(&mut byte).unwrap();
            got.push(byte[0]);
        }
        let head = String::from_utf8(got).unwrap();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        match length {
            Some(_) if head_only => {}
            Some(length) => self.output.read_exact(&mut vec![0; length]).unwrap(),
            None => {
                let mut end = Vec::new();
                while !end.ends_with(b"0\r\n\r\n") {
                    self.output.read_exact(&mut byte).unwrap();
                    end.push(byte[0]);
                }
            }
        }
        head
    }

    fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> String {
        let id = self.send(method, target, body);
        let head = self.receive(method == "HEAD");
        assert!(head.to_lowercase().contains(&format!("x-id: {id}\r\n")), "{head}");
        id
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The capture, as the agent has it.
struct Watch {
    asks: Sender<Ask>,
    thread: Option<JoinHandle<Account>>,
    exchanges: Vec<wire::Exchange>,
}

impl Watch {
    fn start(mode: tls::Mode) -> Self {
        let options = Options {
            node: "node".to_owned(),
            agent_version: "test".to_owned(),
            ring_bytes: 1 << 22,
            max_flows: 1024,
            max_connections_bytes: 64 << 20,
            max_queue_bytes: 32 << 20,
            max_batch_bytes: 1 << 20,
            limits: Limits {
                max_flow_bytes: 256 << 10,
                max_body_bytes: 64 << 10,
                response_headers: default_response_headers().iter().cloned().chain(["x-id".to_owned()]).collect(),
            },
            tls: mode,
        };
        let (asks, received) = mpsc::channel();
        let (reply, ready) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || capture::run(&options, &received, &reply));
        ready.recv().unwrap().unwrap();
        Self { asks, thread: Some(thread), exchanges: Vec::new() }
    }

    fn ask<T>(&self, ask: impl FnOnce(capture::Reply<T>) -> Ask) -> T {
        let (reply, answer) = mpsc::sync_channel(1);
        self.asks.send(ask(reply)).unwrap();
        answer.recv().unwrap().unwrap()
    }

    fn select(&self, bench: &Bench) {
        self.ask(|reply| Ask::Select(bench.cgroup.clone(), Kind::Whole, wire::Identity::default(), reply));
    }

    fn coverage(&self) -> TargetCoverage {
        self.ask(Ask::Coverage).targets.pop().unwrap()
    }

    fn turn(&mut self) {
        let (sender, receiver) = mpsc::channel();
        let deadline = Instant::now() + Duration::from_millis(5);
        let deliver = Box::new(move |batch| drop(sender.send(batch)));
        self.asks.send(Ask::Next { deadline, deliver }).unwrap();
        if let Some(batch) = receiver.recv().unwrap() {
            self.ask(|reply| Ask::Settle(batch.id, Outcome::Delivered, reply));
            self.exchanges.extend(wire::ExchangeBatch::decode(batch.bytes.as_slice()).unwrap().exchanges);
        }
    }

    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            self.turn();
            if let Some(found) = found(self) {
                return found;
            }
            if began.elapsed() > PATIENCE {
                let Account { ledger, counters, .. } = self.account();
                panic!("not in {PATIENCE:?}: {what}: {ledger:?} {counters:?} {:?}", self.coverage().notes);
            }
        }
    }

    fn exchange(&self, id: &str) -> Option<&wire::Exchange> {
        self.exchanges.iter().find(|exchange| header(&exchange.request.as_ref().unwrap().headers, "x-id") == id)
    }

    /// Probes stand, and the connection is seen through them.
    fn until_read(&mut self, client: &mut Client) -> String {
        wait("a request of an older connection comes", || {
            let id = client.ask("GET", "/warm", b"");
            for _ in 0..40 {
                self.turn();
                if self.exchange(&id).is_some() {
                    return Some(id);
                }
            }
            None
        })
    }

    /// Of each exchange: request and response are of one and the same number, no number comes twice, all are by calls.
    fn assert_right(&self) {
        let mut seen = BTreeSet::new();
        for exchange in &self.exchanges {
            let (request, response) = (exchange.request.as_ref().unwrap(), exchange.response.as_ref().unwrap());
            let id = header(&request.headers, "x-id");
            assert_eq!(id, header(&response.headers, "x-id"));
            assert_eq!(response.status, if request.body_length == Some(0) { 200 } else { 201 });
            assert!(seen.insert(id.clone()), "twice: {id}");
            let connection = exchange.connection.as_ref().unwrap();
            assert_eq!(connection.client_address.as_ref(), [127, 0, 0, 1]);
            let bound_by = &connection.tls.as_ref().unwrap().bound_by;
            let older = id.starts_with("old");
            assert_eq!((bound_by.as_str(), exchange.joined_late), if older { ("call", true) } else { ("aead", false) });
            assert_eq!(exchange.pairing() == wire::Pairing::Call, older, "{id}");
            assert!(!exchange.gap && !exchange.conflicting, "{id}");
        }
    }

    /// One connection once the probes on calls stand, the next from its beginning.
    fn assert_read_by_calls(&mut self, port: u16) {
        let mut late = Client::connect(port, "late");
        self.until_read(&mut late);
        let mut next = Client::connect(port, "next");
        let ids = ["/a", "/chunked?50000", "/b"].map(|target| next.ask("GET", target, b""));
        for id in &ids {
            let exchange = self.until(id, |watch| watch.exchange(id).cloned());
            let bound_by = exchange.connection.unwrap().tls.unwrap().bound_by;
            assert_eq!((bound_by.as_str(), exchange.joined_late, exchange.gap), ("call", false, false));
            assert_eq!(header(&exchange.response.unwrap().headers, "x-id"), *id);
        }
    }

    fn account(&self) -> Account {
        self.ask(Ask::Account)
    }

    fn close(&mut self) -> Account {
        self.asks.send(Ask::Close).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A server, a connection of its that is older than the capture, and the capture. None: as of `Bench::new`.
fn with_older(mode: tls::Mode) -> Option<(Bench, u16, Client, Watch)> {
    let mut bench = Bench::new()?;
    let port = bench.serve();
    let mut old = Client::connect(port, "old");
    old.ask("GET", "/before", b"");
    let watch = Watch::start(mode);
    watch.select(&bench);
    Some((bench, port, old, watch))
}

fn system_libssl() -> PathBuf {
    let places = ["/lib", "/usr/lib"].map(|root| PathBuf::from(format!("{root}/x86_64-linux-gnu/libssl.so.3")));
    places.into_iter().find(|path| path.exists()).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn header(headers: &[wire::Header], name: &str) -> String {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|header| String::from_utf8_lossy(&header.value).into_owned()).unwrap_or_default()
}

fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lost(account: &Account) -> BTreeMap<String, u64> {
    account.counters.lost()
}

#[test]
fn an_older_connection_is_read_while_it_lasts_and_a_new_one_beside_it_by_its_secrets() {
    let Some((_bench, port, mut old, mut watch)) = with_older(tls::Mode::Auto) else { return };
    assert!(watch.coverage().tls.handshakes == 0 && watch.coverage().calls.is_empty());
    watch.until_read(&mut old);
    let calls = watch.coverage().calls;
    assert!(calls.len() == 1 && calls[0].contains("libssl.so"), "{calls:?}");

    let mut new = Client::connect(port, "new");
    let body = b"0123456789abcdef".repeat(2000);
    let mut ids = Vec::new();
    for client in [&mut old, &mut new] {
        for (method, target, body) in [
            ("GET", "/a", &b""[..]),
            ("GET", "/big?70000", b""),
            ("GET", "/chunked?70000", b""),
            ("HEAD", "/head?1000", b""),
            ("POST", "/post", b"some"),
            ("POST", "/post", &body),
            ("GET", "/chunked?3", b""),
            ("GET", "/z", b""),
        ] {
            ids.push((client.ask(method, target, body), method, target, body));
        }
    }
    for (id, method, target, body) in &ids {
        let exchange = watch.until(id, |watch| watch.exchange(id).cloned());
        let request = exchange.request.unwrap();
        assert_eq!((request.method.as_ref(), request.target.as_ref()), (method.as_bytes(), target.as_bytes()));
        assert_eq!((request.body.as_ref(), request.body_length), (*body, Some(body.len() as u64)));
    }
    watch.assert_right();

    drop(old);
    watch.until("the probes are gone", |watch| watch.coverage().calls.is_empty().then_some(()));
    let last = new.ask("GET", "/last", b"");
    watch.until("the new one goes on", |watch| watch.exchange(&last).map(|_| ()));
    let account = watch.account();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
    assert_eq!(account.counters.lost().get("call_ring_full"), None);
    assert!(account.counters.elided()["call_elsewhere"] > 0, "the new one's calls: {:?}", account.counters);
    assert!(watch.coverage().notes.is_empty(), "{:?}", watch.coverage().notes);
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
    assert_eq!(lost(&account).get("call_unread"), None);
}

#[test]
fn forked_workers_with_handles_at_the_same_addresses_are_told_apart() {
    let Some(mut bench) = Bench::new() else { return };
    if Command::new("nginx").arg("-v").output().is_err() {
        return eprintln!("not tested: needs nginx");
    }
    let port = bench.nginx(4);
    let mut clients: Vec<Client> = (0..16).map(|n| Client::connect(port, &format!("old{n}"))).collect();
    for client in &mut clients {
        client.ask("GET", "/before", b"");
    }
    let mut watch = Watch::start(tls::Mode::Auto);
    watch.select(&bench);
    watch.until_read(&mut clients[0]);
    let mut last = Vec::new();
    for round in 0..20 {
        for client in &mut clients {
            last.push(client.ask("GET", &format!("/{round}"), b""));
        }
    }
    for id in &last {
        watch.until(id, |watch| watch.exchange(id).map(|_| ()));
    }
    watch.assert_right();
    for client in &mut clients {
        let name = client.name.clone();
        let of_client = |exchange: &&wire::Exchange| {
            header(&exchange.request.as_ref().unwrap().headers, "x-id").starts_with(&format!("{name}-"))
        };
        let flows: BTreeSet<u64> =
            watch.exchanges.iter().filter(of_client).map(|e| e.connection.as_ref().unwrap().flow_id).collect();
        assert_eq!(flows.len(), 1);
    }
    clients.clear();
    watch.until("the probes are gone", |watch| watch.coverage().calls.is_empty().then_some(()));
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
    assert_eq!(account.counters.calls[8], 0, "calls were lost: {:?}", account.counters);
}

#[test]
fn an_older_client_that_does_not_wait_is_never_paired_wrong() {
    let Some(mut bench) = Bench::new() else { return };
    let port = bench.serve();
    let mut old = Client::connect(port, "old");
    let mut calm = Client::connect(port, "oldcalm");
    let mut watch = Watch::start(tls::Mode::Auto);
    watch.select(&bench);
    watch.until_read(&mut old);
    watch.until_read(&mut calm);
    let (_, mut both) = old.request("GET", "/one", b"");
    both.extend(old.request("GET", "/two", b"").1);
    old.input.write_all(&both).unwrap();
    old.receive(false);
    old.receive(false);
    old.ask("GET", "/three", b"");
    let id = calm.ask("GET", "/calm", b"");
    watch.until("the other goes on", |watch| watch.exchange(&id).map(|_| ()));
    watch.assert_right();
    for number in 0..3 {
        assert!(watch.exchange(&format!("old-{}", old.sent - 1 - number)).is_none());
    }
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
}

#[test]
fn in_mode_calls_new_connections_are_read_the_same_way_and_no_secret_is_taken() {
    let Some(mut bench) = Bench::new() else { return };
    let port = bench.serve();
    let mut watch = Watch::start(tls::Mode::Calls);
    watch.select(&bench);
    watch.until("probes stand", |watch| (!watch.coverage().calls.is_empty()).then_some(()));
    for n in 0..5 {
        let mut client = Client::connect(port, &format!("old{n}"));
        for target in ["/a", "/chunked?50000", "/b?20000", "/c"] {
            client.ask("GET", target, b"");
        }
        let last = client.ask("POST", "/d", &[b'b'; 30_000]);
        watch.until(&last, |watch| watch.exchange(&last).map(|_| ()));
    }
    watch.assert_right();
    assert_eq!(watch.exchanges.len(), 25);
    assert!(watch.coverage().processes.is_empty());
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
}

#[test]
fn a_probe_that_three_connections_pass_without_a_word_is_contradicted_and_the_next_are_read_by_calls() {
    let Some(mut bench) = Bench::new() else { return };
    let port = bench.serve_restoring();
    let mut watch = Watch::start(tls::Mode::Auto);
    watch.select(&bench);
    let proof = |watch: &Watch| watch.coverage().processes.iter().find(|row| row.attached).map(|row| row.proof.name());
    watch.until("the probe stands", |watch| (proof(watch) == Some("armed")).then_some(()));
    fs::write(bench.dir.join("restore"), "").unwrap();
    wait("it is taken out", || fs::read_to_string(bench.dir.join("restored")).ok().filter(|text| text.ends_with('\n')));

    for n in 0..2 {
        Client::connect(port, &format!("dark{n}")).ask("GET", "/dark", b"");
    }
    watch.until("they are dark", |watch| (watch.coverage().tls.dark.values().sum::<u64>() == 2).then_some(()));
    // Longer than a round of looking at processes.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        watch.turn();
        assert_eq!(proof(&watch), Some("armed"), "two are not enough");
    }
    assert!(watch.coverage().calls.is_empty());
    Client::connect(port, "dark2").ask("GET", "/dark", b"");
    watch.until("it is contradicted", |watch| (proof(watch) == Some("contradicted")).then_some(()));
    let row = watch.coverage().processes.into_iter().find(|row| row.attached).unwrap();
    assert!(row.probe.contains("logged nothing") && (row.hits, row.verified) == (0, 0), "{row:?}");

    watch.assert_read_by_calls(port);
    assert!(watch.exchanges.iter().all(|e| !header(&e.request.as_ref().unwrap().headers, "x-id").starts_with("dark")));
    assert_eq!(proof(&watch), Some("contradicted"), "calls prove nothing of it");
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
}

#[test]
fn a_server_in_which_the_probe_cannot_stand_is_read_by_calls_from_its_first_connection_on() {
    let Some(mut bench) = Bench::new() else { return };
    let site = finding::examine(&fs::read(system_libssl()).unwrap()).unwrap().site.unwrap();
    let port = bench.serve_sharing(site.offset);
    let mut watch = Watch::start(tls::Mode::Auto);
    watch.select(&bench);
    let row = watch.until("it is known that it stands nowhere", |watch| {
        watch.coverage().processes.into_iter().find(|row| row.proof.name() == "unarmed")
    });
    assert!(row.probe.contains("maps it shared") && row.armed == Some(false), "{row:?}");
    watch.assert_read_by_calls(port);
    assert!(watch.coverage().tls.dark.is_empty(), "{:?}", watch.coverage().tls);
    let account = watch.close();
    assert!(account.closes, "{:?} {:?}", account.ledger, account.counters);
}

#[test]
fn what_is_read_proves_the_probe_of_each_worker_that_served_it() {
    let Some(mut bench) = Bench::new() else { return };
    if Command::new("nginx").arg("-v").output().is_err() {
        return eprintln!("not tested: needs nginx");
    }
    let port = bench.nginx(2);
    let mut watch = Watch::start(tls::Mode::Auto);
    watch.select(&bench);
    let proofs = |watch: &Watch| {
        let rows = watch.coverage().processes;
        rows.iter().filter(|row| row.attached).map(|row| row.proof.name()).collect::<Vec<_>>()
    };
    watch.until("the probe stands in the master and both workers", |watch| {
        (proofs(watch) == ["armed"; 3]).then_some(())
    });
    let mut sent = 0;
    let is_proven = |watch: &Watch| proofs(watch).iter().filter(|proof| **proof == "proven").count() == 2;
    wait("both workers have served", || {
        let id = Client::connect(port, &format!("new{sent}")).ask("GET", "/", b"");
        sent += 1;
        watch.until(&id, |watch| watch.exchange(&id).map(|_| ()));
        is_proven(&watch).then_some(())
    });
    let rows = watch.coverage().processes;
    assert_eq!(rows.iter().map(|row| row.verified).sum::<u64>(), sent, "each connection once, whatever it asks");
    assert!(rows.iter().any(|row| row.attached && (row.verified, row.proof.name()) == (0, "armed")), "the master");
    watch.assert_right();
}

#[test]
fn in_mode_secrets_no_probe_on_calls_ever_stands() {
    let Some((_bench, port, mut old, mut watch)) = with_older(tls::Mode::Secrets) else { return };
    let mut new = Client::connect(port, "new");
    for _ in 0..100 {
        old.ask("GET", "/old", b"");
        new.ask("GET", "/new", b"");
        watch.turn();
        assert!(watch.coverage().calls.is_empty());
    }
    assert!(watch.exchanges.iter().all(|e| e.connection.as_ref().unwrap().tls.as_ref().unwrap().bound_by == "aead"));
    let account = watch.close();
    assert_eq!(account.counters.calls, [0; 16]);
}

#[test]
fn the_programs_load_and_stand_in_a_library() {
    let Some(_bench) = Bench::new() else { return };
    let mut storage = Storage::uninit();
    let kernel = Kernel::load(&mut storage, 1 << 16, true).unwrap();
    let own = |fd: BorrowedFd| fd.try_clone_to_owned().unwrap();
    let shared =
        Shared { targets: own(kernel.targets()), flows: own(kernel.flows()), controls: own(kernel.control_slots()) };
    let programs = Programs::load(&shared, 1 << 2).unwrap();
    let file = fs::File::open(system_libssl()).unwrap();
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).unwrap();
    let sites = examine(&bytes).unwrap().unwrap();
    drop(programs.attach(&sites, &file).unwrap());
}

#[test]
fn a_capture_that_was_stopped_does_not_say_that_what_it_read_is_not_read() {
    let Some((_bench, _, mut old, mut watch)) = with_older(tls::Mode::Auto) else { return };
    watch.until_read(&mut old);
    let notes = watch.coverage().notes;
    assert!(
        notes.iter().any(|note| note.starts_with("1 TLS connections are older than the agent: probes")),
        "{notes:?}"
    );
    watch.ask(Ask::Stop);
    // Some rounds of the owner thread's.
    for _ in 0..20 {
        watch.turn();
    }
    let TargetCoverage { notes, calls, exchanges, .. } = watch.coverage();
    assert!(calls.is_empty() && exchanges > 0, "{calls:?}");
    assert_eq!(notes, [] as [&str; 0]);
}
