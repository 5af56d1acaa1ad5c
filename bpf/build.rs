//! Compiles the BPF programs to a skeleton and the wire contract to Rust.
use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for file in [
        "plaintext.bpf.c",
        "core.h",
        "record.h",
        "secrets.bpf.c",
        "secret.h",
        "task.h",
        "calls.bpf.c",
        "call.h",
        "socket.h",
    ] {
        println!("cargo:rerun-if-changed=kernel/{file}");
    }
    println!("cargo:rerun-if-changed=../processor/exchange.proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    libbpf_cargo::SkeletonBuilder::new()
        .source("kernel/plaintext.bpf.c")
        .clang_args(["-Wall", "-Werror", "-mcpu=v3"])
        .build_and_generate(out.join("plaintext.skel.rs"))?;
    // No skeletons: they are loaded more than once, and before Linux 5.14 in another form (kernel/task.h).
    for name in ["secrets", "calls"] {
        for (form, define) in [("", "-DCURRENT"), ("-ancestor-ids", "-DANCESTOR_IDS")] {
            libbpf_cargo::SkeletonBuilder::new()
                .source(format!("kernel/{name}.bpf.c"))
                .obj(out.join(format!("{name}{form}.bpf.o")))
                .clang_args(["-Wall", "-Werror", "-mcpu=v3", define])
                .build()?;
        }
    }
    // protox stands in for protoc, which is not a cargo package.
    let descriptors = protox::compile(["exchange.proto"], ["../processor"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    napi_build::setup();
    Ok(())
}
