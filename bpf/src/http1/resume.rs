//! Where requests are taken up again once their place in the client's stream was lost.
use super::head::begins_request;
use crate::seq::ahead;

/// Where what looks like a request may be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Wherever a packet or record begins with it: nothing is known of what it may be else.
    #[default]
    Anywhere,
    /// Not before so many more answers: till then it may be of a body, of which the last one's ends no sooner than at `floor`.
    Behind { answers: usize, floor: Option<u32> },
    /// Where the server had received everything as it answered, and only there: that is where a client that waits goes on.
    At(u32),
}

/// Bytes as they came.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Where their packet or record begins, and where they end.
    pub from: u32,
    pub to: u32,
    pub bytes: &'a [u8],
    /// They are the first ones of their packet or record.
    pub begins: bool,
}

impl Came<'_> {
    /// Empty lines before a request count as none (RFC 9112 section 2.2).
    pub fn looks_like_request(&self) -> bool {
        begins_request(self.without_empty_lines())
    }

    fn without_empty_lines(&self) -> &[u8] {
        let lines = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        &self.bytes[lines..]
    }
}

impl Resume {
    /// Bytes were lost or given up, and so many requests with them that are to be answered yet, one at least.
    pub fn lose(&mut self, answers: usize, floor: Option<u32>) {
        let (before, other) = match *self {
            Self::Behind { answers, floor } => (answers, floor),
            Self::Anywhere | Self::At(_) => (1, None),
        };
        *self = Self::Behind { answers: answers.max(before), floor: floor.or(other) };
    }

    /// The server has answered; `ack`: what it had received. True: it did not wait for all of a body.
    pub fn answered(&mut self, ack: u32) -> bool {
        match self {
            Self::Anywhere => {}
            Self::Behind { answers: answers @ 2.., .. } => *answers -= 1,
            Self::Behind { floor: Some(floor), .. } if ahead(ack, *floor) < 0 => return true,
            Self::Behind { .. } | Self::At(_) => *self = Self::At(ack),
        }
        false
    }

    /// True: a request begins with what came.
    pub fn takes(&mut self, came: Came) -> bool {
        match *self {
            Self::Anywhere => came.begins && came.looks_like_request(),
            Self::Behind { .. } => false,
            Self::At(at) if ahead(came.to, at) <= 0 && came.from != at => false,
            Self::At(at) if came.from == at && came.without_empty_lines().is_empty() => {
                *self = Self::At(came.to);
                false
            }
            Self::At(at) => {
                let is_request = came.from == at && came.looks_like_request();
                *self = if is_request { Self::Anywhere } else { Self::Behind { answers: 1, floor: None } };
                is_request
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(from: u32, to: u32, bytes: &str) -> Came<'_> {
        Came { from, to, bytes: bytes.as_bytes(), begins: true }
    }

    #[test]
    fn behind_a_loss_a_request_begins_where_an_answer_says_or_nowhere() {
        let mut resume = Resume::Anywhere;
        assert!(!resume.answered(10));
        assert!(resume.takes(came(5, 9, "GET /")) && !resume.takes(came(5, 9, "body")));
        resume.lose(1, None);
        assert!(!resume.takes(came(5, 9, "GET /")));
        for (from, to, bytes, is_taken) in [
            (u32::MAX - 3, u32::MAX, "GET /", false),
            (1, 20, "GET /", false),
            (u32::MAX, 20, "GET /", false),
            (0, 20, "body", false),
            (0, 20, "\r\nGET /", true),
        ] {
            assert!(!resume.answered(0));
            assert_eq!(resume.takes(came(from, to, bytes)), is_taken, "{from}");
            let expected = if is_taken { Resume::Anywhere } else { Resume::Behind { answers: 1, floor: None } };
            // What ends before that place says nothing of it.
            assert_eq!(resume, if to == u32::MAX { Resume::At(0) } else { expected }, "{from}");
        }
    }

    #[test]
    fn nothing_and_empty_lines_at_that_place_move_it() {
        let mut resume = Resume::At(10);
        assert!(!resume.takes(came(10, 32, "")) && !resume.takes(came(32, 34, "\r\n")));
        assert!(resume.takes(came(34, 60, "GET /")));
    }

    #[test]
    fn as_many_answers_are_awaited_as_requests_were_lost_and_none_that_did_not_wait() {
        let mut resume = Resume::Anywhere;
        resume.lose(3, None);
        resume.lose(2, Some(50));
        assert!(!resume.answered(1) && !resume.answered(2));
        assert_eq!(resume, Resume::Behind { answers: 1, floor: Some(50) });
        assert!(resume.answered(49));
        assert!(!resume.answered(50));
        assert_eq!(resume, Resume::At(50));
    }
}
