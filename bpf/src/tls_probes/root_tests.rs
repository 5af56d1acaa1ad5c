//! Real libraries in real processes of real cgroups. Needs root and cgroup2; does nothing without.
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use super::canary::Proof;
use super::maps;
use super::pagemap::Pagemap;
use super::programs::{Programs, for_either_way};
use super::stands::Stands;
use super::uprobes::Way;
use super::{LoggedSecret, Probes, ProcessCoverage, finding, smaps};
use crate::cgroup;
use crate::clock::monotonic_ns;
use crate::kernel::{Kind, check_capabilities};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// capabilities(7)
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_CHECKPOINT_RESTORE: u32 = 40;
/// INT3
const BREAKPOINT: u8 = 0xcc;
/// `struct target` of kernel/record.h.
const TARGET_BYTES: usize = 80;

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
        let name = format!("probes-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).unwrap();
        let cgroup = mount.join(name);
        if let Err(error) = fs::create_dir(&cgroup) {
            eprintln!("not tested: no cgroup can be made: {error}");
            return None;
        }
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -subj /CN=x";
        run(Command::new("openssl").args(request.split(' ')).current_dir(&dir));
        Some(Self { cgroup, dir, children: Vec::new() })
    }

    fn id(&self) -> u64 {
        cgroup::open(&self.cgroup).unwrap().1
    }

    /// A process that is born in the cgroup `below` ours.
    fn spawn_in(&mut self, below: &str, command: &mut Command) -> u32 {
        let procs = self.cgroup.join(below).join("cgroup.procs");
        // SAFETY: between fork and exec only files are opened and written, from memory that was made before.
        unsafe { command.pre_exec(move || fs::write(&procs, "0")) };
        command.current_dir(&self.dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    fn spawn(&mut self, command: &mut Command) -> u32 {
        self.spawn_in("", command)
    }

    /// A TLS server in the cgroup; its port, which answers by now.
    fn serve(&mut self, options: &str) -> u16 {
        self.serve_in("", options)
    }

    /// One whose libssl is the one in `dir`; its process, and its port.
    fn serve_from(&mut self, dir: &Path) -> (u32, u16) {
        let port = free_port();
        let line = format!("s_server -accept 127.0.0.1:{port} -key key -cert cert -quiet");
        let pid = self.spawn(Command::new("openssl").args(line.split(' ')).env("LD_LIBRARY_PATH", dir));
        wait("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        (pid, port)
    }

    fn serve_in(&mut self, below: &str, options: &str) -> u16 {
        let port = free_port();
        let line = format!("s_server -accept 127.0.0.1:{port} -key key -cert cert -quiet {options}");
        self.spawn_in(below, Command::new("openssl").args(line.split_whitespace()));
        wait("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        port
    }

    /// One connection from outside the cgroup; what its client logged.
    fn connect(&self, port: u16, options: &str) -> BTreeSet<String> {
        let log = self.dir.join("log");
        let _ = fs::remove_file(&log);
        let line = format!("s_client -connect 127.0.0.1:{port} -keylogfile {} {options}", log.display());
        run(Command::new("openssl").args(line.split_whitespace()).current_dir(&self.dir).stdin(Stdio::null()));
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for directory in [self.cgroup.join("child"), self.cgroup.join("out"), self.cgroup.clone()] {
            for _ in 0..100 {
                if fs::remove_dir(&directory).is_ok() || !directory.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The probes and what they gave.
struct Taker {
    probes: Probes,
    taken: Vec<LoggedSecret>,
}

impl Taker {
    /// With these targets in a map like that of the plaintext programs, whose load would take most of a test's time, and
    /// in the scanner's list.
    fn new(targets: &[(PathBuf, Kind)]) -> Self {
        let map = targets_map();
        let mut list = Vec::new();
        for (path, kind) in targets {
            let (_, id) = cgroup::open(path).unwrap();
            let mut value = [0; TARGET_BYTES];
            value[8] = *kind as u8;
            map.update(&id.to_ne_bytes(), &value, MapFlags::ANY).unwrap();
            list.push((id, path.clone(), *kind));
        }
        let probes = Probes::load(map.as_fd()).unwrap();
        probes.set_targets(&list);
        Self { probes, taken: Vec::new() }
    }

    /// What the owner thread does every millisecond.
    fn turn(&mut self) {
        self.probes.tick();
        self.probes.pop(&mut |secret| self.taken.push(secret));
    }

    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        wait(what, || {
            self.turn();
            found(self)
        })
    }

    fn until_attached(&mut self, id: u64, pid: u32) -> ProcessCoverage {
        self.until("a probe stands in the process", |taker| {
            taker.probes.coverage(id).into_iter().find(|row| row.pid == pid && row.attached)
        })
    }

    /// With what is known of the breakpoint there.
    fn until_armed(&mut self, id: u64, pid: u32, armed: bool) -> ProcessCoverage {
        self.until("it is known whether the breakpoint stands", |taker| {
            taker.probes.coverage(id).into_iter().find(|row| row.pid == pid && row.armed == Some(armed))
        })
    }

    fn lines(&self) -> BTreeSet<String> {
        self.taken.iter().map(line).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.probes.counters()[name]
    }
}

fn targets_map() -> MapHandle {
    let options =
        libbpf_sys::bpf_map_create_opts { sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _, ..Default::default() };
    MapHandle::create(MapType::Hash, Some("targets"), 8, TARGET_BYTES as u32, 4096, &options).unwrap()
}

/// As a client's key log has it.
fn line(secret: &LoggedSecret) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{} {} {}", secret.label, hex(&secret.client_random.unwrap_or_default()), hex(&secret.secret))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn holds(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    u64::from_str_radix(effective, 16).unwrap() & 1 << capability != 0
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
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

/// Maps a file as it is told to, says where, and then does to the mapping what it is told.
fn mapper(file: &str, flags: &str, prot: i32) -> Command {
    python(&format!(
        "import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
fd = os.open('{file}', os.O_RDWR)
size = os.fstat(fd).st_size
at = libc.mmap(None, size, {prot}, mmap.{flags}, fd, 0)
sys.stdin.readline()
assert libc.mprotect(at, size, mmap.PROT_READ | mmap.PROT_EXEC) == 0
sys.stdin.readline()"
    ))
}

/// The system's Python: it uses the system's libssl.
fn python(program: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-c").arg(program);
    command
}

#[test]
fn what_a_server_logs_is_what_its_clients_log() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let port = bench.serve("");
    let pid = bench.children[0].id();
    let row = taker.until_attached(bench.id(), pid);
    assert!(row.library.unwrap().contains("libssl.so") && row.build_id.is_some());
    // It stands in libcrypto, which is looked into later.
    let version = taker.until("its version is known", |taker| {
        let versions = taker.probes.coverage(bench.id()).into_iter().filter_map(|row| row.version);
        versions.into_iter().find(|version| version.starts_with("OpenSSL 3."))
    });
    let said = Command::new("openssl").arg("version").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains(&version), "{version}");
    let mut logged = BTreeSet::new();
    for options in ["-tls1_3", "-tls1_2", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", "-tls1_2"] {
        logged.extend(bench.connect(port, options));
    }
    assert_eq!(logged.len(), 12);
    taker.until("all secrets came", |taker| (taker.taken.len() >= logged.len()).then_some(()));
    taker.turn();
    assert_eq!(taker.lines(), logged);
    assert_eq!(taker.taken.len(), logged.len());
    assert!(taker.taken.iter().all(|secret| secret.by.tgid == pid && secret.target == bench.id()));
    // Published up to 50 ms late.
    let hits = taker.until("hits", |taker| {
        taker.probes.coverage(bench.id()).iter().find_map(|row| (row.hits > 0).then_some(row.hits))
    });
    assert_eq!(hits, 12);
    assert!(taker.count("hits_by_others") >= 12, "the clients: {:?}", taker.probes.counters());
}

#[test]
fn processes_that_share_the_library_and_are_no_target_give_nothing() {
    let (Some(mut bench), Some(mut other)) = (Bench::new(), Bench::new()) else { return };
    fs::create_dir(bench.cgroup.join("out")).unwrap();
    let targets = [(bench.cgroup.clone(), Kind::Whole), (bench.cgroup.join("out"), Kind::Excluded)];
    let mut taker = Taker::new(&targets);
    let port = bench.serve("");
    taker.until_attached(bench.id(), bench.children[0].id());
    let (elsewhere, excluded) = (other.serve(""), bench.serve_in("out", ""));
    for _ in 0..3 {
        other.connect(elsewhere, "");
        bench.connect(excluded, "");
    }
    let logged = bench.connect(port, "");
    taker.until("the secrets of the target", |taker| (taker.taken.len() >= 5).then_some(()));
    taker.turn();
    assert_eq!(taker.lines(), logged);
    assert_eq!(taker.count("secrets"), 5);
    // At least: whoever else on this machine uses the library hits the probe too.
    assert!(taker.count("hits_by_others") >= 6 * 10 + 5, "{:?}", taker.probes.counters());
    assert_eq!(taker.count("probes"), 1);
}

#[test]
fn children_of_a_target_are_told_apart() {
    let Some(mut bench) = Bench::new() else { return };
    let child = bench.cgroup.join("child");
    fs::create_dir(&child).unwrap();
    let (_, child) = cgroup::open(&child).unwrap();
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::PerChild)]);
    let port = bench.serve_in("child", "");
    taker.until_attached(child, bench.children[0].id());
    bench.connect(port, "");
    taker.until("its secrets", |taker| (taker.taken.len() == 5).then_some(()));
    assert!(taker.taken.iter().all(|secret| secret.target == child));
}

#[test]
fn a_library_that_is_loaded_late_gets_a_probe_when_asked_for() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let pid = bench.spawn(&mut python(
        "import sys\nsys.stdin.readline()\nimport ctypes; ctypes.CDLL('libssl.so.3')\nsys.stdin.readline()",
    ));
    let id = bench.id();
    taker.until("it is known to have no TLS", |taker| {
        taker.probes.coverage(id).into_iter().find(|row| row.pid == pid && row.probe.starts_with("no TLS library"))
    });
    assert_eq!(taker.count("probes"), 0);
    bench.children[0].stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    taker.probes.look_again(id);
    taker.until_attached(id, pid);
}

