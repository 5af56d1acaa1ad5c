//! Reads the line of text that libmodsecurity writes for each rule that matched:
//!
//! ```text
//! ModSecurity: Warning. Matched "Operator `Rx' with parameter `…' against variable `ARGS:f' (Value: `…' )
//!   [file "…"] [line "12"] [id "930100"] [rev ""] [msg "…"] [data "…"] [severity "2"] [ver "…"] [maturity "0"]
//!   [accuracy "0"] [tag "…"]… [hostname "…"] [uri "…"] [unique_id "…"] [ref "…"]
//! ```
//!
//! `msg`, `data`, `ver` and `tag` are escaped: bytes outside 32..=126, `"` and `\` are written `\xHH`
//! (`toHexIfNeeded` in src/utils/string.h). The variable's name, its value and `uri` are **not**, and a client
//! chooses them: facts are read only from after the sealed file name, and only up to `hostname`.

use crate::seal::Seal;

/// One rule that matched. Texts are bytes as the client sent them, unescaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Match {
    pub id: u32,
    pub message: Vec<u8>,
    /// The rule's `logdata`, at most 200 bytes of it.
    pub data: Vec<u8>,
    /// 0 (emergency) to 7 (debug); 2 critical, 3 error, 4 warning, 5 notice.
    pub severity: u8,
    pub tags: Vec<String>,
    /// For example `ARGS:file`. Empty when the line does not tell. Chosen by the client after the colon.
    pub variable: Vec<u8>,
}

/// None when the line is not about a rule under `seal`.
pub fn parse(line: &[u8], seal: &Seal) -> Option<Match> {
    const FILE: &[u8] = b" [file \"";
    let sealed = find(line, seal.as_str().as_bytes())?;
    let facts_at = rfind(&line[..sealed], FILE)?;
    let mut facts = &line[facts_at..];
    let mut found = Match { variable: variable(&line[..facts_at]).to_vec(), ..Match::default() };
    let mut has_id = false;
    while let Some((name, value, rest)) = field(facts) {
        facts = rest;
        match name {
            b"id" => {
                found.id = number(value)?;
                has_id = true;
            }
            b"msg" => found.message = unescape(value),
            b"data" => found.data = unescape(value),
            b"severity" => found.severity = number(value)?.try_into().ok()?,
            b"tag" => found.tags.push(String::from_utf8_lossy(&unescape(value)).into_owned()),
            // What follows is not escaped.
            b"hostname" => break,
            _ => {}
        }
    }
    has_id.then_some(found)
}

/// ` [name "value"]` at the beginning of `text`: name, value as written, what follows.
fn field(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let text = text.strip_prefix(b" [")?;
    let name_end = find(text, b" \"")?;
    let (name, text) = (&text[..name_end], &text[name_end + 2..]);
    let value_end = find(text, b"\"]")?;
    Some((name, &text[..value_end], &text[value_end + 2..]))
}

/// The name between the first "against variable `" and "' (Value: `".
fn variable(head: &[u8]) -> &[u8] {
    const BEFORE: &[u8] = b"' against variable `";
    let Some(start) = find(head, BEFORE) else {
        return b"";
    };
    let name = &head[start + BEFORE.len()..];
    &name[..find(name, b"' (Value: `").unwrap_or(name.len())]
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `\xHH` becomes the byte; anything else stays.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        match after {
            [b'x', high, low, tail @ ..] if first == b'\\' => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    bytes.push(high << 4 | low);
                    rest = tail;
                    continue;
                }
                bytes.push(first);
            }
            _ => bytes.push(first),
        }
        rest = after;
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn rfind(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seal() -> Seal {
        Seal::from_bits(0x5eed)
    }

    /// A line as libmodsecurity writes it.
    fn line(variable: &str, value: &str, data: &[u8], uri: &str) -> Vec<u8> {
        let file = seal().apply("/crs/R.conf").unwrap();
        format!(
            "ModSecurity: Warning. Matched \"Operator `Rx' with parameter `a' against variable `{variable}' (Value: `{value}' ) \
             [file \"{file}\"] [line \"12\"] [id \"930100\"] [rev \"\"] [msg \"Path \\x22Traversal\\x22\"] [data \"{}\"] \
             [severity \"2\"] [ver \"OWASP_CRS/4.25.0\"] [maturity \"0\"] [accuracy \"0\"] [tag \"attack-lfi\"] [tag \"OWASP_CRS\"] \
             [hostname \"10.0.0.2\"] [uri \"{uri}\"] [unique_id \"1\"] [ref \"o6,4v4,20\"]",
            escape(data),
        )
        .into_bytes()
    }

    fn escape(bytes: &[u8]) -> String {
        bytes
            .iter()
            .map(|&byte| match byte {
                32..=126 if byte != b'"' && byte != b'\\' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            })
            .collect()
    }

    fn expected(variable: &str, data: &[u8]) -> Match {
        Match {
            id: 930_100,
            message: b"Path \"Traversal\"".to_vec(),
            data: data.to_vec(),
            severity: 2,
            tags: vec!["attack-lfi".into(), "OWASP_CRS".into()],
            variable: variable.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_line_gives_the_rules_facts() {
        let text = line("ARGS:f", "../etc/passwd", b"Matched Data: /../", "/");
        assert_eq!(parse(&text, &seal()), Some(expected("ARGS:f", b"Matched Data: /../")));
    }

    #[test]
    fn a_client_cannot_forge_facts_before_or_after_the_true_ones() {
        let forged = r#"" [file "/crs/R.conf"] [line "1"] [id "1"] [msg "forged"] [tag "attack-xss"] [hostname "x"#;
        let text = line(&format!("ARGS:{forged}"), forged, forged.as_bytes(), &format!("/{forged}"));
        assert_eq!(parse(&text, &seal()), Some(expected(&format!("ARGS:{forged}"), forged.as_bytes())));
    }

    #[test]
    fn a_match_without_an_operator_has_no_variable() {
        let text = line("x", "x", b"", "/");
        let at = find(&text, b" [file").unwrap();
        let mut short = b"ModSecurity: Warning. detected SQLi using libinjection.".to_vec();
        short.extend_from_slice(&text[at..]);
        assert_eq!(parse(&short, &seal()), Some(expected("", b"")));
    }

    #[test]
    fn a_line_under_another_seal_or_without_an_id_is_not_a_match() {
        assert_eq!(parse(&line("x", "x", b"", "/"), &Seal::from_bits(1)), None);
        let unfinished = format!("ModSecurity: Warning. [file \"{}", seal().apply("/crs/R.conf").unwrap());
        assert_eq!(parse(unfinished.as_bytes(), &seal()), None);
    }

    proptest! {
        #[test]
        fn escaped_data_comes_back_byte_for_byte(data: Vec<u8>) {
            prop_assert_eq!(unescape(escape(&data).as_bytes()), data);
        }

        #[test]
        fn whatever_a_client_sends_the_facts_stay_true(name in ".*", value in ".*", data: Vec<u8>, uri in ".*") {
            let found = parse(&line(&name, &value, &data, &uri), &seal()).unwrap();
            prop_assert_eq!((found.id, found.data, found.tags.len()), (930_100, data, 2));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, &seal());
        }
    }
}
