//! Where in a file the probes on calls stand. Pure: bytes in, places or a sentence out.
use crate::library::calls::{self, CallSite};
use crate::library::elf::Elf;
use crate::library::recognise::{Implementation, recognise};

/// What ends or changes what a handle of OpenSSL's (`SSL *`) stands for.
const FREES: [&str; 2] = ["SSL_free", "SSL_clear"];

#[derive(Clone, Debug)]
pub struct Sites {
    /// Reads, writes and handshakes.
    pub calls: Vec<CallSite>,
    /// Offsets in the file of the functions that free a handle or use it anew.
    pub frees: Vec<u64>,
    /// "SSL_read and its kin, in the function they share; …"
    pub how: String,
}

/// None: no OpenSSL is in there. Errors: a sentence for coverage.
pub fn examine(bytes: &[u8]) -> Option<Result<Sites, String>> {
    let elf = Elf::parse(bytes).ok()?;
    let is_openssl = |of: Implementation| matches!(of, Implementation::OpenSslShared | Implementation::OpenSslInside);
    recognise(&elf).iter().find(|library| is_openssl(library.implementation))?;
    Some(find(&elf))
}

fn find(elf: &Elf) -> Result<Sites, String> {
    let calls = calls::find(elf).map_err(|refusal| refusal.to_string())?;
    let free = |name: &&str| elf.function(name).and_then(|function| elf.offset_of(function.address));
    let frees: Vec<u64> = FREES.iter().filter_map(free).collect();
    if frees.len() < FREES.len() {
        return Err(format!("it has no symbols {}", FREES.join(" and ")));
    }
    let mut how: Vec<&str> = calls.iter().map(|site| site.how.as_str()).collect();
    how.dedup();
    Ok(Sites { how: how.join("; "), calls, frees })
}
