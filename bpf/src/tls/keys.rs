//! From secrets to keys, and from records to plaintext: HKDF-Expand-Label and traffic keys (RFC 8446 sections 7.1 to 7.3),
//! the PRF and key block of TLS 1.2 (RFC 5246 sections 5 and 6.3), and the AEAD.
use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use super::erased::Erased;
use super::secrets::Secret;
use super::session::Side;
use super::suite::{Hash, Suite, Version};

/// The header of every record: content type, version, length.
pub const HEADER_BYTES: usize = 5;

/// Opens records of one direction under one key. Wiped on drop.
pub struct Key {
    /// Boxed, since ring's key is half a kilobyte and is not to be moved about.
    cipher: Box<Erased<aead::LessSafeKey>>,
    iv: Zeroizing<[u8; aead::NONCE_LEN]>,
    suite: Suite,
}

impl Key {
    /// The key of a TLS 1.3 traffic secret. `None`: the secret is not as long as the suite's hash.
    pub fn of_traffic_secret(suite: Suite, secret: &[u8]) -> Option<Self> {
        if secret.len() != suite.hash.size() {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..suite.cipher.algorithm().key_len()];
        let mut iv = Zeroizing::new([0; aead::NONCE_LEN]);
        expand_label(suite.hash, secret, b"key", key)?;
        expand_label(suite.hash, secret, b"iv", &mut iv[..])?;
        Self::new(suite, key, iv)
    }

    /// The key with which `side` writes in TLS 1.2: its part of the key block. An AEAD suite has no MAC keys in it.
    pub fn of_master_secret(
        suite: Suite,
        master: &[u8],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
        side: Side,
    ) -> Option<Self> {
        let key_len = suite.cipher.algorithm().key_len();
        let iv_len = aead::NONCE_LEN - suite.explicit_nonce_len();
        let mut block = Zeroizing::new([0; 2 * (32 + aead::NONCE_LEN)]);
        prf(
            suite.hash,
            master,
            b"key expansion",
            &[server_random, client_random],
            &mut block[..2 * (key_len + iv_len)],
        );
        let (keys, ivs) = block.split_at(2 * key_len);
        let nth = usize::from(side == Side::Server);
        let mut iv = Zeroizing::new([0; aead::NONCE_LEN]);
        iv[..iv_len].copy_from_slice(&ivs[nth * iv_len..][..iv_len]);
        Self::new(suite, &keys[nth * key_len..][..key_len], iv)
    }

    fn new(suite: Suite, key: &[u8], iv: Zeroizing<[u8; aead::NONCE_LEN]>) -> Option<Self> {
        let key = aead::UnboundKey::new(suite.cipher.algorithm(), key).ok()?;
        Some(Self { cipher: Box::new(Erased::new(aead::LessSafeKey::new(key))), iv, suite })
    }

    /// Verifies a whole record as number `seq` under this key. True: `plain` is what was protected (in TLS 1.3 with
    /// content type and padding). False: `plain` is empty. One copy and one AEAD pass, either way.
    pub fn open(&self, seq: u64, record: &[u8], plain: &mut Vec<u8>) -> bool {
        plain.clear();
        let Some((header, fragment)) = record.split_at_checked(HEADER_BYTES) else { return false };
        let opened = match self.suite.version {
            Version::Tls13 => self.open_in(plain, self.nonce(seq, None), header, fragment),
            Version::Tls12 => {
                let Some((explicit, sealed)) = fragment.split_at_checked(self.suite.explicit_nonce_len()) else {
                    return false;
                };
                let Some(len) = sealed.len().checked_sub(aead::MAX_TAG_LEN) else { return false };
                let Ok(len) = u16::try_from(len) else { return false };
                let mut aad = [0; 13];
                aad[..8].copy_from_slice(&seq.to_be_bytes());
                aad[8..11].copy_from_slice(&header[..3]);
                aad[11..].copy_from_slice(&len.to_be_bytes());
                let explicit = (!explicit.is_empty()).then_some(explicit);
                self.open_in(plain, self.nonce(seq, explicit), &aad, sealed)
            }
        };
        plain.truncate(opened.unwrap_or(0));
        opened.is_some()
    }

    fn open_in(&self, plain: &mut Vec<u8>, nonce: aead::Nonce, aad: &[u8], sealed: &[u8]) -> Option<usize> {
        plain.extend_from_slice(sealed);
        self.cipher.open_in_place(nonce, aead::Aad::from(aad), plain).map(|opened| opened.len()).ok()
    }

