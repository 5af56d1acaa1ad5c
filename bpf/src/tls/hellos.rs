//! The hellos of both sides: the part of a session that has to be believed as it stands.
use super::direction::Epoch;
use super::hello::{ClientHello, ServerHello};
use super::keys::HEADER_BYTES;
use super::messages::Message;
use super::opened::{Dark, Opened};
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, is_change_cipher_spec, is_plain_alert};
use super::session::{Agreed, EarlyData, Session};
use super::suite::{Suite, SuiteNumber, Version};

const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

impl Session {
    /// The client's records before the ServerHello.
    pub(super) fn open_client_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        if self.client_hello.is_none() {
            return match record[0] {
                HANDSHAKE => self.read_client_hello(record),
                _ => Err(Dark::NoClientHello),
            };
        }
        match record[0] {
            HANDSHAKE if self.retry => self.read_client_hello(record),
            // Between two ClientHellos stands 0-RTT data for which the first one asked (RFC 8446 section 4.2.10).
            APPLICATION_DATA if self.retry => Ok(self.refuse(record)),
            CHANGE_CIPHER_SPEC if self.retried && is_change_cipher_spec(record) => Ok(Opened::Control),
            ALERT if is_plain_alert(record) => Ok(Opened::Control),
            _ => Ok(Opened::PeerMissing),
        }
    }

    pub(super) fn read_client_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        let mut messages = std::mem::take(&mut self.client.messages);
        let read = messages.push(&record[HEADER_BYTES..], &[CLIENT_HELLO], |message| self.take_client_hello(&message));
        self.client.messages = messages;
        read.map(|()| Opened::Control)
    }

    pub(super) fn take_client_hello(&mut self, message: &Message) -> Result<(), Dark> {
        if message.kind != CLIENT_HELLO {
            return Err(if self.client_hello.is_none() { Dark::NoClientHello } else { Dark::Malformed });
        }
        let hello = ClientHello::parse(message.body).filter(|_| message.ends_record).ok_or(Dark::Malformed)?;
        self.client.hole = Default::default();
        if std::mem::take(&mut self.retry) {
            return Ok(());
        }
        if hello.early_data {
            self.early_data = EarlyData::Offered;
        }
        self.client_hello = Some(hello);
        Ok(())
    }

    /// The server's records up to its ServerHello.
    pub(super) fn open_server_hello(&mut self, record: &[u8]) -> Result<Opened, Dark> {
        if self.client_hello.is_none() {
            return Ok(Opened::PeerMissing);
        }
        match record[0] {
            HANDSHAKE => {
                let mut messages = std::mem::take(&mut self.server.messages);
                let read =
                    messages.push(&record[HEADER_BYTES..], &[SERVER_HELLO], |message| self.take_server_hello(&message));
                self.server.messages = messages;
                read.map(|()| Opened::Control)
            }
            CHANGE_CIPHER_SPEC if self.retried && is_change_cipher_spec(record) => Ok(Opened::Control),
            ALERT if is_plain_alert(record) => Ok(Opened::Control),
            _ if self.server.hole.is_open() => Err(Dark::NoServerHello),
            _ => Ok(Opened::Bad),
        }
    }

    pub(super) fn take_server_hello(&mut self, message: &Message) -> Result<(), Dark> {
        if self.agreed.is_some() {
            // Messages of TLS 1.2 behind the ServerHello, in its record: none of them is needed.
            return Ok(());
        }
        match message.kind {
            SERVER_HELLO => {}
            HELLO_REQUEST => return Ok(()),
            _ => return Err(Dark::NoServerHello),
        }
        let hello = ServerHello::parse(message.body).ok_or(Dark::Malformed)?;
        let version = match hello.version {
            0x0303 => Version::Tls12,
            0x0304 => Version::Tls13,
            other => return Err(Dark::Version(other)),
        };
        self.version = Some(version);
        self.suite = Some(SuiteNumber(hello.suite));
        let suite = Suite::of(version, hello.suite).ok_or(Dark::Suite(SuiteNumber(hello.suite)))?;
        self.server.hole = Default::default();
        match version {
            Version::Tls13 => {
                if !message.ends_record {
                    return Err(Dark::Malformed);
                }
                if hello.is_retry_request() {
                    if self.retried {
                        return Err(Dark::Malformed);
                    }
                    (self.retry, self.retried) = (true, true);
                    return Ok(());
                }
                self.server.enter(Epoch::Handshake);
                if self.early_data == EarlyData::Offered && (self.retried || !hello.pre_shared_key) {
                    self.early_data = EarlyData::Refused;
                }
            }
            Version::Tls12 => {
                if hello.compression != 0 {
                    return Err(Dark::Compression);
                }
                self.alpn = Some(hello.alpn);
            }
        }
        self.agreed = Some(Agreed { suite, server_random: hello.random });
        Ok(())
    }
}
