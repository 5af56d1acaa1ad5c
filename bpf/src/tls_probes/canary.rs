//! What proves that a probe on a key log function does its work, from the outside: nobody's code is run for it, and no
//! handshake is made with a workload.
//!
//! First the breakpoint stands in the process (`Arming`): the kernel has put a copy of the page in the place of the file's.
//! Then a connection's records verified with a secret that it logged there. Against it speaks what `contradiction` counts.

/// Where the place of a probe is in a process: the file may be mapped more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    pub address: u64,
    pub shared: bool,
    pub writable: bool,
}

impl Spot {
    /// Whether the kernel puts breakpoints there (`valid_vma` in kernel/events/uprobes.c).
    fn takes_breakpoints(self) -> bool {
        !self.shared && !self.writable
    }
}

/// The first miss may be a process that is at that very moment becoming another program.
const MISSES: u8 = 2;

/// What was seen of one probe in one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arming {
    /// The number of the probe's link.
    link: u64,
    /// Where it was seen to stand. It stays there as long as the link does.
    at: Option<u64>,
    /// Looks in a row that found it nowhere.
    misses: u8,
    /// At all.
    looks: u8,
}

impl Arming {
    /// Of a look before, if it was at the same link, and its place is mapped still.
    pub fn again(before: Option<Self>, link: u64, spots: &[Spot]) -> Self {
        let new = Self { link, ..Self::default() };
        let same = before.filter(|before| before.link == link).unwrap_or(new);
        match same.at {
            Some(at) if !spots.iter().any(|spot| spot.address == at) => new,
            _ => same,
        }
    }

    /// Looks at the places again, unless the probe was seen before. `has_own_copy`: as of `Pagemap`.
    pub fn look(&mut self, spots: &[Spot], has_own_copy: impl Fn(u64) -> Option<bool>) {
        if self.at.is_some() {
            return;
        }
        self.looks = self.looks.saturating_add(1);
        let mut unclear = false;
        for spot in spots {
            match has_own_copy(spot.address) {
                // Where it may write, the copy may be its own doing.
                Some(true) if spot.takes_breakpoints() => {
                    self.at = Some(spot.address);
                    return;
                }
                Some(false) => {}
                Some(true) | None => unclear = true,
            }
        }
        self.misses = if unclear { 0 } else { self.misses.saturating_add(1) };
    }

    pub fn looks(&self) -> u8 {
        self.looks
    }

    /// None: it is not known (yet).
    pub fn armed(&self) -> Option<bool> {
        match self.at {
            Some(_) => Some(true),
            None => (self.misses >= MISSES).then_some(false),
        }
    }

    /// The address that coverage tells: where it stands, or should.
    pub fn address(&self, spots: &[Spot]) -> Option<u64> {
        self.at.or_else(|| spots.first().map(|spot| spot.address))
    }

    /// It is not there, and could be: a probe that is put now gets there. So it is with a library that was writable while it
    /// was loaded, and with a process that threw the page away.
    pub fn may_be_put_again(&self, spots: &[Spot]) -> bool {
        self.armed() == Some(false) && spots.iter().any(|spot| spot.takes_breakpoints())
    }
}

/// For coverage: why a probe that stands on the file is not in the process.
pub fn why_unarmed(spots: &[Spot]) -> &'static str {
    match spots {
        [] => {
            "the probe stands on the file but not in this process, which has put something else in the place of that code"
        }
        [spot, ..] if spot.shared => {
            "the probe stands on the file but not in this process, which maps it shared: the kernel puts breakpoints into private memory only"
        }
        [spot, ..] if spot.writable => {
            "the probe stands on the file but not in this process, which maps it writable: the kernel puts breakpoints into memory only that is not"
        }
        _ => {
            "the probe stands on the file but not in this process, where the kernel did not put it, though it was told to a second time"
        }
    }
}

/// How far a probe is proven in a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// No probe stands.
    #[default]
    None,
    /// One stands on the file; whether it is in the process is not known (yet).
    Unknown,
    /// Its breakpoint stands in the process.
    Armed,
    /// Records of a connection verified with a secret that it logged there.
    Proven,
    /// Its breakpoint does not stand in the process.
    Unarmed,
    /// Connections that began since it stands logged nothing, in no process of the target.
    Contradicted,
}

