//! Whole conversations, seen from outside.
use std::collections::VecDeque;

use proptest::prelude::*;

use super::conversation::{Conversation, Early, Plan, Step};
use super::secrets::SecretSet;
use super::session::{Alpn, Dark, Opened, Session, Side};

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
            let plan = Plan { client_auth: true, max_fragment: Some(512), steps: steps.clone(), ..Plan::new(suite) };
            assert_exact(&plan);
            assert_exact(&Plan { retry, client_auth: false, max_fragment: None, ..plan });
        }
    }
}

/// A handshake record with one message.
fn hello(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u16;
    [&[22, 3, 3][..], &(len + 4).to_be_bytes(), &[kind, 0], &len.to_be_bytes(), body].concat()
}

fn client_hello() -> Vec<u8> {
    hello(1, &[&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat())
}

fn server_hello(version: [u8; 2], suite: [u8; 2], compression: u8) -> Vec<u8> {
    hello(2, &[&version[..], &[9; 32], &[0], &suite, &[compression]].concat())
}

fn answer(server_hello: &[u8]) -> (Opened, Session) {
    let (mut session, mut plain) = (Session::new(), Vec::new());
    assert_eq!(session.open(Side::Client, &client_hello(), None, &mut plain), Opened::Control);
    (session.open(Side::Server, server_hello, None, &mut plain), session)
}

#[test]
fn what_is_not_covered_is_told_by_its_name() {
    for (record, words) in [
        (server_hello([3, 3], [0xc0, 0x13], 0), "not covered: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
        (server_hello([3, 3], [0x13, 0x01], 0), "not covered: TLS_AES_128_GCM_SHA256"),
        (server_hello([3, 3], [0xc0, 0x2f], 1), "not covered: TLS compression"),
        (server_hello([3, 0], [0x00, 0x2f], 0), "not covered: SSL 3.0"),
        (server_hello([3, 1], [0x00, 0x2f], 0), "not covered: TLS 1.0"),
        (server_hello([3, 2], [0x00, 0x2f], 0), "not covered: TLS 1.1"),
        (hello(11, &[]), "the ServerHello was not seen"),
        (hello(2, &[3, 3]), "malformed TLS messages"),
        (hello(2, &[0; 5000]), "malformed TLS messages"),
    ] {
        let (Opened::Dark(dark), mut session) = answer(&record) else { panic!("{words}: read on") };
        assert_eq!(dark.to_string(), words);
        assert_eq!(session.open(Side::Client, &client_hello(), None, &mut vec![]), Opened::Dark(dark));
    }
}

#[test]
fn a_connection_that_begins_without_a_client_hello_is_dark() {
    for record in [server_hello([3, 3], [0xc0, 0x2f], 0), vec![23, 3, 3, 0, 1, 0], vec![21, 3, 3, 0, 2, 2, 40]] {
        let opened = Session::new().open(Side::Client, &record, None, &mut vec![]);
        assert_eq!(opened, Opened::Dark(Dark::NoClientHello));
    }
}

#[test]
fn what_is_no_record_changes_nothing() {
    for record in
        [&[][..], &[22, 3, 3, 0], &[22, 3, 3, 0, 1], &[22, 3, 3, 0, 0, 1], &[22, 2, 0, 0, 1, 1], &[25, 3, 3, 0, 0]]
    {
        let mut session = Session::new();
        assert_eq!(session.open(Side::Client, record, None, &mut vec![]), Opened::Bad);
        assert_eq!(session.open(Side::Client, &client_hello(), None, &mut vec![]), Opened::Control);
    }
}

#[test]
fn an_empty_alert_or_record_before_the_hello_ends_nothing() {
    let (opened, mut session) = answer(&server_hello([3, 3], [0xc0, 0x2f], 0));
    assert_eq!(opened, Opened::Control);
    assert_eq!(session.open(Side::Server, &[21, 3, 3, 0, 0], None, &mut vec![]), Opened::Bad);
    assert_eq!(session.open(Side::Server, &[23, 3, 3, 0, 0], None, &mut vec![]), Opened::Bad);
    assert_eq!(session.open(Side::Server, &[22, 3, 3, 0, 0], None, &mut vec![]), Opened::Control);
}

#[test]
fn a_record_is_as_much_longer_than_its_plaintext_as_its_suite_says() {
    for suite in SUITES {
        let conversation = Conversation::hold(&Plan::new(suite));
        let secrets = conversation.secret_set();
        let mut observer = Observer::new();
        for (side, record) in &conversation.records {
            if observer.open(*side, record, Some(&secrets)) == Opened::Data {
                assert_eq!(observer.session.overhead(), Some(record.len() - observer.plain.len()));
            }
        }
    }
}

#[test]
fn a_copy_that_does_not_verify_leaves_the_place_to_the_next() {
    for suite in SUITES {
        let conversation = Conversation::hold(&Plan::new(suite));
        let secrets = conversation.secret_set();
        let mut observer = Observer::new();
        for (side, record) in &conversation.records {
            let is_encrypted = record[0] == 23;
            for at in [0, 1, 2, 5, record.len() / 2, record.len() - 1] {
                let mut forged = record.clone();
                forged[at] ^= 1;
                if is_encrypted {
                    assert_eq!(observer.open(*side, &forged, Some(&secrets)), Opened::Bad, "{suite:x} byte {at}");
                }
            }
            assert_ne!(observer.open(*side, record, Some(&secrets)), Opened::Bad);
        }
        assert!(observer.client.data == conversation.client_sent && observer.server.data == conversation.server_sent);
    }
}

#[test]
fn secrets_of_another_connection_open_nothing_and_spoil_nothing() {
    let others = SUITES.map(|suite| Conversation::hold(&Plan::new(suite)).secret_set());
    for suite in SUITES {
        let conversation = Conversation::hold(&Plan::new(suite));
        let secrets = conversation.secret_set();
        let mut observer = Observer::new();
        // The first record that is encrypted: of TLS 1.3 in the server's flight, of TLS 1.2 behind the ChangeCipherSpec.
        let first = match suite >> 8 {
            0x13 => conversation.records.iter().position(|(_, record)| record[0] == 23),
            _ => conversation.records.iter().position(|(_, record)| record[0] == 20).map(|at| at + 1),
        };
        for (at, (side, record)) in conversation.records.iter().enumerate() {
            for other in others.iter().filter(|_| Some(at) == first) {
                let opened = observer.open(*side, record, Some(other));
                assert!(matches!(opened, Opened::Bad | Opened::SecretMissing), "{opened:?}");
            }
            assert_ne!(observer.open(*side, record, Some(&secrets)), Opened::Bad);
        }
        assert!(observer.client.data == conversation.client_sent && observer.server.data == conversation.server_sent);
    }
}

/// What may happen to the records of a conversation on their way.
#[derive(Clone, Debug)]
enum Harm {
    Flip {
        at: usize,
        byte: usize,
        bit: u8,
    },
    Drop(usize),
    Repeat(usize),
    Swap(usize),
    /// A record in the clear where an encrypted one is due.
    Inject {
        at: usize,
        content: u8,
        len: usize,
    },
}

fn plan() -> impl Strategy<Value = Plan> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    let step = prop_oneof![
        4 => (side.clone(), prop_oneof![0usize..400, 15_000usize..40_000]).prop_map(|(side, len)| Step::Write(side, len)),
        1 => side.prop_map(Step::UpdateKey),
    ];
    let early = prop_oneof![3 => Just(Early::No), 1 => Just(Early::Accepted), 1 => Just(Early::Refused), 1 => Just(Early::Retried)];
    (
        prop::sample::select(&SUITES[..]),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        early,
        prop::option::of(64usize..2000),
        prop::collection::vec(step, 1..12),
    )
        .prop_map(|(suite, (resumed, ticket, retry, client_auth), early, max_fragment, steps)| {
            let is_tls13 = suite >> 8 == 0x13;
            // rustls asks for no certificate again when a session is resumed, and gives no 0-RTT then either.
            let early = if is_tls13 && !client_auth { early } else { Early::No };
            let retry = retry && is_tls13 && !client_auth && early == Early::No;
            Plan { suite, resumed, ticket, early, retry, client_auth, max_fragment, steps }
        })
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), any::<usize>(), 0u8..8).prop_map(|(at, byte, bit)| Harm::Flip { at, byte, bit }),
        any::<usize>().prop_map(Harm::Drop),
        any::<usize>().prop_map(Harm::Repeat),
        any::<usize>().prop_map(Harm::Swap),
        (any::<usize>(), 20u8..25, 0usize..60).prop_map(|(at, content, len)| Harm::Inject { at, content, len }),
    ]
}

