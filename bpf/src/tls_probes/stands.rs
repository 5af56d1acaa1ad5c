//! A probe that stands on a file, and is put a second time where processes are that it does not stand in and could.
use std::fs::File;

use libbpf_rs::Link;

use super::finding::Site;
use super::programs::Programs;
use crate::clock::monotonic_ns;

pub struct Stands {
    /// The probe goes with them. Two once it was put again: a file system that takes snapshots may tell two inodes by one number.
    links: Vec<Link>,
    /// Tells it from the probe on what the file becomes later.
    pub number: u64,
    /// CLOCK_MONOTONIC in nanoseconds: since when a probe stands there, and since when this one does.
    pub first_ns: u64,
    pub since_ns: u64,
    again: Again,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    Wanted,
    Done,
}

impl Stands {
    pub fn new(link: Link, number: u64) -> Self {
        let now_ns = monotonic_ns();
        Self { links: vec![link], number, first_ns: now_ns, since_ns: now_ns, again: Again::No }
    }

    /// A process is there that a second one would stand in. Once.
    pub fn want_again(&mut self) {
        if self.again == Again::No {
            self.again = Again::Wanted;
        }
    }

    pub fn is_wanted_again(&self) -> bool {
        self.again == Again::Wanted
    }

    /// The file cannot be had. True: it was wanted.
    pub fn give_up_again(&mut self) -> bool {
        let was_wanted = self.is_wanted_again();
        if was_wanted {
            self.again = Again::Done;
        }
        was_wanted
    }

    /// Beside the one that stands, which somebody may be read by: what meets both is told once. True: it was put.
    pub fn put_again(&mut self, site: &Site, file: &File, programs: &mut Programs) -> bool {
        if !self.give_up_again() {
            return false;
        }
        let Ok(link) = programs.attach(site, file) else { return false };
        // Its number stays, since where the first one stood it does.
        self.links.push(link);
        self.since_ns = monotonic_ns();
        true
    }
}
