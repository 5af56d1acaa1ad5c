//! Where requests are taken up again once their place in the client's stream was lost.
use crate::seq::ahead;

/// Where what looks like a request may be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Wherever a packet or record begins with it.
    #[default]
    Anywhere,
    /// Not before so many more answers: till then it may be of a body whose end was lost, and which ends no sooner than at
    /// `floor`.
    Behind { answers: usize, floor: Option<u32> },
    /// Where the server had received everything as it answered, and only there: that is where a client that waits goes on.
    At(u32),
}

impl Resume {
    pub const BEHIND_AN_ANSWER: Self = Self::Behind { answers: 1, floor: None };

    /// The server has answered what was asked before this; `ack`: what it had received. True: it did not wait for all of it.
    pub fn answered(&mut self, ack: u32) -> bool {
        match self {
            Self::Anywhere => {}
            Self::Behind { answers: answers @ 2.., .. } => *answers -= 1,
            Self::Behind { floor: Some(floor), .. } if ahead(ack, *floor) < 0 => return true,
            Self::Behind { .. } | Self::At(_) => *self = Self::At(ack),
        }
        false
    }

    /// A record without data stands there.
    pub fn passes(&mut self, from: u32, to: u32) {
        if *self == Self::At(from) {
            *self = Self::At(to);
        }
    }

    /// Bytes of a packet or record came that begins at `from` and ends at `to`. True: a request begins with them, if that is
    /// what they look like.
    pub fn takes(&mut self, from: u32, to: u32, looks_like_request: bool) -> bool {
        match *self {
            Self::Anywhere => looks_like_request,
            Self::Behind { .. } => false,
            Self::At(at) if ahead(to, at) <= 0 => false,
            Self::At(at) => {
                let is_request = from == at && looks_like_request;
                *self = if is_request { Self::Anywhere } else { Self::BEHIND_AN_ANSWER };
                is_request
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_lost_end_a_request_begins_where_an_answer_says_or_nowhere() {
        let mut resume = Resume::Anywhere;
        resume.answered(10);
        assert!(resume.takes(5, 9, true) && !resume.takes(5, 9, false));
        let mut resume = Resume::BEHIND_AN_ANSWER;
        assert!(!resume.takes(5, 9, true));
        for (from, to, looks_like_request, is_taken) in [
            (u32::MAX - 3, u32::MAX, true, false),
            (1, 20, true, false),
            (u32::MAX, 20, true, false),
            (0, 20, false, false),
            (0, 20, true, true),
        ] {
            resume.answered(0);
            assert_eq!(resume.takes(from, to, looks_like_request), is_taken, "{from}");
            let expected = if is_taken { Resume::Anywhere } else { Resume::BEHIND_AN_ANSWER };
            // What ends before that place says nothing of it.
            assert_eq!(resume, if to == u32::MAX { Resume::At(0) } else { expected }, "{from}");
        }
    }
}
