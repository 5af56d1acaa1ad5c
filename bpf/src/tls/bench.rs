//! What opening a record costs: `cargo test --release -p podmirror-bpf tls::bench -- --ignored --nocapture`.
use std::hint::black_box;
use std::time::Instant;

use super::conversation::{Conversation, Plan, Step};
use super::session::{Opened, Session, Side};
use super::suite::SuiteNumber;

const RECORDS: usize = 2000;

#[test]
#[ignore = "prints figures, asserts no time"]
fn bench_of_open() {
    for suite in [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9] {
        for size in [256, 1024, 16 << 10] {
            let conversation =
                Conversation::hold(&Plan { steps: vec![Step::Write(Side::Server, size); RECORDS], ..Plan::new(suite) });
            let secrets = conversation.secret_set();
            let (mut session, mut plain) = (Session::new(), Vec::new());
            let (mut best, mut since, mut run) = (f64::MAX, Instant::now(), 0);
            for (side, record) in &conversation.records {
                if session.open(*side, black_box(record), Some(&secrets), &mut plain) != Opened::Data {
                    (since, run) = (Instant::now(), 0);
                    continue;
                }
                run += 1;
                if run == 100 {
                    best = best.min(since.elapsed().as_nanos() as f64 / 100.0);
                    (since, run) = (Instant::now(), 0);
                }
            }
            println!("{:48} {size:6} B {best:8.0} ns", SuiteNumber(suite).to_string());
        }
    }
}