fn apply(harm: &Harm, records: &mut Vec<(Side, Vec<u8>)>) {
    let count = records.len();
    match *harm {
        Harm::Flip { at, byte, bit } => {
            let record = &mut records[at % count].1;
            let byte = byte % record.len();
            record[byte] ^= 1 << bit;
        }
        Harm::Drop(at) => drop(records.remove(at % count)),
        Harm::Repeat(at) => records.insert(at % count, records[at % count].clone()),
        Harm::Swap(at) => records.swap(at % count, (at + 1) % count),
        Harm::Inject { at, content, len } => {
            let (side, _) = records[at % count];
            let record = [&[content, 3, 3, 0, len as u8][..], &vec![1; len]].concat();
            records.insert(at % count, (side, record));
        }
    }
}

/// The records of application data that a conversation has, in order, each side's.
fn chunks(conversation: &Conversation) -> [Vec<Vec<u8>>; 2] {
    let secrets = conversation.secret_set();
    let mut session = Session::new();
    let (mut plain, mut chunks) = (Vec::new(), [vec![], vec![]]);
    let mut left: Vec<_> = conversation.records.iter().collect();
    while !left.is_empty() {
        let mut stuck = [false; 2];
        left.retain(|(side, record)| {
            let at = *side as usize;
            if !stuck[at] {
                let opened = session.open(*side, record, Some(&secrets), &mut plain);
                stuck[at] = opened == Opened::PeerMissing;
                if matches!(opened, Opened::Data | Opened::Early) {
                    chunks[at].push(plain.clone());
                }
            }
            stuck[at]
        });
    }
    chunks
}

