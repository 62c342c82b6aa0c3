//! Requests and their answers: what is particular to netlink, and nothing of what is asked.

use futures_util::{Stream, StreamExt as _};
use rtnetlink::Handle;

use super::error::{Doing, LinkError};

/// A connection to the kernel, in the network namespace of the calling thread. It ends when its handle is dropped.
///
/// Must be called within a tokio runtime that drives sockets.
pub(super) fn connect() -> Result<Handle, LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Socket)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// All parts of an answer.
pub(super) async fn collect<T>(
    doing: Doing,
    answer: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, LinkError> {
    let mut answer = std::pin::pin!(answer);
    let mut parts = Vec::new();
    while let Some(part) = answer.next().await {
        parts.push(part.map_err(|error| LinkError::netlink(doing, &error))?);
    }
    Ok(parts)
}
