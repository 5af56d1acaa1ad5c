//! Conversations of OpenSSL 3.0's `s_client` and `s_server`, recorded through a proxy with `-keylogfile`: what they wrote
//! was typed by hand. A file has the key log's lines, then each connection's chunks of bytes, as they came.
use std::collections::HashMap;

use super::conversation::frame;
use super::secrets::SecretSet;
use super::session::{Dark, Opened, Session, Side};
use super::suite::SuiteNumber;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// What one connection gave: data of client and server, 0-RTT among the first, and why it went dark.
#[derive(Debug, Default)]
struct Read {
    data: [String; 2],
    early: String,
    dark: Option<Dark>,
    closed: usize,
}

fn read(recording: &str) -> Vec<Read> {
    let mut parts = recording.split("CONNECTION");
    let mut secrets: HashMap<Vec<u8>, SecretSet> = HashMap::new();
    for line in parts.next().unwrap().lines() {
        let [label, random, secret] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        secrets.entry(bytes(random)).or_default().set(label.as_bytes(), &bytes(secret));
    }
    parts.map(|connection| read_connection(connection, &secrets)).collect()
}

fn read_connection(recording: &str, secrets: &HashMap<Vec<u8>, SecretSet>) -> Read {
    let mut streams = [Vec::new(), Vec::new()];
    for line in recording.lines().skip(1) {
        let (side, hex) = line.split_once(' ').unwrap();
        streams[usize::from(side == "server")].extend(bytes(hex));
    }
    let mut queues = streams.map(|stream| frame(&stream).collect::<Vec<_>>().into_iter().peekable());
    let (mut session, mut plain, mut read) = (Session::new(), Vec::new(), Read::default());
    let mut idle = 0;
    while idle < 2 {
        idle += 1;
        for (at, side) in [Side::Client, Side::Server].into_iter().enumerate() {
            while let Some(record) = queues[at].peek() {
                let secrets = session.client_random().and_then(|random| secrets.get(&random[..]));
                let opened = session.open(side, record, secrets, &mut plain);
                let text = std::str::from_utf8(&plain).unwrap();
                match opened {
                    Opened::PeerMissing => break,
                    Opened::Data => read.data[at].push_str(text),
                    Opened::Early => {
                        read.data[at].push_str(text);
                        read.early.push_str(text);
                    }
                    Opened::Dark(dark) => read.dark = Some(dark),
                    Opened::Closed => read.closed += 1,
                    Opened::Control => {}
                    other => panic!("{side:?}: {other:?}"),
                }
                queues[at].next();
                idle = 0;
            }
        }
    }
    assert!(queues.iter_mut().all(|queue| queue.peek().is_none()), "records are left");
    read
}

#[test]
fn openssl_with_padding_and_key_updates_of_both_sides_is_read() {
    let [read] = &read(include_str!("openssl/tls13_updates_padding.txt"))[..] else { panic!() };
    let last = "x".repeat(3000);
    assert_eq!(read.data[0], format!("hello from the client\nafter client update\nagain\n{last}\n"));
    assert_eq!(read.data[1], "hello from the server\nafter server update\nand again\n");
}

#[test]
fn openssl_with_0_rtt_in_a_resumed_session_is_read() {
    let [first, second] = &read(include_str!("openssl/tls13_early_data.txt"))[..] else { panic!() };
    assert_eq!(first.data, ["from client\n", "from server\n"]);
    assert_eq!(second.early, "early bird\n");
    assert_eq!(second.data, ["early bird\nfrom client\n", "from server\n"]);
}

#[test]
fn openssl_with_tls_12_is_read() {
    let [gcm] = &read(include_str!("openssl/tls12_aes256gcm.txt"))[..] else { panic!() };
    assert_eq!(gcm.data, [format!("one\n{}\n", "three".repeat(1000)), "two\n".to_owned()]);
    let [dhe] = &read(include_str!("openssl/tls12_dhe_chacha20.txt"))[..] else { panic!() };
    assert_eq!(dhe.data, ["one\n", "two\n"]);
}

#[test]
fn openssl_with_cbc_is_dark_and_named() {
    let [read] = &read(include_str!("openssl/tls12_cbc.txt"))[..] else { panic!() };
    assert_eq!(read.data, ["", ""]);
    assert_eq!(read.dark, Some(Dark::Suite(SuiteNumber(0xc013))));
}

#[test]
fn openssl_is_read_up_to_a_renegotiation() {
    let [read] = &read(include_str!("openssl/tls12_renegotiation.txt"))[..] else { panic!() };
    assert_eq!(read.data, ["one\n", "two\n"]);
    assert_eq!(read.dark, Some(Dark::Renegotiation));
}
