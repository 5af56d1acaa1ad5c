//! Keeps what is secret in this process's memory: out of core dumps, out of swap.
use std::mem::MaybeUninit;
use std::sync::Once;

/// From here on this process leaves no core dump, and only who may trace every process can look into it
/// (prctl(2), PR_SET_DUMPABLE). It stays so.
pub fn keep_private() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: plain system calls with constants and a valid struct; where they fail, `lock` still holds.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        }
    });
}

/// Keeps the pages of a value in memory and out of dumps, as far as the kernel allows (RLIMIT_MEMLOCK). They stay so when it
/// is dropped: other secrets may lie in them by then, and there are not more of them than secrets ever lived at once.
pub fn lock<T: ?Sized>(value: &T) {
    const PAGE: usize = 4096;
    let start = std::ptr::from_ref(value).cast::<u8>().addr() & !(PAGE - 1);
    let end = std::ptr::from_ref(value).cast::<u8>().addr() + size_of_val(value);
    let pages = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
    // SAFETY: both calls change how the kernel treats these pages of ours, and no byte in them.
    unsafe {
        libc::mlock(pages, end - start);
        libc::madvise(pages, (end - start).next_multiple_of(PAGE), libc::MADV_DONTDUMP);
    }
}

/// Overwrites what calls that have returned left on this thread's stack, within 64 KiB below the caller's frame: ring and
/// what the compiler moves about leave copies of keys there that nobody could wipe. Costs about 2 µs.
#[inline(never)]
pub fn wipe_stack() {
    const BYTES: usize = 64 << 10;
    let mut room = MaybeUninit::<[u8; BYTES]>::uninit();
    // SAFETY: valid for writes of the whole array.
    unsafe { room.as_mut_ptr().write_bytes(0, 1) };
    // Or the compiler would leave out what nobody reads.
    std::hint::black_box(&mut room);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_secret_is_locked_and_is_no_part_of_a_dump() {
        let secret = Box::new([7u8; 64]);
        lock(&*secret);
        let address = std::ptr::from_ref(&*secret).addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                inside = (from..to).contains(&address);
            }
            if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                assert!(flags.contains(" dd"), "{flags}");
                return;
            }
        }
        panic!("its page is not in /proc/self/smaps");
    }

    #[inline(never)]
    fn leave_a_secret_behind() -> usize {
        let secret = std::hint::black_box([0xa7u8; 64]);
        std::ptr::from_ref(std::hint::black_box(&secret)).expose_provenance()
    }

    #[test]
    fn what_a_call_left_on_the_stack_is_gone() {
        let address = leave_a_secret_behind();
        wipe_stack();
        let mut found = [0u8; 64];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut found, address as u64).unwrap();
        assert!(found.iter().filter(|byte| **byte == 0xa7).count() < 8);
    }
}