#[test]
fn labels_whose_page_is_not_in_memory_are_told_by_the_file() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let port = free_port();
    // A server one of whose threads takes the library's constants out of its memory all the time.
    let program = r#"
import ctypes, socket, ssl, threading
libc = ctypes.CDLL(None)
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
code, constants = False, None
for line in open('/proc/self/maps'):
    # Behind the code. The other read-only mapping has relocations in it.
    if code and ' r--p ' in line and 'libssl' in line:
        start, end = (int(x, 16) for x in line.split()[0].split('-'))
        constants = (start, end - start)
    code = ' r-xp ' in line
def drop():
    while True:
        libc.madvise(*constants, 4)
threading.Thread(target=drop, daemon=True).start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert', 'key')
listener = socket.create_server(('127.0.0.1', PORT))
while True:
    try:
        context.wrap_socket(listener.accept()[0], server_side=True).unwrap().close()
    except OSError:
        pass
"#;
    let pid = bench.spawn(&mut python(&program.replace("PORT", &port.to_string())));
    wait("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    taker.until_attached(bench.id(), pid);
    let mut logged = BTreeSet::new();
    while taker.count("label_unread") == 0 && logged.len() < 500 {
        logged.extend(bench.connect(port, ""));
    }
    if taker.count("label_unread") == 0 {
        return eprintln!("not tested: the page was there each time");
    }
    taker.until("all secrets", |taker| (taker.taken.len() >= logged.len()).then_some(()));
    assert_eq!(taker.lines(), logged);
    assert_eq!(taker.count("lost_label_unknown"), 0);
}

