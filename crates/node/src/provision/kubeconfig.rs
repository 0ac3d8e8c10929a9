//! The parts of a kubeconfig file that kubeadm wrote.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What a client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `https://HOST:PORT`
    pub server: String,
    /// PEM of the authority.
    pub authority: Vec<u8>,
    /// PEM of the client's certificate.
    pub certificate: Vec<u8>,
    /// PEM of the client's key.
    pub key: Vec<u8>,
}

/// Reads a kubeconfig of one cluster and one user with embedded data.
pub fn credentials(text: &str) -> Option<Credentials> {
    Some(Credentials {
        server: value(text, "server")?.to_owned(),
        authority: STANDARD
            .decode(value(text, "certificate-authority-data")?)
            .ok()?,
        certificate: STANDARD
            .decode(value(text, "client-certificate-data")?)
            .ok()?,
        key: STANDARD.decode(value(text, "client-key-data")?).ok()?,
    })
}

/// Where the kubelet keeps its certificate and key, in one file that it rotates.
pub const ROTATED: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// As [`credentials`], but certificate and key may be the names of files, which `read` gives.
pub fn credentials_with_files(
    text: &str,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Option<Credentials> {
    let part = |key: &str| match value(text, &format!("{key}-data")) {
        Some(data) => STANDARD.decode(data).ok(),
        None => read(value(text, key)?),
    };
    Some(Credentials {
        server: value(text, "server")?.to_owned(),
        authority: part("certificate-authority")?,
        certificate: part("client-certificate")?,
        key: part("client-key")?,
    })
}

/// Host, without brackets, and port of `https://HOST:PORT`.
pub fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.strip_prefix("https://")?.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    Some((host.strip_suffix(']').unwrap_or(host), port.parse().ok()?))
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))
        .map(|value| value.trim().trim_matches('"'))
}

/// The kubelet's kubeconfig with its embedded certificate and key replaced by the file that the
/// kubelet rotates: what `kubeadm init phase kubelet-finalize` does after the kubelet's start,
/// followed by a restart.
pub fn with_rotated_file(text: &str, file: &str) -> String {
    text.lines()
        .map(|line| {
            let indent = &line[..line.len() - line.trim_start().len()];
            let line = match line.trim_start().split_once(':') {
                Some(("client-certificate-data", _)) => {
                    format!("{indent}client-certificate: {file}")
                }
                Some(("client-key-data", _)) => format!("{indent}client-key: {file}"),
                _ => line.to_owned(),
            };
            line + "\n"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: YQ==\n    server: https://10.0.2.15:6443\n  name: kubernetes\nusers:\n- name: n1\n  user:\n    client-certificate-data: Yg==\n    client-key-data: Yw==\n";

    #[test]
    fn credentials_are_read() {
        assert_eq!(
            credentials(TEXT),
            Some(Credentials {
                server: "https://10.0.2.15:6443".to_owned(),
                authority: b"a".to_vec(),
                certificate: b"b".to_vec(),
                key: b"c".to_vec(),
            })
        );
        assert_eq!(credentials("server: x\n"), None);
    }

    #[test]
    fn credentials_in_files_are_read() {
        let text = with_rotated_file(TEXT, "/pem");
        let read = |path: &str| (path == "/pem").then(|| b"both".to_vec());
        let found = credentials_with_files(&text, read).unwrap();
        assert_eq!(
            (found.certificate, found.key),
            (b"both".to_vec(), b"both".to_vec())
        );
        assert_eq!(found.authority, b"a");
        assert_eq!(credentials_with_files(&text, |_| None), None);
        assert_eq!(credentials_with_files(TEXT, |_| None), credentials(TEXT));
    }

    #[test]
    fn a_server_is_host_and_port() {
        assert_eq!(
            host_and_port("https://10.0.2.15:6443"),
            Some(("10.0.2.15", 6443))
        );
        assert_eq!(
            host_and_port("https://[2001:db8::1]:1"),
            Some(("2001:db8::1", 1))
        );
        assert_eq!(host_and_port("https://a"), None);
    }

    #[test]
    fn the_rotated_file_takes_the_place_of_the_data() {
        let text = with_rotated_file(TEXT, "/pem");
        assert!(text.ends_with("    client-certificate: /pem\n    client-key: /pem\n"));
        assert!(text.contains("certificate-authority-data: YQ==\n"));
        assert_eq!(with_rotated_file(&text, "/pem"), text);
    }
}