impl Proof {
    pub fn of(attached: bool, armed: Option<bool>, verified: u64, contradicted: bool) -> Self {
        match (attached, armed) {
            (false, _) => Self::None,
            (true, Some(false)) if verified == 0 => Self::Unarmed,
            _ if contradicted => Self::Contradicted,
            _ if verified > 0 => Self::Proven,
            (true, Some(true)) => Self::Armed,
            _ => Self::Unknown,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Armed => "armed",
            Self::Proven => "proven",
            Self::Unarmed => "unarmed",
            Self::Contradicted => "contradicted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { address: 0x7f00_0000_1000, shared: false, writable: false };
    const OTHER: Spot = Spot { address: 0x7f00_0000_9000, ..SPOT };
    const SHARED: Spot = Spot { shared: true, ..SPOT };
    const WRITABLE: Spot = Spot { writable: true, ..SPOT };

    fn looked(spots: &[Spot], looks: &[Option<bool>]) -> Arming {
        let mut arming = Arming::again(None, 1, spots);
        for look in looks {
            arming.look(spots, |_| *look);
        }
        arming
    }

    #[test]
    fn a_copy_of_the_page_is_a_breakpoint_and_its_absence_is_believed_the_second_time() {
        let (yes, no) = (Some(true), Some(false));
        for (spots, looks, expected) in [
            (&[SPOT][..], &[yes][..], yes),
            (&[SPOT], &[no], None),
            (&[SPOT], &[no, no], no),
            (&[SPOT], &[no, yes], yes),
            (&[SPOT], &[yes, no, no], yes),
            (&[SPOT], &[None, None, None], None),
            (&[SPOT], &[no, None, no], None),
            (&[SHARED], &[no, no], no),
            // It may have written there itself.
            (&[WRITABLE], &[yes, yes, yes], None),
            (&[WRITABLE], &[no, no], no),
            (&[WRITABLE, SPOT], &[yes], yes),
            (&[], &[no, no], no),
        ] {
            assert_eq!(looked(spots, looks).armed(), expected, "{spots:?} {looks:?}");
        }
    }

    #[test]
    fn what_was_seen_holds_for_the_same_link_at_the_same_address() {
        let armed = looked(&[SPOT, OTHER], &[Some(true)]);
        assert_eq!(Arming::again(Some(armed), 1, &[OTHER, SPOT]).armed(), Some(true));
        assert_eq!(Arming::again(Some(armed), 2, &[SPOT]).armed(), None);
        assert_eq!(Arming::again(Some(armed), 1, &[OTHER]).armed(), None);
        let missing = looked(&[SPOT], &[Some(false); 2]);
        assert_eq!(Arming::again(Some(missing), 1, &[SPOT]).armed(), Some(false));
    }

    #[test]
    fn a_probe_is_put_again_only_where_the_kernel_would_take_it() {
        for (spot, expected) in [(SPOT, true), (SHARED, false), (WRITABLE, false)] {
            assert_eq!(looked(&[spot], &[Some(false); 2]).may_be_put_again(&[spot]), expected, "{spot:?}");
        }
        assert!(!looked(&[SPOT], &[Some(true)]).may_be_put_again(&[SPOT]));
        assert!(!looked(&[SPOT], &[Some(false)]).may_be_put_again(&[SPOT]), "not at the first miss");
    }

    #[test]
    fn the_reason_is_what_the_process_has_mapped() {
        for (spots, word) in
            [(&[SHARED][..], "shared"), (&[WRITABLE], "writable"), (&[SPOT], "a second time"), (&[], "something else")]
        {
            assert!(why_unarmed(spots).contains(word), "{spots:?}");
        }
    }

    #[test]
    fn a_verified_connection_proves_and_silence_contradicts() {
        let (yes, no) = (Some(true), Some(false));
        for (attached, armed, verified, contradicted, expected) in [
            (false, None, 0, false, Proof::None),
            (false, None, 3, true, Proof::None),
            (true, None, 0, false, Proof::Unknown),
            (true, yes, 0, false, Proof::Armed),
            (true, yes, 1, false, Proof::Proven),
            (true, None, 1, false, Proof::Proven),
            (true, no, 0, false, Proof::Unarmed),
            (true, no, 0, true, Proof::Unarmed),
            // It was proven by another mapping of the file.
            (true, no, 1, false, Proof::Proven),
            (true, yes, 0, true, Proof::Contradicted),
            (true, yes, 1, true, Proof::Contradicted),
        ] {
            assert_eq!(Proof::of(attached, armed, verified, contradicted), expected);
        }
    }
}
