//! Whole conversations, seen from outside.
use super::conversation::{Conversation, Early, Plan, Step};
use super::secrets::SecretSet;
use super::session::{Alpn, Opened, Session, Side};

const SUITES: [u16; 6] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9];

/// What came out of one direction.
#[derive(Default, Debug)]
struct Seen {
    data: Vec<u8>,
    early: Vec<u8>,
    closed: bool,
}

struct Observer {
    session: Session,
    plain: Vec<u8>,
    client: Seen,
    server: Seen,
}

impl Observer {
    fn new() -> Self {
        Self { session: Session::new(), plain: Vec::new(), client: Seen::default(), server: Seen::default() }
    }

    fn open(&mut self, side: Side, record: &[u8], secrets: Option<&SecretSet>) -> Opened {
        let opened = self.session.open(side, record, secrets, &mut self.plain);
        let seen = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        match opened {
            Opened::Data => seen.data.extend_from_slice(&self.plain),
            Opened::Early => {
                seen.data.extend_from_slice(&self.plain);
                seen.early.extend_from_slice(&self.plain);
            }
            Opened::Closed => seen.closed = true,
            _ => assert!(self.plain.is_empty(), "{opened:?} gave bytes"),
        }
        opened
    }

    /// Hands over every record, as far as each direction gets without the other. Gives the ones that did not open.
    fn watch(&mut self, records: &[(Side, Vec<u8>)], secrets: Option<&SecretSet>) -> Vec<(Side, Opened)> {
        let mut left: Vec<_> = records.iter().collect();
        let mut odd = Vec::new();
        loop {
            let before = left.len();
            let mut stuck = [false; 2];
            left.retain(|(side, record)| {
                let stuck = &mut stuck[*side as usize];
                if *stuck {
                    return true;
                }
                let opened = self.open(*side, record, secrets);
                *stuck = matches!(opened, Opened::PeerMissing | Opened::SecretMissing);
                if matches!(opened, Opened::Bad | Opened::Dark(_)) {
                    odd.push((*side, opened));
                }
                *stuck
            });
            if left.len() == before {
                assert!(left.is_empty(), "{} records wait", left.len());
                return odd;
            }
        }
    }
}

fn assert_exact(plan: &Plan) {
    let conversation = Conversation::hold(plan);
    let secrets = conversation.secret_set();
    let mut observer = Observer::new();
    let odd = observer.watch(&conversation.records, Some(&secrets));
    assert_eq!(odd, [], "{plan:?}");
    assert!(observer.client.data == conversation.client_sent, "{plan:?}");
    assert!(observer.server.data == conversation.server_sent, "{plan:?}");
    assert!(observer.client.early == conversation.early_sent, "{plan:?}");
    assert!(observer.client.closed && observer.server.closed, "{plan:?}");
    assert_eq!(observer.session.client_random(), Some(&conversation.client_random));
    let facts = observer.session.facts();
    assert_eq!(facts.server_name, Some("example.org"));
    assert_eq!(facts.alpn, Alpn::Protocol(b"http/1.1"));
    assert_eq!(facts.suite.map(|suite| suite.0), Some(plan.suite));
}

#[test]
fn every_suite_comes_out_exactly() {
    for suite in SUITES {
        assert_exact(&Plan::new(suite));
    }
}

#[test]
fn resumed_sessions_come_out_exactly_by_ticket_and_by_id() {
    for suite in SUITES {
        for ticket in [false, true] {
            assert_exact(&Plan { resumed: true, ticket, ..Plan::new(suite) });
        }
    }
}

#[test]
fn early_data_comes_out_if_the_server_took_it_and_never_if_it_did_not() {
    for suite in [0x1301, 0x1302, 0x1303] {
        for early in [Early::Accepted, Early::Refused, Early::Retried] {
            assert_exact(&Plan { early, ..Plan::new(suite) });
        }
    }
}

#[test]
fn a_hello_retry_request_a_client_certificate_small_fragments_and_new_keys_change_nothing() {
    let steps = [Side::Client, Side::Server, Side::Server, Side::Client]
        .into_iter()
        .flat_map(|side| [Step::UpdateKey(side), Step::Write(Side::Client, 3000), Step::Write(Side::Server, 40_000)])
        .collect::<Vec<_>>();
    for suite in SUITES {
        for retry in [false, suite < 0x1400] {
            let plan = Plan { client_auth: true, max_fragment: Some(64), steps: steps.clone(), ..Plan::new(suite) };
            assert_exact(&plan);
            assert_exact(&Plan { retry, client_auth: false, max_fragment: None, ..plan });
        }
    }
}