#[test]
fn a_process_of_another_user_is_read_or_coverage_names_the_capability() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    run(Command::new("chmod").args(["a+r", "key"]).current_dir(&bench.dir));
    let port = free_port();
    let line = format!(
        "--reuid=65534 --regid=65534 --clear-groups openssl s_server -accept 127.0.0.1:{port} -key key -cert cert -quiet"
    );
    let pid = bench.spawn(Command::new("setpriv").args(line.split(' ')));
    wait("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let id = bench.id();
    if holds(CAP_SYS_PTRACE) {
        // Its page map takes CAP_DAC_READ_SEARCH besides, which the agent does not have in a cluster.
        taker.until_armed(id, pid, true);
        return;
    }
    let row = taker.until("it is the other user's", |taker| {
        taker.probes.coverage(id).into_iter().find(|row| row.pid == pid && row.probe.contains("denied"))
    });
    assert!(row.probe.contains("Give the agent CAP_SYS_PTRACE"), "{row:?}");
    // The command name: the path takes the capability too.
    assert!(row.executable.ends_with("openssl"));
}

#[test]
fn another_program_in_the_same_process_is_noticed() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let port = free_port();
    let script = format!("read line; exec openssl s_server -accept 127.0.0.1:{port} -key key -cert cert -quiet");
    let pid = bench.spawn(Command::new("sh").arg("-c").arg(script));
    let id = bench.id();
    taker.until("the shell", |taker| taker.probes.coverage(id).into_iter().find(|row| row.pid == pid));
    let before = taker.count("execs");
    bench.children[0].stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let row = taker.until_attached(id, pid);
    assert!(row.executable.ends_with("/openssl"));
    assert_eq!(taker.count("execs") - before, 1);
}