/// `some` is what is left of `all` when elements are taken out.
fn is_subsequence(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

#[test]
fn a_record_that_comes_again_where_one_may_be_missing_is_not_read_again() {
    for suite in SUITES {
        let conversation = Conversation::hold(&Plan::new(suite));
        let secrets = conversation.secret_set();
        let mut session = Session::new();
        let mut plain = Vec::new();
        for (side, record) in &conversation.records {
            if session.open(*side, record, Some(&secrets), &mut plain) == Opened::Data {
                session.lose(*side, 1);
                assert_eq!(session.open(*side, record, Some(&secrets), &mut plain), Opened::Bad, "{suite:x}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn property_every_byte_of_every_conversation_comes_out(plan in plan()) {
        assert_exact(&plan);
    }

    #[test]
    fn property_directions_may_run_ahead_and_secrets_may_come_late(
        plan in plan(), order in prop::collection::vec(any::<bool>(), 1..60), late in 0usize..60,
    ) {
        let conversation = Conversation::hold(&plan);
        let secrets = conversation.secret_set();
        let mut queues = [VecDeque::new(), VecDeque::new()];
        for (side, record) in &conversation.records {
            queues[*side as usize].push_back((*side, record));
        }
        let mut observer = Observer::new();
        let mut turns = 0;
        while queues.iter().any(|queue| !queue.is_empty()) {
            let at = if turns < 500 { usize::from(order[turns % order.len()]) } else { turns % 2 };
            let known = (turns >= late).then_some(&secrets);
            turns += 1;
            prop_assert!(turns < 20_000, "nothing moves");
            let Some((side, record)) = queues[at].front() else { continue };
            match observer.open(*side, record, known) {
                Opened::PeerMissing | Opened::SecretMissing => {}
                Opened::Bad | Opened::Dark(_) => prop_assert!(false, "a record did not open"),
                _ => drop(queues[at].pop_front()),
            }
        }
        prop_assert!(observer.client.data == conversation.client_sent);
        prop_assert!(observer.server.data == conversation.server_sent);
    }

    /// Every copy that does not verify is given up as one record that may be missing, as the caller would.
    #[test]
    fn property_no_byte_that_was_not_sent_there_comes_out_of_harmed_records(
        plan in plan(), harms in prop::collection::vec(harm(), 1..5), gives_up in any::<bool>(),
    ) {
        let conversation = Conversation::hold(&plan);
        let secrets = conversation.secret_set();
        let mut records = conversation.records.clone();
        harms.iter().for_each(|harm| apply(harm, &mut records));
        let mut session = Session::new();
        let (mut plain, mut seen) = (Vec::new(), [vec![], vec![]]);
        // Three rounds, so that each direction waits for the other.
        for _ in 0..3 {
            let mut stuck = [false; 2];
            records.retain(|(side, record)| {
                let at = *side as usize;
                if stuck[at] {
                    return true;
                }
                match session.open(*side, record, Some(&secrets), &mut plain) {
                    Opened::Data | Opened::Early => seen[at].push(plain.clone()),
                    Opened::PeerMissing | Opened::SecretMissing => stuck[at] = true,
                    Opened::Bad if gives_up => session.lose(*side, 1),
                    _ => {}
                }
                stuck[at]
            });
        }
        let sent = chunks(&conversation);
        for at in 0..2 {
            prop_assert!(is_subsequence(&seen[at], &sent[at]), "side {at}");
        }
    }

    /// Any run of records behind the hellos may go by unseen: what follows comes out, once its place is found.
    #[test]
    fn property_what_follows_a_hole_comes_out(
        plan in plan(), from in any::<usize>(), len in 1usize..40, is_counted in any::<bool>(), more in 0u64..20,
    ) {
        let conversation = Conversation::hold(&plan);
        let secrets = conversation.secret_set();
        let sent = chunks(&conversation);
        let is_hello = |record: &[u8]| record[0] == 22 && matches!(record[5], 1 | 2);
        let hellos = conversation.records.iter().rposition(|(_, record)| is_hello(record)).unwrap();
        // What is missing of a hello that comes in pieces is not behind it.
        let hello = &conversation.records[hellos].1;
        let body = hello.get(7..9).map_or(usize::MAX, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        prop_assume!(hello.len() >= body.saturating_add(9));
        // One direction's hole; the other is seen whole.
        let side = if from % 2 == 0 { Side::Client } else { Side::Server };
        let places: Vec<usize> =
            (hellos + 1..conversation.records.len()).filter(|at| conversation.records[*at].0 == side).collect();
        prop_assume!(!places.is_empty());
        let missing: Vec<usize> = places.iter().copied().skip(from % places.len()).take(len).collect();

        let mut session = Session::new();
        let (mut plain, mut seen) = (Vec::new(), [vec![], vec![]]);
        let mut opened = vec![None; conversation.records.len()];
        for _ in 0..3 {
            let mut stuck = [false; 2];
            for (at, (side, record)) in conversation.records.iter().enumerate() {
                if opened[at].is_some() || stuck[*side as usize] {
                    continue;
                }
                if missing.contains(&at) {
                    if at == missing[0] {
                        match is_counted {
                            true => session.pass_over(*side, missing.len() as u64),
                            false => session.lose(*side, missing.len() as u64 + more),
                        }
                    }
                    opened[at] = Some(Opened::Control);
                    continue;
                }
                let result = session.open(*side, record, Some(&secrets), &mut plain);
                match result {
                    Opened::PeerMissing | Opened::SecretMissing => {
                        stuck[*side as usize] = true;
                        continue;
                    }
                    Opened::Data | Opened::Early => seen[*side as usize].push(plain.clone()),
                    Opened::Bad => session.pass_over(*side, 1),
                    _ => {}
                }
                opened[at] = Some(result);
            }
        }
        for at in 0..2 {
            prop_assert!(is_subsequence(&seen[at], &sent[at]), "side {at}");
        }
        // Two changes of keys are found within a hole: Finished and one KeyUpdate.
        let updates = plan.steps.iter().filter(|step| matches!(step, Step::UpdateKey(_))).count();
        // Whether 0-RTT data was taken is in the server's records, and the client's wait for one that tells.
        let other = 1 - side as usize;
        let goes_on = missing.last() < places.last();
        let is_whole = match plan.early {
            Early::Accepted => sent[other].ends_with(&seen[other]),
            Early::Refused | Early::Retried if !goes_on || updates > 1 => true,
            _ => sent[other] == seen[other],
        };
        prop_assert!(is_whole, "the other side is whole");
        let last = *missing.last().unwrap();
        let odd: Vec<_> = (last..opened.len())
            .filter(|at| matches!(opened[*at], None | Some(Opened::Bad | Opened::Dark(_))))
            .map(|at| (at, conversation.records[at].0, opened[at]))
            .collect();
        // Places that a hole allows are tried twenty a record.
        let allowed = (missing.len() + more as usize) / 20;
        prop_assert!(odd.len() <= allowed || plan.early != Early::No || updates > 1, "{missing:?} {odd:?}");
    }
}
