//! `cargo run --release -p podmirror-bpf --example sites -- FILE…` prints which TLS library is in each file, and where probes
//! would go.
use podmirror_bpf::library::elf::Elf;
use podmirror_bpf::library::recognise::Implementation::{BoringSsl, OpenSslInside, OpenSslShared};
use podmirror_bpf::library::{Refusal, calls, keylog, recognise};

fn main() {
    for path in std::env::args().skip(1) {
        println!("{path}");
        match std::fs::read(&path) {
            Ok(data) => show(&data).unwrap_or_else(|refusal| println!("  {refusal}")),
            Err(error) => println!("  {error}"),
        }
    }
}

fn show(data: &[u8]) -> Result<(), Refusal> {
    let elf = Elf::parse(data)?;
    println!("  build id {}", elf.build_id().as_deref().unwrap_or("none"));
    let libraries = recognise::recognise(&elf);
    for library in &libraries {
        let version = library.version.as_deref().unwrap_or("version not told");
        println!("  {} ({:?}): {version}", library.implementation.name(), library.implementation);
    }
    match keylog::find_for(&elf, &libraries) {
        Ok(site) => {
            println!(
                "  secrets: {:?} at file offset {:#x}, {:?}: {}",
                site.form, site.offset, site.instruction, site.how
            );
        }
        Err(refusal) => println!("  secrets: {refusal}"),
    }
    if libraries.iter().any(|l| matches!(l.implementation, OpenSslShared | OpenSslInside | BoringSsl)) {
        match calls::find(&elf) {
            Ok(sites) => sites.iter().for_each(|site| {
                println!("  {:?}: {:x?} {:?} exit {:x?}: {}", site.role, site.entry, site.count, site.exit, site.how);
            }),
            Err(refusal) => println!("  calls: {refusal}"),
        }
    }
    Ok(())
}
