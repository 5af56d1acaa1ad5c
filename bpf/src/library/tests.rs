//! Real files: this machine's, those that test/libraries/debs.sh unpacks, and Go programs built here. What is not there is
//! skipped, with the reason printed.
use std::path::{Path, PathBuf};

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
