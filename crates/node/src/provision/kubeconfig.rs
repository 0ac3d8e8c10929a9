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
    fn the_rotated_file_takes_the_place_of_the_data() {
        let text = with_rotated_file(TEXT, "/pem");
        assert!(text.ends_with("    client-certificate: /pem\n    client-key: /pem\n"));
        assert!(text.contains("certificate-authority-data: YQ==\n"));
        assert_eq!(with_rotated_file(&text, "/pem"), text);
    }
}