#[test]
fn a_replaced_library_is_probed_where_it_is_still_mapped_and_where_it_lies_now() {
    let Some(mut bench) = Bench::new() else { return };
    let library = system_libssl();
    let copy = bench.dir.join("libssl.so.3");
    fs::copy(&library, &copy).unwrap();
    let dir = bench.dir.clone();
    let (old, old_port) = bench.serve_from(&dir);
    // As package managers do: another inode under the same name.
    fs::copy(&library, bench.dir.join("new")).unwrap();
    fs::rename(bench.dir.join("new"), &copy).unwrap();
    let (new, new_port) = bench.serve_from(&dir);
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let id = bench.id();
    if !holds(CAP_SYS_ADMIN) && !holds(CAP_CHECKPOINT_RESTORE) {
        taker.until_attached(id, new);
        let row = taker.probes.coverage(id).into_iter().find(|row| row.pid == old).unwrap();
        assert!(row.probe.contains("CAP_CHECKPOINT_RESTORE"), "{row:?}");
        return;
    }
    for pid in [old, new] {
        let row = taker.until_attached(id, pid);
        assert_eq!(row.library.as_deref(), copy.to_str());
    }
    assert_eq!(taker.count("probes"), 2);
    let mut logged = bench.connect(old_port, "");
    logged.extend(bench.connect(new_port, ""));
    taker.until("the secrets of both", |taker| (taker.taken.len() >= 10).then_some(()));
    assert_eq!(taker.lines(), logged);
}

#[test]
fn the_probe_goes_when_the_last_process_is_gone() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let id = bench.id();
    bench.serve("");
    bench.serve("");
    for index in 0..2 {
        taker.until_attached(id, bench.children[index].id());
    }
    for index in 0..2 {
        assert_eq!(taker.count("probes"), 1);
        bench.children[index].kill().unwrap();
        bench.children[index].wait().unwrap();
        let pid = bench.children[index].id();
        taker.until("it is not listed any more", |taker| {
            taker.probes.coverage(id).iter().all(|row| row.pid != pid).then_some(())
        });
    }
    taker.until("no probe stands", |taker| (taker.count("probes") == 0).then_some(()));
}

#[test]
fn a_released_target_loses_its_probes_and_so_does_a_stopped_capture() {
    let Some(mut bench) = Bench::new() else { return };
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let id = bench.id();
    bench.serve("");
    let pid = bench.children[0].id();
    taker.until_attached(id, pid);
    taker.probes.set_targets(&[]);
    taker.until("no probe stands", |taker| (taker.count("probes") == 0).then_some(()));
    taker.probes.set_targets(&[(id, bench.cgroup.clone(), Kind::Whole)]);
    taker.until_attached(id, pid);
    taker.probes.stop();
    assert_eq!(taker.count("probes"), 0);
}

#[test]
fn one_call_is_told_once_though_the_file_is_reached_through_several_overlays() {
    let Some(mut bench) = Bench::new() else { return };
    let lower = bench.dir.join("lower");
    fs::create_dir(&lower).unwrap();
    fs::copy(system_libssl(), lower.join("libssl.so.3")).unwrap();
    let mut mounts = Vec::new();
    for name in ["a", "b"] {
        let point = bench.dir.join(name);
        let second = bench.dir.join(format!("{name}-upper"));
        fs::create_dir(&point).unwrap();
        fs::create_dir(&second).unwrap();
        let options = format!("lowerdir={}:{}", second.display(), lower.display());
        let mounted = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&point).status();
        if !mounted.is_ok_and(|status| status.success()) {
            return eprintln!("not tested: no overlay can be mounted here");
        }
        mounts.push(Mount(point));
    }
    let mut taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let id = bench.id();
    let mut ports = Vec::new();
    for mount in &mounts {
        let (pid, port) = bench.serve_from(&mount.0);
        let row = taker.until_attached(id, pid);
        assert!(Path::new(row.library.as_deref().unwrap()).ends_with("libssl.so.3"));
        ports.push(port);
    }
    let mut logged = BTreeSet::new();
    for port in [ports[0], ports[1], ports[0]] {
        logged.extend(bench.connect(port, ""));
    }
    taker.until("all secrets", |taker| (taker.taken.len() >= 15).then_some(()));
    taker.turn();
    assert_eq!(taker.lines(), logged);
    assert_eq!(taker.taken.len(), 15, "{:?}", taker.probes.counters());
    drop(taker);
    for child in &mut bench.children {
        let _ = child.kill();
        let _ = child.wait();
    }
    drop(mounts);
}

