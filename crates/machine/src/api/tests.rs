//! A server as kubeadm sets one up: a certificate for `kubernetes`, client certificates asked
//! for, ECDSA keys. The certificates in `tests/certificates` are valid for 100 years and good
//! for nothing else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::*;
use crate::timestamp;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/certificates/", $name))
    };
}

fn kubeconfig() -> Kubeconfig {
    Kubeconfig {
        authority: file!("ca.pem").to_vec(),
        certificate: file!("client.pem").to_vec(),
        key: file!("client.key").to_vec(),
    }
}

fn server() -> Arc<ServerConfig> {
    let certificate = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(file!("ca.pem"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate(file!("server.pem"))],
            PrivateKeyDer::from_pem_slice(file!("server.key")).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

/// Answers `/ok` with an object and all else with 403, on as many connections as come.
fn serve(connections: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = server();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            connections.fetch_add(1, Ordering::Relaxed);
            answer(stream.unwrap(), Arc::clone(&config));
        }
    });
    port
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
        }
        let (status, body) = match request.split(' ').nth(1) {
            Some("/ok") => ("200 OK", "{\"items\": []}"),
            _ => ("403 Forbidden", "{}"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let whole = head + body;
        stream.get_mut().write_all(whole.as_bytes()).unwrap();
    }
}

#[test]
fn one_connection_serves_all_requests() {
    let connections = Arc::new(AtomicUsize::new(0));
    let port = serve(Arc::clone(&connections));
    let api = Api::new(&kubeconfig(), port, Duration::from_secs(20)).unwrap();
    for _ in 0..3 {
        let (value, date) = api.get("/ok").unwrap();
        assert_eq!(value, serde_json::json!({"items": []}));
        assert_eq!(timestamp(date.unwrap()), "1994-11-06T08:49:37Z");
        let refused = api.get("/other").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the API server answers /other with 403"
        );
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let port = serve(Arc::default());
    let mut other = kubeconfig();
    other.authority = file!("client.pem").to_vec();
    let api = Api::new(&other, port, Duration::from_secs(20)).unwrap();
    assert!(matches!(api.get("/ok"), Err(ApiError::Unreachable(_))));
}

#[test]
fn nobody_there_and_credentials_that_are_none_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let api = Api::new(&kubeconfig(), port, Duration::from_secs(5)).unwrap();
    assert!(matches!(api.get("/ok"), Err(ApiError::Unreachable(_))));
    let mut broken = kubeconfig();
    broken.key = b"no key".to_vec();
    let refused = Api::new(&broken, port, Duration::from_secs(5));
    assert!(matches!(refused, Err(ApiError::Credentials(_))));
}
