//! Connections from a port below 1024, by which a service knows that root asks.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use ureq::{
    Error,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
    },
};

use super::http::CONNECT;

/// Makes such connections.
#[derive(Debug)]
pub(super) struct LowPort;

/// One of them.
#[derive(Debug)]
pub(super) struct LowPortTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Connector<()> for LowPort {
    type Out = LowPortTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let mut last = Error::HostNotFound;
        for address in &details.addrs {
            match connect(*address) {
                Ok(stream) => {
                    let buffers = LazyBuffers::new(
                        details.config.input_buffer_size(),
                        details.config.output_buffer_size(),
                    );
                    return Ok(Some(LowPortTransport { stream, buffers }));
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

impl Transport for LowPortTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(limit(&timeout))?;
        let output = &self.buffers.output()[..amount];
        self.stream
            .write_all(output)
            .map_err(|error| in_time(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(limit(&timeout))?;
        let input = self.buffers.input_append_buf();
        let amount = self
            .stream
            .read(input)
            .map_err(|error| in_time(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Each request has a connection of its own.
        false
    }
}

fn limit(timeout: &NextTimeout) -> Option<Duration> {
    timeout.not_zero().map(|limit| *limit)
}

fn in_time(error: io::Error, timeout: &NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let (family, any) = match address {
        SocketAddr::V4(_) => (AddressFamily::INET, SocketAddr::from(([0; 4], 0))),
        SocketAddr::V6(_) => (AddressFamily::INET6, SocketAddr::from(([0_u16; 8], 0))),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    // Others use some of these; the highest have the fewest users.
    for port in (600..1024).rev() {
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Linux takes this for connect(2) as well.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECT))?;
        let mut from = any;
        from.set_port(port);
        let connected = rustix::net::bind(&socket, &from)
            .and_then(|()| rustix::net::connect(&socket, &address));
        match connected {
            Ok(()) => return Ok(TcpStream::from(socket)),
            Err(error @ (rustix::io::Errno::ADDRINUSE | rustix::io::Errno::ADDRNOTAVAIL)) => {
                last = error.into();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(last)
}
