//! Prints what cgroups serve, one line an exchange, and the ledger at the end: the capture alone, without Node, agent or
//! processor. Needs root.
//!
//! ```sh
//! cargo run --release --example capture -- --seconds 30 /sys/fs/cgroup/system.slice/nginx.service
//! ```
use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use podmirror_bpf::wire::{Connection, Exchange};
use podmirror_bpf::{Capture, CaptureOptions, Identity, Target, load_every_program};

const USAGE: &str = "capture [--check] [--seconds N] CGROUP…
  CGROUP         a directory of cgroup2, with all that is below it
  --check        before all else loads every BPF program once and says which of them this kernel takes
  --seconds N    ends after N seconds (default 10), or by SIGINT or SIGTERM";

static ENDED: AtomicBool = AtomicBool::new(false);

struct Arguments {
    check: bool,
    seconds: u64,
    cgroups: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Arguments { check, seconds, cgroups }) = arguments() else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    if check {
        print_programs();
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all that the handler does is to store to an atomic.
        unsafe { libc::signal(signal, end as *const () as libc::sighandler_t) };
    }
    let capture = Capture::new(Some(CaptureOptions::default()))?;
    for cgroup in &cgroups {
        capture.select(target_of(cgroup))?;
    }
    println!("capturing {}", cgroups.join(" "));
    let until = Instant::now() + Duration::from_secs(seconds);
    while !ENDED.load(Relaxed) && Instant::now() < until {
        print_next(&capture)?;
    }
    capture.stop()?;
    while print_next(&capture)? > 0 {}
    print_account(&capture)
}

extern "C" fn end(_: libc::c_int) {
    ENDED.store(true, Relaxed);
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments { check: false, seconds: 10, cgroups: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => parsed.check = true,
            "--seconds" => parsed.seconds = words.next()?.parse().ok()?,
            option if option.starts_with('-') => return None,
            _ => parsed.cgroups.push(word),
        }
    }
    (!parsed.cgroups.is_empty()).then_some(parsed)
}

fn print_programs() {
    for (file, refused) in load_every_program() {
        println!("{file}: {}", refused.map_or_else(|| "loaded".to_owned(), |why| format!("refused: {why}")));
    }
}

fn target_of(cgroup: &str) -> Target {
    let name = cgroup.rsplit('/').find(|part| !part.is_empty()).unwrap_or(cgroup).to_owned();
    let identity = Identity { name, namespace: None, pod: None, pod_uid: None, container: None, workload: None };
    Target { cgroup: cgroup.to_owned(), identity, per_child: None }
}

/// Prints the exchanges of the next tenth of a second; how many there were.
fn print_next(capture: &Capture) -> Result<u64, Box<dyn Error>> {
    let Some(batch) = capture.next_exchanges(Duration::from_millis(100))? else {
        return Ok(0);
    };
    for exchange in &batch.exchanges {
        let target = batch.targets.get(exchange.target as usize).map_or("", |target| &target.name);
        println!("{target} {}", line_of(exchange));
    }
    Ok(batch.exchanges.len() as u64)
}

/// `GET /a HTTP/1.1 200, 127.0.0.1:40000 to 127.0.0.1:443, TLSv1.3 TLS_AES_256_GCM_SHA384 aead`, and what is not whole.
fn line_of(exchange: &Exchange) -> String {
    let mut line = exchange.request.as_ref().map_or_else(
        || "no request".to_owned(),
        |request| format!("{} {} {}", request.method.escape_ascii(), request.target.escape_ascii(), request.version),
    );
    line += &exchange.response.as_ref().map_or_else(|| " no response".to_owned(), |r| format!(" {}", r.status));
    if let Some(connection) = &exchange.connection {
        let Connection { client_address, client_port, server_address, server_port, .. } = connection;
        line += &format!(", {} to {}", socket(client_address, *client_port), socket(server_address, *server_port));
        if let Some(tls) = &connection.tls {
            // A connection that is read by calls has neither version nor suite.
            let known = [&tls.version, &tls.cipher_suite, &tls.bound_by].map(String::as_str);
            line += &format!(", {}", known.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        }
    }
    for (is_so, word) in
        [(exchange.gap, "gap"), (exchange.joined_late, "joined late"), (exchange.conflicting, "conflicting")]
    {
        if is_so {
            line += &format!(", {word}");
        }
    }
    line
}

/// Addresses have 4 or 16 bytes.
fn socket(address: &[u8], port: u32) -> String {
    let ip = <[u8; 4]>::try_from(address)
        .map(|v4| IpAddr::from(Ipv4Addr::from(v4)))
        .or_else(|_| <[u8; 16]>::try_from(address).map(|v6| IpAddr::from(Ipv6Addr::from(v6))));
    match (ip, u16::try_from(port)) {
        (Ok(ip), Ok(port)) => SocketAddr::new(ip, port).to_string(),
        _ => "?".to_owned(),
    }
}

fn print_account(capture: &Capture) -> Result<(), Box<dyn Error>> {
    for target in capture.coverage()?.targets {
        println!("coverage {}: connections {}", target.cgroup, sum_of(&target.connections));
        for note in target.notes {
            println!("coverage {}: {note}", target.cgroup);
        }
    }
    let ledger = capture.ledger()?;
    let (exchanges, bytes) = (ledger.exchanges, ledger.bytes);
    println!(
        "exchanges: captured {} = delivered {} + dropped {} + in flight {}",
        exchanges.captured,
        exchanges.delivered,
        sum_of(&exchanges.dropped),
        exchanges.in_flight
    );
    println!(
        "bytes: seen {} = copied {} + elided {} + lost {}",
        bytes.seen,
        bytes.copied,
        sum_of(&bytes.elided),
        sum_of(&bytes.lost)
    );
    println!(
        "of the copied: parsed {} + discarded {} + held {}; the ledger {}",
        bytes.parsed,
        sum_of(&bytes.discarded),
        bytes.held,
        if ledger.closes { "closes" } else { "does not close" }
    );
    Ok(())
}

/// `(gap 1, malformed 2)`, without the zeroes.
fn sum_of(counts: &BTreeMap<String, f64>) -> String {
    let counts: Vec<String> = counts.iter().filter(|(_, n)| **n > 0.0).map(|(name, n)| format!("{name} {n}")).collect();
    format!("({})", counts.join(", "))
}