    /// RFC 8446 section 5.3, RFC 7905 section 2: the sequence number upon the IV. RFC 5288 section 3: salt and explicit part.
    fn nonce(&self, seq: u64, explicit: Option<&[u8]>) -> aead::Nonce {
        let mut nonce = *self.iv;
        match explicit {
            Some(explicit) => nonce[aead::NONCE_LEN - explicit.len()..].copy_from_slice(explicit),
            None => {
                for (byte, seq) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
                    *byte ^= seq;
                }
            }
        }
        aead::Nonce::assume_unique_for_key(nonce)
    }
}

/// A TLS 1.3 traffic secret and its key: what a KeyUpdate needs, and what a record needs. Boxed, so that handing it on
/// leaves no copies behind.
pub struct Traffic {
    pub key: Key,
    secret: Secret,
}

impl Traffic {
    /// `None`: the secret is not as long as the suite's hash.
    pub fn new(suite: Suite, secret: &[u8]) -> Option<Box<Self>> {
        Some(Box::new(Self { key: Key::of_traffic_secret(suite, secret)?, secret: Secret::of(secret)? }))
    }

    /// TLS 1.2 knows no KeyUpdate.
    pub fn without_update(key: Key) -> Box<Self> {
        Box::new(Self { key, secret: Secret::default() })
    }

    /// What a KeyUpdate changes to (RFC 8446 section 7.2). `None` in TLS 1.2.
    pub fn next_generation(&self) -> Option<Box<Self>> {
        let suite = self.key.suite;
        if suite.version != Version::Tls13 {
            return None;
        }
        let mut next = Secret::zero(suite.hash.size());
        expand_label(suite.hash, self.secret.as_slice(), b"traffic upd", next.as_mut_slice())?;
        Self::new(suite, next.as_slice())
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
fn expand_label(hash: Hash, secret: &[u8], label: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let info = [&length[..], &label_length, PREFIX, label, &[0]];
    let secret = Erased::new(hkdf::Prk::new_less_safe(hash.hkdf(), secret));
    secret.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

/// P_hash of RFC 5246 section 5: fills `out`. Seeds are written one after the other.
fn prf(hash: Hash, secret: &[u8], label: &[u8], seeds: &[&[u8]], out: &mut [u8]) {
    let key = Erased::new(hmac::Key::new(hash.hmac(), secret));
    let sign = |previous: Option<&hmac::Tag>, with_seed: bool| {
        let mut context = hmac::Context::with_key(&key);
        if let Some(previous) = previous {
            context.update(previous.as_ref());
        }
        if with_seed {
            context.update(label);
            seeds.iter().for_each(|seed| context.update(seed));
        }
        Erased::new(context.sign())
    };
    let mut a = sign(None, true);
    for chunk in out.chunks_mut(hash.size()) {
        let block = sign(Some(&a), true);
        chunk.copy_from_slice(&(*block).as_ref()[..chunk.len()]);
        a = sign(Some(&a), false);
    }
}

#[cfg(test)]
impl Key {
    /// A record as its sender makes it. `padding`: of TLS 1.3.
    pub fn seal(&self, seq: u64, content: u8, bytes: &[u8], padding: usize) -> Vec<u8> {
        let mut sealed = bytes.to_vec();
        let explicit = &seq.to_be_bytes()[..self.suite.explicit_nonce_len()];
        let (kind, aad_len) = match self.suite.version {
            Version::Tls13 => {
                sealed.push(content);
                sealed.resize(sealed.len() + padding, 0);
                (23, sealed.len() + aead::MAX_TAG_LEN)
            }
            Version::Tls12 => (content, sealed.len()),
        };
        let header = |len: usize| [[kind, 3, 3].as_slice(), (len as u16).to_be_bytes().as_slice()].concat();
        let (aad, nonce) = match self.suite.version {
            Version::Tls13 => (header(aad_len), self.nonce(seq, None)),
            Version::Tls12 => {
                let explicit = (!explicit.is_empty()).then_some(explicit);
                ([seq.to_be_bytes().as_slice(), &header(aad_len)].concat(), self.nonce(seq, explicit))
            }
        };
        self.cipher.seal_in_place_append_tag(nonce, aead::Aad::from(&aad[..]), &mut sealed).unwrap();
        [&header(explicit.len() + sealed.len()), explicit, &sealed].concat()
    }
}
