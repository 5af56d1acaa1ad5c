//! The capture for Rust programs, without Node: what `examples/capture.rs` and the kernel matrix drive. The rest of `Capture`
//! can be called from Rust as it is; only `next_batch` answers to JavaScript.
use std::sync::mpsc;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::Result;
use prost::Message;

use crate::Capture;
use crate::capture::{Command, Outcome};
use crate::error::{CaptureError, Code};
use crate::wire::ExchangeBatch;

impl Capture {
    /// The next exchanges, booked as delivered. `None`: there were none within `max_wait`, or the capture has stopped and
    /// all of them were handed out.
    pub fn next_exchanges(&self, max_wait: Duration) -> Result<Option<ExchangeBatch>, Code> {
        let (give, take) = mpsc::sync_channel(1);
        let deadline = Instant::now() + max_wait;
        // Whoever gave up waiting misses nothing: the batch is then dropped on the ledger as the capture closes.
        let deliver = Box::new(move |batch| drop(give.send(batch)));
        self.send(Command::Next { deadline, deliver })?;
        let batch = take.recv().map_err(|_| CaptureError::internal("capture thread", "it ended"))?;
        let Some(batch) = batch else {
            return Ok(None);
        };
        let exchanges = ExchangeBatch::decode(&batch.bytes[..])
            .map_err(|e| CaptureError::internal("read a batch of our own", e))?;
        self.ask(|reply| Command::Settle(batch.id, Outcome::Delivered, reply))?;
        Ok(Some(exchanges))
    }
}
