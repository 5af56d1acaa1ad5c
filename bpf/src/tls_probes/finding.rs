//! What was found in a file: a TLS library, and where it logs secrets.
use crate::library::elf::Elf;
use crate::library::keylog;
use crate::library::recognise::recognise;

/// Where the client random lies: at `ssl + first`, or, if `deref`, at `*(ssl + first) + second`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRandom {
    pub deref: bool,
    pub first: u32,
    pub second: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Inner,
    Log { random: Option<ClientRandom> },
    Go,
}

#[derive(Clone, Debug)]
pub struct Site {
    pub form: Form,
    /// Of the instruction in the file.
    pub offset: u64,
    /// For coverage: "inner keylog function at +0x32e50, push".
    pub how: String,
}

#[derive(Clone, Debug)]
pub struct Finding {
    /// "OpenSSL 3.0.19"
    pub library: String,
    pub build_id: Option<String>,
    /// Or why there is none: a sentence for coverage.
    pub site: Result<Site, String>,
}

/// None: no TLS library is in there.
pub fn examine(bytes: &[u8]) -> Option<Finding> {
    let elf = Elf::parse(bytes).ok()?;
    let libraries = recognise(&elf);
    let first = libraries.first()?;
    let library = first.version.clone().unwrap_or_else(|| first.implementation.name().to_owned());
    let site = keylog::find_for(&elf, &libraries).map(|site| Site {
        form: match site.form {
            keylog::Form::Inner => Form::Inner,
            keylog::Form::Log { random } => Form::Log {
                random: Some(ClientRandom {
                    deref: random.pointer.is_some(),
                    first: random.pointer.unwrap_or(random.offset),
                    second: random.offset,
                }),
            },
            keylog::Form::LogWithoutRandom => Form::Log { random: None },
            keylog::Form::Go => Form::Go,
        },
        offset: site.offset,
        how: site.how,
    });
    Some(Finding { library, build_id: elf.build_id(), site: site.map_err(|refusal| refusal.to_string()) })
}