/// Where a byte of the file is in the process.
fn address_in(pid: u32, file: &Path, offset: u64) -> Option<u64> {
    let text = maps::read(pid).ok()?;
    let has_it = |m: &maps::Mapping| m.path == file && m.offset <= offset && offset - m.offset < m.end - m.start;
    maps::executable(&text).find(has_it).map(|m| m.start + (offset - m.offset))
}

#[test]
fn both_ways_of_putting_a_probe_leave_a_copy_of_the_page_in_a_private_mapping_and_none_in_a_shared_one() {
    let Some(mut bench) = Bench::new() else { return };
    let site = finding::examine(&fs::read(system_libssl()).unwrap()).unwrap().site.unwrap();
    let ways = if Way::best() == Way::Multi { &[Way::Multi, Way::Perf][..] } else { &[Way::Perf] };
    for way in ways {
        let name = format!("libssl-{way:?}.so.3");
        let library = bench.dir.join(&name);
        fs::copy(system_libssl(), &library).unwrap();
        let [private, shared] = ["MAP_PRIVATE", "MAP_SHARED"].map(|flags| {
            let pid = bench.spawn(&mut mapper(&name, flags, libc::PROT_READ | libc::PROT_EXEC));
            let address = wait("it is mapped", || address_in(pid, &library, site.offset));
            let map = Pagemap::open(pid, 0).unwrap();
            move || {
                let by_page = map.has_own_copy(address);
                assert_eq!(smaps::has_own_copies(&smaps::read(pid, u64::MAX).unwrap(), address), by_page);
                by_page
            }
        });
        assert_eq!((private(), shared()), (Some(false), Some(false)), "{way:?}");
        let object = for_either_way(*way).unwrap();
        let program = super::programs::program(&object, "secret_inner").unwrap();
        match way.attach(&program, &library, site.offset, false) {
            Ok(_link) => assert_eq!((private(), shared()), (Some(true), Some(false)), "{way:?}"),
            Err(why) => eprintln!("not tested: {way:?}: {why}"),
        }
    }
}

#[test]
fn a_probe_is_armed_where_the_library_is_mapped_as_usual_and_not_where_it_is_shared_which_is_said() {
    let Some((mut bench, mut taker, id)) = with_own_library() else { return };
    let dir = bench.dir.clone();
    let (server, port) = bench.serve_from(&dir);
    let row = taker.until_armed(id, server, true);
    assert_eq!((row.proof, row.hits), (Proof::Armed, 0));
    assert!(!taker.probes.is_keyless(id));

    let shared = bench.spawn(&mut mapper("libssl.so.3", "MAP_SHARED", libc::PROT_READ | libc::PROT_EXEC));
    let row = taker.until_armed(id, shared, false);
    assert_eq!((row.proof, row.attached), (Proof::Unarmed, true));
    assert!(row.probe.contains("stands on the file but not in this process, which maps it shared"), "{row:?}");
    assert!(taker.probes.is_keyless(id), "it has no other library");
    assert_eq!(taker.count("probes"), 1);

    let logged = bench.connect(port, "");
    taker.until("the server's secrets", |taker| (taker.taken.len() >= logged.len()).then_some(()));
    let of = |taker: &Taker, pid| taker.probes.coverage(id).into_iter().find(|row| row.pid == pid).unwrap();
    assert_eq!((of(&taker, server).proof, of(&taker, server).hits), (Proof::Armed, 5), "nothing was verified here");
    let by = taker.taken[0].by;
    taker.probes.note_verified(by);
    assert_eq!((of(&taker, server).proof, of(&taker, server).verified), (Proof::Proven, 1));
    assert_eq!((of(&taker, shared).proof, of(&taker, shared).verified), (Proof::Unarmed, 0));
}

#[test]
fn a_library_that_was_writable_while_the_probe_came_gets_it_a_second_time() {
    let Some((mut bench, mut taker, id)) = with_own_library() else { return };
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let pid = bench.spawn(&mut mapper("libssl.so.3", "MAP_PRIVATE", all));
    let row = taker.until_armed(id, pid, false);
    assert!(row.probe.contains("maps it writable"), "{row:?}");
    bench.children[0].stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let row = taker.until_armed(id, pid, true);
    assert!(!row.probe.contains("not in this process"), "{row:?}");
    assert_eq!((row.proof, taker.count("probes")), (Proof::Armed, 1));
    assert!(!taker.probes.is_keyless(id));
}

#[test]
fn a_probe_that_is_put_again_stands_beside_the_first_one_also_in_another_file() {
    let Some(mut bench) = Bench::new() else { return };
    // As two inodes of one number, one of which was taken for the other.
    let names = ["one.so", "other.so"];
    let files = names.map(|name| {
        fs::copy(system_libssl(), bench.dir.join(name)).unwrap();
        fs::File::open(bench.dir.join(name)).unwrap()
    });
    let site = finding::examine(&fs::read(system_libssl()).unwrap()).unwrap().site.unwrap();
    let places = names.map(|name| {
        let pid = bench.spawn(&mut mapper(name, "MAP_PRIVATE", libc::PROT_READ | libc::PROT_EXEC));
        (pid, wait("it is mapped", || address_in(pid, &bench.dir.join(name), site.offset)))
    });
    let broken = || {
        places.map(|(pid, address)| {
            let mut byte = [0];
            fs::File::open(format!("/proc/{pid}/mem")).unwrap().read_exact_at(&mut byte, address).unwrap();
            byte == [BREAKPOINT]
        })
    };
    let mut programs = Programs::load(targets_map().as_fd()).unwrap();
    let mut stands = Stands::new(programs.attach(&site, &files[0]).unwrap(), 1);
    assert!(!stands.put_again(&site, &files[1], &mut programs), "nobody wants it");
    assert_eq!(broken(), [true, false]);
    stands.want_again();
    assert!(stands.put_again(&site, &files[1], &mut programs) && stands.since_ns > stands.first_ns);
    assert_eq!(broken(), [true, true]);
    stands.want_again();
    assert!(!stands.put_again(&site, &files[1], &mut programs), "once");
    drop(stands);
    assert_eq!(broken(), [false, false]);
}

#[test]
fn beside_a_library_that_is_known_to_be_unread_silence_contradicts_no_probe() {
    let Some((mut bench, mut taker, id)) = with_own_library() else { return };
    let dir = bench.dir.clone();
    let (server, _) = bench.serve_from(&dir);
    taker.until_armed(id, server, true);
    for _ in 0..3 {
        taker.probes.note_unlogged(id, monotonic_ns());
    }
    let until = |taker: &mut Taker, proof: Proof| {
        taker.until(proof.name(), |taker| {
            taker.probes.coverage(id).into_iter().find(|row| row.pid == server && row.proof == proof)
        })
    };
    assert!(until(&mut taker, Proof::Contradicted).probe.contains("logged nothing there"));
    let shared = bench.spawn(&mut mapper("libssl.so.3", "MAP_SHARED", libc::PROT_READ | libc::PROT_EXEC));
    taker.until_armed(id, shared, false);
    assert!(!until(&mut taker, Proof::Armed).probe.contains("logged nothing there"));
    assert!(taker.probes.is_keyless(id));
    bench.children[1].kill().unwrap();
    bench.children[1].wait().unwrap();
    until(&mut taker, Proof::Contradicted);
}

/// A target that has a copy of the system's libssl to itself, which nobody else's probes stand on.
fn with_own_library() -> Option<(Bench, Taker, u64)> {
    let bench = Bench::new()?;
    fs::copy(system_libssl(), bench.dir.join("libssl.so.3")).unwrap();
    let taker = Taker::new(&[(bench.cgroup.clone(), Kind::Whole)]);
    let id = bench.id();
    Some((bench, taker, id))
}

struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn system_libssl() -> PathBuf {
    let found = Command::new("ldconfig").arg("-p").output().unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("libssl.so.3 ")).unwrap();
    PathBuf::from(line.rsplit(' ').next().unwrap())
}
